/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "vmm/stack/script_guard_check.h"
#include "vmm/stack/script_units.h"

/* l2:guard { ... }: the guard of an L2's API library, laid out when it is declared. */

#define GUARD_TYPE    "mezz guard"
#define CALL          "l2:guard"
#define NAME_LIMIT    63U
#define PATH_MAX_TEXT 255U
#define SYMBOL_LIMIT  200U
#define BUDGET        10000000ULL /* 10 ms */
#define BUDGET_MAX    10000000000ULL
#define PATIENCE      1000000000ULL /* 1 s */

struct guard_arguments {
    const char *library;
    const char *program;
    const char *agent;
    const char *on_refusal;
    const char *decide;
    uint64_t budget;
    uint64_t answer_within;
    uint64_t gate;
    int functions; /* stack indices */
    int defences;
    int without;
};

static const struct script_key guard_keys[] = {
    {"library", KEY_TEXT, false, .max = PATH_MAX_TEXT,
     .offset = offsetof(struct guard_arguments, library)},
    {"program", KEY_TEXT, false, .max = PATH_MAX_TEXT,
     .offset = offsetof(struct guard_arguments, program)},
    {"agent", KEY_TEXT, true, .max = PATH_MAX_TEXT,
     .offset = offsetof(struct guard_arguments, agent)},
    {"functions", KEY_LIST, true, .offset = offsetof(struct guard_arguments, functions)},
    {"defences", KEY_LIST, false, .offset = offsetof(struct guard_arguments, defences)},
    {"on_refusal", KEY_WORD, false, .max = NAME_LIMIT,
     .offset = offsetof(struct guard_arguments, on_refusal)},
    {"without", KEY_LIST, false, .offset = offsetof(struct guard_arguments, without)},
    {"decide", KEY_WORD, false, .max = NAME_LIMIT,
     .offset = offsetof(struct guard_arguments, decide)},
    {"answer_within", KEY_DURATION, false, 1000000, BUDGET_MAX, 0,
     offsetof(struct guard_arguments, answer_within)},
    {"budget", KEY_DURATION, false, 1000000, BUDGET_MAX, 0,
     offsetof(struct guard_arguments, budget)},
    {"gate", KEY_COUNT, false, PAGE_SIZE, (1ULL << 31) - PAGE_SIZE, 0,
     offsetof(struct guard_arguments, gate)},
    {.name = NULL},
};

/* The function's own table. */
struct function_arguments {
    int args;
};

static const struct script_key function_keys[] = {
    {"args", KEY_LIST, false, .offset = offsetof(struct function_arguments, args)},
    {.name = NULL},
};

/* A declaration and what it points to: one userdata, so that an error frees it. */
struct draft {
    struct hook_declaration declaration;
    struct hook_function_declaration function[MEZZ_GUARD_FUNCTIONS];
    struct hook_argument argument[MEZZ_GUARD_FUNCTIONS][MEZZ_GUARD_ARGUMENTS];
};

static int collect_guard(lua_State *lua)
{
    struct script_guard *guard = lua_touserdata(lua, 1);

    hook_plan_destroy(&guard->plan);
    program_image_close(&guard->library);
    program_image_close(&guard->agent);
    for (size_t i = 0; i < guard->config.programs; i++)
        program_image_close(&guard->program[i]);
    free(guard->program);
    return 0;
}

/* --- words --- */

static const char *const kinds[MEZZ_GUARD_KINDS] = {"value", "cstring", "buffer", "memory",
                                                    "number"};

static const char *kind_name(const void *context, size_t i)
{
    (void)context;
    return i < MEZZ_GUARD_KINDS ? kinds[i] : NULL;
}

static enum mezz_guard_kind read_kind(lua_State *lua, const char *what, int index)
{
    const char *item = lua_pushfstring(lua, CALL ": %s", what);
    const char *name = script_check_text(lua, index < 0 ? index - 1 : index, item, NAME_LIMIT);

    lua_pop(lua, 1);
    for (unsigned int i = 0; i < MEZZ_GUARD_KINDS; i++)
        if (strcmp(kinds[i], name) == 0)
            return (enum mezz_guard_kind)i;
    script_unknown(lua, CALL, what, name, kind_name);
}

static const char *const deciders[GUARD_DECIDERS] = {"agent", "script", "l1"};

static const char *decider_name(const void *context, size_t i)
{
    (void)context;
    return i < GUARD_DECIDERS ? deciders[i] : NULL;
}

static enum guard_decider read_decider(lua_State *lua, const char *name)
{
    if (name == NULL)
        return GUARD_AGENT;
    for (unsigned int i = 0; i < GUARD_DECIDERS; i++)
        if (strcmp(deciders[i], name) == 0)
            return (enum guard_decider)i;
    script_unknown(lua, CALL, "decide", name, decider_name);
}

