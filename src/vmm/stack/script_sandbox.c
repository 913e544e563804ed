/* SPDX-License-Identifier: Apache-2.0 */
#include <lualib.h>
#include <string.h>

#include "vmm/stack/script_lua.h"

/*
 * What a stack file may use of Lua: nothing that reaches files, other processes, native code or the
 * interpreter itself. xpcall is left out because its handler would run without the count hook, and
 * so is what lets a script have a __gc.
 */
static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string},
    {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8}, {NULL, NULL},
};

static const char *const withheld[] = {"dofile",         "loadfile", "load",
                                       "collectgarbage", "xpcall",   "warn"};

/* Named so that a message can say why they are not there. */
static const char *const absent[] = {"io",      "os",        "debug", "package",        "coroutine",
                                     "require", "dofile",    "load",  "collectgarbage", "loadfile",
                                     "xpcall",  "loadstring"};

static int refuse_absent(lua_State *lua)
{
    if (lua_type(lua, 2) == LUA_TSTRING)
        for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
            if (strcmp(lua_tostring(lua, 2), absent[i]) == 0)
                script_error(lua,
                             "a stack file has no \"%s\": it has string, table, math, utf8 "
                             "and mezz",
                             absent[i]);
    return 0;
}

/* setmetatable without __gc: a finalizer runs without the count hook. upvalue: the library's. */
static int set_metatable(lua_State *lua)
{
    if (lua_istable(lua, 2)) {
        lua_pushstring(lua, "__gc");
        if (lua_rawget(lua, 2) != LUA_TNIL)
            script_error(lua, "setmetatable: a stack file has no __gc");
        lua_pop(lua, 1);
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

static void withhold(lua_State *lua)
{
    lua_pushglobaltable(lua);
    for (size_t i = 0; i < sizeof(withheld) / sizeof(withheld[0]); i++) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, withheld[i]);
    }
    lua_getfield(lua, -1, "setmetatable");
    lua_pushcclosure(lua, set_metatable, 1);
    lua_setfield(lua, -2, "setmetatable");
    lua_getfield(lua, -1, LUA_STRLIBNAME);
    lua_pushnil(lua);
    lua_setfield(lua, -2, "dump");
    lua_pop(lua, 1);
    lua_createtable(lua, 0, 2);
    lua_pushcfunction(lua, refuse_absent);
    lua_setfield(lua, -2, "__index");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}

/* The same numbers in every run. */
static void seed_random(lua_State *lua)
{
    lua_getglobal(lua, LUA_MATHLIBNAME);
    lua_getfield(lua, -1, "randomseed");
    lua_pushinteger(lua, 1);
    lua_call(lua, 1, 0);
    lua_pop(lua, 1);
}

void script_open_libraries(lua_State *lua)
{
    for (const luaL_Reg *library = libraries; library->func != NULL; library++) {
        luaL_requiref(lua, library->name, library->func, 1);
        lua_pop(lua, 1);
    }
    withhold(lua);
    seed_random(lua);
}
