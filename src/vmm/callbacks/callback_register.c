/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/callbacks/callbacks.h"

#include <stdlib.h>

#include "mezz/errors.h"
#include "vmm/machine_state.h"

/* Room that a handler must have on its stack. */
#define STACK_MINIMUM 512

/* Registrations that are gone, or were replaced, and still have a line in an L2's report. */
#define CALLBACK_REPORTS (4 * MEZZ_MAX_CALLBACKS)

#define bit(number)      (1ULL << (number))

/* Exits that this root gives to L1, and those that stock KVM keeps from every root. */
enum reason_support {
    SUPPORT_NONE,
    SUPPORT_GIVEN,
    SUPPORT_KEPT_BY_KVM
};

static const uint8_t reason_support[REASON_INDEX_COUNT] = {
    [MEZZ_EXIT_EXCEPTION] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_EXTERNAL_INTERRUPT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_TRIPLE_FAULT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_INTERRUPT_WINDOW] = SUPPORT_GIVEN,
    [MEZZ_EXIT_TASK_SWITCH] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_CPUID] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_HLT] = SUPPORT_GIVEN,
    [MEZZ_EXIT_INVD] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_INVLPG] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_RDPMC] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_RDTSC] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_VMCALL] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_CR_ACCESS] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_DR_ACCESS] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_IO] = SUPPORT_GIVEN,
    [MEZZ_EXIT_RDMSR] = SUPPORT_GIVEN,
    [MEZZ_EXIT_WRMSR] = SUPPORT_GIVEN,
    [MEZZ_EXIT_MONITOR_TRAP] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_PAUSE] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_EPT_VIOLATION] = SUPPORT_GIVEN,
    [MEZZ_EXIT_EPT_MISCONFIG] = SUPPORT_GIVEN,
    [MEZZ_EXIT_RDTSCP] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_PREEMPTION_TIMER] = SUPPORT_GIVEN,
    [MEZZ_EXIT_WBINVD] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_XSETBV] = SUPPORT_KEPT_BY_KVM,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_EMULATION_FAILURE - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_GATE - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_GUARD - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
    [MEZZ_EXIT_SDM_COUNT + MEZZ_EXIT_PORTION - MEZZ_EXIT_OWN_FIRST] = SUPPORT_GIVEN,
};

static int check_reason(uint32_t reason)
{
    int index = reason & MEZZ_EXIT_ENTRY_FAILED ? -1 : reason_index(reason);

    if (index < 0 || reason_support[index] == SUPPORT_NONE)
        return MEZZ_E_REASON;
    return reason_support[index] == SUPPORT_KEPT_BY_KVM ? MEZZ_E_REASON_KVM : 0;
}

static int check_addresses(const struct machine *machine,
                           const struct mezz_callback_registration *r)
{
    if (!l1_contains(&machine->l1_memory, l1_at(r->handler), 1))
        return MEZZ_E_HANDLER;
    if (r->stack % 16 != 0 || r->frame % PAGE_SIZE != 0)
        return MEZZ_E_ALIGNMENT;
    if (r->stack < STACK_MINIMUM ||
        !l1_contains(&machine->l1_memory, l1_at(r->stack - STACK_MINIMUM), STACK_MINIMUM) ||
        !l1_contains(&machine->l1_memory, l1_at(r->frame), sizeof(struct mezz_callback_frame)))
        return MEZZ_E_STACK;
    return 0;
}

static int check_registration(const struct machine *machine,
                              const struct mezz_callback_registration *r)
{
    int error = check_reason(r->reason);

    if (error == 0 && r->mode != MEZZ_MODE_OBSERVE && r->mode != MEZZ_MODE_DECIDE)
        error = MEZZ_E_MODE;
    if (error == 0)
        error = check_addresses(machine, r);
    if (error == 0 && r->state_mask & ~MEZZ_STATE_MASK_ALLOWED)
        error = MEZZ_E_STATE_MASK;
    return error != 0 ? error : conditions_check(r);
}

static void unlink_callback(struct callback *callback)
{
    struct callback **at = &callback->l2->callbacks[reason_index(callback->registration.reason)];

    while (*at != callback)
        at = &(*at)->next;
    *at = callback->next;
}

static void link_callback(struct callback *callback)
{
    struct callback **at = &callback->l2->callbacks[reason_index(callback->registration.reason)];

    while (*at != NULL && (*at)->registration.order <= callback->registration.order)
        at = &(*at)->next;
    callback->next = *at;
    *at = callback;
}

