/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portions and guards at work: an L2 with two programs, of which one or the other is declared, on a
 * KVM that is none. The input is what the L2's programs and its kernel do, and what L1 does
 * meanwhile. Before each KVM_RUN the vCPU's view has nothing that it is not to have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kvm.h"
#include "fake_machine.h"
#include "input.h"
#include "mezz/errors.h"
#include "protect_checks.h"
#include "protect_l1.h"
#include "protect_world.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/guard_event.h"
#include "vmm/protect/hooks/policy.h"

#define FRAME 40U /* bytes of what the processor pushes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct machine *machine;
static struct guard_config guard_config;
static bool guarded; /* a guard, or portions */

/* Of the L2; one outside of its memory is inside. */
static void *l2_pointer(uint64_t physical)
{
    return machine->memory.base + WORLD_FIRST * PAGE_SIZE +
           physical % (WORLD_PAGES * PAGE_SIZE - 64);
}

static int64_t hear(void *context, const struct guard_event *event, uint64_t patience_ns,
                    bool *heard)
{
    static const int64_t answers[] = {MEZZ_GUARD_ALLOW, -1, -14, MEZZ_GUARD_KILL, -EPERM, 1};

    (void)context;
    (void)patience_ns;
    if (!guard_event_is_sound(event, guard_event_size(event)))
        abort();
    *heard = take() & 1;
    return event->reason == HOOK_REASON_ASKED ? answers[take() % 6] : 0;
}

static bool over(void *context)
{
    (void)context;
    return false;
}

/* --- L2 --- */

static unsigned int space_of(const struct kvm_sregs *sregs)
{
    return sregs->cr3 == world_cr3(1);
}

/* KVM cannot get at the instruction. */
static int fetch(struct kvm_run *run, uint64_t rip, unsigned int ring)
{
    run->s.regs.regs.rip = rip;
    world_ring(&run->s.regs.sregs, ring);
    run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    run->emulation_failure.ndata = 0;
    run->emulation_failure.flags = 0;
    return 0;
}

static uint64_t take_place(void)
{
    const uint8_t number = take();

    return world_place(number % 128) + (number & 128 ? take_bytes(2) % PAGE_SIZE : 0);
}

static int user_fetch(struct kvm_run *run, uint8_t how)
{
    struct kvm_regs *regs = &run->s.regs.regs;

    if (how & 16)
        run->s.regs.sregs.cr3 = world_cr3(how >> 5);
    if (how & 64)
        regs->rsp = WORLD_STACK + 0x800 + (how & 128 ? take() * 8ULL : 0);
    return fetch(run, take_place(), 3);
}

static void *kernel_stack(const struct kvm_run *run, uint64_t at)
{
    return l2_pointer(world_physical(space_of(&run->s.regs.sregs), at));
}

/* An interrupt or an exception, at the kernel's first instruction. */
static int interrupted(struct kvm_run *run, uint8_t how)
{
    static const uint8_t vectors[] = {128, 6, 14, 32};
    const struct kvm_sregs *sregs = &run->s.regs.sregs;
    struct kvm_regs *regs = &run->s.regs.regs;
    const uint8_t vector = how & 64 ? take() : vectors[how / 16 % 4];
    const uint64_t frame[] = {regs->rip, sregs->cs.selector, regs->rflags, regs->rsp,
                              sregs->ss.selector};
    const uint64_t at = WORLD_RSP0 - FRAME - (vector == 14 ? 8 : 0);

    memcpy(kernel_stack(run, WORLD_RSP0 - FRAME), frame, sizeof(frame));
    regs->rsp = at;
    run->s.regs.events.interrupt.injected = how >> 7;
    return fetch(run, WORLD_KERNEL + 16ULL * vector, 0);
}

/* The kernel goes back to where it was interrupted. */
static int back(struct kvm_run *run, uint8_t how)
{
    struct kvm_regs *regs = &run->s.regs.regs;
    uint64_t frame[FRAME / 8];

    memcpy(frame, kernel_stack(run, WORLD_RSP0 - FRAME), sizeof(frame));
    regs->rflags = frame[2] & 0xcd7;
    regs->rsp = frame[3] + (how & 16 ? take() * 8ULL : 0);
    return fetch(run, frame[0] + (how & 32 ? take() : 0), 3);
}

