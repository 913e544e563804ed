/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/stack/script_lua.h"

/* stack:run: the one place where a stack file meets the world. */

#define MILLISECOND_NS 1000000ULL
#define SECOND_NS      1000000000ULL
#define TIMEOUT_MAX    (24 * 3600 * SECOND_NS)

struct run_arguments {
    uint64_t timeout;
    uint64_t callback_timeout;
    const char *title;
    bool may_die;
    bool quiet;
};

static const struct script_key run_keys[] = {
    {"timeout", KEY_DURATION, false, MILLISECOND_NS, TIMEOUT_MAX, 0,
     offsetof(struct run_arguments, timeout)},
    {"callback_timeout", KEY_DURATION, false, MILLISECOND_NS, TIMEOUT_MAX, 0,
     offsetof(struct run_arguments, callback_timeout)},
    {"may_die", KEY_BOOLEAN, false, .offset = offsetof(struct run_arguments, may_die)},
    {"quiet", KEY_BOOLEAN, false, .offset = offsetof(struct run_arguments, quiet)},
    {"title", KEY_TEXT, false, .max = RUN_TITLE_LIMIT,
     .offset = offsetof(struct run_arguments, title)},
    {.name = NULL},
};

/* Room for one more run in the record: from here on nothing can fail but the machine. */
static struct script_run *next_run(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct script_record *record = &script->record;
    const struct script_limits *limits = script->budget.limits;
    struct script_run *runs;

    if (script->runs_begun == limits->runs)
        script_error(lua, "stack:run: more than %u runs in one file", limits->runs);
    script->runs_begun++;
    runs = realloc(record->runs, (record->run_count + 1) * sizeof(*runs));
    if (runs == NULL)
        script_no_memory(lua, "stack:run: out of memory");
    record->runs = runs;
    return &runs[record->run_count];
}

/* The machine as the stack says it; what it points to lives as long as the stack object. */
static struct machine_config whole_config(const struct script_stack *stack,
                                          const struct script_l1 *l1,
                                          const struct run_arguments *arguments)
{
    struct machine_config config = l1->config;

    config.memory = stack->memory;
    config.l2 = l1->l2;
    config.timeout_ns = arguments->timeout;
    config.callback_timeout_ns = arguments->callback_timeout;
    return config;
}

/* Nor does a file get on that was interrupted in a run that came to nothing. */
static void end_if_interrupted(struct script *script, const struct script_run *run)
{
    const struct script_budget *budget = &script->budget;

    if (budget->interrupted != NULL && *budget->interrupted)
        script_budget_over(&script->budget, EINTR, run->line, "interrupted");
}

static void end_if_over(struct script *script, const struct script_run *run)
{
    if (run->report.end == MACHINE_STOPPED)
        script_budget_over(&script->budget, EINTR, run->line, "interrupted");
    if (run->report.end == MACHINE_HOST)
        script_budget_over(&script->budget, ENODEV, run->line, run->report.error.text);
}

int script_run_stack(lua_State *lua)
{
    struct script *script = script_of(lua);
    struct script_stack *stack = script_check_self(lua, STACK_TYPE, "stack:run");
    struct run_arguments arguments = {.timeout = 10 * SECOND_NS};
    struct machine_config config;
    struct script_run *run;
    struct error error;
    int code;

    lua_settop(lua, 2);
    lua_getiuservalue(lua, 1, OBJECT_ANCHOR); /* 3 */
    if (!lua_isnil(lua, 2))
        script_read_keys(lua, "stack:run", run_keys, 2, 3, &arguments);
    lua_getiuservalue(lua, 1, OBJECT_PARTS);
    if (lua_rawgeti(lua, -1, 1) != LUA_TUSERDATA)
        script_error(lua, "stack:run: this stack has no L1: stack:l1 { image = ... } adds it");
    if (stack->started)
        script_error(lua, "stack:run: this stack has run already; a new mezz.stack runs again");
    config = whole_config(stack, lua_touserdata(lua, -1), &arguments);
    script_hearing_begin(lua, &config);
    run = next_run(lua);
    *run = (struct script_run){
        .line = script_line(lua), .may_die = arguments.may_die, .quiet = arguments.quiet};
    if (arguments.title != NULL)
        snprintf(run->title, sizeof(run->title), "%s", arguments.title);
    stack->started = true;

    script_budget_pause(&script->budget);
    code = script->config.host->run(script->config.host->context, &config, run, &error);
    if (code == 0)
        script->record.run_count++;
    script_budget_begin(&script->budget);
    script_hearing_end(lua);
    end_if_interrupted(script, run);
    if (code != 0) {
        script->host_code = -code;
        error_set(&script->host_error, -code, "%s:%u: %s", script->config.path, run->line,
                  error.text);
        script_error(lua, "%s", error.text);
    }
    end_if_over(script, run);
    script_push_result(lua, run);
    return 1;
}
