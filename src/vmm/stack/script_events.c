/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/stack/script_guard.h"
#include "vmm/stack/script_lua.h"
#include "vmm/stack/script_units.h"

/* l2:on("guard", function(event) ... end): what a guard does while the machine runs. */

#define CALL         "l2:on"
#define GUARD_EVENT  "guard"
#define NAME_LIMIT   63U
#define DENIALS      4095
#define STACK_NEEDED 24

static const char *event_name(const void *context, size_t i)
{
    (void)context;
    return i == 0 ? GUARD_EVENT : NULL;
}

int script_on(lua_State *lua)
{
    struct l2_config *l2 = script_check_l2(lua, CALL);
    const char *name = script_check_text(lua, 2, CALL, NAME_LIMIT);
    struct script_guard *guard;

    if (strcmp(name, GUARD_EVENT) != 0) {
        const char *meant = script_did_you_mean(name, event_name, NULL);

        script_error(lua, CALL ": there is no event \"%s\"; %s \"" GUARD_EVENT "\"%s", name,
                     meant != NULL ? "did you mean" : "there is", meant != NULL ? "?" : "");
    }
    if (lua_type(lua, 3) != LUA_TFUNCTION)
        script_error(lua, CALL ": " GUARD_EVENT ": expected a function, got %s",
                     lua_isnone(lua, 3) ? "nothing" : luaL_typename(lua, 3));
    guard = script_guard_of(l2);
    if (guard == NULL)
        script_error(lua, CALL ": L2 %s has no guard: l2:guard comes first", l2->name);
    if (guard->config.heard)
        script_error(lua, CALL ": L2 %s has a handler for \"" GUARD_EVENT "\" already", l2->name);
    lua_settop(lua, 3);
    guard->handler = luaL_ref(lua, LUA_REGISTRYINDEX);
    guard->config.heard = true;
    return 0;
}

/* --- an event as a table --- */

static void set_text(lua_State *lua, const char *name, const char *text)
{
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, name);
}

static void set_integer(lua_State *lua, const char *name, uint64_t value)
{
    lua_pushinteger(lua, (lua_Integer)value);
    lua_setfield(lua, -2, name);
}

static void set_arguments(lua_State *lua, const struct guard_event *event)
{
    lua_createtable(lua, (int)event->arguments, 0);
    for (uint32_t i = 0; i < event->arguments; i++) {
        const struct guard_event_argument *argument = &event->argument[i];

        if (argument->kind == MEZZ_GUARD_VALUE)
            lua_pushinteger(lua, (lua_Integer)argument->value);
        else
            lua_pushlstring(lua, (const char *)event->data + argument->offset, argument->length);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_setfield(lua, -2, "args");
}

/* Of an agent or a function that made one; "" and 0 otherwise. */
static void set_fault(lua_State *lua, const struct guard_event *event)
{
    const bool made = event->reason == HOOK_REASON_AGENT_FAULT;
    const char *name = hook_fault_name(event->fault);
    char text[24];

    snprintf(text, sizeof(text), "vector %u", event->fault);
    set_text(lua, "fault", !made ? "" : name != NULL ? name : text);
    set_text(lua, "fault_at", event->fault_place);
    set_integer(lua, "fault_rip", event->fault_rip);
    set_integer(lua, "fault_address", event->fault_address);
}

static void push_event(lua_State *lua, const struct l2_config *l2, const struct guard_event *event)
{
    const struct hook_plan *plan = l2->guard->plan;
    const enum hook_reason reason = (enum hook_reason)event->reason;
    const bool nested = event->within < plan->functions;
    const char *type = reason == HOOK_REASON_ASKED ? "asked"
                       : hook_is_refusal(reason)   ? "refused"
                       : nested                    ? "nested"
                                                   : "call";

    lua_createtable(lua, 0, 16);
    set_text(lua, "type", type);
    set_text(lua, "l2", l2->name);
    set_text(lua, "library", plan->library);
    set_text(lua, "name",
             event->function < plan->functions ? plan->function[event->function].name : "");
    set_text(lua, "caller", event->place);
    set_integer(lua, "rip", event->caller);
    set_integer(lua, "space", event->cr3);
    set_integer(lua, "time", event->time_ns);
    set_text(lua, "reason", nested ? "nested" : hook_reason_name(reason));
    set_text(lua, "within", nested ? plan->function[event->within].name : "");
    set_fault(lua, event);
    set_text(lua, "verdict",
             hook_word(reason, (enum mezz_guard_verdict)event->verdict,
                       (enum hook_action)event->action));
    set_arguments(lua, event);
    script_make_strict(lua, "event");
}

/* --- the handler --- */

struct hearing {
    const struct l2_config *l2;
    const struct guard_event *event;
    int64_t answer;
};

/* "FILE:LINE: " of the handler, whose function is at index. */
_Noreturn static void bad_answer(lua_State *lua, int index, const char *what)
{
    lua_Debug frame;

    lua_pushvalue(lua, index);
    lua_getinfo(lua, ">S", &frame);
    lua_pushfstring(lua, "%s:%d: " CALL ": the handler for \"" GUARD_EVENT "\" answered %s",
                    script_of(lua)->config.path, frame.linedefined, what);
    lua_error(lua);
    __builtin_unreachable();
}

static int64_t read_answer(lua_State *lua, int function)
{
    static const struct {
        const char *word;
        int64_t answer;
    } words[] = {{"allow", MEZZ_GUARD_ALLOW}, {"deny", -EPERM}, {"kill", MEZZ_GUARD_KILL}};
    const char *expected = "expected \"allow\", \"deny\", \"kill\" or an error from -4095 to -1";
    lua_Integer number = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : 0;

    if (number < 0 && number >= -DENIALS)
        return number;
    if (lua_type(lua, -1) != LUA_TSTRING)
        bad_answer(lua, function,
                   lua_pushfstring(lua, "%s: %s", luaL_tolstring(lua, -1, NULL), expected));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(lua_tostring(lua, -1), words[i].word) == 0)
            return words[i].answer;
    bad_answer(lua, function, lua_pushfstring(lua, "\"%s\": %s", lua_tostring(lua, -1), expected));
}

