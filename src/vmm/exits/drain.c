/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/drain.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2_view.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/x86.h"

/* More exits than one instruction makes without a REP prefix, and with one that runs on because the
 * guest exchanges the code beneath it: KVM looks up from those every 1,024 elements. */
#define DRAIN_LIMIT    8192

#define ADDRESS_PREFIX 0x67
#define REP_PREFIX     0xf3
#define REPNE_PREFIX   0xf2

/*
 * KVM's emulator goes on with a REP string instruction by itself, until the low ten bits of the
 * count are zero. It takes general registers that are replaced in between, so the count says where
 * it pauses: this is one element before.
 */
#define PAUSES_BEHIND_ONE 0x401U

/* What the count register is made to be while KVM ends elements. */
struct cut {
    bool made;
    uint64_t set;
    uint64_t once_more; /* what it was before all of them, for when one faults */
    uint64_t owed;      /* what it lacks then */
};

static bool is_prefix(uint8_t byte, bool long_mode)
{
    switch (byte) {
    case 0x26: /* segments */
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66: /* operand size */
    case ADDRESS_PREFIX:
    case 0xf0: /* LOCK */
    case REPNE_PREFIX:
    case REP_PREFIX:
        return true;
    default:
        return long_mode && (byte & 0xf0) == 0x40; /* REX */
    }
}

