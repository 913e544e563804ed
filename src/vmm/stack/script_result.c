/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/stack/script_lua.h"

/* What stack:run leaves, as tables: docs/stacks.md lists the fields. */

#define NS_PER_MS 1000000.0

static void set_number(lua_State *lua, const char *name, uint64_t value)
{
    lua_pushinteger(lua, (lua_Integer)value);
    lua_setfield(lua, -2, name);
}

static void set_ms(lua_State *lua, const char *name, uint64_t nanoseconds)
{
    lua_pushnumber(lua, (lua_Number)nanoseconds / NS_PER_MS);
    lua_setfield(lua, -2, name);
}

static void set_string(lua_State *lua, const char *name, const char *value)
{
    lua_pushstring(lua, value);
    lua_setfield(lua, -2, name);
}

static void set_counts(lua_State *lua, const char *name, const struct exit_counts *counts)
{
    lua_createtable(lua, 0, 4);
    set_number(lua, "root", counts->root);
    set_number(lua, "callback", counts->callback);
    set_number(lua, "reflect", counts->reflect);
    set_number(lua, "total", counts->root + counts->callback + counts->reflect);
    script_make_strict(lua, "an exit's counts");
    lua_setfield(lua, -2, name);
}

/* Every reason that has a name, those that never happened too: no expectation meets a nil. */
static void push_exits(lua_State *lua, const struct l2_report *l2)
{
    struct exit_counts total = report_total(l2);

    lua_newtable(lua);
    for (int i = 0; i < (int)REASON_INDEX_COUNT; i++)
        if (reason_is_known(i))
            set_counts(lua, reason_name(reason_of_index(i)), &l2->exits[i]);
    set_counts(lua, "total", &total);
    script_make_strict(lua, "exits");
}

static void push_l1(lua_State *lua, const struct machine_report *report)
{
    const struct l1_report *l1 = &report->l1;

    lua_newtable(lua);
    script_push_console(lua, &l1->console);
    lua_setfield(lua, -2, "console");
    set_number(lua, "calls", report_calls(l1));
    set_number(lua, "refused_calls", l1->refused_calls);
    set_number(lua, "port_exits", l1->port_exits);
    set_number(lua, "other_exits", l1->other_exits);
    set_number(lua, "kvm_runs", l1->kvm_runs);
    set_ms(lua, "run_ms", l1->run_ns);
    set_string(lua, "last_words", report->last_words);
    script_make_strict(lua, "l1");
}

/* Each reason that there is, those that did not happen too. */
static void push_reasons(lua_State *lua, const struct portions_report *portions, bool refusals)
{
    lua_newtable(lua);
    for (enum decision_reason r = REASON_NONE + 1; r < REASON_KINDS; r++)
        if (decision_is_refusal(r) == refusals)
            set_number(lua, decision_reason_name(r), portions->reasons[r]);
    script_make_strict(lua, refusals ? "refusals" : "allowed");
}

static void push_portions(lua_State *lua, const struct portions_report *portions)
{
    lua_newtable(lua);
    set_number(lua, "switches", portions->switches);
    set_number(lua, "entries", portions->entries);
    set_number(lua, "scans", portions->scans);
    set_number(lua, "refused", report_refusals(portions));
    set_number(lua, "unlogged", portions->unlogged);
    push_reasons(lua, portions, false);
    lua_setfield(lua, -2, "allowed");
    push_reasons(lua, portions, true);
    lua_setfield(lua, -2, "refusals");
    script_make_strict(lua, "portions");
}