/* (hearing): in protected mode. */
static int call_handler(lua_State *lua)
{
    struct hearing *hearing = lua_touserdata(lua, 1);
    const struct script_guard *guard = script_guard_of(hearing->l2);

    luaL_checkstack(lua, STACK_NEEDED, "too many values");
    lua_rawgeti(lua, LUA_REGISTRYINDEX, guard->handler); /* 2 */
    lua_pushvalue(lua, 2);
    push_event(lua, hearing->l2, hearing->event);
    lua_call(lua, 1, 1);
    if (hearing->event->reason == HOOK_REASON_ASKED && guard->config.decider == GUARD_SCRIPT)
        hearing->answer = read_answer(lua, 2);
    else if (!lua_isnil(lua, -1) && guard->config.decider != GUARD_SCRIPT)
        bad_answer(lua, 2,
                   lua_pushfstring(lua,
                                   "%s, where nothing is asked: that needs decide = "
                                   "\"script\" in l2:guard",
                                   luaL_tolstring(lua, -1, NULL)));
    return 0;
}

static int64_t hear(void *context, const struct guard_event *event, uint64_t patience_ns,
                    bool *heard)
{
    struct script *script = context;
    struct script_hearing *hearing = &script->hearing;
    struct hearing one = {&hearing->config->l2[event->l2], event, -EPERM};
    lua_State *lua = hearing->lua;

    (void)patience_ns;
    if (hearing->failed)
        return -EPERM;
    *heard = true;
    script_budget_begin(&script->budget);
    /* stack:run has made room for these. */
    lua_pushcfunction(lua, script_message);
    lua_pushcfunction(lua, call_handler);
    lua_pushlightuserdata(lua, &one);
    hearing->failed = lua_pcall(lua, 1, 0, -3) != LUA_OK;
    script_budget_pause(&script->budget);
    if (hearing->failed)
        return -EPERM;
    lua_pop(lua, 1);
    return one.answer;
}

static bool is_over(void *context)
{
    const struct script *script = context;

    return script->hearing.failed;
}

void script_hearing_begin(lua_State *lua, struct machine_config *config)
{
    struct script *script = script_of(lua);

    script->hearing =
        (struct script_hearing){.listener = {script, hear, is_over}, .config = config, .lua = lua};
    luaL_checkstack(lua, STACK_NEEDED, "too many values");
    for (unsigned int i = 0; i < config->l2_count; i++) {
        const struct guard_config *guard = config->l2[i].guard;

        if (guard == NULL)
            continue;
        if (guard->heard)
            config->listener = &script->hearing.listener;
        else if (guard->decider == GUARD_SCRIPT)
            script_error(
                lua,
                "stack:run: the guard of L2 %s has decide = \"script\", and nobody to ask: "
                "l2:on(\"guard\", function(event) ... end)",
                config->l2[i].name);
    }
}

void script_hearing_end(lua_State *lua)
{
    struct script_hearing *hearing = &script_of(lua)->hearing;

    hearing->config = NULL;
    if (hearing->failed)
        lua_error(lua);
}
