/* SPDX-License-Identifier: Apache-2.0 */
/* A VMCS12's guest state in a VMCB, and back. */
#include "lib/machine.h"
#include "mezz/exit.h"
#include "mezz/vmcs12.h"
#include "svm/svm.h"

/* Access rights of the SDM (table 25-2) have the descriptor's bits 52 to 55 four bits higher. */
#define RIGHTS_LOW  0xffU
#define RIGHTS_HIGH 0xf000U
#define ATTRIBUTE_P 0x80U
#define CPL(rights) ((uint8_t)((rights) >> 5 & 3))

static struct vmcb_segment to_vmcb(const struct mezz_segment *segment)
{
    uint32_t rights = segment->access_rights;

    if (rights & MEZZ_SEGMENT_UNUSABLE)
        rights = 0;
    return (struct vmcb_segment){
        .selector = segment->selector,
        .attributes = (uint16_t)((rights & RIGHTS_LOW) | (rights & RIGHTS_HIGH) >> 4),
        .limit = segment->limit,
        .base = segment->base,
    };
}

static struct mezz_segment from_vmcb(const struct vmcb_segment *segment)
{
    uint32_t attributes = segment->attributes;
    uint32_t rights = (attributes & RIGHTS_LOW) | (attributes << 4 & RIGHTS_HIGH);

    return (struct mezz_segment){
        .base = segment->base,
        .limit = segment->limit,
        .access_rights = attributes & ATTRIBUTE_P ? rights : rights | MEZZ_SEGMENT_UNUSABLE,
        .selector = segment->selector,
    };
}

static struct vmcb_segment table_to_vmcb(const struct mezz_descriptor_table *table)
{
    return (struct vmcb_segment){.base = table->base, .limit = table->limit};
}

static struct mezz_descriptor_table table_from_vmcb(const struct vmcb_segment *segment)
{
    return (struct mezz_descriptor_table){.base = segment->base, .limit = segment->limit};
}

static void load_system(struct vmcb *vmcb, const struct mezz_vmcs12_system *system)
{
    vmcb->es = to_vmcb(&system->segment[MEZZ_ES]);
    vmcb->cs = to_vmcb(&system->segment[MEZZ_CS]);
    vmcb->ss = to_vmcb(&system->segment[MEZZ_SS]);
    vmcb->ds = to_vmcb(&system->segment[MEZZ_DS]);
    vmcb->fs = to_vmcb(&system->segment[MEZZ_FS]);
    vmcb->gs = to_vmcb(&system->segment[MEZZ_GS]);
    vmcb->ldtr = to_vmcb(&system->segment[MEZZ_LDTR]);
    vmcb->tr = to_vmcb(&system->segment[MEZZ_TR]);
    vmcb->gdtr = table_to_vmcb(&system->gdtr);
    vmcb->idtr = table_to_vmcb(&system->idtr);
    vmcb->cpl = CPL(system->segment[MEZZ_SS].access_rights);
    vmcb->cr0 = system->guest_cr0;
    vmcb->cr2 = system->guest_cr2;
    vmcb->cr3 = system->guest_cr3;
    vmcb->cr4 = system->guest_cr4;
    vmcb->efer = system->guest_efer | SVM_EFER_SVME;
}

static void store_system(const struct vmcb *vmcb, struct mezz_vmcs12_system *system)
{
    system->segment[MEZZ_ES] = from_vmcb(&vmcb->es);
    system->segment[MEZZ_CS] = from_vmcb(&vmcb->cs);
    system->segment[MEZZ_SS] = from_vmcb(&vmcb->ss);
    system->segment[MEZZ_DS] = from_vmcb(&vmcb->ds);
    system->segment[MEZZ_FS] = from_vmcb(&vmcb->fs);
    system->segment[MEZZ_GS] = from_vmcb(&vmcb->gs);
    system->segment[MEZZ_LDTR] = from_vmcb(&vmcb->ldtr);
    system->segment[MEZZ_TR] = from_vmcb(&vmcb->tr);
    system->gdtr = table_from_vmcb(&vmcb->gdtr);
    system->idtr = table_from_vmcb(&vmcb->idtr);
    system->guest_cr0 = vmcb->cr0;
    system->guest_cr2 = vmcb->cr2;
    system->guest_cr3 = vmcb->cr3;
    system->guest_cr4 = vmcb->cr4;
    system->guest_efer = vmcb->efer & ~SVM_EFER_SVME;
}

