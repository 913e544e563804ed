/* SPDX-License-Identifier: Apache-2.0 */
#include <lualib.h>
#include <string.h>

#include "vmm/stack/script_lua.h"

/* What a level wrote, as a stack file sees it. The text is the run's (struct script_record), which
 * outlives Lua. */

static const struct console_text *check_console(lua_State *lua, const char *call)
{
    return script_check_self(lua, CONSOLE_TYPE, call);
}

static const char *check_needle(lua_State *lua, const char *call, size_t *length)
{
    if (lua_type(lua, 2) != LUA_TSTRING || lua_rawlen(lua, 2) == 0)
        script_error(lua, "%s: expected a text to look for, got %s", call,
                     lua_type(lua, 2) == LUA_TSTRING ? "an empty one"
                     : lua_isnone(lua, 2)            ? "nothing"
                                                     : luaL_typename(lua, 2));
    return lua_tolstring(lua, 2, length);
}

/* console:find(TEXT) -> position of its first byte, or nil. No patterns. */
static int console_find(lua_State *lua)
{
    const struct console_text *console = check_console(lua, "console:find");
    size_t length;
    const char *needle = check_needle(lua, "console:find", &length);
    const char *found = memmem(console->text, console->length, needle, length);

    if (found == NULL)
        lua_pushnil(lua);
    else
        lua_pushinteger(lua, found - console->text + 1);
    return 1;
}

/* console:count(TEXT) -> how often it is there, without overlaps */
static int console_count(lua_State *lua)
{
    const struct console_text *console = check_console(lua, "console:count");
    const char *end = console->text + console->length;
    const char *from = console->text;
    size_t length;
    const char *needle = check_needle(lua, "console:count", &length);
    lua_Integer count = 0;

    while ((from = memmem(from, (size_t)(end - from), needle, length)) != NULL) {
        from += length;
        count++;
    }
    lua_pushinteger(lua, count);
    return 1;
}

/* Pushes the line that begins at *offset, without its end, and moves *offset behind it. */
static bool push_line(lua_State *lua, const struct console_text *console, size_t *offset)
{
    const char *line = console->text + *offset;
    size_t left = console->length - *offset;
    const char *end;
    size_t length;

    if (left == 0)
        return false;
    end = memchr(line, '\n', left);
    length = end == NULL ? left : (size_t)(end - line);
    *offset += end == NULL ? left : length + 1;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    lua_pushlstring(lua, line, length);
    return true;
}

static int next_line(lua_State *lua)
{
    const struct console_text *console = lua_touserdata(lua, lua_upvalueindex(1));
    size_t offset = (size_t)lua_tointeger(lua, lua_upvalueindex(2));

    if (!push_line(lua, console, &offset))
        return 0;
    lua_pushinteger(lua, (lua_Integer)offset);
    lua_replace(lua, lua_upvalueindex(2));
    return 1;
}

/* for line in console:lines() */
static int console_lines(lua_State *lua)
{
    check_console(lua, "console:lines");
    lua_pushvalue(lua, 1);
    lua_pushinteger(lua, 0);
    lua_pushcclosure(lua, next_line, 2);
    return 1;
}

/* console:match(PATTERN) -> what string.match gives for the first line that matches, or nil */
static int console_match(lua_State *lua)
{
    const struct console_text *console = check_console(lua, "console:match");
    size_t offset = 0;

    check_needle(lua, "console:match", &(size_t){0});
    for (;;) {
        lua_settop(lua, 2);
        lua_getfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_getfield(lua, -1, LUA_STRLIBNAME);
        lua_getfield(lua, -1, "match");
        lua_replace(lua, 3);
        lua_settop(lua, 3);
        if (!push_line(lua, console, &offset))
            return 0;
        lua_pushvalue(lua, 2);
        lua_call(lua, 2, LUA_MULTRET);
        if (!lua_isnil(lua, 3))
            return lua_gettop(lua) - 2;
    }
}

static int console_length(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)check_console(lua, "console:#")->length);
    return 1;
}

static int console_to_string(lua_State *lua)
{
    const struct console_text *console = check_console(lua, "console:tostring");

    lua_pushlstring(lua, console->text, console->length);
    return 1;
}

void script_push_console(lua_State *lua, const struct console_text *console)
{
    *(struct console_text *)script_push_object(lua, sizeof(*console), CONSOLE_TYPE) = *console;
}

void script_register_console(lua_State *lua)
{
    static const luaL_Reg methods[] = {
        {"find", console_find},
        {"count", console_count},
        {"lines", console_lines},
        {"match", console_match},
        {NULL, NULL},
    };

    script_register_type(lua, CONSOLE_TYPE, methods);
    luaL_getmetatable(lua, CONSOLE_TYPE);
    lua_pushcfunction(lua, console_length);
    lua_setfield(lua, -2, "__len");
    lua_pushcfunction(lua, console_to_string);
    lua_setfield(lua, -2, "__tostring");
    lua_pop(lua, 1);
}