static int data_access(struct kvm_run *run, uint8_t how)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    const uint64_t linear = take_place();

    if (how & 16)
        run->s.regs.regs.rip = take_place();
    world_ring(&run->s.regs.sregs, how & 32 ? 3 : 0);
    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = world_physical(space_of(&run->s.regs.sregs), linear);
    run->mmio.len = sizes[how / 64];
    run->mmio.is_write = take() & 1;
    for (unsigned int i = 0; i < 8; i++)
        run->mmio.data[i] = i < 2 ? take() : 0;
    /* One does not cross a page. */
    run->mmio.phys_addr -= run->mmio.phys_addr % run->mmio.len;
    return 0;
}

static int gate(struct kvm_run *run, uint8_t how)
{
    run->s.regs.regs.rip = take_place();
    if (how & 64)
        run->s.regs.regs.rsp = WORLD_STACK + 0x800;
    world_ring(&run->s.regs.sregs, how & 16 ? 0 : 3);
    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = MEZZ_GATE_ADDRESS + (how & 32 ? take() : 0);
    run->mmio.len = 1;
    run->mmio.is_write = 1;
    memset(run->mmio.data, 0, sizeof(run->mmio.data));
    run->mmio.data[0] = how & 128 ? take() : HOOK_INDEX;
    return 0;
}

/* The agent is done, or asks. */
static int door(struct kvm_run *run, uint8_t how)
{
    const struct hook_plan *plan = guard_config.plan;
    struct kvm_regs *regs = &run->s.regs.regs;
    struct mezz_guard_record *record =
        l2_pointer(world_physical(space_of(&run->s.regs.sregs), plan->record));

    if (how & 16) {
        *record = (struct mezz_guard_record){.function = take() % 4};
        record->verdict = take() % 8;
        record->argument[0] = take();
        record->argument[1] = take();
        record->copy[0] = plan->exchange + take();
        record->copy[1] = take_place();
        record->length[0] = take_bytes(2);
        record->length[1] = take();
    }
    regs->rsp = plan->stack_end - 64 - (how & 32 ? take() : 0);
    regs->rdi = how & 64 ? MEZZ_GUARD_ASKS : take() % 8;
    regs->rax = take_number();
    return fetch(run, plan->door, 3);
}

/* What ring 3 or the kernel writes without an exit: bytes, or where a page is mapped. */
static void write_something(const struct kvm_run *run, uint8_t how)
{
    const unsigned int space = space_of(&run->s.regs.sregs);
    const uint64_t linear = take_place();
    const uint64_t entry = world_entry(space, linear);

    if (how & 16 && entry != 0) {
        const uint64_t to =
            how & 32 ? world_physical(space ^ 1, linear) : world_physical(space, take_place());
        *(uint64_t *)l2_pointer(entry) = (to & ~(PAGE_SIZE - 1)) | (take() ^ 7);
    } else {
        memset(l2_pointer(world_physical(space, linear)), take(), 1U + how / 64);
    }
}

static void alter(struct kvm_run *run, uint8_t how)
{
    struct kvm_sregs *sregs = &run->s.regs.sregs;
    uint64_t value;

    switch (how / 16 % 8) {
    case 0:
    case 1:
        value = how & 128 ? take_number() : take_place();
        ((uint64_t *)&run->s.regs.regs)[take() % (sizeof(run->s.regs.regs) / 8)] = value;
        break;
    case 2:
        sregs->cr3 = how & 128 ? take_number() : world_cr3(take());
        break;
    case 3:
        sregs->cr0 ^= how & 128 ? 8 : 1ULL << take() % 32;
        break;
    case 4:
        value = take();
        ((uint8_t *)sregs)[take_bytes(2) % sizeof(*sregs)] = (uint8_t)value;
        break;
    case 5:
        fake_kvm_pass(take() * 1000000ULL);
        break;
    case 7:
        world_change_mode(how & 128 ? 3 : 0);
        break;
    default:
        run->s.regs.events.interrupt.shadow = how >> 7;
        run->s.regs.regs.rflags ^= 0x200;
        break;
    }
}

