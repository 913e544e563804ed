/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

#define SIZE_EXAMPLE     "a size such as \"64M\" (digits and K, M or G)"
#define DURATION_EXAMPLE "a time such as \"10s\" or \"500ms\""

struct reader {
    lua_State *lua;
    const char *call;
    const struct script_key *key;
    int anchor;
    void *to;
};

static const char *key_name(const void *context, size_t i)
{
    const struct script_key *keys = context;

    return keys[i].name;
}

static void list_keys(char *text, size_t length, const struct script_key *keys)
{
    size_t used = 0;

    text[0] = '\0';
    for (; keys->name != NULL && used < length; keys++)
        used +=
            (size_t)snprintf(text + used, length - used, "%s%s", used == 0 ? "" : ", ", keys->name);
}

static void check_known(lua_State *lua, const char *call, const struct script_key *keys, int index)
{
    for (lua_pushnil(lua); lua_next(lua, index) != 0; lua_pop(lua, 1)) {
        const char *name;
        const char *meant;
        char known[256];
        size_t i = 0;

        list_keys(known, sizeof(known), keys);
        if (lua_type(lua, -2) != LUA_TSTRING)
            script_error(lua, "%s: a %s without a name; it takes named values: %s", call,
                         luaL_typename(lua, -1), known);
        name = lua_tostring(lua, -2);
        while (keys[i].name != NULL && strcmp(keys[i].name, name) != 0)
            i++;
        if (keys[i].name != NULL)
            continue;
        meant = script_did_you_mean(name, key_name, keys);
        if (meant != NULL)
            script_error(lua, "%s: unknown key \"%s\"; did you mean \"%s\"?", call, name, meant);
        script_error(lua, "%s: unknown key \"%s\"; it knows %s", call, name, known);
    }
}

const char *script_shown(lua_State *lua, int index)
{
    if (lua_type(lua, index) == LUA_TSTRING)
        return lua_pushfstring(lua, "\"%s\"", lua_tostring(lua, index));
    if (lua_type(lua, index) == LUA_TNUMBER || lua_type(lua, index) == LUA_TBOOLEAN)
        return luaL_tolstring(lua, index, NULL);
    if (lua_isnoneornil(lua, index))
        return "nothing";
    return lua_pushfstring(lua, "a %s", luaL_typename(lua, index));
}

_Noreturn static void expected(const struct reader *reader, const char *what)
{
    script_error(reader->lua, "%s: %s: expected %s, got %s", reader->call, reader->key->name, what,
                 script_shown(reader->lua, -1));
}

static void check_range(const struct reader *reader, uint64_t value,
                        void (*format)(char *, size_t, uint64_t))
{
    const struct script_key *key = reader->key;
    char text[3][32];

    format(text[0], sizeof(text[0]), value);
    format(text[1], sizeof(text[1]), key->min);
    format(text[2], sizeof(text[2]), key->max);
    if (value < key->min || value > key->max)
        script_error(reader->lua, "%s: %s: %s is out of range: %s to %s", reader->call, key->name,
                     text[0], text[1], text[2]);
    if (key->multiple != 0 && value % key->multiple != 0) {
        format(text[1], sizeof(text[1]), key->multiple);
        script_error(reader->lua, "%s: %s: %s is not a multiple of %s", reader->call, key->name,
                     text[0], text[1]);
    }
}

static void read_size(const struct reader *reader)
{
    uint64_t *to = reader->to;

    if (lua_type(reader->lua, -1) != LUA_TSTRING ||
        !script_parse_size(lua_tostring(reader->lua, -1), to))
        expected(reader, SIZE_EXAMPLE);
    check_range(reader, *to, script_format_size);
}

static void read_duration(const struct reader *reader)
{
    uint64_t *to = reader->to;

    if (lua_type(reader->lua, -1) != LUA_TSTRING ||
        !script_parse_duration(lua_tostring(reader->lua, -1), to))
        expected(reader, DURATION_EXAMPLE);
    check_range(reader, *to, script_format_duration);
}

static void format_count(char *text, size_t length, uint64_t value)
{
    snprintf(text, length, "%llu", (unsigned long long)value);
}

