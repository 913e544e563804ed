/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks of an L1 on the root, one by one: "case=NAME". Each is refused with its own error, and
 * what is left of the L2 goes on as if it had not been tried.
 */
#include "hostile_l1.h"
#include "mezz/gate.h"

#include "kit_program.h"

#define FLIPS 300U

KIT_CODE(case_code, "1: outb %al, $0x61\n jmp 1b");

static struct kit_guest guest;
static struct kit_callback callback;
static bool as_expected; /* each answer so far */

static void expect(int64_t got, enum mezz_error error)
{
    as_expected &= got == -(int64_t)error;
}

/* --- callbacks --- */

static void call_with(void (*hook)(struct kit_callback *))
{
    kit_open(&guest, KIT_LONG, case_code);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_IO);
    callback.hook = hook;
    callback.action = MEZZ_ACTION_REFLECT;
    kit_register(&callback);
    as_expected &= kit_exit(&guest) == MEZZ_EXIT_IO && callback.fired == 1;
}

static void return_twice(void)
{
    call_with(NULL);
    for (uint64_t action = 0; action <= MEZZ_ACTION_COUNT; action++)
        expect(hostile_call(MEZZ_CALL_CALLBACK_RETURN, action, 0, 0), MEZZ_E_STATE);
}

static void unregister_it(struct kit_callback *it)
{
    expect(hostile_call(MEZZ_CALL_CALLBACK_UNREGISTER, (uint64_t)it->number, 0, 0), MEZZ_E_STATE);
    expect(hostile_call(MEZZ_CALL_VCPU_DESTROY, it->guest->vcpu, 0, 0), MEZZ_E_STATE);
    expect(hostile_call(MEZZ_CALL_L2_DESTROY, it->guest->l2, 0, 0), MEZZ_E_STATE);
    expect(hostile_call(MEZZ_CALL_ENTER, it->guest->vcpu, 0, 0), MEZZ_E_STATE);
}

static void unregister_in_flight(void)
{
    call_with(unregister_it);
}

static void forge_actions(struct kit_callback *it)
{
    static const uint64_t forged[] = {MEZZ_ACTION_COUNT, 64, 1ULL << 31, 1ULL << 32 | 1,
                                      UINT64_MAX};

    (void)it;
    for (unsigned int i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
        expect(hostile_call(MEZZ_CALL_CALLBACK_RETURN, forged[i], 0, 0), MEZZ_E_ACTION);
    expect(hostile_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, 1ULL << 63),
           MEZZ_E_ACTION);
    expect(hostile_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_SWITCH_VIEW, 512, 0), MEZZ_E_VIEW);
}

static void forged_action(void)
{
    call_with(forge_actions);
}

/* --- VMCS12 --- */

static void refused_entry(enum mezz_entry_check check)
{
    guest.vmcs->clean = 0;
    as_expected &= kit_exit(&guest) == (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED) &&
                   (uint32_t)guest.vmcs->exit.qualification == (uint32_t)check;
    hostile.refused++;
    kit_start_state(guest.vmcs, KIT_LONG, case_code);
}

static void forged_vmcs(void)
{
    kit_open(&guest, KIT_LONG, case_code);
    guest.vmcs->system.guest_cr0 = 1ULL << 31;
    refused_entry(MEZZ_CHECK_CR0);
    guest.vmcs->system.guest_cr4 |= 1ULL << 63;
    refused_entry(MEZZ_CHECK_CR4);
    guest.vmcs->system.guest_efer |= 2;
    refused_entry(MEZZ_CHECK_EFER);
    guest.vmcs->regs.guest_rip = 1ULL << 62;
    refused_entry(MEZZ_CHECK_RIP);
    guest.vmcs->controls.cpu_based = UINT32_MAX;
    refused_entry(MEZZ_CHECK_CONTROLS);
    guest.vmcs->controls.cpu_based |= MEZZ_CPU_USE_IO_BITMAPS;
    guest.vmcs->controls.io_bitmap_a = kit.memory_end;
    refused_entry(MEZZ_CHECK_BITMAP_ADDRESS);
    guest.vmcs->events.entry_interruption_info = 0x80000000U | 7U << 8;
    refused_entry(MEZZ_CHECK_EVENT);
    guest.vmcs->events.entry_interruption_info = 0;
    guest.vmcs->revision = 0;
    expect(kit_enter(&guest), MEZZ_E_VMCS);
    guest.vmcs->revision = MEZZ_VMCS12_REVISION;
    guest.vmcs->clean = 0;
    as_expected &= kit_exit(&guest) == MEZZ_EXIT_IO;
}