static int run_l2(struct kvm_run *run)
{
    static const uint8_t copies[][4] = {
        {0x0f, 0x6f, 0x07}, {0xf3, 0xa4}, {0x48, 0x8b, 0x07}, {0x48, 0x89, 0x06}};

    for (int i = 0; i < 16; i++) {
        const uint8_t how = take();

        switch (how % 16) {
        case 0:
        case 1:
        case 2:
            return user_fetch(run, how);
        case 3:
        case 4:
            return interrupted(run, how);
        case 5:
            return back(run, how);
        case 6:
        case 7:
            return data_access(run, how);
        case 8:
            return gate(run, how);
        case 9:
            return door(run, how);
        case 10:
            return fetch(run, take_place(), how & 16 ? 3 : 0);
        case 11:
            memcpy(l2_pointer(world_physical(space_of(&run->s.regs.sregs), WORLD_MAIN)),
                   copies[how / 16 % 4], sizeof(copies[0]));
            run->s.regs.regs.rdi = take_place();
            run->s.regs.regs.rsi = take_place();
            return fetch(run, WORLD_MAIN, how & 128 ? 3 : 0);
        case 12:
            return any_exit(run);
        case 13:
            write_something(run, how);
            break;
        case 14:
            alter(run, how);
            break;
        default:
            return how & 128 ? EINTR : any_exit(run);
        }
    }
    return EINTR;
}

static void check(unsigned int vm, const struct kvm_run *run)
{
    struct l2_vcpu *vcpu = machine->l1[0]->entered;

    if (run->immediate_exit)
        return;
    /* It may be a vCPU of the root's own, that makes page tables known. */
    if (vcpu == NULL || vcpu->kvm->run != run || vcpu->l2->policy == NULL)
        return;
    if (guarded)
        protect_check_guard(vcpu, vm);
    else
        protect_check_portions(vcpu, vm);
}

/* An instruction that is completed may exit once more, and do much, but it changes no mode. */
int fake_kvm_run(unsigned int vm, struct kvm_run *run)
{
    const bool is_over = input_left() == 0;
    struct kvm_segment cs;
    uint64_t efer;
    bool completes;
    int code;

    if (is_over)
        machine_end(machine, MACHINE_DONE, NULL);
    run->exit_reason = KVM_EXIT_INTR;
    if (is_over || (run->immediate_exit && take() % 8 != 0))
        return EINTR;
    run->ready_for_interrupt_injection = run->if_flag = 1;
    if (vm == 0) {
        protect_forget();
        return protect_l1_run(run);
    }
    check(vm, run);
    completes = run->immediate_exit;
    efer = run->s.regs.sregs.efer;
    cs = run->s.regs.sregs.cs;
    code = run_l2(run);
    if (completes) {
        run->s.regs.sregs.efer = efer;
        run->s.regs.sregs.cs = cs;
    }
    protect_left(run);
    return code;
}

/* --- the machine --- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const uint8_t *pages;
    size_t size;

    (void)argc;
    (void)argv;
    world_make();
    pages = world_pages(&size);
    fake_kvm_begin_with(pages, WORLD_FIRST * PAGE_SIZE, size);
    return 0;
}

/* Two bytes of the input say what is declared, and how. */
static void declare(uint8_t what, uint8_t how)
{
    static const struct guard_listener listener = {NULL, hear, over};
    struct portion *portion = &world_table.portion[0];
    struct l2_record *record;

    if (machine_record(machine, "a", &record) != 0)
        abort();
    record->engine = (enum engine_kind)(what / 2 % (ENGINE_KINDS + 1));
    guarded = what & 1;
    if (guarded) {
        guard_config = (struct guard_config){
            .plan = &world_plan[how % WORLD_PLANS],
            .on_refusal = (enum portion_refusal)(how / 4 % REFUSAL_KINDS),
            .budget_ns = how & 16 ? 1000000 : 0,
            .decider = (enum guard_decider)(how / 32 % GUARD_DECIDERS),
            .patience_ns = 1000,
            .heard = how & 128,
            .program = world_table.program,
            .programs = 1,
        };
        machine->listener = &listener;
        record->guard = &guard_config;
    } else {
        guard_config.plan = &world_plan[0];
        portion->on_refusal = (enum portion_refusal)(how % REFUSAL_KINDS);
        portion->strict = how & 4;
        portion->tolerated = how & 8 ? (uint64_t)how << (how >> 4) : 0;
        record->portions = &world_table;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    machine = fake_machine_create(
        &(struct fake_host){.nested_paging = data[0] & 64, .logs_each_write = data[0] & 128});
    declare(data[0], data[1]);
    protect_l1_begin(machine);
    fake_machine_run(machine, data + 2, size - 2);
    return 0;
}
