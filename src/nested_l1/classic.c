/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits=classic: what nested virtualization costs without shadow VMCSs and without callbacks. The
 * handlers work on a private copy of the VMCS12, and each field that a hypervisor reads after an
 * exit or writes before an entry is a call to the root, as each VMREAD and VMWRITE of an L1 is an
 * exit there. The lists are what KVM touches for an exit that userspace or a device model handles
 * (general registers are not in a VMCS, so of those only RAX and RSP are in the lists): 22 reads
 * and 9 to 12 writes.
 */
#include <stddef.h>

#include "l1.h"
#include "lib/machine.h"
#include "mezz/guest.h"
#include "personality.h"

#define FIELD(name)  MEZZ_VMCS12_FIELD(name)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint64_t exit_fields[] = {
    FIELD(exit.reason),
    FIELD(exit.flags),
    FIELD(exit.qualification),
    FIELD(exit.guest_physical_address),
    FIELD(exit.value),
    FIELD(exit.size),
    FIELD(exit.interruption_info),
    FIELD(exit.interruption_error_code),
    FIELD(exit.idt_vectoring_info),
    FIELD(exit.idt_vectoring_error_code),
    FIELD(exit.instruction_length),
    FIELD(events.interruptibility_state),
    FIELD(events.activity_state),
    FIELD(regs.guest_rip),
    FIELD(regs.guest_rflags),
    FIELD(regs.gpr[MEZZ_RAX]),
    FIELD(regs.gpr[MEZZ_RSP]),
    FIELD(system.guest_cr0),
    FIELD(system.guest_cr3),
    FIELD(system.guest_cr4),
    FIELD(system.segment[MEZZ_CS].access_rights),
    FIELD(system.segment[MEZZ_SS].access_rights),
    FIELD(sync.count),
};

static const uint64_t entry_fields[] = {
    FIELD(completion.value),
    FIELD(completion.flags),
    FIELD(events.interruptibility_state),
    FIELD(events.activity_state),
    FIELD(events.entry_interruption_info),
    FIELD(events.entry_exception_error_code),
    FIELD(controls.pin_based),
    FIELD(controls.cpu_based),
    FIELD(controls.preemption_timer),
};

/* Written only when no instruction is pending: the root ends one before it loads registers, and
 * these would undo it. */
static const uint64_t register_fields[] = {
    FIELD(regs.guest_rip),
    FIELD(regs.guest_rflags),
    FIELD(regs.gpr[MEZZ_RSP]),
};

const char *classic_attach(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    l2->vmcs = pointer_at(arena_take(&l1->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE));
    *error = 0;
    if (!l2->vmcs)
        return "L1 has no memory left";
    copy_words(l2->vmcs, l2->shared, offsetof(struct mezz_vmcs12, reserved3));
    return NULL;
}

static void *place(const struct l2 *l2, uint64_t field)
{
    return (uint8_t *)l2->vmcs + MEZZ_FIELD_OFFSET(field);
}

static void read_field(struct l2 *l2, uint64_t field)
{
    uint64_t value = mezz_call_value(MEZZ_CALL_VMREAD, l2->vcpu, field, 0).value;

    if (MEZZ_FIELD_WIDTH(field) == 8)
        *(uint64_t *)place(l2, field) = value;
    else
        *(uint32_t *)place(l2, field) = (uint32_t)value;
}

void classic_fetch(struct l2 *l2)
{
    static const uint64_t record_fields[] = {
        FIELD(sync.record[0].object),
        FIELD(sync.record[0].key),
        FIELD(sync.record[0].from),
        FIELD(sync.record[0].to),
    };

    for (unsigned int i = 0; i < COUNT(exit_fields); i++)
        read_field(l2, exit_fields[i]);
    for (uint64_t i = 0; i < l2->vmcs->sync.count; i++)
        for (unsigned int j = 0; j < COUNT(record_fields); j++)
            read_field(l2, record_fields[j] + i * sizeof(struct mezz_sync_record));
    l2->vmcs->completion =
        (struct mezz_vmcs12_completion){.value = UINT64_MAX}; /* as the root has it */
    l2->vmcs->events.entry_interruption_info = 0;
}

static void write_fields(struct l2 *l2, const uint64_t *field, unsigned int count)
{
    for (; count; count--, field++) {
        uint64_t value = MEZZ_FIELD_WIDTH(*field) == 8 ? *(const uint64_t *)place(l2, *field)
                                                       : *(const uint32_t *)place(l2, *field);

        mezz_call(MEZZ_CALL_VMWRITE, l2->vcpu, *field, value);
    }
}

void classic_store(struct l2 *l2)
{
    write_fields(l2, entry_fields, COUNT(entry_fields));
    if (!(l2->vmcs->exit.flags & MEZZ_EXIT_PENDING))
        write_fields(l2, register_fields, COUNT(register_fields));
}