static void push_guarded(lua_State *lua, const struct guard_report *guard)
{
    lua_newtable(lua);
    set_number(lua, "calls", guard->reasons[HOOK_REASON_CALL]);
    for (unsigned int v = 0; v < MEZZ_GUARD_VERDICTS; v++)
        set_number(lua, hook_verdict_name((enum mezz_guard_verdict)v), guard->verdicts[v]);
    lua_newtable(lua);
    for (unsigned int v = 0; v < MEZZ_GUARD_VERDICTS; v++)
        set_number(lua, hook_verdict_name((enum mezz_guard_verdict)v), guard->nested[v]);
    script_make_strict(lua, "nested");
    lua_setfield(lua, -2, "nested");
    set_number(lua, "missing", guard->missing);
    set_number(lua, "refused", report_guard_refusals(guard));
    set_number(lua, "held", guard->held);
    set_number(lua, "forced_out", guard->forced_out);
    set_number(lua, "unlogged", guard->unlogged);
    set_number(lua, "unheard", guard->unheard);
    for (int refusals = 0; refusals < 2; refusals++) {
        lua_newtable(lua);
        for (enum hook_reason r = HOOK_REASON_NONE + 1; r < HOOK_REASONS; r++)
            if (hook_is_refusal(r) == refusals)
                set_number(lua, hook_reason_name(r), guard->reasons[r]);
        script_make_strict(lua, refusals ? "refusals" : "events");
        lua_setfield(lua, -2, refusals ? "refusals" : "events");
    }
    script_make_strict(lua, "guarded");
}

static void push_l2(lua_State *lua, const struct l2_report *l2)
{
    lua_newtable(lua);
    set_string(lua, "name", l2->name);
    set_string(lua, "status", report_l2_end_name(l2->end));
    set_number(lua, "exit_status", l2->status);
    script_push_console(lua, &l2->console);
    lua_setfield(lua, -2, "console");
    push_exits(lua, l2);
    lua_setfield(lua, -2, "exits");
    push_portions(lua, &l2->portions);
    lua_setfield(lua, -2, "portions");
    push_guarded(lua, &l2->guard);
    lua_setfield(lua, -2, "guarded");
    set_number(lua, "kvm_runs", l2->kvm_runs);
    set_ms(lua, "run_ms", l2->run_ns);
    set_string(lua, "last_words", l2->last_words);
    script_make_strict(lua, "l2");
}

/* The table on top becomes the RESULT of the i-th part of the object at `owner`, if it has one. */
static void give_result(lua_State *lua, int owner, lua_Integer i)
{
    lua_getiuservalue(lua, owner, OBJECT_PARTS);
    if (lua_rawgeti(lua, -1, i) == LUA_TUSERDATA) {
        lua_pushvalue(lua, -3);
        lua_setiuservalue(lua, -2, OBJECT_RESULT);
    }
    lua_pop(lua, 2);
}

static void push_l2s(lua_State *lua, const struct machine_report *report)
{
    int l1;
    int table;

    lua_getiuservalue(lua, 1, OBJECT_PARTS);
    lua_rawgeti(lua, -1, 1);
    l1 = lua_gettop(lua);
    lua_newtable(lua);
    table = lua_gettop(lua);
    for (unsigned int i = 0; i < report->l2_count; i++) {
        push_l2(lua, &report->l2[i]);
        give_result(lua, l1, (lua_Integer)i + 1);
        /* An L1 may use a name again; the first one is the stack file's. */
        lua_pushstring(lua, report->l2[i].name);
        if (lua_rawget(lua, table) == LUA_TNIL) {
            lua_pushvalue(lua, -2);
            lua_setfield(lua, table, report->l2[i].name);
        }
        lua_settop(lua, table);
    }
    script_make_strict(lua, "the result's list of L2s");
    lua_replace(lua, l1 - 1);
    lua_settop(lua, l1 - 1);
}

void script_push_result(lua_State *lua, const struct script_run *run)
{
    const struct machine_report *report = &run->report;

    lua_newtable(lua);
    set_string(lua, "status", report_status(report));
    set_string(lua, "error", report->error.text);
    set_number(lua, "exit_status", report->status);
    set_ms(lua, "duration_ms", report->duration_ns);
    if (report->first_l2_output_ns == 0)
        lua_pushboolean(lua, 0);
    else
        lua_pushnumber(lua, (lua_Number)report->first_l2_output_ns / NS_PER_MS);
    lua_setfield(lua, -2, "first_l2_output_ms");
    push_l1(lua, report);
    give_result(lua, 1, 1);
    lua_setfield(lua, -2, "l1");
    push_l2s(lua, report);
    lua_setfield(lua, -2, "l2");
    script_make_strict(lua, "the result");
}
