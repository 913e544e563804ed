/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/calls.h"
#include "mezz/errors.h"

#define OWN_COUNT (MEZZ_EXIT_OWN_END - MEZZ_EXIT_OWN_FIRST)

static const char *const sdm_names[MEZZ_EXIT_SDM_COUNT] = {
    [MEZZ_EXIT_EXCEPTION] = "exception",
    [MEZZ_EXIT_EXTERNAL_INTERRUPT] = "external_interrupt",
    [MEZZ_EXIT_TRIPLE_FAULT] = "triple_fault",
    [MEZZ_EXIT_INTERRUPT_WINDOW] = "interrupt_window",
    [MEZZ_EXIT_TASK_SWITCH] = "task_switch",
    [MEZZ_EXIT_CPUID] = "cpuid",
    [MEZZ_EXIT_HLT] = "hlt",
    [MEZZ_EXIT_INVD] = "invd",
    [MEZZ_EXIT_INVLPG] = "invlpg",
    [MEZZ_EXIT_RDPMC] = "rdpmc",
    [MEZZ_EXIT_RDTSC] = "rdtsc",
    [MEZZ_EXIT_VMCALL] = "vmcall",
    [MEZZ_EXIT_CR_ACCESS] = "cr_access",
    [MEZZ_EXIT_DR_ACCESS] = "dr_access",
    [MEZZ_EXIT_IO] = "io",
    [MEZZ_EXIT_RDMSR] = "rdmsr",
    [MEZZ_EXIT_WRMSR] = "wrmsr",
    [MEZZ_EXIT_INVALID_GUEST_STATE] = "invalid_guest_state",
    [MEZZ_EXIT_MONITOR_TRAP] = "monitor_trap",
    [MEZZ_EXIT_PAUSE] = "pause",
    [MEZZ_EXIT_EPT_VIOLATION] = "ept_violation",
    [MEZZ_EXIT_EPT_MISCONFIG] = "ept_misconfig",
    [MEZZ_EXIT_RDTSCP] = "rdtscp",
    [MEZZ_EXIT_PREEMPTION_TIMER] = "preemption_timer",
    [MEZZ_EXIT_WBINVD] = "wbinvd",
    [MEZZ_EXIT_XSETBV] = "xsetbv",
};

static const char *const own_names[OWN_COUNT] = {
    [MEZZ_EXIT_EMULATION_FAILURE - MEZZ_EXIT_OWN_FIRST] = "emulation_failure",
    [MEZZ_EXIT_GATE - MEZZ_EXIT_OWN_FIRST] = "gate",
    [MEZZ_EXIT_GUARD - MEZZ_EXIT_OWN_FIRST] = "guard",
    [MEZZ_EXIT_PORTION - MEZZ_EXIT_OWN_FIRST] = "portion",
};

static const char *const call_names[MEZZ_CALL_COUNT] = {
    [MEZZ_CALL_VERSION] = "version",
    [MEZZ_CALL_CONSOLE] = "console",
    [MEZZ_CALL_TIME] = "time",
    [MEZZ_CALL_EXIT] = "exit",
    [MEZZ_CALL_L2_CREATE] = "l2_create",
    [MEZZ_CALL_L2_DESTROY] = "l2_destroy",
    [MEZZ_CALL_VCPU_CREATE] = "vcpu_create",
    [MEZZ_CALL_VCPU_DESTROY] = "vcpu_destroy",
    [MEZZ_CALL_ENTER] = "enter",
    [MEZZ_CALL_INVEPT] = "invept",
    [MEZZ_CALL_EPTP_LIST] = "eptp_list",
    [MEZZ_CALL_CALLBACK_REGISTER] = "callback_register",
    [MEZZ_CALL_CALLBACK_UNREGISTER] = "callback_unregister",
    [MEZZ_CALL_CALLBACK_RETURN] = "callback_return",
    [MEZZ_CALL_CALLBACK_COUNTERS] = "callback_counters",
    [MEZZ_CALL_VMREAD] = "vmread",
    [MEZZ_CALL_VMWRITE] = "vmwrite",
    [MEZZ_CALL_FRAME_POOL] = "frame_pool",
    [MEZZ_CALL_L1_INTERRUPT] = "l1_interrupt",
    [MEZZ_CALL_L1_VCPU_START] = "l1_vcpu_start",
};