static void read_count(const struct reader *reader)
{
    uint64_t *to = reader->to;
    lua_Integer value;

    if (!lua_isinteger(reader->lua, -1))
        expected(reader, "a whole number");
    value = lua_tointeger(reader->lua, -1);
    if (value < 0)
        expected(reader, "a number that is not negative");
    *to = (uint64_t)value;
    check_range(reader, *to, format_count);
}

static void read_boolean(const struct reader *reader)
{
    if (!lua_isboolean(reader->lua, -1))
        expected(reader, "true or false");
    *(bool *)reader->to = lua_toboolean(reader->lua, -1) != 0;
}

const char *script_check_text(lua_State *lua, int index, const char *what, uint64_t max)
{
    size_t length;
    const char *text;

    if (lua_type(lua, index) != LUA_TSTRING)
        script_error(lua, "%s: expected a string, got %s", what, script_shown(lua, index));
    text = lua_tolstring(lua, index, &length);
    if (length > max)
        script_error(lua, "%s: %zu characters are too long: at most %llu", what, length,
                     (unsigned long long)max);
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            script_error(lua, "%s: character %zu is not printable ASCII", what, i + 1);
    return text;
}

static void read_text(const struct reader *reader)
{
    const char *what = lua_pushfstring(reader->lua, "%s: %s", reader->call, reader->key->name);

    lua_insert(reader->lua, -2);
    *(const char **)reader->to = script_check_text(reader->lua, -1, what, reader->key->max);
    lua_pushvalue(reader->lua, -1);
    script_anchor(reader->lua, reader->anchor);
}

static void read_word(const struct reader *reader)
{
    const char *text;

    read_text(reader);
    text = *(const char **)reader->to;
    if (text[0] == '\0' ||
        text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] !=
            '\0')
        expected(reader, "a name of letters, digits, '-', '_' and '.'");
}

static void read_image(const struct reader *reader)
{
    const char *what = lua_pushfstring(reader->lua, "%s: %s", reader->call, reader->key->name);

    lua_insert(reader->lua, -2);
    if (lua_type(reader->lua, -1) != LUA_TSTRING)
        expected(reader, "the name of a file, or mezz.image \"NAME\"");
    *(const char **)reader->to = script_push_image(reader->lua, what, -1);
    script_anchor(reader->lua, reader->anchor);
}

static void read_list(const struct reader *reader)
{
    if (!lua_istable(reader->lua, -1))
        expected(reader, "a list in braces");
    *(int *)reader->to = lua_gettop(reader->lua);
}

static void (*const read_value[])(const struct reader *reader) = {
    [KEY_SIZE] = read_size,       [KEY_DURATION] = read_duration, [KEY_COUNT] = read_count,
    [KEY_BOOLEAN] = read_boolean, [KEY_TEXT] = read_text,         [KEY_WORD] = read_word,
    [KEY_IMAGE] = read_image,     [KEY_LIST] = read_list,
};

void script_anchor(lua_State *lua, int anchor)
{
    lua_rawseti(lua, anchor, (lua_Integer)lua_rawlen(lua, anchor) + 1);
}

void script_read_keys(lua_State *lua, const char *call, const struct script_key *keys, int index,
                      int anchor, void *to)
{
    char known[256];

    list_keys(known, sizeof(known), keys);
    if (!lua_istable(lua, index))
        script_error(lua, "%s: expected named values in braces (%s), got %s", call, known,
                     script_shown(lua, index));
    luaL_checkstack(lua, 32, "too many values");
    check_known(lua, call, keys, index);
    for (const struct script_key *key = keys; key->name != NULL; key++) {
        struct reader reader = {lua, call, key, anchor, (char *)to + key->offset};
        int top = lua_gettop(lua);

        lua_pushstring(lua, key->name);
        lua_rawget(lua, index);
        if (!lua_isnil(lua, -1)) {
            read_value[key->type](&reader);
            lua_settop(lua, key->type == KEY_LIST ? top + 1 : top);
            continue;
        }
        if (key->required)
            script_error(lua, "%s: %s is missing", call, key->name);
        lua_settop(lua, top);
    }
}