/* --- functions --- */

static uint64_t read_number(lua_State *lua, int table, const char *field, unsigned int max,
                            const char *what)
{
    lua_Integer value = 0;

    lua_pushstring(lua, field);
    if (lua_rawget(lua, table) != LUA_TNIL) {
        value = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : 0;
        if (value < 1 || value > (lua_Integer)max)
            script_error(lua, CALL ": %s: %s: expected a whole number from 1 to %d, got %s", what,
                         field, (int)max, script_shown(lua, -1));
    }
    lua_pop(lua, 1);
    return (uint64_t)value;
}

static bool takes_length(enum mezz_guard_kind kind)
{
    return kind == MEZZ_GUARD_BUFFER || kind == MEZZ_GUARD_MEMORY;
}

static void no_length(lua_State *lua, const char *what, enum mezz_guard_kind kind)
{
    script_error(lua,
                 CALL ": %s: a length is missing: { \"%s\", length = 3 } "
                      "if that is the third argument",
                 what, kinds[kind]);
}

/* A word, or { word, length = , limit = }, on top of the stack. */
static void read_argument(lua_State *lua, const char *what, struct hook_argument *argument)
{
    int at = lua_gettop(lua);
    uint64_t length;
    bool needed;

    if (lua_type(lua, at) != LUA_TTABLE) {
        argument->kind = read_kind(lua, what, at);
        if (takes_length(argument->kind))
            no_length(lua, what, argument->kind);
        return;
    }
    lua_rawgeti(lua, at, 1);
    argument->kind = read_kind(lua, what, -1);
    lua_settop(lua, at);
    script_check_argument(
        lua, what, at, argument->kind != MEZZ_GUARD_VALUE && argument->kind != MEZZ_GUARD_NUMBER);
    argument->limit = (uint32_t)read_number(lua, at, "limit", MEZZ_GUARD_COPY_LIMIT, what);
    length = read_number(lua, at, "length", MEZZ_GUARD_ARGUMENTS, what);
    needed = takes_length(argument->kind) &&
             (argument->kind == MEZZ_GUARD_BUFFER || argument->limit == 0);
    if (length == 0 && needed)
        no_length(lua, what, argument->kind);
    if (length != 0 && !takes_length(argument->kind))
        script_error(lua, CALL ": %s: length is the number of the argument with a buffer's length",
                     what);
    if (takes_length(argument->kind))
        argument->length_in = length == 0 ? MEZZ_GUARD_NO_LENGTH : (unsigned int)length - 1;
}

static void read_function(lua_State *lua, int anchor, struct draft *draft, size_t i)
{
    struct hook_function_declaration *function = &draft->function[i];
    struct function_arguments arguments = {.args = 0};
    const char *what = lua_pushfstring(lua, CALL ": functions: %s", function->name);

    script_read_keys(lua, what, function_keys, lua_gettop(lua) - 1, anchor, &arguments);
    function->argument = draft->argument[i];
    if (arguments.args == 0)
        return;
    function->arguments = script_check_list(
        lua, lua_pushfstring(lua, "functions: %s: args", function->name), arguments.args);
    if (function->arguments > MEZZ_GUARD_ARGUMENTS)
        script_error(lua, "%s: at most %u arguments can be declared", what, MEZZ_GUARD_ARGUMENTS);
    for (size_t a = 0; a < function->arguments; a++) {
        int top = lua_gettop(lua);
        const char *item =
            lua_pushfstring(lua, "functions: %s: args[%d]", function->name, (int)a + 1);

        lua_rawgeti(lua, arguments.args, (lua_Integer)a + 1);
        read_argument(lua, item, &draft->argument[i][a]);
        lua_settop(lua, top);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct hook_function_declaration *)a)->name,
                  ((const struct hook_function_declaration *)b)->name);
}

