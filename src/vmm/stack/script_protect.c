/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions/decision.h"
#include "hookguard/portions/portions.h"
#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

/* l2:protect { ... }: portions of an L2's programs, checked when they are declared. */

#define PORTIONS_TYPE "mezz portions"
#define CALL          "l2:protect"
#define NAME_LIMIT    63U
#define PATH_MAX_TEXT 255U

/* What the portions of one L2 own outside of Lua. */
struct script_portions {
    struct portion_table table;
    struct patterns *patterns[PORTIONS_LIMIT];
    size_t pattern_count;
};

struct protect_arguments {
    const char *program;
    const char *portion;
    const char *rules;
    const char *on_refusal;
    int symbols; /* stack indices of tables; 0: left out */
    int sections;
    int ranges;
    int entries;
    int shared;
    int tolerate;
    bool strict;
};

static const struct script_key protect_keys[] = {
    {"program", KEY_TEXT, true, .max = PATH_MAX_TEXT,
     .offset = offsetof(struct protect_arguments, program)},
    {"portion", KEY_WORD, true, .max = NAME_LIMIT,
     .offset = offsetof(struct protect_arguments, portion)},
    {"symbols", KEY_LIST, false, .offset = offsetof(struct protect_arguments, symbols)},
    {"sections", KEY_LIST, false, .offset = offsetof(struct protect_arguments, sections)},
    {"ranges", KEY_LIST, false, .offset = offsetof(struct protect_arguments, ranges)},
    {"entries", KEY_LIST, true, .offset = offsetof(struct protect_arguments, entries)},
    {"shared", KEY_LIST, false, .offset = offsetof(struct protect_arguments, shared)},
    {"rules", KEY_IMAGE, false, .offset = offsetof(struct protect_arguments, rules)},
    {"on_refusal", KEY_WORD, false, .max = NAME_LIMIT,
     .offset = offsetof(struct protect_arguments, on_refusal)},
    {"tolerate", KEY_LIST, false, .offset = offsetof(struct protect_arguments, tolerate)},
    {"strict", KEY_BOOLEAN, false, .offset = offsetof(struct protect_arguments, strict)},
    {.name = NULL},
};

static const struct script_key shared_keys[] = {
    {"symbols", KEY_LIST, false, .offset = offsetof(struct protect_arguments, symbols)},
    {"sections", KEY_LIST, false, .offset = offsetof(struct protect_arguments, sections)},
    {"ranges", KEY_LIST, false, .offset = offsetof(struct protect_arguments, ranges)},
    {.name = NULL},
};

/* A declaration and the arrays that it points to: one userdata, so that an error frees it. */
struct draft {
    struct portion_declaration declaration;
    const char *symbol[PORTION_NAMES_LIMIT];
    const char *section[PORTION_NAMES_LIMIT];
    struct address_range range[PORTION_NAMES_LIMIT];
    const char *shared_symbol[PORTION_NAMES_LIMIT];
    const char *shared_section[PORTION_NAMES_LIMIT];
    struct address_range shared_range[PORTION_NAMES_LIMIT];
    const char *entry[PORTION_ENTRIES_LIMIT];
    uint64_t entry_address[PORTION_ENTRIES_LIMIT];
    const char *tolerated[PORTION_NAMES_LIMIT];
};

static int collect_portions(lua_State *lua)
{
    struct script_portions *portions = lua_touserdata(lua, 1);

    portion_table_destroy(&portions->table);
    for (size_t i = 0; i < portions->pattern_count; i++)
        patterns_destroy(portions->patterns[i]);
    portion_table_init(&portions->table);
    portions->pattern_count = 0;
    return 0;
}

static size_t list_length(lua_State *lua, int list, const char *what, size_t limit)
{
    size_t count = lua_rawlen(lua, list);
    size_t keys = 0;

    for (lua_pushnil(lua); lua_next(lua, list) != 0; lua_pop(lua, 1))
        keys++;
    if (keys != count)
        script_error(lua, CALL ": %s: expected a list in braces, without keys and holes", what);
    if (count > limit)
        script_error(lua, CALL ": %s: %zu are too many: at most %zu", what, count, limit);
    return count;
}

