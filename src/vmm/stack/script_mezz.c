/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "vmm/stack/script_lua.h"

/* The table mezz, and print. */

#define EXPECTATION_LIMIT 512U

/* print(...): as Lua's, to the script's host. */
static int script_print(lua_State *lua)
{
    struct script *script = script_of(lua);
    int count = lua_gettop(lua);
    luaL_Buffer line;
    const char *text;
    size_t length;

    luaL_buffinit(lua, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&line, '\t');
        luaL_tolstring(lua, i, NULL);
        luaL_addvalue(&line);
    }
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    text = lua_tolstring(lua, -1, &length);
    script->printed += length;
    if (script->printed > script->budget.limits->output)
        script_error(lua, "print: more than %zu bytes in one run", script->budget.limits->output);
    script->config.host->print(script->config.host->context, text, length);
    return 0;
}

/* mezz.expect(VALUE, "what"): goes on either way, and gives VALUE back. */
static int script_expect(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct script_record *record = &script->record;
    struct script_expectation *grown;
    const char *what;

    if (lua_gettop(lua) < 2)
        script_error(lua, "mezz.expect: expected a value and a text that says what it shows");
    what = script_check_text(lua, 2, "mezz.expect", EXPECTATION_LIMIT);
    if (record->expectation_count == script->budget.limits->expectations)
        script_error(lua, "mezz.expect: more than %zu expectations", record->expectation_count);
    grown = realloc(record->expectations, (record->expectation_count + 1) * sizeof(*grown));
    if (grown == NULL)
        script_no_memory(lua, "mezz.expect: out of memory");
    record->expectations = grown;
    grown += record->expectation_count;
    *grown =
        (struct script_expectation){strdup(what), script_line(lua), lua_toboolean(lua, 1) != 0};
    if (grown->text == NULL)
        script_no_memory(lua, "mezz.expect: out of memory");
    record->expectation_count++;
    if (!grown->passed) {
        record->failed++;
        script->config.host->failed(script->config.host->context, grown->line, what);
    }
    lua_settop(lua, 1);
    return 1;
}

static int script_image(lua_State *lua)
{
    if (lua_type(lua, 1) != LUA_TSTRING)
        script_error(lua, "mezz.image: expected the name of a file, got %s",
                     lua_isnone(lua, 1) ? "nothing" : luaL_typename(lua, 1));
    script_push_image(lua, "mezz.image", 1);
    return 1;
}

void script_register_mezz(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"stack", script_new_stack},
                                         {"image", script_image},
                                         {"expect", script_expect},
                                         {"print", script_print},
                                         {NULL, NULL}};

    script_register_stack(lua);
    script_register_console(lua);
    script_register_protect(lua);
    script_register_guard(lua);
    luaL_newlib(lua, functions);
    lua_pushliteral(lua, MEZZ_PROGRAM_VERSION);
    lua_setfield(lua, -2, "version");
    script_make_strict(lua, "mezz");
    lua_setglobal(lua, "mezz");
    lua_pushcfunction(lua, script_print);
    lua_setglobal(lua, "print");
}
