/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vmcs/vmcs12.h"

#include <string.h>

#include "vmm/exits/msrs.h"
#include "vmm/vmcs/sync.h"
#include "vmm/vmcs/x86.h"

void vmcs12_regs_from_run(struct mezz_vmcs12_regs *to, struct kvm_vcpu *vcpu)
{
    const struct kvm_regs *from = &vcpu->run->s.regs.regs;

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_REGS);
    *to = (struct mezz_vmcs12_regs){
        .gpr = {[MEZZ_RAX] = from->rax,
                [MEZZ_RCX] = from->rcx,
                [MEZZ_RDX] = from->rdx,
                [MEZZ_RBX] = from->rbx,
                [MEZZ_RSP] = from->rsp,
                [MEZZ_RBP] = from->rbp,
                [MEZZ_RSI] = from->rsi,
                [MEZZ_RDI] = from->rdi,
                [MEZZ_R8] = from->r8,
                [MEZZ_R9] = from->r9,
                [MEZZ_R10] = from->r10,
                [MEZZ_R11] = from->r11,
                [MEZZ_R12] = from->r12,
                [MEZZ_R13] = from->r13,
                [MEZZ_R14] = from->r14,
                [MEZZ_R15] = from->r15},
        .guest_rip = from->rip,
        .guest_rflags = from->rflags,
    };
}

void vmcs12_regs_to_run(struct kvm_vcpu *vcpu, const struct mezz_vmcs12_regs *from)
{
    vcpu->run->s.regs.regs = (struct kvm_regs){
        .rax = from->gpr[MEZZ_RAX],
        .rcx = from->gpr[MEZZ_RCX],
        .rdx = from->gpr[MEZZ_RDX],
        .rbx = from->gpr[MEZZ_RBX],
        .rsp = from->gpr[MEZZ_RSP],
        .rbp = from->gpr[MEZZ_RBP],
        .rsi = from->gpr[MEZZ_RSI],
        .rdi = from->gpr[MEZZ_RDI],
        .r8 = from->gpr[MEZZ_R8],
        .r9 = from->gpr[MEZZ_R9],
        .r10 = from->gpr[MEZZ_R10],
        .r11 = from->gpr[MEZZ_R11],
        .r12 = from->gpr[MEZZ_R12],
        .r13 = from->gpr[MEZZ_R13],
        .r14 = from->gpr[MEZZ_R14],
        .r15 = from->gpr[MEZZ_R15],
        .rip = from->guest_rip,
        .rflags = from->guest_rflags,
    };
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_REGS);
}

/* Some KVMs leave a segment that is not present marked as usable. */
static void segment_from_kvm(struct mezz_segment *to, const struct kvm_segment *from)
{
    *to = (struct mezz_segment){
        .base = from->base,
        .limit = from->limit,
        .access_rights = (uint32_t)(from->type | from->s << 4 | from->dpl << RIGHTS_DPL_SHIFT |
                                    from->present << 7 | from->avl << RIGHTS_AVL_SHIFT |
                                    from->l << 13 | from->db << 14 | from->g << 15) |
                         (from->unusable || !from->present ? RIGHTS_UNUSABLE : 0),
        .selector = from->selector,
    };
}

static void segment_to_kvm(struct kvm_segment *to, const struct mezz_segment *from)
{
    uint32_t rights = from->access_rights;

    *to = (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = rights & RIGHTS_TYPE_MASK,
        .s = !!(rights & RIGHTS_S),
        .dpl = RIGHTS_DPL(rights),
        .present = !!(rights & RIGHTS_P),
        .avl = (rights >> RIGHTS_AVL_SHIFT) & 1U,
        .l = !!(rights & RIGHTS_L),
        .db = !!(rights & RIGHTS_DB),
        .g = !!(rights & RIGHTS_G),
        .unusable = !!(rights & RIGHTS_UNUSABLE),
    };
}