/* Strings stay alive in their list. list: 0 for none. */
static size_t read_names(lua_State *lua, int list, const char *what, const char **to)
{
    size_t count = list == 0 ? 0 : list_length(lua, list, what, PORTION_NAMES_LIMIT);

    for (size_t i = 0; i < count; i++) {
        const char *item = lua_pushfstring(lua, CALL ": %s[%d]", what, (int)i + 1);

        lua_rawgeti(lua, list, (lua_Integer)i + 1);
        to[i] = script_check_text(lua, -1, item, PATH_MAX_TEXT);
        for (size_t k = 0; k < i; k++)
            if (strcmp(to[k], to[i]) == 0)
                script_error(lua, "%s: \"%s\" is there twice", item, to[i]);
        lua_pop(lua, 2);
    }
    return count;
}

static uint64_t read_address(lua_State *lua, int index, const char *what, const char *expected)
{
    if (!lua_isinteger(lua, index))
        script_error(lua, CALL ": %s: expected %s, got %s", what, expected,
                     script_shown(lua, index));
    return (uint64_t)lua_tointeger(lua, index);
}

static size_t read_ranges(lua_State *lua, int list, const char *what, struct address_range *to)
{
    static const char *const expected = "{ address, length }, two whole numbers";
    size_t count = list == 0 ? 0 : list_length(lua, list, what, PORTION_NAMES_LIMIT);

    for (size_t i = 0; i < count; i++) {
        const char *item = lua_pushfstring(lua, "%s[%d]", what, (int)i + 1);
        int pair;

        if (lua_rawgeti(lua, list, (lua_Integer)i + 1) != LUA_TTABLE)
            script_error(lua, CALL ": %s: expected %s, got %s", item, expected,
                         script_shown(lua, -1));
        pair = lua_gettop(lua);
        if (list_length(lua, pair, item, 2) != 2)
            script_error(lua, CALL ": %s: expected %s", item, expected);
        lua_rawgeti(lua, pair, 1);
        lua_rawgeti(lua, pair, 2);
        to[i].address = read_address(lua, pair + 1, item, expected);
        to[i].length = read_address(lua, pair + 2, item, expected);
        if (lua_tointeger(lua, pair + 2) < 1)
            script_error(lua, CALL ": %s: a length of %s", item, script_shown(lua, pair + 2));
        lua_settop(lua, pair - 2);
    }
    return count;
}

static void read_entries(lua_State *lua, int list, struct draft *draft)
{
    struct portion_declaration *to = &draft->declaration;
    size_t count = list_length(lua, list, "entries", PORTION_ENTRIES_LIMIT);

    for (size_t i = 0; i < count; i++) {
        int top = lua_gettop(lua);
        const char *item = lua_pushfstring(lua, "entries[%d]", (int)i + 1);
        const char *what = lua_pushfstring(lua, CALL ": %s", item);

        if (lua_rawgeti(lua, list, (lua_Integer)i + 1) == LUA_TSTRING)
            draft->entry[to->entries++] = script_check_text(lua, -1, what, PATH_MAX_TEXT);
        else
            draft->entry_address[to->entry_addresses++] =
                read_address(lua, -1, item, "the name of a function or an address");
        lua_settop(lua, top);
    }
    to->entry = draft->entry;
    to->entry_address = draft->entry_address;
}

/* A list of symbols, or a table of the three lists. */
static void read_shared(lua_State *lua, int index, int anchor, struct draft *draft)
{
    struct protect_arguments parts = {.program = NULL};
    struct portion_parts *to = &draft->declaration.shared;

    if (index == 0)
        return;
    if (lua_rawlen(lua, index) > 0)
        parts.symbols = index;
    else
        script_read_keys(lua, CALL ": shared", shared_keys, index, anchor, &parts);
    to->symbol = draft->shared_symbol;
    to->symbols = read_names(lua, parts.symbols, "shared symbols", draft->shared_symbol);
    to->section = draft->shared_section;
    to->sections = read_names(lua, parts.sections, "shared sections", draft->shared_section);
    to->range = draft->shared_range;
    to->ranges = read_ranges(lua, parts.ranges, "shared ranges", draft->shared_range);
}

static const char *tolerable_reason(const void *context, size_t i)
{
    (void)context;
    return REASON_OWNER_GONE + i < REASON_KINDS
               ? decision_reason_name((enum decision_reason)(REASON_OWNER_GONE + i))
               : NULL;
}

static uint64_t read_tolerated(lua_State *lua, int list, const char **names)
{
    size_t count = read_names(lua, list, "tolerate", names);
    uint64_t tolerated = 0;

    for (size_t i = 0; i < count; i++) {
        enum decision_reason reason = decision_tolerable_by_name(names[i]);
        const char *meant = script_did_you_mean(names[i], tolerable_reason, NULL);

        if (reason == REASON_KINDS)
            script_error(lua, CALL ": tolerate: there is no refusal \"%s\"%s%s%s", names[i],
                         meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "",
                         meant != NULL ? "\"?" : "");
        tolerated |= 1ULL << reason;
    }
    return tolerated;
}

