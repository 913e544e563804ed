/* SPDX-License-Identifier: Apache-2.0 */
#include "protect_l1.h"

#include <string.h>

#include "entry_state.h"
#include "fake_kvm.h"
#include "input.h"
#include "mezz/callback.h"
#include "mezz/calls.h"
#include "mezz/ept.h"
#include "protect_world.h"
#include "vmm/machine_state.h"

/* Pages of L1's. */
#define VMCS(n)       ((FIRST_PAGE + (n)) * PAGE_SIZE)
#define PARAMETERS    ((FIRST_PAGE + 2) * PAGE_SIZE)
#define REGISTRATION  ((FIRST_PAGE + 3) * PAGE_SIZE)
#define STACK_TOP     ((FIRST_PAGE + 5) * PAGE_SIZE)
#define LIST          ((FIRST_PAGE + 5) * PAGE_SIZE)
#define CALL_FRAME(n) ((FIRST_PAGE + 8 + (n) % 8) * PAGE_SIZE)
#define TABLES(n)     ((FIRST_PAGE + 16 + 4U * (n) % 8) * PAGE_SIZE)
#define VCPUS         2U

static struct machine *machine;
static unsigned int calls; /* of L1 so far */

static void *pointer(uint64_t address)
{
    return machine->memory.base + address;
}

static void write_tables(unsigned int view)
{
    uint64_t *table = pointer(TABLES(view));

    for (unsigned int level = 0; level < 3; level++)
        table[512 * level] = (TABLES(view) + (level + 1) * PAGE_SIZE) | MEZZ_EPT_RWX;
    for (uint64_t i = 0; i < WORLD_PAGES; i++)
        table[512 * 3 + i] = (WORLD_FIRST + i) * PAGE_SIZE | MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK;
}

static void write_vmcs(unsigned int n)
{
    struct mezz_vmcs12 *vmcs = pointer(VMCS(n));

    memset(vmcs, 0, sizeof(*vmcs));
    vmcs->revision = MEZZ_VMCS12_REVISION;
    entry_state(&vmcs->regs, &vmcs->system, &vmcs->msrs, &vmcs->debug);
    vmcs->regs.guest_rip = WORLD_KERNEL;
    vmcs->regs.gpr[MEZZ_RSP] = WORLD_RSP0;
    vmcs->regs.guest_rflags = 0x202;
    vmcs->system.segment[MEZZ_TR].base = WORLD_TSS;
    vmcs->system.idtr = (struct mezz_descriptor_table){.base = WORLD_IDT, .limit = 0xfff};
    vmcs->system.gdtr = (struct mezz_descriptor_table){.base = WORLD_GDT, .limit = 0x3f};
    vmcs->system.guest_cr3 = world_cr3(0);
    vmcs->system.guest_efer = 0xd00;
    vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    vmcs->ept.eptp = MEZZ_EPTP(TABLES(0));
}

static int enter(struct kvm_run *run, uint8_t how)
{
    struct mezz_vmcs12 *vmcs = pointer(VMCS(how / 16 % VCPUS));

    if (how & 128) {
        vmcs->events.entry_interruption_info =
            MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | (take() | 32U);
        vmcs->clean &= ~MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS);
    }
    if (how & 64) {
        vmcs->completion.value = take() % 2;
        vmcs->completion.flags = take() % 2;
    }
    return call(run, MEZZ_CALL_ENTER, 1 + how / 16 % VCPUS, 0, 0);
}

static int register_callback(struct kvm_run *run)
{
    static const uint32_t reasons[] = {MEZZ_EXIT_PORTION,       MEZZ_EXIT_GUARD, MEZZ_EXIT_GATE,
                                       MEZZ_EXIT_EPT_VIOLATION, MEZZ_EXIT_IO,    MEZZ_EXIT_HLT};
    struct mezz_callback_registration *to = pointer(REGISTRATION);
    uint8_t how = take();

    *to = (struct mezz_callback_registration){
        .l2 = 1,
        .reason = reasons[how % 6],
        .mode = how & 64 ? MEZZ_MODE_OBSERVE : MEZZ_MODE_DECIDE,
        .handler = 0x1000,
        .stack = STACK_TOP,
        .frame = CALL_FRAME(how),
        .state_mask = how & 128 ? MEZZ_STATE_MASK_ALLOWED : 0,
    };
    return call(run, MEZZ_CALL_CALLBACK_REGISTER, REGISTRATION, 0, 0);
}

static int other_call(struct kvm_run *run)
{
    uint64_t *list = pointer(LIST);
    uint64_t value;
    uint8_t how = take();

    switch (how % 10) {
    case 0:
        return call(run, MEZZ_CALL_VCPU_DESTROY, 1 + how / 16 % VCPUS, 0, 0);
    case 1:
        return call(run, MEZZ_CALL_L2_DESTROY, 1, 0, 0);
    case 2:
        return call(run, MEZZ_CALL_L2_CREATE, PARAMETERS, 0, 0);
    case 3:
        write_vmcs(how / 16 % VCPUS);
        return call(run, MEZZ_CALL_VCPU_CREATE, 1, VMCS(how / 16 % VCPUS), 0);
    case 4:
        return call(run, MEZZ_CALL_CALLBACK_UNREGISTER, 1 + how / 16 % 4, 0, 0);
    case 5:
        value = (WORLD_FIRST + take_bytes(2) % WORLD_PAGES) * PAGE_SIZE | MEZZ_EPT_WRITE_BACK;
        value |= take() & 7;
        ((uint64_t *)pointer(TABLES(how / 32) + 3 * PAGE_SIZE))[take_bytes(2) % WORLD_PAGES] =
            value;
        return call(run, MEZZ_CALL_INVEPT, 1, 2, 0);
    case 6:
        write_tables(1);
        list[0] = MEZZ_EPTP(TABLES(0));
        list[1] = MEZZ_EPTP(TABLES(1));
        return call(run, MEZZ_CALL_EPTP_LIST, 1, LIST, 1 + how / 128);
    case 7:
        return call(run, MEZZ_CALL_L1_INTERRUPT, 0, 32 + how / 16, 0);
    case 8:
        value = take_bytes(2) | 8U << 16;
        return call(run, MEZZ_CALL_VMWRITE, 1 + how / 128, value, take_number());
    default:
        return any_call(run, MEZZ_CALL_COUNT);
    }
}

int protect_l1_run(struct kvm_run *run)
{
    uint8_t how;

    switch (calls++) {
    case 0:
        return call(run, MEZZ_CALL_L2_CREATE, PARAMETERS, 0, 0);
    case 1:
    case 2:
        return call(run, MEZZ_CALL_VCPU_CREATE, 1, VMCS(calls - 2), 0);
    default:
        how = take();
        break;
    }
    if (machine->l1[0]->mode == L1_IN_HANDLER)
        return call(run, MEZZ_CALL_CALLBACK_RETURN, 1 + how % 6, how / 8 % 4, how / 32);
    if (how % 16 < 10)
        return enter(run, how);
    return how % 16 < 13 ? register_callback(run) : other_call(run);
}

void protect_l1_begin(struct machine *begun)
{
    machine = begun;
    strcpy(((struct mezz_l2_parameters *)pointer(PARAMETERS))->name, "a");
    write_tables(0);
    for (unsigned int n = 0; n < VCPUS; n++)
        write_vmcs(n);
    world_64_bit();
    calls = 0;
}
