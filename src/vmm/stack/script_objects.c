/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

#define CANDIDATES 64U

struct candidates {
    const char *names[CANDIDATES + 1];
};

static const char *candidate(const void *context, size_t i)
{
    return ((const struct candidates *)context)->names[i];
}

/* The string keys of the table at `index`, after those that are there already. */
static size_t collect(lua_State *lua, int index, struct candidates *to, size_t count)
{
    for (lua_pushnil(lua); lua_next(lua, index) != 0; lua_pop(lua, 1))
        if (lua_type(lua, -2) == LUA_TSTRING && count < CANDIDATES)
            to->names[count++] = lua_tostring(lua, -2);
    to->names[count] = NULL;
    return count;
}

_Noreturn static void no_such_field(lua_State *lua, const char *what, int key,
                                    const struct candidates *known)
{
    const char *name;
    const char *meant;

    if (lua_type(lua, key) != LUA_TSTRING)
        script_error(lua, "%s has no field of type %s", what, luaL_typename(lua, key));
    name = lua_tostring(lua, key);
    meant = script_did_you_mean(name, candidate, known);
    if (meant != NULL)
        script_error(lua, "%s has no \"%s\"; did you mean \"%s\"?", what, name, meant);
    script_error(lua, "%s has no \"%s\"", what, name);
}

/* __index of a strict table: (table, key); upvalue: what it is called. */
static int strict_index(lua_State *lua)
{
    struct candidates known;

    collect(lua, 1, &known, 0);
    no_such_field(lua, lua_tostring(lua, lua_upvalueindex(1)), 2, &known);
}

void script_make_strict(lua_State *lua, const char *what)
{
    lua_createtable(lua, 0, 2);
    lua_pushstring(lua, what);
    lua_pushcclosure(lua, strict_index, 1);
    lua_setfield(lua, -2, "__index");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
}

void *script_push_object(lua_State *lua, size_t size, const char *type)
{
    void *object = lua_newuserdatauv(lua, size, OBJECT_USER_VALUES);

    memset(object, 0, size);
    luaL_setmetatable(lua, type);
    lua_newtable(lua);
    lua_setiuservalue(lua, -2, OBJECT_PARTS);
    lua_newtable(lua);
    lua_setiuservalue(lua, -2, OBJECT_ANCHOR);
    return object;
}

void *script_check_self(lua_State *lua, const char *type, const char *call)
{
    void *object = luaL_testudata(lua, 1, type);
    const char *colon = strchr(call, ':');

    if (object == NULL)
        script_error(lua,
                     "%s: expected a %.*s before the colon, got %s (a dot in place of the "
                     "colon?)",
                     call, (int)(colon - call), call,
                     lua_isnone(lua, 1) ? "nothing" : luaL_typename(lua, 1));
    return object;
}

/* __index of an object: (object, key); upvalues: its methods, its name. */
static int object_index(lua_State *lua)
{
    const char *what = lua_tostring(lua, lua_upvalueindex(2));
    struct candidates known;
    size_t count;

    lua_settop(lua, 2);
    lua_pushvalue(lua, 2);
    if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    count = collect(lua, lua_upvalueindex(1), &known, 0);
    if (lua_getiuservalue(lua, 1, OBJECT_RESULT) == LUA_TTABLE) {
        lua_pushvalue(lua, 2);
        if (lua_rawget(lua, -2) != LUA_TNIL)
            return 1;
        lua_pop(lua, 1);
        collect(lua, lua_gettop(lua), &known, count);
    } else if (lua_type(lua, 2) == LUA_TSTRING && strcmp(what, "stack") != 0 &&
               strcmp(what, "console") != 0) {
        script_error(lua, "%s has no \"%s\" before stack:run", what, lua_tostring(lua, 2));
    }
    no_such_field(lua, what, 2, &known);
}

/* __newindex of an object: upvalue: its name. */
static int object_newindex(lua_State *lua)
{
    script_error(lua, "%s: its fields cannot be set", lua_tostring(lua, lua_upvalueindex(1)));
}

void script_register_type(lua_State *lua, const char *type, const luaL_Reg *methods)
{
    const char *name = strchr(type, ' ') + 1;

    luaL_newmetatable(lua, type);
    lua_newtable(lua);
    luaL_setfuncs(lua, methods, 0);
    lua_pushstring(lua, name);
    lua_pushcclosure(lua, object_index, 2);
    lua_setfield(lua, -2, "__index");
    lua_pushstring(lua, name);
    lua_pushcclosure(lua, object_newindex, 1);
    lua_setfield(lua, -2, "__newindex");
    lua_pushboolean(lua, 0);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}