static void load_msrs(struct vmcb *vmcb, const struct mezz_vmcs12_msrs *msrs)
{
    vmcb->sysenter_cs = msrs->sysenter_cs;
    vmcb->sysenter_esp = msrs->sysenter_esp;
    vmcb->sysenter_eip = msrs->sysenter_eip;
    vmcb->g_pat = msrs->pat;
    vmcb->star = msrs->star;
    vmcb->lstar = msrs->lstar;
    vmcb->cstar = msrs->cstar;
    vmcb->sfmask = msrs->sfmask;
    vmcb->kernel_gs_base = msrs->kernel_gs_base;
}

static void store_msrs(const struct vmcb *vmcb, struct mezz_vmcs12_msrs *msrs)
{
    msrs->sysenter_cs = vmcb->sysenter_cs;
    msrs->sysenter_esp = vmcb->sysenter_esp;
    msrs->sysenter_eip = vmcb->sysenter_eip;
    msrs->pat = vmcb->g_pat;
    msrs->star = vmcb->star;
    msrs->lstar = vmcb->lstar;
    msrs->cstar = vmcb->cstar;
    msrs->sfmask = vmcb->sfmask;
    msrs->kernel_gs_base = vmcb->kernel_gs_base;
}

/* Interruption information has the same format in both (SDM table 25-16, APM figure 15-4); so have
 * the shadow of STI and MOV SS, but that SVM does not tell which of them it is. */
static void load_events(struct vmcb *vmcb, const struct mezz_vmcs12_events *events)
{
    vmcb->event_injection = 0;
    if (events->entry_interruption_info & MEZZ_EVENT_VALID)
        vmcb->event_injection =
            events->entry_interruption_info | (uint64_t)events->entry_exception_error_code << 32;
    vmcb->interrupt_shadow = events->interruptibility_state ? SVM_SHADOW : 0;
}

/* An interrupt window is where a virtual interrupt would be taken. */
static void load_controls(struct vmcb *vmcb, const struct mezz_vmcs12_controls *controls)
{
    vmcb->vintr = SVM_VINTR_MASKING;
    vmcb->intercept1 &= ~SVM_INTERCEPT_VINTR;
    if (!(controls->cpu_based & MEZZ_CPU_INTERRUPT_WINDOW_EXITING))
        return;
    vmcb->vintr |= SVM_VINTR_REQUEST | SVM_VINTR_PRIORITY | SVM_VINTR_IGNORE_TPR;
    vmcb->intercept1 |= SVM_INTERCEPT_VINTR;
}

void svm_load_state(struct svm_guest *guest, const struct mezz_vmcs12 *vmcs)
{
    struct vmcb *vmcb = &guest->vmcb;

    vmcb->rax = vmcs->regs.gpr[MEZZ_RAX];
    vmcb->rsp = vmcs->regs.gpr[MEZZ_RSP];
    vmcb->rip = vmcs->regs.guest_rip;
    vmcb->rflags = vmcs->regs.guest_rflags;
    load_system(vmcb, &vmcs->system);
    load_msrs(vmcb, &vmcs->msrs);
    vmcb->dr6 = vmcs->debug.dr6;
    vmcb->dr7 = vmcs->debug.dr7;
    load_events(vmcb, &vmcs->events);
    load_controls(vmcb, &vmcs->controls);
}

void svm_store_state(const struct svm_guest *guest, struct mezz_vmcs12 *vmcs)
{
    const struct vmcb *vmcb = &guest->vmcb;

    vmcs->regs.gpr[MEZZ_RAX] = vmcb->rax;
    vmcs->regs.gpr[MEZZ_RSP] = vmcb->rsp;
    vmcs->regs.guest_rip = vmcb->rip;
    vmcs->regs.guest_rflags = vmcb->rflags;
    store_system(vmcb, &vmcs->system);
    store_msrs(vmcb, &vmcs->msrs);
    vmcs->debug.dr6 = vmcb->dr6;
    vmcs->debug.dr7 = vmcb->dr7;
    vmcs->events = (struct mezz_vmcs12_events){
        .interruptibility_state = vmcb->interrupt_shadow & SVM_SHADOW ? 1 : 0,
    };
}
