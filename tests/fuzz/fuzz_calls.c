/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call interface: the input is what an L1 and its L2s do, on a KVM that is none. L1 writes its
 * memory, sets up VMCS12s and EPT12s, and calls; the L2s exit. The whole root between them is the
 * real one. Whatever happens, the machine can be destroyed and nothing is left.
 */
#include <errno.h>
#include <string.h>

#include "entry_state.h"
#include "fake_kvm.h"
#include "fake_machine.h"
#include "input.h"
#include "mezz/callback.h"
#include "mezz/calls.h"
#include "mezz/ept.h"
#include "vmm/machine_state.h"

#define TABLES (FIRST_PAGE + PAGES)
#define VIEWS  4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine *machine;

static void *pointer(uint64_t address)
{
    return machine->memory.base + address;
}

static uint64_t eptp_of(unsigned int view)
{
    return MEZZ_EPTP((TABLES + 4ULL * (view % VIEWS)) * PAGE_SIZE);
}

static void write_memory(void)
{
    const uint64_t page = page_address(take());
    const uint64_t address = page + take_bytes(2) % PAGE_SIZE;
    unsigned int length = take() % 64U;

    for (unsigned int i = 0; i < length; i++)
        *(uint8_t *)pointer(address + i) = take();
}

/* One entry of the tables, in a level of a view. */
static void write_entry(void)
{
    uint8_t table = take();
    uint64_t *entry = pointer((TABLES + table % (4 * VIEWS)) * PAGE_SIZE);

    const uint64_t number = take_number();
    const uint64_t value = number ^ take();

    entry[take_bytes(2) % MEZZ_EPT_ENTRIES] = value;
}

/* View n: L2's page i is L1's page i, but that some are another one or have fewer rights. */
static void write_tables(unsigned int view)
{
    uint64_t at = (TABLES + 4ULL * (view % VIEWS)) * PAGE_SIZE;
    uint64_t *table = pointer(at);

    memset(table, 0, 4 * PAGE_SIZE);
    for (unsigned int level = 0; level < 3; level++)
        table[512 * level] = (at + (level + 1) * PAGE_SIZE) | MEZZ_EPT_RWX;
    for (uint64_t i = 0; i < 64; i++)
        table[512 * 3 + i] =
            (FIRST_PAGE + i % PAGES) * PAGE_SIZE | MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK;
    table[512 * 3 + view] = (FIRST_PAGE + view) * PAGE_SIZE | MEZZ_EPT_READ | MEZZ_EPT_WRITE_BACK;
}

static void write_vmcs(struct mezz_vmcs12 *vmcs, unsigned int view)
{
    memset(vmcs, 0, sizeof(*vmcs));
    vmcs->revision = MEZZ_VMCS12_REVISION;
    entry_state(&vmcs->regs, &vmcs->system, &vmcs->msrs, &vmcs->debug);
    vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    vmcs->ept.eptp = eptp_of(view);
}

static void write_registration(struct mezz_callback_registration *to)
{
    static const uint32_t reasons[] = {MEZZ_EXIT_IO,    MEZZ_EXIT_EPT_VIOLATION, MEZZ_EXIT_HLT,
                                       MEZZ_EXIT_WRMSR, MEZZ_EXIT_GATE,          MEZZ_EXIT_RDMSR};

    *to = (struct mezz_callback_registration){.l2 = 1, .handler = 0x1000};
    to->reason = reasons[take() % 6];
    to->mode = take() % 2 != 0 ? MEZZ_MODE_DECIDE : MEZZ_MODE_OBSERVE;
    to->stack = page_address(take()) + PAGE_SIZE;
    to->frame = page_address(take());
    to->state_mask = MEZZ_STATE_MASK_ALLOWED & take_bytes(2);
    to->condition_count = take() % 3;
    for (unsigned int i = 0; i < to->condition_count; i++) {
        to->condition[i].field = take();
        to->condition[i].op = take();
        to->condition[i].a = take_number();
        to->condition[i].b = take_number();
    }
}

/* Things that an L1 would have ready. */
static void prepare(void)
{
    uint8_t what = take();
    uint64_t page = page_address(what / 8);
    uint64_t *list = pointer(page);
    struct mezz_l2_parameters parameters = {.name = {(char)('a' + what / 128)}};

    switch (what % 8) {
    case 0:
    case 1:
        write_vmcs(pointer(page), what / 8);
        break;
    case 2:
    case 3:
        write_tables(what / 8);
        break;
    case 4:
        memcpy(pointer(page), &parameters, sizeof(parameters));
        break;
    case 5:
        write_registration(pointer(page));
        break;
    case 6:
        for (unsigned int i = 0; i < MEZZ_EPT_ENTRIES; i++)
            list[i] = i < VIEWS ? eptp_of(i) : 0;
        break;
    default:
        for (unsigned int i = 0; i < MEZZ_EPT_ENTRIES; i++)
            list[i] = page_address(i);
        break;
    }
}

static int run_l1(struct kvm_run *run)
{
    uint64_t number;

    for (int i = 0; i < 16; i++) {
        uint8_t what = take();

        switch (what % 16) {
        case 0:
            write_memory();
            break;
        case 1:
            write_entry();
            break;
        case 2:
        case 3:
        case 4:
            prepare();
            break;
        case 5:
        case 6:
        case 7:
            return call(run, MEZZ_CALL_ENTER, 1 + what / 128, 0, 0);
        case 8:
        case 9:
            number = take_number();
            return call(run, MEZZ_CALL_CALLBACK_RETURN, what / 16, number, take_number());
        case 10:
            return any_exit(run);
        default:
            return any_call(run, MEZZ_CALL_COUNT + 2U);
        }
    }
    return EINTR;
}

/* Registers, and memory, that are not what they were. */
static void alter(struct kvm_run *run, uint8_t how)
{
    struct kvm_sregs *sregs = &run->s.regs.sregs;
    uint64_t value;

    /* Another processor of L1 writes to its memory meanwhile: to a VMCS12, a frame, a table. */
    if ((how & 15) == 15)
        write_memory();
    else
        run->s.regs.regs.rip += how & 15;
    if (how & 16) {
        value = take_number();
        ((uint64_t *)&run->s.regs.regs)[take() % (sizeof(run->s.regs.regs) / 8)] = value;
    }
    if (how & 32)
        sregs->cr3 = take_number();
    if (how & 64) {
        value = take();
        ((uint8_t *)sregs)[take_bytes(2) % sizeof(*sregs)] = (uint8_t)value;
    }
    if (how & 128)
        run->s.regs.events.interrupt.shadow = take() & 3;
}

int fake_kvm_run(unsigned int vm, struct kvm_run *run)
{
    bool over = input_left() == 0;

    if (over)
        machine_end(machine, MACHINE_DONE, NULL);
    run->exit_reason = KVM_EXIT_INTR;
    if (over || (run->immediate_exit && take() % 8 != 0))
        return EINTR;
    run->ready_for_interrupt_injection = run->if_flag = vm == 0 || take() & 1;
    if (vm == 0)
        return run_l1(run);
    alter(run, take());
    return any_exit(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    machine = fake_machine_create(
        &(struct fake_host){.nested_paging = data[0] % 3 == 0, .logs_each_write = data[0] & 128});
    fake_machine_run(machine, data + 1, size - 1);
    return 0;
}
