/* SPDX-License-Identifier: Apache-2.0 */
/* What a guard's declaration must not say by mistake: lists, defences, arguments, programs. */
#include <errno.h>
#include <string.h>

#include "host/memory.h"
#include "vmm/stack/script_guard_check.h"
#include "vmm/stack/script_units.h"

#define CALL       "l2:guard"
#define NAME_LIMIT 63U

/* What `defences` chooses: the kind of hook, and what costs something. The others protect the agent
 * itself, and are on unless `without` names them. */
#define CHOSEN (HOOK_PADDING | HOOK_API_NX | HOOK_APP_NX)

size_t script_check_list(lua_State *lua, const char *what, int table)
{
    size_t keys = 0;

    for (lua_pushnil(lua); lua_next(lua, table) != 0; lua_pop(lua, 1)) {
        if (!lua_isinteger(lua, -2) || lua_tointeger(lua, -2) < 1)
            script_error(lua, CALL ": %s: expected a list, such as { \"a\", \"b\" }", what);
        keys++;
    }
    if (keys != lua_rawlen(lua, table))
        script_error(lua, CALL ": %s: the list has a hole", what);
    return keys;
}

static const char *defence_name(const void *context, size_t i)
{
    (void)context;
    return hook_defence_name((unsigned int)i);
}

static uint32_t read_names(lua_State *lua, const char *what, int list)
{
    const size_t count = script_check_list(lua, what, list);
    const char *item = lua_pushfstring(lua, CALL ": %s", what);
    uint32_t defences = 0;

    if (count == 0)
        script_error(lua, CALL ": %s: an empty list; leave it out for all defences", what);
    for (size_t i = 1; i <= count; i++, lua_pop(lua, 1)) {
        const char *name;
        uint32_t defence;

        lua_rawgeti(lua, list, (lua_Integer)i);
        name = script_check_text(lua, -1, item, NAME_LIMIT);
        defence = hook_defence_by_name(name);
        if (defence == 0)
            script_unknown(lua, CALL, what, name, defence_name);
        if (defences & defence)
            script_error(lua, CALL ": %s: \"%s\" is there twice", what, name);
        defences |= defence;
    }
    lua_pop(lua, 1);
    return defences;
}

uint32_t script_read_defences(lua_State *lua, int list, int without)
{
    uint32_t defences = HOOK_ALL_DEFENCES;

    if (list != 0) {
        const uint32_t chosen = read_names(lua, "defences", list);

        if (!(chosen & (HOOK_PADDING | HOOK_API_NX)))
            script_error(lua, CALL ": defences: one of \"padding\" and \"api-nx\" is needed: "
                                   "without them a call can skip the hook");
        defences = (HOOK_ALL_DEFENCES & ~CHOSEN) | chosen;
    }
    return without == 0 ? defences : defences & ~read_names(lua, "without", without);
}

static const char *argument_key(const void *context, size_t i)
{
    static const char *const keys[] = {"length", "limit", NULL};

    (void)context;
    return keys[i];
}

void script_check_argument(lua_State *lua, const char *what, int table, bool limited)
{
    for (lua_pushnil(lua); lua_next(lua, table) != 0; lua_pop(lua, 1)) {
        if (lua_isinteger(lua, -2) && lua_tointeger(lua, -2) == 1)
            continue;
        if (lua_type(lua, -2) != LUA_TSTRING)
            script_error(lua, CALL ": %s: expected one word, then length and limit by name", what);
        if (strcmp(lua_tostring(lua, -2), "length") != 0 &&
            strcmp(lua_tostring(lua, -2), "limit") != 0)
            script_unknown(lua, CALL, what, lua_tostring(lua, -2), argument_key);
        if (strcmp(lua_tostring(lua, -2), "limit") == 0 && !limited)
            script_error(lua, CALL ": %s: a number has no limit", what);
    }
}

static bool is_named(const struct module_config *module, const char *name)
{
    const size_t length = strcspn(module->command_line, " ");

    return strlen(name) == length && strncmp(module->command_line, name, length) == 0;
}

void script_check_callers(lua_State *lua, const struct l2_config *l2,
                          const struct script_guard *guard)
{
    const struct hook_plan *plan = &guard->plan;
    unsigned int callers = 0;
    struct error error;

    for (unsigned int i = 0; i < l2->module_count; i++)
        callers +=
            !is_named(&l2->modules[i], plan->library) && !is_named(&l2->modules[i], plan->agent);
    if (callers == 0 && !plan->own)
        script_error(lua, CALL ": L2 %s has no program that could call %s", l2->name,
                     plan->library);
    for (size_t i = 0; i < guard->config.programs; i++)
        if (program_lies_at(&guard->program[i], plan->gate))
            script_error(lua, CALL ": gate: %s lies there", guard->program[i].name);
    for (size_t i = 0; plan->own && i < guard->config.programs; i++)
        if (hook_own_compare(plan, &guard->program[i], &error) != 0)
            script_failed(lua, CALL, -EINVAL, &error);
}