/* --- double fetch: the second vCPU alters what the first one's call is about to read --- */

static volatile bool flipping = true, flips;

static _Noreturn void flip(volatile struct mezz_vmcs12 *vmcs)
{
    const uint64_t good = vmcs->ept.eptp, bad = MEZZ_EPTP(kit.memory_end);
    const uint64_t rip = vmcs->regs.guest_rip;

    /* With interrupts off nothing ends this loop under Bochs, and the other vCPU never runs. */
    __asm__ volatile("sti");
    for (flips = true; flipping;) {
        vmcs->ept.eptp = bad;
        vmcs->regs.guest_rip = 1ULL << 62;
        vmcs->controls.io_bitmap_a = kit.memory_end;
        vmcs->ept.eptp = good;
        vmcs->regs.guest_rip = rip;
        vmcs->controls.io_bitmap_a = 0;
    }
    vmcs->revision = MEZZ_VMCS12_REVISION;
    flips = false;
    for (;;)
        __asm__ volatile("pause");
}

/* Whatever is copied is whole: L2 runs from its first instruction, or one of the checks fails. */
static bool is_whole(int64_t reason)
{
    const struct mezz_vmcs12_exit *exit = &guest.vmcs->exit;

    if (reason == (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED)) {
        hostile.refused++;
        return (uint32_t)exit->qualification == MEZZ_CHECK_RIP ||
               exit->qualification == ((uint64_t)MEZZ_E_EPT_ADDRESS << 32 | MEZZ_CHECK_EPT);
    }
    return reason == MEZZ_EXIT_IO && exit->qualification >> MEZZ_IO_PORT_SHIFT == 0x61;
}

static void double_fetch(void)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;

    kit_open(&guest, KIT_LONG, case_code);
    as_expected &=
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)flip, stack, kit_address(guest.vmcs)) == 1;
    while (!flips)
        __asm__ volatile("pause");
    /* With one processor the vCPUs take turns, and it takes longer until one meets the other. */
    for (unsigned int i = 0; i < FLIPS || (hostile.refused == 0 && i < 100 * FLIPS); i++) {
        guest.vmcs->clean = 0;
        as_expected &= is_whole(kit_exit(&guest));
    }
    flipping = false;
    while (flips)
        __asm__ volatile("pause");
}

/* --- EPT12 --- */

static void refused_ept(const uint64_t *pml4, enum mezz_error error)
{
    uint64_t *list = kit_pages(1);

    list[0] = MEZZ_EPTP(kit_address(pml4));
    expect(hostile_call(MEZZ_CALL_EPTP_LIST, guest.l2, kit_address(list), 1), error);
    guest.vmcs->ept.eptp = list[0];
    guest.vmcs->clean = 0;
    as_expected &= kit_exit(&guest) == (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED) &&
                   guest.vmcs->exit.qualification == ((uint64_t)error << 32 | MEZZ_CHECK_EPT);
    hostile.refused++;
}

static void ept_loop(void)
{
    uint64_t *loop = kit_pages(1);

    kit_fill(loop, 512, kit_address(loop) | MEZZ_EPT_RWX);
    refused_ept(loop, MEZZ_E_EPT_FORMAT);
}

static void ept_deep(void)
{
    uint64_t *tables = kit_pages(3);

    for (unsigned int i = 0; i < 2; i++)
        kit_fill(tables + 512 * i, 512, kit_address(tables + 512 * (i + 1)) | MEZZ_EPT_RWX);
    refused_ept(tables, MEZZ_E_EPT_LIMIT);
}

static void ept_reserved(void)
{
    uint64_t *pml4 = kit_ept(guest.data);

    pml4[1] = pml4[0] | MEZZ_EPT_LEAF;
    refused_ept(pml4, MEZZ_E_EPT_FORMAT);
}

