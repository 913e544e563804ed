/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/report_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/abi.h"
#include "vmm/cli/json_lines.h"
#include "vmm/cli/report_text.h"

/* Jansson's *_new functions take NULL for a value and fail, and a container that lost a value is
 * noticed only by its absence: `lost` says so. */
struct builder {
    bool lost;
};

static void set(struct builder *builder, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        builder->lost = true;
}

static void append(struct builder *builder, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        builder->lost = true;
}

static json_t *text_of(const char *text, size_t length)
{
    size_t utf8_length;
    char *utf8 = report_utf8(text, length, &utf8_length);
    json_t *value = utf8 != NULL ? json_stringn(utf8, utf8_length) : NULL;

    free(utf8);
    return value;
}

static json_t *string_of(const char *text)
{
    return text != NULL ? text_of(text, strlen(text)) : json_null();
}

static json_t *count_of(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *ms_of(uint64_t nanoseconds)
{
    return json_real((double)(nanoseconds / 1000) / 1000);
}

static json_t *counts_of(struct builder *builder, const struct exit_counts *counts)
{
    json_t *object = json_object();

    set(builder, object, "root", count_of(counts->root));
    set(builder, object, "callback", count_of(counts->callback));
    set(builder, object, "reflect", count_of(counts->reflect));
    return object;
}

static json_t *exits_of(struct builder *builder, const struct l2_report *l2)
{
    json_t *object = json_object();

    for (int i = 0; i < (int)REASON_INDEX_COUNT; i++) {
        const struct exit_counts *counts = &l2->exits[i];
        char number[16];

        if (counts->root + counts->callback + counts->reflect == 0)
            continue;
        snprintf(number, sizeof(number), "%u", reason_of_index(i));
        set(builder, object, reason_is_known(i) ? reason_name(reason_of_index(i)) : number,
            counts_of(builder, counts));
    }
    return object;
}

/* A registration that was replaced or removed has its own entry, with what it counted until then.
 */
static json_t *callback_of(struct builder *builder, const struct callback_report *callback)
{
    const struct mezz_callback_counters *counters = &callback->counters;
    json_t *object = json_object();
    json_t *failed = json_array();

    for (uint32_t i = 0; i < callback->conditions && i < MEZZ_MAX_CONDITIONS; i++)
        append(builder, failed, count_of(counters->failed[i]));
    set(builder, object, "callback", count_of(callback->id));
    set(builder, object, "reason", string_of(reason_name(callback->reason)));
    set(builder, object, "mode",
        string_of(callback->mode == MEZZ_MODE_OBSERVE ? "observe" : "decide"));
    set(builder, object, "order", count_of(callback->order));
    set(builder, object, "evaluated", count_of(counters->evaluated));
    set(builder, object, "fired", count_of(counters->fired));
    set(builder, object, "failed", failed);
    set(builder, object, "sync_records", count_of(counters->sync_records));
    set(builder, object, "refused_returns", count_of(counters->refused_returns));
    return object;
}

static json_t *callbacks_of(struct builder *builder, const struct l2_report *l2)
{
    json_t *array = json_array();

    for (unsigned int i = 0; i < l2->callback_count; i++)
        append(builder, array, callback_of(builder, &l2->callbacks[i]));
    return array;
}

/* How often an entry loaded each group of the VMCS12. */
static json_t *groups_of(struct builder *builder, const struct l2_report *l2)
{
    static const char *const names[MEZZ_GROUP_EXIT] = {
        [MEZZ_GROUP_REGS] = "regs",     [MEZZ_GROUP_SYSTEM] = "system",
        [MEZZ_GROUP_MSRS] = "msrs",     [MEZZ_GROUP_DEBUG] = "debug",
        [MEZZ_GROUP_EVENTS] = "events", [MEZZ_GROUP_CONTROLS] = "controls",
        [MEZZ_GROUP_EPT] = "ept",
    };
    json_t *object = json_object();

    for (int group = 0; group < MEZZ_GROUP_EXIT; group++)
        set(builder, object, names[group], count_of(l2->groups_loaded[group]));
    return object;
}

enum reason_kind {
    REASONS_ALLOWED,
    REASONS_RELEASED,
    REASONS_REFUSED
};

static enum reason_kind kind_of(enum decision_reason reason)
{
    if (decision_is_refusal(reason))
        return REASONS_REFUSED;
    return reason == REASON_OWNER_GONE || reason == REASON_REMAPPED ? REASONS_RELEASED
                                                                    : REASONS_ALLOWED;
}

/* Those that happened. */
static json_t *reasons_of(struct builder *builder, const struct portions_report *portions,
                          enum reason_kind kind)
{
    json_t *object = json_object();

    for (enum decision_reason r = REASON_NONE + 1; r < REASON_KINDS; r++)
        if (kind_of(r) == kind && portions->reasons[r] != 0)
            set(builder, object, decision_reason_name(r), count_of(portions->reasons[r]));
    return object;
}

static json_t *portions_of(struct builder *builder, const struct portions_report *portions)
{
    json_t *object = json_object();

    set(builder, object, "switches", count_of(portions->switches));
    set(builder, object, "entries", count_of(portions->entries));
    set(builder, object, "scans", count_of(portions->scans));
    set(builder, object, "allowed", reasons_of(builder, portions, REASONS_ALLOWED));
    set(builder, object, "released", reasons_of(builder, portions, REASONS_RELEASED));
    set(builder, object, "refusals", reasons_of(builder, portions, REASONS_REFUSED));
    set(builder, object, "refused", count_of(report_refusals(portions)));
    set(builder, object, "unlogged", count_of(portions->unlogged));
    return object;
}

/* Those that happened. */
static json_t *guard_reasons_of(struct builder *builder, const struct guard_report *guard,
                                bool refusals)
{
    json_t *object = json_object();

    for (enum hook_reason r = HOOK_REASON_NONE + 1; r < HOOK_REASONS; r++)
        if (hook_is_refusal(r) == refusals && guard->reasons[r] != 0)
            set(builder, object, hook_reason_name(r), count_of(guard->reasons[r]));
    return object;
}

static json_t *nested_of(struct builder *builder, const struct guard_report *guard)
{
    json_t *object = json_object();

    for (unsigned int v = 0; v < MEZZ_GUARD_VERDICTS; v++)
        set(builder, object, hook_verdict_name((enum mezz_guard_verdict)v),
            count_of(guard->nested[v]));
    return object;
}

static json_t *guard_of(struct builder *builder, const struct guard_report *guard)
{
    json_t *object = json_object();

    set(builder, object, "calls", count_of(guard->reasons[HOOK_REASON_CALL]));
    for (unsigned int v = 0; v < MEZZ_GUARD_VERDICTS; v++)
        set(builder, object, hook_verdict_name((enum mezz_guard_verdict)v),
            count_of(guard->verdicts[v]));
    set(builder, object, "events", guard_reasons_of(builder, guard, false));
    set(builder, object, "refusals", guard_reasons_of(builder, guard, true));
    set(builder, object, "refused", count_of(report_guard_refusals(guard)));
    set(builder, object, "nested", nested_of(builder, guard));
    set(builder, object, "missing", count_of(guard->missing));
    set(builder, object, "held", count_of(guard->held));
    set(builder, object, "forced_out", count_of(guard->forced_out));
    set(builder, object, "unlogged", count_of(guard->unlogged));
    set(builder, object, "unheard", count_of(guard->unheard));
    return object;
}

static void set_console(struct builder *builder, json_t *object, const struct console_text *console)
{
    set(builder, object, "console", text_of(console->text, console->length));
    set(builder, object, "console_dropped", count_of(console->dropped));
}

static json_t *l2_of(struct builder *builder, const struct l2_report *l2)
{
    struct exit_counts total = report_total(l2);
    json_t *object = json_object();

    set(builder, object, "status", string_of(report_l2_end_name(l2->end)));
    set(builder, object, "exit_status", count_of(l2->status));
    set_console(builder, object, &l2->console);
    set(builder, object, "exits", exits_of(builder, l2));
    set(builder, object, "exits_total", counts_of(builder, &total));
    set(builder, object, "callbacks", callbacks_of(builder, l2));
    set(builder, object, "groups_loaded", groups_of(builder, l2));
    if (l2->portions.declared)
        set(builder, object, "portions", portions_of(builder, &l2->portions));
    if (l2->guard.declared)
        set(builder, object, "guard", guard_of(builder, &l2->guard));
    set(builder, object, "kvm_runs", count_of(l2->kvm_runs));
    set(builder, object, "vcpu_ioctls", count_of(l2->other_ioctls));
    set(builder, object, "run_ms", ms_of(l2->run_ns));
    set(builder, object, "last_words", string_of(l2->last_words));
    return object;
}

static json_t *l1_of(struct builder *builder, const struct machine_report *report)
{
    const struct l1_report *l1 = &report->l1;
    json_t *object = json_object();
    json_t *calls = json_object();

    for (size_t i = 0; i < sizeof(l1->calls) / sizeof(l1->calls[0]); i++)
        if (l1->calls[i] != 0)
            set(builder, calls, report_call_name(i), count_of(l1->calls[i]));
    set_console(builder, object, &l1->console);
    set(builder, object, "calls", calls);
    set(builder, object, "refused_calls", count_of(l1->refused_calls));
    set(builder, object, "port_exits", count_of(l1->port_exits));
    set(builder, object, "other_exits", count_of(l1->other_exits));
    set(builder, object, "kvm_runs", count_of(l1->kvm_runs));
    set(builder, object, "run_ms", ms_of(l1->run_ns));
    set(builder, object, "trouble", string_of(report->trouble.text));
    set(builder, object, "last_words", string_of(report->last_words));
    return object;
}

/* An L1 may give a name again: "tiny", "tiny#2", ... */
static void set_l2(struct builder *builder, json_t *l2s, const struct l2_report *l2)
{
    char *name = NULL;
    size_t length;
    char key[80];

    name = report_utf8(l2->name, strlen(l2->name), &length);
    if (name == NULL) {
        builder->lost = true;
        return;
    }
    snprintf(key, sizeof(key), "%.64s", name);
    for (unsigned int i = 2; json_object_get(l2s, key) != NULL; i++)
        snprintf(key, sizeof(key), "%.64s#%u", name, i);
    free(name);
    set(builder, l2s, key, l2_of(builder, l2));
}

static json_t *calls_of(struct builder *builder, enum cage_thread kind)
{
    json_t *array = json_array();
    const char *name;

    for (size_t i = 0; (name = cage_call_name(kind, i)) != NULL; i++)
        append(builder, array, string_of(name));
    return array;
}

static json_t *cage_of(struct builder *builder, const struct cage_facts *cage)
{
    json_t *object = json_object();
    json_t *calls;

    set(builder, object, "on", json_boolean(cage->on));
    if (!cage->on)
        return object;
    calls = json_object();
    set(builder, calls, "main", calls_of(builder, CAGE_MAIN));
    set(builder, calls, "vcpu", calls_of(builder, CAGE_VCPU));
    set(builder, object, "landlock_abi", count_of(cage->landlock_abi));
    set(builder, object, "no_new_privs", json_boolean(cage->no_new_privs));
    set(builder, object, "no_capabilities", json_boolean(cage->no_capabilities));
    set(builder, object, "filtered_threads", count_of(cage->filtered));
    set(builder, object, "system_calls", calls);
    return object;
}

static void set_run(struct builder *builder, json_t *object, const struct script_run *run)
{
    const struct machine_report *report = &run->report;
    json_t *levels = json_object();
    json_t *l2s = json_object();

    for (unsigned int i = 0; i < report->l2_count; i++)
        set_l2(builder, l2s, &report->l2[i]);
    set(builder, levels, "l1", l1_of(builder, report));
    set(builder, levels, "l2", l2s);
    set(builder, object, "status", string_of(report_status(report)));
    set(builder, object, "line", count_of(run->line));
    if (run->title[0] != '\0')
        set(builder, object, "title", string_of(run->title));
    set(builder, object, "l1_status", count_of(report->status));
    set(builder, object, "error",
        report->error.text[0] != '\0' ? string_of(report->error.text) : json_null());
    set(builder, object, "duration_ms", ms_of(report->duration_ns));
    set(builder, object, "first_l2_output_ms",
        report->first_l2_output_ns != 0 ? ms_of(report->first_l2_output_ns) : json_null());
    set(builder, object, "kvm_runs", count_of(report_kvm_runs(report)));
    set(builder, object, "cage", cage_of(builder, &report->cage));
    set(builder, object, "levels", levels);
}

static json_t *expectations_of(struct builder *builder, const struct script_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; i < record->expectation_count; i++) {
        const struct script_expectation *expectation = &record->expectations[i];
        json_t *object = json_object();

        set(builder, object, "text", string_of(expectation->text));
        set(builder, object, "file", string_of(record->path));
        set(builder, object, "line", count_of(expectation->line));
        set(builder, object, "passed", json_boolean(expectation->passed));
        append(builder, array, object);
    }
    return array;
}

