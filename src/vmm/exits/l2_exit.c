/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/l2_exit.h"

#include <string.h>

#include "host/hot.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/guest_walk.h"
#include "vmm/l2_view.h"
#include "vmm/vmcs/x86.h"

/* What an OUT of 1, 2 or 4 bytes writes. */
static uint64_t written(const uint8_t *element, uint32_t size)
{
    uint64_t value = element[0];

    for (uint32_t i = 1; i < size; i++)
        value |= (uint64_t)element[i] << (8 * i);
    return value;
}

static void take_element(struct l2_vcpu *vcpu)
{
    struct l2_exit *exit = &vcpu->exit;
    const bool in = vcpu->string.first.qualification & MEZZ_IO_IN;
    uint8_t *element = vcpu->string.next;

    *exit = vcpu->string.first;
    exit->done = false;
    exit->value = in ? 0 : written(element, exit->size);
    exit->answer = in ? element : NULL;
    vcpu->string.next += exit->size;
    vcpu->string.left--;
}

/* KVM has not ended those before, so its registers are still at the first. It stores them within
 * one page: neither the count nor RDI wraps, whatever the address size. */
static void move_registers(struct l2_vcpu *vcpu)
{
    struct kvm_regs *regs = &vcpu->kvm->run->s.regs.regs;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    regs->rcx--;
    if (regs->rflags & RFLAGS_DF)
        regs->rdi -= vcpu->exit.size;
    else
        regs->rdi += vcpu->exit.size;
}

/* KVM is done with what is written once the first element is drained: the vCPU may have gone to
 * another view, and the run page with its old one, before L1 has seen the last. */
static void keep_written(struct l2_vcpu *vcpu, size_t bytes)
{
    memcpy(vcpu->written, vcpu->string.next, bytes);
    vcpu->string.next = vcpu->written;
}

HOT static void decode_io(struct l2_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->kvm->run;
    const bool in = run->io.direction == KVM_EXIT_IO_IN;
    const uint32_t size = run->io.size;
    const uint32_t count = run->io.count;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    vcpu->exit = (struct l2_exit){
        .reason = MEZZ_EXIT_IO,
        .flags = in ? MEZZ_EXIT_PENDING : MEZZ_EXIT_RETIRED,
        .qualification = (size - 1) | (in ? MEZZ_IO_IN : 0) | (count > 1 ? MEZZ_IO_STRING : 0) |
                         (uint64_t)run->io.port << MEZZ_IO_PORT_SHIFT,
        .size = size,
        .value = in ? 0 : written(data, size),
        .answer = in ? data : NULL,
    };
    vcpu->string.next = data + size;
    vcpu->string.left = count - 1;
    if (count > 1)
        vcpu->string.first = vcpu->exit;
    if (count > 1 && !in)
        keep_written(vcpu, (size_t)(count - 1) * size);
}

bool l2_exit_next(struct l2_vcpu *vcpu)
{
    if (vcpu->string.left > 0) {
        take_element(vcpu);
        if (vcpu->exit.answer != NULL)
            move_registers(vcpu);
        return true;
    }
    if (vcpu->queued == 0)
        return false;
    vcpu->extent = NULL;
    vcpu->exit = vcpu->queue[0];
    vcpu->queued--;
    memmove(&vcpu->queue[0], &vcpu->queue[1], vcpu->queued * sizeof(vcpu->queue[0]));
    return true;
}

/* What EPT12 allows there, as the SDM's exit qualification says it. */
HOT static uint64_t rights_by_walk(struct l2_vcpu *vcpu, uint64_t gpa)
{
    return (uint64_t)space_view_ept_rights(vcpu->place.view, &vcpu->kept, l2_at(gpa)) << 3;
}

/* The same of a data access: where the view has it all, as the view has it. The extent is kept for
 * whoever serves the access. */