static void ept_outside(void)
{
    uint64_t *pml4 = kit_ept(guest.data);

    kit_ept_map(pml4, KIT_L2_ABSENT, kit_at(kit.memory_end), MEZZ_EPT_RWX);
    refused_ept(pml4, MEZZ_E_EPT_ADDRESS);
    pml4[1] = (1ULL << 45) | MEZZ_EPT_RWX;
    refused_ept(pml4, MEZZ_E_EPT_ADDRESS);
}

/* Lists of 512 EPT12s, each of as many tables as there may be: never done in any time there is. */
static void ept_lists(void)
{
    uint64_t *directory = kit_pages(1), *pdpt = kit_pages(1), *list = kit_pages(1);

    kit_fill(directory, 512, kit_address(kit_pages(1)) | MEZZ_EPT_RWX);
    kit_fill(pdpt, 7, kit_address(directory) | MEZZ_EPT_RWX);
    for (unsigned int i = 0; i < 512; i++) {
        uint64_t *pml4 = kit_pages(1);

        pml4[0] = kit_address(pdpt) | MEZZ_EPT_RWX;
        list[i] = MEZZ_EPTP(kit_address(pml4));
    }
    for (;;) {
        hostile_call(MEZZ_CALL_INVEPT, guest.l2, 2, 0);
        hostile_call(MEZZ_CALL_EPTP_LIST, guest.l2, kit_address(list), 512);
    }
}

/* L2 may write the tables that it lives by: it then gives itself what L1 has, and not more. */
KIT_CODE(case_self, "movq %rax, (%rbx)\n outb %al, $0x61\n movq (%rdx), %rcx\n hlt");

static void ept_self(void)
{
    uint64_t *leaf;

    kit_start_state(guest.vmcs, KIT_LONG, case_self);
    guest.pml4 = kit_ept(guest.data);
    leaf = kit_ept_leaf(guest.pml4, KIT_L2_ABSENT);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, kit_at(kit_address(leaf) & ~0xfffULL), MEZZ_EPT_RWX);
    guest.vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_ABSENT + 8 * 511;
    guest.vmcs->regs.gpr[MEZZ_RAX] = kit.memory_end | KIT_LEAF;
    guest.vmcs->regs.gpr[MEZZ_RDX] = (KIT_L2_ABSENT & ~0x1fffffULL) + 4096 * 511;
    guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(guest.pml4));
    guest.vmcs->clean = 0;
    as_expected &= kit_exit(&guest) == MEZZ_EXIT_IO;
    as_expected &= kit_exit(&guest) == MEZZ_EXIT_EPT_VIOLATION &&
                   guest.vmcs->exit.guest_physical_address == guest.vmcs->regs.gpr[MEZZ_RDX];
    kit_invept(&guest);
    as_expected &=
        kit_exit(&guest) == (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED) &&
        guest.vmcs->exit.qualification == ((uint64_t)MEZZ_E_EPT_ADDRESS << 32 | MEZZ_CHECK_EPT);
    hostile.refused++;
}

static const struct {
    const char *name;
    void (*run)(void);
    bool needs_guest;
} cases[] = {
    {"return-twice", return_twice, false},
    {"unregister-in-flight", unregister_in_flight, false},
    {"forged-action", forged_action, false},
    {"forged-vmcs", forged_vmcs, false},
    {"double-fetch", double_fetch, false},
    {"ept-loop", ept_loop, true},
    {"ept-deep", ept_deep, true},
    {"ept-reserved", ept_reserved, true},
    {"ept-outside", ept_outside, true},
    {"ept-self", ept_self, true},
    {"ept-lists", ept_lists, true},
};

/* Negative: there is no such case. */
int run_case(const char *name)
{
    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!kit_same(cases[i].name, name))
            continue;
        kit.group = "case";
        kit.l2 = 0;
        as_expected = true;
        if (cases[i].needs_guest)
            kit_open(&guest, KIT_LONG, case_code);
        cases[i].run();
        return as_expected && (hostile.refused > 0 || cases[i].run == double_fetch);
    }
    return -1;
}