static json_t *runs_of(struct builder *builder, const struct script_record *record)
{
    json_t *array = json_array();

    for (size_t i = 0; i < record->run_count; i++) {
        json_t *object = json_object();

        set_run(builder, object, &record->runs[i]);
        append(builder, array, object);
    }
    return array;
}

char *report_json(const struct report_facts *facts)
{
    const struct script_record *record = facts->record;
    struct builder builder = {.lost = false};
    json_t *object = json_object();
    char *text = NULL;

    set(&builder, object, "mezz", string_of(MEZZ_PROGRAM_VERSION));
    set(&builder, object, "abi", count_of(MEZZ_ABI_VERSION));
    set(&builder, object, "kvm", string_of(facts->kvm));
    set(&builder, object, "lane", string_of(facts->lane));
    set(&builder, object, "file", string_of(record->path));
    set(&builder, object, "exit_status", count_of((uint64_t)facts->exit_status));
    set(&builder, object, "status", json_null());
    if (record->run_count > 0)
        set_run(&builder, object, &record->runs[record->run_count - 1]);
    if (facts->error[0] != '\0')
        set(&builder, object, "error", string_of(facts->error));
    set(&builder, object, "expectations", expectations_of(&builder, record));
    if (record->rows != NULL)
        set(&builder, object, "rows", json_incref(record->rows));
    if (record->run_count > 1)
        set(&builder, object, "runs", runs_of(&builder, record));
    if (object != NULL && !builder.lost)
        text = json_lines(object);
    json_decref(object);
    return text;
}
