/* SPDX-License-Identifier: Apache-2.0 */
/* The exits of a guest that come back through ENTER, and what L1 does about each. */
#include <stddef.h>

#include "host.h"
#include "l1.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "lib/sync.h"
#include "mezz/calls.h"
#include "personality.h"
#include "report.h"

#define RFLAGS_IF        (1ULL << 9)
#define RIGHTS_DPL_SHIFT 5
#define INVALID_OPCODE   6U
#define STRAY_REPORTS    4

#define PIC_FIRST        0x20
#define PIC_SECOND       0xa0
#define PIT_FIRST        0x40

void guest_end(struct l1 *l1, struct l2 *l2, uint32_t status)
{
    uart_flush(&l2->uart);
    if (l2->has_views)
        say("guest %s: %u turns from one view to the other", l2->name, l2->turns);
    if (l2->observed | l2->synchronized)
        say("guest %s: %u exits observed, %u synchronization records", l2->name, l2->observed,
            l2->synchronized);
    if (l1->config.ept & CONFIG_EPT_DIRTY)
        say("guest %s: %lu KiB of its memory are dirty", l2->name,
            ept_dirty_bytes(&l2->ept, l2->memory) >> 10);
    l1->host->destroy(l2, status);
    l2->state = L2_ENDED;
    l1->cpu[l2->cpu].ended++;
    if (status)
        l1_fail(l1);
}

static enum outcome die_of(struct l1 *l1, struct l2 *l2, const char *why)
{
    uart_flush(&l2->uart);
    report_death(l2, why);
    guest_end(l1, l2, MEZZ_L2_DIED);
    return OUTCOME_ENDED;
}

static enum outcome die(struct l1 *l1, struct l2 *l2)
{
    return die_of(l1, l2, report_reason(l2));
}

void guest_synchronize(struct l2 *l2, const struct mezz_sync_record *record, uint32_t count)
{
    l2->synchronized += count;
    if (!sync_apply(l2->vmcs, &l2->ept, record, count))
        say("guest %s: the root sent a synchronization record that is none", l2->name);
}

/* A port access: reads set the answer's low byte, the bytes above it stay all ones. */
struct port_access {
    uint16_t port;
    bool in;
    uint8_t value;
};

static enum outcome uart_port(struct l1 *l1, struct l2 *l2, struct port_access *access)
{
    (void)l1;
    if (access->in)
        access->value = uart_read(&l2->uart, access->port & 7);
    else
        uart_write(&l2->uart, access->port & 7, access->value);
    if (uart_edge(&l2->uart))
        pic_raise(&l2->pic, UART_LINE);
    return OUTCOME_GO_ON;
}

static enum outcome pic_port(struct l1 *l1, struct l2 *l2, struct port_access *access)
{
    (void)l1;
    if (access->in)
        access->value = pic_read(&l2->pic, access->port);
    else
        pic_write(&l2->pic, access->port, access->value);
    return OUTCOME_GO_ON;
}

static enum outcome pit_port(struct l1 *l1, struct l2 *l2, struct port_access *access)
{
    if (access->in)
        access->value = pit_read(&l2->pit, access->port, l1->host->time());
    else
        pit_write(&l2->pit, access->port, access->value, l1->host->time());
    return OUTCOME_GO_ON;
}

static enum outcome exit_port(struct l1 *l1, struct l2 *l2, struct port_access *access)
{
    if (access->in)
        return OUTCOME_GO_ON;
    guest_end(l1, l2, access->value);
    say("guest %s ended with status %u", l2->name, access->value);
    return OUTCOME_ENDED;
}

static const struct port_device {
    uint16_t first;
    uint16_t last;
    enum outcome (*access)(struct l1 *l1, struct l2 *l2, struct port_access *access);
} port_devices[] = {
    {MEZZ_PORT_UART, MEZZ_PORT_UART + 7, uart_port},
    {PIC_FIRST, PIC_FIRST + 1, pic_port},
    {PIC_SECOND, PIC_SECOND + 1, pic_port},
    {PIT_FIRST, PIT_FIRST + 3, pit_port},
    {MEZZ_PORT_DEBUG_EXIT, MEZZ_PORT_DEBUG_EXIT, exit_port},
};

static enum outcome io_exit(struct l1 *l1, struct l2 *l2)
{
    const struct mezz_vmcs12_exit *exit = &l2->vmcs->exit;
    struct port_access access = {
        .port = (uint16_t)(exit->qualification >> MEZZ_IO_PORT_SHIFT),
        .in = exit->qualification & MEZZ_IO_IN,
        .value = exit->qualification & MEZZ_IO_IN ? 0xff : (uint8_t)exit->value,
    };
    enum outcome outcome = OUTCOME_GO_ON;