void vmcs12_system_from_run(struct mezz_vmcs12_system *to, struct kvm_vcpu *vcpu)
{
    const struct kvm_sregs *from = &vcpu->run->s.regs.sregs;
    const struct kvm_segment *segment[MEZZ_SEGMENT_COUNT] = {
        [MEZZ_ES] = &from->es,    [MEZZ_CS] = &from->cs, [MEZZ_SS] = &from->ss,
        [MEZZ_DS] = &from->ds,    [MEZZ_FS] = &from->fs, [MEZZ_GS] = &from->gs,
        [MEZZ_LDTR] = &from->ldt, [MEZZ_TR] = &from->tr};

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_SREGS);
    for (int i = 0; i < MEZZ_SEGMENT_COUNT; i++)
        segment_from_kvm(&to->segment[i], segment[i]);
    to->gdtr = (struct mezz_descriptor_table){from->gdt.base, from->gdt.limit, 0};
    to->idtr = (struct mezz_descriptor_table){from->idt.base, from->idt.limit, 0};
    to->guest_cr0 = from->cr0;
    to->guest_cr2 = from->cr2;
    to->guest_cr3 = from->cr3;
    to->guest_cr4 = from->cr4;
    to->guest_efer = from->efer;
    to->reserved = 0;
}

void vmcs12_system_to_run(struct kvm_vcpu *vcpu, const struct mezz_vmcs12_system *from)
{
    struct kvm_sregs *to = &vcpu->run->s.regs.sregs;
    struct kvm_segment *segment[MEZZ_SEGMENT_COUNT] = {
        [MEZZ_ES] = &to->es, [MEZZ_CS] = &to->cs, [MEZZ_SS] = &to->ss,    [MEZZ_DS] = &to->ds,
        [MEZZ_FS] = &to->fs, [MEZZ_GS] = &to->gs, [MEZZ_LDTR] = &to->ldt, [MEZZ_TR] = &to->tr};

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_SREGS);
    for (int i = 0; i < MEZZ_SEGMENT_COUNT; i++)
        segment_to_kvm(segment[i], &from->segment[i]);
    to->gdt = (struct kvm_dtable){.base = from->gdtr.base, .limit = (uint16_t)from->gdtr.limit};
    to->idt = (struct kvm_dtable){.base = from->idtr.base, .limit = (uint16_t)from->idtr.limit};
    to->cr0 = from->guest_cr0;
    to->cr2 = from->guest_cr2;
    to->cr3 = from->guest_cr3;
    to->cr4 = from->guest_cr4;
    to->efer = from->guest_efer;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_SREGS);
}

static uint32_t pending_event(const struct kvm_vcpu_events *events)
{
    if (events->exception.injected || events->exception.pending)
        return MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | events->exception.nr |
               (events->exception.has_error_code ? MEZZ_EVENT_DELIVER_CODE : 0);
    if (events->nmi.injected || events->nmi.pending)
        return MEZZ_EVENT_VALID | MEZZ_EVENT_NMI | 2;
    if (events->interrupt.injected)
        return MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | events->interrupt.nr;
    return 0;
}

uint32_t vmcs12_interruptibility(const struct kvm_vcpu_events *events)
{
    uint32_t state = events->nmi.masked ? INTERRUPTIBILITY_NMI : 0;

    if (events->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS)
        return state | INTERRUPTIBILITY_MOV_SS;
    if (events->interrupt.shadow & KVM_X86_SHADOW_INT_STI)
        return state | INTERRUPTIBILITY_STI;
    return state;
}

void vmcs12_events_from_run(struct mezz_vmcs12_events *to, struct l2_vcpu *vcpu)
{
    const struct kvm_vcpu_events *events = &vcpu->kvm->run->s.regs.events;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    *to = (struct mezz_vmcs12_events){
        .interruptibility_state = vmcs12_interruptibility(events),
        .activity_state = vcpu->halted,
    };
}

void vmcs12_exit_fill_vectoring(struct mezz_vmcs12_exit *to, struct l2_vcpu *vcpu)
{
    const struct kvm_vcpu_events *events = &vcpu->kvm->run->s.regs.events;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_EVENTS);
    to->idt_vectoring_info = pending_event(events);
    to->idt_vectoring_error_code = events->exception.error_code;
}