HOT static uint64_t rights_of_access(struct l2_vcpu *vcpu, uint64_t gpa, uint32_t size)
{
    vcpu->extent = NULL;
    /* The gate is in no view, and nobody serves it: no table is to be walked for a switch. */
    if (vcpu->l2->has_gate && (gpa & ~(PAGE_SIZE - 1)) == MEZZ_GATE_ADDRESS)
        return 0;
    vcpu->extent = space_view_extent(vcpu->place.view, l2_at(gpa), size);
    if (vcpu->extent == NULL || vcpu->place.overlay != NULL)
        return rights_by_walk(vcpu, gpa);
    return (uint64_t)vcpu->extent->rights << 3;
}

HOT void l2_exit_decode_mmio(struct l2_vcpu *vcpu, struct l2_exit *to)
{
    struct kvm_run *run = vcpu->kvm->run;

    *to = (struct l2_exit){
        .reason = MEZZ_EXIT_EPT_VIOLATION,
        .flags = run->mmio.is_write ? MEZZ_EXIT_RETIRED : MEZZ_EXIT_PENDING,
        .qualification = (run->mmio.is_write ? MEZZ_EPT_VIOLATION_WRITE : MEZZ_EPT_VIOLATION_READ) |
                         rights_of_access(vcpu, run->mmio.phys_addr, run->mmio.len),
        .gpa = run->mmio.phys_addr,
        .size = run->mmio.len,
    };
    if (run->mmio.is_write)
        memcpy(&to->value, run->mmio.data, sizeof(to->value));
    else
        to->answer = run->mmio.data;
    if (to->size < sizeof(to->value))
        to->value &= (1ULL << (8 * to->size)) - 1;
    vcpu->kvm_pending = true;
}

static void decode_msr(struct l2_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->kvm->run;
    bool read = run->exit_reason == KVM_EXIT_X86_RDMSR;

    vcpu->exit = (struct l2_exit){
        .reason = read ? MEZZ_EXIT_RDMSR : MEZZ_EXIT_WRMSR,
        .flags = MEZZ_EXIT_PENDING,
        .value = read ? 0 : run->msr.data,
        .size = sizeof(uint64_t),
        .msr = run->msr.index,
        .answer = read ? (uint8_t *)&run->msr.data : NULL,
        .failure = &run->msr.error,
    };
    vcpu->kvm_pending = true;
}

HOT static const struct kvm_sync_regs *fetched_registers(struct l2_vcpu *vcpu)
{
    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    return &vcpu->kvm->run->s.regs;
}

/* Where the page is, or its table, if that is what the view lacks. False: the walk fails for
 * another reason. */
COLD static bool walk_to_code(struct l2_vcpu *vcpu, const struct guest_paging *paging,
                              uint64_t linear, uint64_t *gpa)
{
    struct guest_view memory = l2_view_memory(vcpu);
    const struct walked_memory walked = {guest_view_pointer, &memory, (uintptr_t)vcpu->place.view,
                                         space_changes(vcpu->l2->space)};
    struct guest_fault fault = {.kind = GUEST_FAULT_NONE};
    struct guest_translation at;

    if (kept_walk(&vcpu->walks, &walked, &at, paging, linear, GUEST_ANY, &fault) == 0)
        *gpa = at.address.value;
    else if (fault.kind == GUEST_FAULT_TABLE)
        *gpa = fault.table.value;
    else
        return false;
    return true;
}

HOT static bool find_code(struct l2_vcpu *vcpu, const struct guest_paging *paging, uint64_t linear,
                          uint64_t *gpa)
{
    const uint64_t page = linear & ~(PAGE_SIZE - 1);
    const struct kept_walk *walk =
        kept_walk_find(&vcpu->walks, (uintptr_t)vcpu->place.view, space_changes(vcpu->l2->space),
                       paging, paging->cr3, page, GUEST_ANY);

    if (walk == NULL)
        return walk_to_code(vcpu, paging, linear, gpa);
    *gpa = walk->translation.address.value + (linear - page);
    return true;
}