    for (unsigned int i = 0; i < sizeof(port_devices) / sizeof(port_devices[0]); i++) {
        if (access.port >= port_devices[i].first && access.port <= port_devices[i].last) {
            outcome = port_devices[i].access(l1, l2, &access);
            break;
        }
    }
    if (access.in)
        l2->vmcs->completion.value = access.value | ~0xffULL;
    return outcome;
}

static enum outcome hlt_exit(struct l1 *l1, struct l2 *l2)
{
    if (!(l2->vmcs->regs.guest_rflags & RFLAGS_IF))
        return die(l1, l2);
    return pic_pending(&l2->pic) ? OUTCOME_GO_ON : OUTCOME_HALTED;
}

/* KVM keeps the MSRs that a guest has; no other is there. */
static enum outcome msr_exit(struct l1 *l1, struct l2 *l2)
{
    (void)l1;
    l2->vmcs->completion.flags = MEZZ_COMPLETION_FAULT;
    return OUTCOME_GO_ON;
}

/* Outside of the guest's memory there is nothing: as on a PC, reads give all ones (the root has put
 * them into completion.value) and writes go nowhere. */
static enum outcome ept_violation_exit(struct l1 *l1, struct l2 *l2)
{
    const struct mezz_vmcs12_exit *exit = &l2->vmcs->exit;

    if (exit->qualification & MEZZ_EPT_VIOLATION_FETCH)
        return die_of(l1, l2, "fetch outside its memory");
    if (l2->stray_accesses++ < STRAY_REPORTS)
        say("guest %s: %s of %u bytes outside its memory, at 0x%lx, rip 0x%lx", l2->name,
            exit->qualification & MEZZ_EPT_VIOLATION_WRITE ? "write" : "read", exit->size,
            exit->guest_physical_address, l2->vmcs->regs.guest_rip);
    return OUTCOME_GO_ON;
}

/* An instruction that KVM cannot run, such as SYSENTER in 64-bit mode on AMD. A program has it as
 * one that there is not, as of KVM by default: it must not end its guest. */
static enum outcome emulation_exit(struct l1 *l1, struct l2 *l2)
{
    const uint32_t stack_rights = l2->vmcs->system.segment[MEZZ_SS].access_rights;

    if (l2->vmcs->exit.qualification != 0 || (stack_rights >> RIGHTS_DPL_SHIFT & 3) != 3)
        return die(l1, l2);
    l2->vmcs->events.entry_interruption_info =
        MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | INVALID_OPCODE;
    l2_wrote(l2, MEZZ_GROUP_EVENTS);
    return OUTCOME_GO_ON;
}

/* Time went by, or the guest can take an interrupt now: the scheduler looks at both anyway. */
static enum outcome event_exit(struct l1 *l1, struct l2 *l2)
{
    (void)l1;
    return l2->state == L2_HALTED ? OUTCOME_HALTED : OUTCOME_GO_ON;
}

exit_handler *const reflected_exits[EXIT_INDEX_COUNT] = {
    [EXIT_INDEX(MEZZ_EXIT_EXTERNAL_INTERRUPT)] = event_exit,
    [EXIT_INDEX(MEZZ_EXIT_INTERRUPT_WINDOW)] = event_exit,
    [EXIT_INDEX(MEZZ_EXIT_PREEMPTION_TIMER)] = event_exit,
    [EXIT_INDEX(MEZZ_EXIT_HLT)] = hlt_exit,
    [EXIT_INDEX(MEZZ_EXIT_IO)] = io_exit,
    [EXIT_INDEX(MEZZ_EXIT_RDMSR)] = msr_exit,
    [EXIT_INDEX(MEZZ_EXIT_WRMSR)] = msr_exit,
    [EXIT_INDEX(MEZZ_EXIT_EPT_VIOLATION)] = ept_violation_exit,
    [EXIT_INDEX(MEZZ_EXIT_EMULATION_FAILURE)] = emulation_exit,
    /* Every other one is the guest's end. */
};

enum outcome exit_dispatch(struct l1 *l1, struct l2 *l2)
{
    uint32_t index = EXIT_INDEX(l2->vmcs->exit.reason);
    const struct mezz_sync_area *sync = &l2->vmcs->sync;
    exit_handler *handler =
        index < EXIT_INDEX_COUNT ? l1->config.personality->handlers[index] : NULL;

    if (sync->count)
        guest_synchronize(l2, sync->record, sync->count);
    return handler ? handler(l1, l2) : die(l1, l2);
}