/* MOVS, CMPS, STOS, LODS, SCAS; INS and OUTS end their elements by themselves. */
static bool is_string(uint8_t opcode)
{
    return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

HOT bool l2_runs_64_bit(struct l2_vcpu *vcpu)
{
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
    return sregs->efer & EFER_LMA && sregs->cs.l;
}

uint64_t l2_linear_rip(struct l2_vcpu *vcpu)
{
    const struct kvm_sync_regs *now = &vcpu->kvm->run->s.regs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    return now->regs.rip + (l2_runs_64_bit(vcpu) ? 0 : now->sregs.cs.base);
}

size_t l2_read_code(struct l2_vcpu *vcpu, uint8_t code[CODE_LENGTH])
{
    const uint64_t linear = l2_linear_rip(vcpu);
    const struct kvm_regs *regs = &vcpu->kvm->run->s.regs.regs;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct guest_paging paging = {sregs->cr0,  sregs->cr3,   sregs->cr4,
                                        sregs->efer, regs->rflags, 0};
    struct guest_view memory = l2_view_memory(vcpu);
    const struct guest_reader reader = {guest_view_read, &memory};
    struct guest_fault fault;
    int length = guest_read(&paging, linear, GUEST_ANY, code, CODE_LENGTH, &reader, &fault);

    return length < 0 ? 0 : (size_t)length;
}

/* The bits of RCX that count the elements of the REP string instruction at RIP; 0: it is none. */
static uint64_t count_mask(struct l2_vcpu *vcpu)
{
    const bool long_mode = l2_runs_64_bit(vcpu);
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    uint8_t code[CODE_LENGTH];
    const size_t length = l2_read_code(vcpu, code);
    bool rep = false;
    bool other_size = false;
    size_t at;

    for (at = 0; at < length && is_prefix(code[at], long_mode); at++) {
        rep = rep || code[at] == REP_PREFIX || code[at] == REPNE_PREFIX;
        other_size = other_size || code[at] == ADDRESS_PREFIX;
    }
    if (at == length || !rep || !is_string(code[at]))
        return 0;
    if (long_mode)
        return other_size ? UINT32_MAX : UINT64_MAX;
    return (sregs->cs.db != 0) != other_size ? UINT32_MAX : UINT16_MAX;
}

static void set_regs(struct l2_vcpu *vcpu, const struct kvm_regs *regs)
{
    vcpu->kvm->run->s.regs.regs = *regs;
    kvm_vcpu_replaced(vcpu->kvm, KVM_SYNC_X86_REGS);
}

/* Elements of an INS that KVM has handed over at once: it stores as many as the count says then.
 * taken: how many were dispatched, the last of them included. */
static void cut_io(struct l2_vcpu *vcpu, const struct kvm_regs *now, uint32_t taken, bool undone,
                   struct cut *cut)
{
    const uint32_t before = taken - 1;
    const uint64_t bytes = (uint64_t)before * vcpu->exit.size;
    struct kvm_regs regs = *now;

    if (taken + vcpu->string.left == 1 || (vcpu->string.left == 0 && !undone))
        return;
    cut->made = true;
    cut->set = undone && before > 0 ? before : taken;
    cut->once_more = now->rcx + before;
    cut->owed = cut->once_more - cut->set;
    regs.rcx = cut->set;
    regs.rdi = now->rflags & RFLAGS_DF ? regs.rdi + bytes : regs.rdi - bytes;
    set_regs(vcpu, &regs);
}

static void cut_rep(struct l2_vcpu *vcpu, const struct kvm_regs *now, struct cut *cut)
{
    const uint64_t mask = count_mask(vcpu);
    struct kvm_regs regs = *now;

    if ((now->rcx & mask) <= 1)
        return;
    cut->made = true;
    cut->set = (now->rcx & ~mask) | PAUSES_BEHIND_ONE;
    cut->once_more = now->rcx;
    cut->owed = (now->rcx & mask) - PAUSES_BEHIND_ONE;
    regs.rcx = cut->set;
    set_regs(vcpu, &regs);
}

/* Puts the count right. */
static void mend(struct l2_vcpu *vcpu, const struct kvm_regs *before, const struct cut *cut,
                 bool io)
{
    struct kvm_regs regs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    regs = vcpu->kvm->run->s.regs.regs;
    if (regs.rcx == cut->set)
        regs.rcx = cut->once_more;
    else
        regs.rcx += cut->owed;
    if (io)
        regs.rip = before->rip;
    set_regs(vcpu, &regs);
}

/* One KVM_RUN in the view that the instruction ran in. */
static int run_on(struct l2_vcpu *vcpu, bool *own)
{
    int result = l2_view_hold(vcpu);

    *own = false;
    if (result != 0)
        return result;
    vcpu->kvm->run->immediate_exit = 1;
    result = kvm_vcpu_run(vcpu->kvm);
    *own = l2_view_after(vcpu);
    return result;
}

/* The read that KVM waits for and nobody has answered, or NULL. */
static struct l2_exit *unanswered(struct l2_vcpu *vcpu)
{
    struct l2_exit *last = vcpu->queued > 0 ? &vcpu->queue[vcpu->queued - 1] : &vcpu->exit;

    return last->flags & MEZZ_EXIT_PENDING && !last->done ? last : NULL;
}

static bool is_read(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write;
}

static void queue_exit(struct l2_vcpu *vcpu)
{
    if (vcpu->kvm->run->exit_reason == KVM_EXIT_MMIO && vcpu->queued < L2_EXIT_QUEUE)
        l2_exit_decode_mmio(vcpu, &vcpu->queue[vcpu->queued++]);
}

/* A further read of the instruction: by the root if it is the root's. */
static bool answer(struct l2_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->kvm->run;
    uint64_t data = 0;
    bool served = space_view_access(vcpu->place.view, l2_at(run->mmio.phys_addr), false, &data,
                                    run->mmio.len) == 0;

    memcpy(run->mmio.data, &data, sizeof(data));
    return served;
}

/* KVM_RUN until the instruction has ended. *undone: it needs an answer that only L1 has. */
static int finish(struct l2_vcpu *vcpu, bool stop_at_reads, bool *undone)
{
    for (int i = 0; i < DRAIN_LIMIT; i++) {
        bool own;
        int result = run_on(vcpu, &own);

        if (result != 0) {
            vcpu->kvm_pending = false;
            return result == -EINTR ? 0 : result;
        }
        if (own)
            continue;
        if (!is_read(vcpu->kvm->run) || stop_at_reads)
            queue_exit(vcpu);
        else if (!answer(vcpu))
            *undone = true;
        if (is_read(vcpu->kvm->run) && stop_at_reads)
            return 0;
    }
    vcpu->kvm_pending = false;
    return -ELOOP;
}

static int drain(struct l2_vcpu *vcpu, bool stop_at_reads)
{
    struct l2_exit *waiting = unanswered(vcpu);
    const bool reads = vcpu->exit.flags & MEZZ_EXIT_PENDING;
    const uint32_t taken = reads && vcpu->exit.reason == MEZZ_EXIT_IO
                               ? vcpu->kvm->run->io.count - vcpu->string.left
                               : 0;
    bool undone = waiting != NULL;
    struct cut cut = {.made = false};
    struct kvm_regs before = {0};
    unsigned int queued;
    int result;

    if (reads) {
        kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
        before = vcpu->kvm->run->s.regs.regs;
    }
    if (undone) {
        l2_exit_answer(waiting, 0, false);
        waiting->done = true;
        vcpu->queued -= waiting != &vcpu->exit;
    }
    if (taken > 0)
        cut_io(vcpu, &before, taken, undone, &cut);
    else if (reads && vcpu->exit.failure == NULL)
        cut_rep(vcpu, &before, &cut);
    queued = vcpu->queued;
    result = finish(vcpu, stop_at_reads && !undone, &undone);
    if (undone) {
        set_regs(vcpu, &before);
        vcpu->queued = queued;
    } else if (vcpu->kvm_pending && cut.made) {
        set_regs(vcpu, &before);
    } else if (cut.made) {
        mend(vcpu, &before, &cut, taken > 0);
    }
    return result;
}

static int drain_all(struct l2_vcpu *vcpu, bool stop_at_reads)
{
    int result;

    if (!vcpu->kvm_pending)
        return 0;
    result = drain(vcpu, stop_at_reads);
    if (result != 0 && result != -EAGAIN)
        machine_end(vcpu->l2->machine, MACHINE_HOST,
                    "KVM_RUN does not end an instruction of L2 %s at 0x%llx: %s", vcpu->l2->name,
                    (unsigned long long)vcpu->kvm->run->s.regs.regs.rip, strerror(-result));
    if (vcpu->exit.flags & MEZZ_EXIT_PENDING)
        vcpu->string = (struct l2_string){.left = 0};
    vcpu->exit.answer = NULL;
    vcpu->exit.failure = NULL;
    return result;
}

int l2_drain(struct l2_vcpu *vcpu)
{
    return drain_all(vcpu, false);
}

int l2_progress(struct l2_vcpu *vcpu)
{
    return drain_all(vcpu, true);
}
