/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/stack/script_lua.h"

/* The table mezz, and print. */

#define EXPECTATION_LIMIT 512U
#define ROW_LIMIT         1000U /* rows of a file */
#define ROW_KEYS          16U

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

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A guest's text may have any bytes: those that are no ASCII are the character of their number. */
static json_t *row_text(lua_State *lua)
{
    luaL_Buffer buffer;
    size_t length;
    const char *text = lua_tolstring(lua, -1, &length);
    json_t *value;

    luaL_buffinit(lua, &buffer);
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];

        if (byte >= 0x80)
            luaL_addchar(&buffer, (char)(0xc0 | byte >> 6));
        luaL_addchar(&buffer, (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
    }
    luaL_pushresult(&buffer);
    text = lua_tolstring(lua, -1, &length);
    value = json_stringn(text, length);
    lua_pop(lua, 1);
    return value;
}

/* The value on top of the stack; NULL: one that a row cannot have. */
static json_t *row_value(lua_State *lua)
{
    switch (lua_type(lua, -1)) {
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(lua, -1));
    case LUA_TNUMBER:
        return lua_isinteger(lua, -1) ? json_integer(lua_tointeger(lua, -1))
                                      : json_real(lua_tonumber(lua, -1));
    case LUA_TSTRING:
        return row_text(lua);
    default:
        return NULL;
    }
}

/* mezz.row { name = value, ... }: a result of the file's own, for `rows` of its JSON. */
static int script_row(lua_State *lua)
{
    struct script_record *record = &script_of(lua)->record;
    const char *key[ROW_KEYS];
    size_t keys = 0;
    json_t *row;

    if (lua_type(lua, 1) != LUA_TTABLE)
        script_error(lua, "mezz.row: expected named values in braces");
    for (lua_pushnil(lua); lua_next(lua, 1) != 0; lua_pop(lua, 1)) {
        if (lua_type(lua, -2) != LUA_TSTRING || keys == ROW_KEYS)
            script_error(lua, "mezz.row: expected at most %u named values", ROW_KEYS);
        key[keys++] = lua_tostring(lua, -2);
    }
    qsort(key, keys, sizeof(key[0]), by_text);
    if (record->rows == NULL)
        record->rows = json_array();
    row = json_object();
    if (json_array_size(record->rows) >= ROW_LIMIT || json_array_append_new(record->rows, row) != 0)
        script_error(lua, "mezz.row: more than %u rows", ROW_LIMIT);
    for (size_t i = 0; i < keys; i++) {
        lua_getfield(lua, 1, key[i]);
        if (json_object_set_new(row, key[i], row_value(lua)) != 0)
            script_error(lua, "mezz.row: %s: expected a text, a number or a boolean", key[i]);
        lua_pop(lua, 1);
    }
    return 0;
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
    static const luaL_Reg functions[] = {{"stack", script_new_stack}, {"image", script_image},
                                         {"expect", script_expect},   {"print", script_print},
                                         {"row", script_row},         {NULL, NULL}};

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