void vmcs12_inject(struct kvm_vcpu *vcpu, uint32_t info, uint32_t error_code)
{
    struct kvm_vcpu_events *events = &vcpu->run->s.regs.events;
    uint8_t vector = info & MEZZ_EVENT_VECTOR_MASK;

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_EVENTS);
    memset(&events->exception, 0, sizeof(events->exception));
    events->interrupt.injected = 0;
    events->nmi.injected = 0;
    events->nmi.pending = 0;
    switch (info & MEZZ_EVENT_TYPE_MASK) {
    case MEZZ_EVENT_EXTERNAL:
        events->interrupt.injected = 1;
        events->interrupt.nr = vector;
        events->interrupt.soft = 0;
        break;
    case MEZZ_EVENT_NMI:
        events->nmi.pending = 1;
        break;
    default:
        events->exception.injected = 1;
        events->exception.nr = vector;
        events->exception.has_error_code = !!(info & MEZZ_EVENT_DELIVER_CODE);
        events->exception.error_code = error_code;
        break;
    }
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_EVENTS);
}

/* Copies state to the VMCS12 if it differs from what is there, and says so. */
static uint64_t store_group(void *to, const void *from, size_t size, int group)
{
    if (memcmp(to, from, size) == 0)
        return 0;
    memcpy(to, from, size);
    return MEZZ_GROUP_BIT(group);
}

void vmcs12_store(struct l2_vcpu *vcpu)
{
    struct mezz_vmcs12 *to = vcpu->vmcs12;
    struct mezz_vmcs12_regs regs;
    struct mezz_vmcs12_system system;
    struct mezz_vmcs12_events events;
    struct mezz_vmcs12_exit exit;
    uint64_t changed = MEZZ_GROUP_BIT(MEZZ_GROUP_EXIT);

    vmcs12_regs_from_run(&regs, vcpu->kvm);
    vmcs12_system_from_run(&system, vcpu->kvm);
    vmcs12_events_from_run(&events, vcpu);
    vmcs12_exit_fill(&exit, vcpu);
    vmcs12_exit_fill_vectoring(&exit, vcpu);
    changed |= store_group(&to->regs, &regs, sizeof(regs), MEZZ_GROUP_REGS);
    changed |= store_group(&to->system, &system, sizeof(system), MEZZ_GROUP_SYSTEM);
    changed |= store_group(&to->events, &events, sizeof(events), MEZZ_GROUP_EVENTS);
    changed |= store_group(&to->ept, &vcpu->ept, sizeof(vcpu->ept), MEZZ_GROUP_EPT);
    if (vcpu->controls.exit_controls & MEZZ_VMEXIT_SAVE_MSRS) {
        struct mezz_vmcs12_msrs msrs;

        msrs_save(vcpu, &msrs);
        changed |= store_group(&to->msrs, &msrs, sizeof(msrs), MEZZ_GROUP_MSRS);
    }
    if (vcpu->controls.exit_controls & MEZZ_VMEXIT_SAVE_DEBUG) {
        struct mezz_vmcs12_debug debug;

        vmcs12_save_debug(vcpu, &debug);
        changed |= store_group(&to->debug, &debug, sizeof(debug), MEZZ_GROUP_DEBUG);
    }
    to->sync.count = 0;
    to->sync.more = 0;
    if (sync_waits(vcpu)) {
        uint32_t more;

        to->sync.count = sync_deliver(vcpu, to->sync.record, &more);
        to->sync.more = more;
    }
    vcpu->known =
        (struct sync_known){regs.guest_rip, events.interruptibility_state, events.activity_state};
    memcpy(&to->exit, &exit, sizeof(exit));
    to->completion = (struct mezz_vmcs12_completion){.value = UINT64_MAX};
    to->changed |= changed;
    to->clean = MEZZ_GROUPS_LOADED;
    to->abort = 0;
}

void vmcs12_store_failure(struct l2_vcpu *vcpu)
{
    struct mezz_vmcs12 *to = vcpu->vmcs12;
    struct mezz_vmcs12_exit exit;

    vmcs12_exit_fill(&exit, vcpu);
    vmcs12_exit_fill_vectoring(&exit, vcpu);
    memcpy(&to->exit, &exit, sizeof(exit));
    to->changed |= MEZZ_GROUP_BIT(MEZZ_GROUP_EXIT);
    to->abort = 0;
}