COLD static bool lacks_code(struct l2_vcpu *vcpu, uint64_t gpa)
{
    if (space_view_has(vcpu->place.view, l2_at(gpa), MEZZ_EPT_READ | MEZZ_EPT_EXECUTE))
        return false;
    vcpu->lack.view = vcpu->place.view;
    vcpu->lack.changes = space_changes(vcpu->l2->space);
    vcpu->lack.page = gpa & ~(PAGE_SIZE - 1);
    return true;
}

/* As long as nothing changes, a view lacks what it lacked. */
HOT static bool is_nowhere(struct l2_vcpu *vcpu, uint64_t gpa)
{
    return (vcpu->lack.view == vcpu->place.view &&
            vcpu->lack.changes == space_changes(vcpu->l2->space) &&
            vcpu->lack.page == (gpa & ~(PAGE_SIZE - 1))) ||
           lacks_code(vcpu, gpa);
}

/* An emulation failure is a fetch from where the view has nothing to execute, or an instruction
 * that KVM cannot run. The instruction may straddle: its first byte allowed, a later one not. */
HOT static void decode_internal_error(struct l2_vcpu *vcpu)
{
    const struct kvm_regs *regs = &fetched_registers(vcpu)->regs;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct guest_paging paging = {sregs->cr0,  sregs->cr3,   sregs->cr4,
                                        sregs->efer, regs->rflags, 0};
    uint64_t linear = l2_linear_rip(vcpu);
    const uint64_t last = linear + 14; /* an instruction has at most 15 bytes */

    vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_EMULATION_FAILURE};
    for (;;) {
        uint64_t gpa;

        if (!find_code(vcpu, &paging, linear, &gpa))
            return;
        if (is_nowhere(vcpu, gpa)) {
            vcpu->exit.reason = MEZZ_EXIT_EPT_VIOLATION;
            vcpu->extent = NULL; /* of an earlier exit: it may be gone */
            vcpu->exit.qualification = MEZZ_EPT_VIOLATION_FETCH | rights_by_walk(vcpu, gpa);
            vcpu->exit.gpa = gpa;
            vcpu->exit.linear = linear;
            return;
        }
        if (linear / PAGE_SIZE == last / PAGE_SIZE)
            return;
        linear = last & ~(PAGE_SIZE - 1);
    }
}

/* Apart: exits that are frequent need none of its registers and of its stack. */
COLD static void decode_rare(struct l2_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->kvm->run;

    switch (run->exit_reason) {
    case KVM_EXIT_HLT:
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_HLT, .flags = MEZZ_EXIT_RETIRED};
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        decode_msr(vcpu);
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_INTERRUPT_WINDOW};
        break;
    case KVM_EXIT_SHUTDOWN:
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_TRIPLE_FAULT};
        break;
    case KVM_EXIT_FAIL_ENTRY:
        vcpu->exit =
            (struct l2_exit){.reason = MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED,
                             .qualification = MEZZ_CHECK_HOST};
        break;
    default:
        /* What this root never asked for. Its number goes to the report. */
        vcpu->exit = (struct l2_exit){.reason = MEZZ_EXIT_EMULATION_FAILURE,
                                      .qualification = run->exit_reason};
        break;
    }
}

HOT void l2_exit_decode(struct l2_vcpu *vcpu)
{
    vcpu->queued = 0;
    if (vcpu->kvm->run->exit_reason == KVM_EXIT_IO) {
        vcpu->kvm_pending = true;
        decode_io(vcpu);
        return;
    }
    vcpu->string.left = 0;
    vcpu->kvm_pending = false;
    vcpu->extent = NULL;
    if (vcpu->kvm->run->exit_reason == KVM_EXIT_MMIO)
        l2_exit_decode_mmio(vcpu, &vcpu->exit);
    else if (vcpu->kvm->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        decode_internal_error(vcpu);
    else
        decode_rare(vcpu);
}

HOT void l2_exit_answer(const struct l2_exit *exit, uint64_t value, bool fault)
{
    if (exit->answer != NULL)
        memcpy(exit->answer, &value, exit->size);
    if (exit->failure != NULL)
        *exit->failure = fault;
}