/* Names first, as a table has no order of its own. */
static void read_functions(lua_State *lua, int table, int anchor, struct draft *draft)
{
    size_t count = 0;

    for (lua_pushnil(lua); lua_next(lua, table) != 0; lua_pop(lua, 1), count++) {
        if (lua_type(lua, -2) != LUA_TSTRING || lua_type(lua, -1) != LUA_TTABLE)
            script_error(lua, CALL ": functions: expected names with what they take, such as "
                                   "{ api_open = { args = { \"cstring\", \"value\" } } }");
        if (count == MEZZ_GUARD_FUNCTIONS)
            script_error(lua, CALL ": functions: at most %u", MEZZ_GUARD_FUNCTIONS);
        draft->function[count].name = script_check_text(lua, -2, CALL ": functions", SYMBOL_LIMIT);
        if (draft->function[count].name[0] == '\0')
            script_error(lua, CALL ": functions: one has an empty name");
    }
    qsort(draft->function, count, sizeof(draft->function[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        int top = lua_gettop(lua);

        lua_getfield(lua, table, draft->function[i].name);
        read_function(lua, anchor, draft, i);
        lua_settop(lua, top);
    }
    draft->declaration.function = draft->function;
    draft->declaration.functions = count;
}

/* --- the call --- */

static void open_program(lua_State *lua, const char *what, const struct l2_config *l2,
                         const char *name, struct program_image *image)
{
    const struct module_config *module = script_find_module(lua, what, l2, name);
    struct error error;
    size_t size;
    void *bytes = script_read_file(lua, what, module->path, &size);
    int code = program_image_open(image, name, bytes, size, &error);

    free(bytes);
    if (code != 0)
        script_failed(lua, what, code, &error);
}

/* By these callers are named. A program that is none for the root may still be one for the guest.
 */
static void open_callers(lua_State *lua, const struct l2_config *l2, struct script_guard *guard)
{
    guard->program = calloc(l2->module_count + 1, sizeof(*guard->program));
    if (guard->program == NULL)
        script_no_memory(lua, CALL ": out of memory");
    guard->config.program = guard->program;
    for (unsigned int i = 0; i < l2->module_count; i++) {
        const char *line = l2->modules[i].command_line;
        char name[NAME_LIMIT + 1];
        struct error error;
        size_t size;
        void *bytes = script_read_file(lua, CALL, l2->modules[i].path, &size);
        int code;

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, " "), line);
        code =
            program_image_open(&guard->program[guard->config.programs], name, bytes, size, &error);
        free(bytes);
        if (code == -ENOMEM)
            script_failed(lua, CALL, code, &error);
        guard->config.programs += code == 0;
    }
}

int script_guard(lua_State *lua)
{
    struct guard_arguments arguments = {.budget = BUDGET, .gate = MEZZ_GUARD_GATE};
    struct script_guard *guard;
    struct l2_config *l2;
    struct draft *draft;
    struct error error;
    int code;

    l2 = script_check_l2(lua, CALL); /* 1: the L2 */
    lua_settop(lua, 2);
    lua_getiuservalue(lua, 1, OBJECT_ANCHOR); /* 3 */
    if (l2->guard != NULL)
        script_error(lua, CALL ": L2 %s has a guard already", l2->name);
    if (l2->portions != NULL)
        script_error(lua, CALL ": L2 %s has portions: a guard goes into an L2 without", l2->name);
    script_read_keys(lua, CALL, guard_keys, 2, 3, &arguments);
    if ((arguments.library == NULL) == (arguments.program == NULL))
        script_error(lua, arguments.library == NULL
                              ? CALL ": library is missing, or program, for functions of its own"
                              : CALL ": library and program: the functions are of one of them");
    luaL_checkstack(lua, 32, "too many values");
    draft = lua_newuserdatauv(lua, sizeof(*draft), 0);
    memset(draft, 0, sizeof(*draft));
    guard = lua_newuserdatauv(lua, sizeof(*guard), 0);
    memset(guard, 0, sizeof(*guard));
    luaL_setmetatable(lua, GUARD_TYPE);
    draft->declaration.defences = script_read_defences(lua, arguments.defences, arguments.without);
    draft->declaration.gate = arguments.gate;
    draft->declaration.own = arguments.program != NULL;
    read_functions(lua, arguments.functions, 3, draft);
    guard->config.on_refusal = script_read_on_refusal(lua, CALL, arguments.on_refusal);
    guard->config.budget_ns = arguments.budget;
    guard->config.decider = read_decider(lua, arguments.decide);
    if (arguments.answer_within != 0 && guard->config.decider != GUARD_SCRIPT)
        script_error(lua, CALL ": answer_within is for decide = \"script\"");
    guard->config.patience_ns = arguments.answer_within == 0 ? PATIENCE : arguments.answer_within;
    draft->declaration.asks = guard->config.decider != GUARD_AGENT;
    if (arguments.program != NULL)
        open_program(lua, CALL ": program", l2, arguments.program, &guard->library);
    else
        open_program(lua, CALL ": library", l2, arguments.library, &guard->library);
    open_program(lua, CALL ": agent", l2, arguments.agent, &guard->agent);
    code =
        hook_plan_make(&guard->plan, &guard->library, &guard->agent, &draft->declaration, &error);
    if (code != 0)
        script_failed(lua, CALL, code, &error);
    open_callers(lua, l2, guard);
    script_check_callers(lua, l2, guard);
    guard->config.plan = &guard->plan;
    l2->guard = &guard->config;
    lua_pushvalue(lua, -1);
    script_anchor(lua, 3);
    return 0;
}

void script_register_guard(lua_State *lua)
{
    luaL_newmetatable(lua, GUARD_TYPE);
    lua_pushcfunction(lua, collect_guard);
    lua_setfield(lua, -2, "__gc");
    lua_pop(lua, 1);
}