/* SDM 28.2.4: an exit that an instruction makes by itself does not come in the middle of an event.
 */
static bool may_be_in_delivery(uint32_t reason)
{
    return reason != MEZZ_EXIT_IO && reason != MEZZ_EXIT_HLT && reason != MEZZ_EXIT_RDMSR &&
           reason != MEZZ_EXIT_WRMSR;
}

static void fill_callback(struct callback *callback, struct machine *machine, struct l2 *l2,
                          const struct mezz_callback_registration *r)
{
    *callback = (struct callback){
        .l2 = l2,
        .id = callback->id,
        .registration = *r,
        .frame = l1_pointer(&machine->l1_memory, l1_at(r->frame), sizeof(*callback->frame)),
        .counts = &l2->record->report.exits[reason_index(r->reason)],
        .timed = conditions_needs(r) & bit(MEZZ_FIELD_TIME),
        .vectoring =
            may_be_in_delivery(r->reason) || r->state_mask & MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS),
        .history.fired_at = machine_time(machine),
    };
}

static int64_t replace_callback(struct machine *machine, struct l2 *l2,
                                const struct mezz_callback_registration *r)
{
    struct callback *callback = callback_find(machine, r->replace);

    if (callback == NULL || callback->l2 != l2 || callback->registration.reason != r->reason)
        return -MEZZ_E_ID;
    if (callback_in_use(callback))
        return -MEZZ_E_BUSY;
    callback_report(callback);
    callback_forget_waiting(machine, callback, NULL);
    unlink_callback(callback);
    fill_callback(callback, machine, l2, r);
    link_callback(callback);
    return callback->id;
}

int64_t callback_register(struct machine *machine, const struct mezz_callback_registration *r)
{
    struct l2 *l2 = l2_find(machine, r->l2);
    struct callback *callback;
    unsigned int index = 0;
    int error;

    if (l2 == NULL)
        return -MEZZ_E_ID;
    error = check_registration(machine, r);
    if (error != 0)
        return -error;
    if (r->replace != 0)
        return replace_callback(machine, l2, r);
    while (index < MEZZ_MAX_CALLBACKS && machine->callback[index] != NULL)
        index++;
    if (index == MEZZ_MAX_CALLBACKS)
        return -MEZZ_E_LIMIT;
    callback = calloc(1, sizeof(*callback));
    if (callback == NULL)
        return -MEZZ_E_HOST;
    callback->id = index + 1;
    fill_callback(callback, machine, l2, r);
    link_callback(callback);
    machine->callback[index] = callback;
    return callback->id;
}

void callback_report(const struct callback *callback)
{
    struct l2_record *record = callback->l2->record;
    struct callback_report *grown;

    /* L1 may register and unregister as often as it likes. */
    if (record->report.callback_count == CALLBACK_REPORTS)
        return;
    grown = realloc(record->callbacks, (record->report.callback_count + 1) * sizeof(*grown));
    /* A report that lacks a line is better than a machine that ends for it. */
    if (grown == NULL)
        return;
    record->callbacks = grown;
    grown[record->report.callback_count++] = (struct callback_report){
        .id = callback->id,
        .reason = callback->registration.reason,
        .mode = callback->registration.mode,
        .order = callback->registration.order,
        .conditions = callback->registration.condition_count,
        .counters = callback->counters,
    };
}

static void remove_callback(struct machine *machine, struct callback *callback)
{
    callback_report(callback);
    callback_forget_waiting(machine, callback, NULL);
    unlink_callback(callback);
    machine->callback[callback->id - 1] = NULL;
    free(callback);
}

int64_t callback_unregister(struct machine *machine, uint64_t id)
{
    struct callback *callback = callback_find(machine, id);

    if (callback == NULL)
        return -MEZZ_E_ID;
    if (callback_in_use(callback))
        return -MEZZ_E_BUSY;
    remove_callback(machine, callback);
    return 0;
}

struct callback *callback_find(struct machine *machine, uint64_t id)
{
    return id == 0 || id > MEZZ_MAX_CALLBACKS ? NULL : machine->callback[id - 1];
}

void callbacks_remove_all(struct l2 *l2)
{
    for (unsigned int i = 0; i < MEZZ_MAX_CALLBACKS; i++)
        if (l2->machine->callback[i] != NULL && l2->machine->callback[i]->l2 == l2)
            remove_callback(l2->machine, l2->machine->callback[i]);
}
