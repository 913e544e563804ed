/* SPDX-License-Identifier: Apache-2.0 */
#include "views/step.h"

#include <string.h>

#include "host/memory.h"

#define RFLAGS_RF    0x10000ULL
#define EFER_LMA     0x400ULL
#define DR6_STEP     0x4000ULL
#define DR7_FIRST    0x402ULL /* DR0, where an instruction begins */
#define PAGE_FLAGS   0x63ULL  /* present, writable, accessed, dirty */
#define LARGE_FLAGS  (PAGE_FLAGS | 0x80ULL)
#define NO_SLOT      (2ULL << 20)
#define CODE_ADDRESS ((uint64_t)PAGE_CODE * PAGE_SIZE)

/* As it was, but with nothing that comes before the first instruction, or holds debug exceptions
 * back. */
static void still(struct kvm_sync_regs *now)
{
    now->regs.rflags &= ~(STEP_FLAG | RFLAGS_RF);
    now->events.exception.injected = 0;
    now->events.exception.pending = 0;
    now->events.interrupt.injected = 0;
    now->events.interrupt.shadow = 0;
    now->events.nmi.injected = 0;
    now->events.nmi.pending = 0;
    now->events.flags |= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
}

/* A breakpoint at the first instruction is reached before that is executed, and what is left of a
 * step comes no later: one KVM_RUN, one exit to the root, whichever it is. */
static bool run_to_breakpoint(struct kvm_vcpu *vcpu, bool *was_left)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
    struct kvm_run *run = vcpu->run;
    const struct kvm_sregs *sregs = &run->s.regs.sregs;
    const bool flat = sregs->efer & EFER_LMA && sregs->cs.l;
    bool reached;

    still(&run->s.regs);
    kvm_vcpu_replaced(vcpu, KVM_SYNC_ALL);
    debug.arch.debugreg[0] = run->s.regs.regs.rip + (flat ? 0 : sregs->cs.base);
    debug.arch.debugreg[7] = DR7_FIRST;
    if (kvm_vcpu_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) != 0)
        return false;
    reached = kvm_vcpu_run(vcpu) == 0 && run->exit_reason == KVM_EXIT_DEBUG;
    *was_left = reached && run->debug.arch.dr6 & DR6_STEP;
    debug.control = 0;
    return kvm_vcpu_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) == 0 && reached;
}

/* False: KVM did not enter the guest, and there may be one still. */
static bool take(struct kvm_vcpu *vcpu)
{
    const uint8_t window = vcpu->run->request_interrupt_window;
    struct kvm_sync_regs before;
    bool was_left;
    bool taken;

    kvm_vcpu_need(vcpu, KVM_SYNC_ALL);
    before = vcpu->run->s.regs;
    vcpu->run->request_interrupt_window = 0;
    taken = run_to_breakpoint(vcpu, &was_left);
    vcpu->run->request_interrupt_window = window;
    vcpu->run->s.regs = before;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_ALL);
    return taken;
}

/* An exit of the guest's own puts what it leaves in the place of what was left. */
static bool entered(const struct kvm_run *run)
{
    return run->exit_reason != KVM_EXIT_INTR && run->exit_reason != KVM_EXIT_IRQ_WINDOW_OPEN &&
           run->exit_reason != KVM_EXIT_DIRTY_RING_FULL;
}

bool step_note(const struct kvm_run *run, uint8_t *step)
{
    if (run->s.regs.regs.rflags & STEP_FLAG)
        *step = STEP_HERE;
    else if (entered(run))
        *step = STEP_NONE;
    return *step != STEP_NONE;
}

void step_settle(struct kvm_vcpu *vcpu, uint8_t *step)
{
    kvm_vcpu_need(vcpu, KVM_SYNC_X86_REGS);
    if (*step == STEP_HERE && vcpu->run->s.regs.regs.rflags & STEP_FLAG)
        return;
    if (take(vcpu))
        *step = STEP_NONE;
}