static bool has_program(const struct portion_table *table, const char *name)
{
    for (size_t i = 0; i < table->programs; i++)
        if (strcmp(table->program[i].name, name) == 0)
            return true;
    return false;
}

static void add_program(lua_State *lua, struct script_portions *portions, const char *name,
                        const char *path)
{
    struct error error;
    size_t size;
    void *bytes;
    int code;

    if (has_program(&portions->table, name))
        return;
    bytes = script_read_file(lua, CALL ": program", path, &size);
    code = portion_table_add_program(&portions->table, name, bytes, size, &error);
    free(bytes);
    if (code != 0)
        script_failed(lua, CALL ": program", code, &error);
}

static struct patterns *add_rules(lua_State *lua, struct script_portions *portions,
                                  const char *path)
{
    struct patterns *patterns = NULL;
    struct error error;
    size_t size;
    void *text;
    int code;

    if (path == NULL)
        return NULL;
    if (portions->pattern_count == PORTIONS_LIMIT)
        script_error(lua, CALL ": one more than %u portions", PORTIONS_LIMIT);
    text = script_read_file(lua, CALL ": rules", path, &size);
    code = patterns_compile(&patterns, path, text, size, &error);
    free(text);
    if (code != 0)
        script_failed(lua, CALL ": rules", code, &error);
    portions->patterns[portions->pattern_count++] = patterns;
    return patterns;
}

/* What the L2 has of portions already, or new. */
static struct script_portions *portions_of(lua_State *lua, struct l2_config *l2, int anchor)
{
    struct script_portions *portions;

    if (l2->portions != NULL)
        return (struct script_portions *)(uintptr_t)l2->portions;
    portions = lua_newuserdatauv(lua, sizeof(*portions), 0);
    portions->pattern_count = 0;
    portion_table_init(&portions->table);
    luaL_setmetatable(lua, PORTIONS_TYPE);
    script_anchor(lua, anchor);
    l2->portions = &portions->table;
    return portions;
}

int script_protect(lua_State *lua)
{
    struct protect_arguments arguments = {.program = NULL};
    struct script_portions *portions;
    struct portion_declaration *to;
    struct l2_config *l2;
    struct draft *draft;
    struct error error;
    int code;

    l2 = script_check_l2(lua, CALL); /* 1: the L2 */
    lua_settop(lua, 2);
    lua_getiuservalue(lua, 1, OBJECT_ANCHOR); /* 3 */
    if (l2->guard != NULL)
        script_error(lua, CALL ": L2 %s has a guard: portions go into an L2 without", l2->name);
    script_read_keys(lua, CALL, protect_keys, 2, 3, &arguments);
    luaL_checkstack(lua, 32, "too many values");
    draft = lua_newuserdatauv(lua, sizeof(*draft), 0);
    memset(draft, 0, sizeof(*draft));
    to = &draft->declaration;
    to->program = arguments.program;
    to->name = arguments.portion;
    to->strict = arguments.strict;
    to->parts.symbol = draft->symbol;
    to->parts.symbols = read_names(lua, arguments.symbols, "symbols", draft->symbol);
    to->parts.section = draft->section;
    to->parts.sections = read_names(lua, arguments.sections, "sections", draft->section);
    to->parts.range = draft->range;
    to->parts.ranges = read_ranges(lua, arguments.ranges, "ranges", draft->range);
    read_entries(lua, arguments.entries, draft);
    read_shared(lua, arguments.shared, 3, draft);
    to->on_refusal = script_read_on_refusal(lua, CALL, arguments.on_refusal);
    to->tolerated = read_tolerated(lua, arguments.tolerate, draft->tolerated);
    portions = portions_of(lua, l2, 3);
    add_program(lua, portions, arguments.program,
                script_find_module(lua, CALL ": program", l2, arguments.program)->path);
    to->patterns = add_rules(lua, portions, arguments.rules);
    code = portion_table_add(&portions->table, to, &error);
    if (code != 0)
        script_failed(lua, CALL, code, &error);
    return 0;
}

void script_register_protect(lua_State *lua)
{
    luaL_newmetatable(lua, PORTIONS_TYPE);
    lua_pushcfunction(lua, collect_portions);
    lua_setfield(lua, -2, "__gc");
    lua_pop(lua, 1);
}