static const char *const error_names[MEZZ_E_COUNT] = {
    [MEZZ_E_CALL] = "CALL",
    [MEZZ_E_ARGUMENT] = "ARGUMENT",
    [MEZZ_E_ADDRESS] = "ADDRESS",
    [MEZZ_E_ALIGNMENT] = "ALIGNMENT",
    [MEZZ_E_ID] = "ID",
    [MEZZ_E_LIMIT] = "LIMIT",
    [MEZZ_E_BUSY] = "BUSY",
    [MEZZ_E_STATE] = "STATE",
    [MEZZ_E_HOST] = "HOST",
    [MEZZ_E_UNSUPPORTED] = "UNSUPPORTED",
    [MEZZ_E_VMCS] = "VMCS",
    [MEZZ_E_FIELD] = "FIELD",
    [MEZZ_E_EPT_FORMAT] = "EPT_FORMAT",
    [MEZZ_E_EPT_ADDRESS] = "EPT_ADDRESS",
    [MEZZ_E_EPT_ACCESS] = "EPT_ACCESS",
    [MEZZ_E_EPT_LIMIT] = "EPT_LIMIT",
    [MEZZ_E_REASON] = "REASON",
    [MEZZ_E_REASON_KVM] = "REASON_KVM",
    [MEZZ_E_MODE] = "MODE",
    [MEZZ_E_HANDLER] = "HANDLER",
    [MEZZ_E_STACK] = "STACK",
    [MEZZ_E_STATE_MASK] = "STATE_MASK",
    [MEZZ_E_CONDITIONS] = "CONDITIONS",
    [MEZZ_E_CONDITION_FIELD] = "CONDITION_FIELD",
    [MEZZ_E_CONDITION_OPERATOR] = "CONDITION_OPERATOR",
    [MEZZ_E_CONDITION_VALUE] = "CONDITION_VALUE",
    [MEZZ_E_ACTION] = "ACTION",
    [MEZZ_E_EVENT] = "EVENT",
    [MEZZ_E_VIEW] = "VIEW",
};

static const char *const end_names[] = {
    [MACHINE_DONE] = "done",       [MACHINE_DIED] = "died",     [MACHINE_TIMEOUT] = "timeout",
    [MACHINE_STOPPED] = "stopped", [MACHINE_SCRIPT] = "script", [MACHINE_HOST] = "host",
};

static const char *const l2_end_names[] = {
    [L2_RUNNING] = "running", [L2_DONE] = "done", [L2_DIED] = "died"};

uint32_t reason_of_index(int index)
{
    if (index < MEZZ_EXIT_SDM_COUNT)
        return (uint32_t)index;
    return (uint32_t)(index - MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_OWN_FIRST);
}

static const char *name_of_index(int index)
{
    if (index < 0 || index >= (int)REASON_INDEX_COUNT)
        return NULL;
    return index < MEZZ_EXIT_SDM_COUNT ? sdm_names[index] : own_names[index - MEZZ_EXIT_SDM_COUNT];
}

bool reason_is_known(int index)
{
    return name_of_index(index) != NULL;
}

const char *reason_name(uint32_t reason)
{
    const char *name = name_of_index(reason_index(reason));

    return name != NULL ? name : "unknown";
}

const char *report_status(const struct machine_report *report)
{
    return report->end == MACHINE_DONE && report->status != 0 ? "failed" : end_names[report->end];
}

const char *report_l2_end_name(enum l2_end end)
{
    return l2_end_names[end];
}

bool report_has_death(const struct machine_report *report)
{
    if (report->end == MACHINE_DIED || report->end == MACHINE_TIMEOUT ||
        (report->end == MACHINE_DONE && report->status != 0))
        return true;
    for (unsigned int i = 0; i < report->l2_count; i++)
        if (report->l2[i].end == L2_DIED)
            return true;
    return false;
}

struct exit_counts report_total(const struct l2_report *l2)
{
    struct exit_counts total = {0, 0, 0};

    for (size_t i = 0; i < REASON_INDEX_COUNT; i++) {
        total.root += l2->exits[i].root;
        total.callback += l2->exits[i].callback;
        total.reflect += l2->exits[i].reflect;
    }
    return total;
}

uint64_t report_refusals(const struct portions_report *portions)
{
    uint64_t refusals = 0;

    for (enum decision_reason r = REASON_NONE; r < REASON_KINDS; r++)
        if (decision_is_refusal(r))
            refusals += portions->reasons[r];
    return refusals;
}

uint64_t report_guard_refusals(const struct guard_report *guard)
{
    uint64_t refusals = 0;

    for (enum hook_reason r = HOOK_REASON_NONE; r < HOOK_REASONS; r++)
        if (hook_is_refusal(r))
            refusals += guard->reasons[r];
    return refusals;
}

const char *report_error_name(uint32_t error)
{
    return error < MEZZ_E_COUNT && error_names[error] != NULL ? error_names[error] : "unknown";
}

const char *report_call_name(size_t call)
{
    return call < MEZZ_CALL_COUNT && call_names[call] != NULL ? call_names[call] : "unknown";
}

uint64_t report_calls(const struct l1_report *l1)
{
    uint64_t calls = 0;

    for (size_t i = 0; i < sizeof(l1->calls) / sizeof(l1->calls[0]); i++)
        calls += l1->calls[i];
    return calls;
}

uint64_t report_kvm_runs(const struct machine_report *report)
{
    uint64_t runs = report->l1.kvm_runs;

    for (unsigned int i = 0; i < report->l2_count; i++)
        runs += report->l2[i].kvm_runs;
    return runs;
}