/*
 * The probe's guest, in ring 0 of long mode: it reads a page without a slot, behind a MOV SS. It
 * does so twice, for KVM has none of its pages the first time, and single steps the second time.
 */
enum {
    PAGE_ROOT = 1,
    PAGE_POINTERS,
    PAGE_DIRECTORY,
    PAGE_CODE,
    PAGES
};

static void fill_memory(const struct memory *memory)
{
    /* mov %ecx, %ss; mov (%rbx), %eax; jmp . */
    static const uint8_t code[] = {0x8e, 0xd1, 0x8b, 0x03, 0xeb, 0xfe};
    uint64_t *pages = (uint64_t *)(void *)memory->base;
    const size_t words = PAGE_SIZE / sizeof(*pages);

    pages[PAGE_ROOT * words] = PAGE_POINTERS * PAGE_SIZE | PAGE_FLAGS;
    pages[PAGE_POINTERS * words] = PAGE_DIRECTORY * PAGE_SIZE | PAGE_FLAGS;
    pages[PAGE_DIRECTORY * words] = LARGE_FLAGS;
    pages[PAGE_DIRECTORY * words + 1] = NO_SLOT | LARGE_FLAGS;
    memcpy(memory->base + PAGE_CODE * PAGE_SIZE, code, sizeof(code));
}

static void start(struct kvm_vcpu *vcpu, uint64_t flags)
{
    struct kvm_sync_regs *now = &vcpu->run->s.regs;

    now->regs = (struct kvm_regs){.rip = CODE_ADDRESS, .rbx = NO_SLOT, .rflags = 2 | flags};
    probe_run_flat(&now->sregs, true);
    now->sregs.cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
    now->sregs.cr4 = 0x20;       /* PAE */
    now->sregs.efer = 0x500;     /* LMA, LME */
    now->sregs.cr3 = PAGE_ROOT * PAGE_SIZE;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}

/* Runs to the read and ends it. */
static bool reads(const struct probe_run *run, struct kvm_vcpu *vcpu)
{
    if (probe_run_once(run, vcpu) != 0 || vcpu->run->exit_reason != KVM_EXIT_MMIO ||
        vcpu->run->mmio.is_write || vcpu->run->mmio.phys_addr != NO_SLOT)
        return false;
    vcpu->run->immediate_exit = 1;
    return kvm_vcpu_run(vcpu) != 0;
}

static bool leaves_one(const struct probe_run *run, struct kvm_vcpu *vcpu)
{
    bool was_left;

    if (kvm_vcpu_ioctl(vcpu, KVM_GET_SREGS, &vcpu->run->s.regs.sregs) < 0)
        return false;
    start(vcpu, 0);
    if (!reads(run, vcpu))
        return false;
    start(vcpu, STEP_FLAG);
    if (!reads(run, vcpu))
        return false;
    start(vcpu, 0);
    kvm_vcpu_need(vcpu, KVM_SYNC_ALL);
    return run_to_breakpoint(vcpu, &was_left) && was_left;
}

bool step_probe(const struct kvm *kvm, const struct probe_run *run)
{
    struct kvm_vcpu vcpu;
    struct memory memory;
    struct error ignored;
    struct kvm_vm vm;
    bool leaves = false;

    if (kvm_extension(kvm, KVM_CAP_SET_GUEST_DEBUG) <= 0 ||
        memory_create_unnamed(&memory, PAGES * PAGE_SIZE, &ignored) != 0)
        return false;
    fill_memory(&memory);
    if (kvm_vm_create(&vm, kvm, &ignored) == 0) {
        if (kvm_vcpu_create(&vcpu, &vm, 0, kvm->cpuid, &ignored) == 0) {
            leaves = kvm_vm_set_slot(&vm, 0, 0, memory.size, memory.base, 0) == 0 &&
                     leaves_one(run, &vcpu);
            kvm_vcpu_destroy(&vcpu);
        }
        kvm_vm_destroy(&vm);
    }
    memory_destroy(&memory);
    return leaves;
}
