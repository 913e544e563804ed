/* SPDX-License-Identifier: Apache-2.0 */
/* #VMEXITs: those that are dealt with here, and the others in the SDM's terms. */
#include "mezz/exit.h"
#include "lib/machine.h"
#include "mezz/vmcs12.h"
#include "svm/svm.h"

#define MSR_PAT       0x277U
#define MSR_EFER      0xc0000080U

#define EFER_SCE      (1ULL << 0)
#define EFER_LME      (1ULL << 8)
#define EFER_LMA      (1ULL << 10)
#define EFER_NXE      (1ULL << 11)
#define EFER_WRITABLE (EFER_SCE | EFER_LME | EFER_NXE)
#define CR0_PG        (1ULL << 31)

#define EXCEPTION_UD  6U
#define EXCEPTION_GP  13U

#define LOW_HALF      0xffffffffULL
#define LENGTH_OF_HLT 1U
#define LENGTH_OF_TWO 2U /* CPUID, RDMSR, WRMSR, INVD, WBINVD */

/* What a guest must not believe to have: SVM, and XSAVE with what it saves, as L1 keeps no more of
 * a guest's state than FXSAVE does. */
#define CPUID_FEATURES     0x1U
#define CPUID_STRUCTURED   0x7U
#define CPUID_XSAVE        0xdU
#define CPUID_AMD_FEATURES 0x80000001U
#define CPUID_SVM          0x8000000aU
#define ECX_XSAVE_AVX_F16C (1U << 26 | 1U << 27 | 1U << 28 | 1U << 29)
#define ECX_FMA_MONITOR    (1U << 12 | 1U << 3)
#define ECX_AMD_SVM_XOP    (1U << 2 | 1U << 11 | 1U << 15 | 1U << 16)

static void retire(struct svm_guest *guest, uint32_t length)
{
    struct vmcb *vmcb = &guest->vmcb;

    vmcb->rip = vmcb->next_rip > vmcb->rip ? vmcb->next_rip : vmcb->rip + length;
    vmcb->interrupt_shadow = 0;
}

static void inject(struct svm_guest *guest, uint32_t vector, uint32_t flags)
{
    guest->vmcb.event_injection = MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | flags | vector;
}

static void hide_features(uint32_t leaf, struct cpuid_result *result)
{
    if (leaf == CPUID_FEATURES)
        result->ecx &= ~(ECX_XSAVE_AVX_F16C | ECX_FMA_MONITOR);
    else if (leaf == CPUID_AMD_FEATURES)
        result->ecx &= ~ECX_AMD_SVM_XOP;
    else if (leaf == CPUID_STRUCTURED || leaf == CPUID_XSAVE || leaf == CPUID_SVM)
        *result = (struct cpuid_result){.eax = 0};
}

static void do_cpuid(struct svm_guest *guest, uint64_t *gpr)
{
    uint32_t leaf = (uint32_t)guest->vmcb.rax;
    struct cpuid_result result = cpuid_count(leaf, (uint32_t)gpr[MEZZ_RCX]);

    hide_features(leaf, &result);
    guest->vmcb.rax = result.eax;
    gpr[MEZZ_RBX] = result.ebx;
    gpr[MEZZ_RCX] = result.ecx;
    gpr[MEZZ_RDX] = result.edx;
    retire(guest, LENGTH_OF_TWO);
}

/* False: #GP. */
static bool write_efer(struct vmcb *vmcb, uint64_t value)
{
    if (value & ~(EFER_WRITABLE | EFER_LMA) ||
        (vmcb->cr0 & CR0_PG && (value ^ vmcb->efer) & EFER_LME))
        return false;
    vmcb->efer = (value & EFER_WRITABLE) | (vmcb->efer & EFER_LMA) | SVM_EFER_SVME;
    return true;
}

/* The two MSRs that are in the VMCB and that a guest may not reach by itself. */
static bool do_msr(struct svm_guest *guest, uint64_t *gpr)
{
    struct vmcb *vmcb = &guest->vmcb;
    uint32_t msr = (uint32_t)gpr[MEZZ_RCX];
    uint64_t value = (vmcb->rax & LOW_HALF) | gpr[MEZZ_RDX] << 32;

    if (msr != MSR_EFER && msr != MSR_PAT)
        return false;
    if (vmcb->exit_info_1 & 1) {
        if (msr == MSR_PAT) {
            vmcb->g_pat = value;
        } else if (!write_efer(vmcb, value)) {
            inject(guest, EXCEPTION_GP, MEZZ_EVENT_DELIVER_CODE);
            return true;
        }
    } else {
        value = msr == MSR_PAT ? vmcb->g_pat : vmcb->efer & ~SVM_EFER_SVME;
        vmcb->rax = value & LOW_HALF;
        gpr[MEZZ_RDX] = value >> 32;
    }
    retire(guest, LENGTH_OF_TWO);
    return true;
}

bool svm_handle(struct svm_guest *guest, uint64_t *gpr)
{
    uint64_t code = guest->vmcb.exit_code;

    guest->vmcb.event_injection = 0;
    if (code == SVM_EXIT_CPUID)
        do_cpuid(guest, gpr);
    else if (code == SVM_EXIT_MSR)
        return do_msr(guest, gpr);
    else if (code == SVM_EXIT_INVD || code == SVM_EXIT_WBINVD)
        retire(guest, LENGTH_OF_TWO); /* its memory is as coherent as L1's */
    else if ((code >= SVM_EXIT_VMRUN && code <= SVM_EXIT_SKINIT) || code == SVM_EXIT_INVLPGA ||
             code == SVM_EXIT_MONITOR || code == SVM_EXIT_MWAIT || code == SVM_EXIT_XSETBV)
        inject(guest, EXCEPTION_UD, 0);
    else
        return false;
    return true;
}

static uint64_t low_bytes(uint64_t value, uint32_t size)
{
    return value & ((1ULL << 8 * size) - 1);
}

static void io_exit(struct svm_guest *guest, struct mezz_vmcs12_exit *exit)
{
    struct vmcb *vmcb = &guest->vmcb;
    uint32_t info = (uint32_t)vmcb->exit_info_1;
    uint32_t size = info >> SVM_IO_SIZE_SHIFT & SVM_IO_SIZE_MASK;

    if (info & SVM_IO_STRING)
        return; /* an emulation failure */
    exit->reason = MEZZ_EXIT_IO;
    exit->size = size;
    exit->qualification = (size - 1) | (uint64_t)(info >> SVM_IO_PORT_SHIFT) << MEZZ_IO_PORT_SHIFT;
    if (info & SVM_IO_IN) {
        exit->qualification |= MEZZ_IO_IN;
        exit->flags = MEZZ_EXIT_PENDING;
        guest->pending = true;
        guest->pending_size = size;
        guest->pending_rip = vmcb->exit_info_2;
    } else {
        exit->flags = MEZZ_EXIT_RETIRED;
        exit->value = low_bytes(vmcb->rax, size);
        vmcb->rip = vmcb->exit_info_2;
        vmcb->interrupt_shadow = 0;
    }
}

static void msr_exit(struct svm_guest *guest, const struct mezz_vmcs12_regs *regs,
                     struct mezz_vmcs12_exit *exit)
{
    bool write = guest->vmcb.exit_info_1 & 1;

    exit->reason = write ? MEZZ_EXIT_WRMSR : MEZZ_EXIT_RDMSR;
    exit->flags = MEZZ_EXIT_PENDING;
    exit->msr = (uint32_t)regs->gpr[MEZZ_RCX];
    exit->size = 8;
    if (write)
        exit->value = (guest->vmcb.rax & LOW_HALF) | regs->gpr[MEZZ_RDX] << 32;
    guest->pending = true;
    guest->pending_size = 0;
    guest->pending_rip = guest->vmcb.rip + LENGTH_OF_TWO;
}

/* A data access outside of the guest's memory cannot be served: SVM does not say what is read or
 * written, and L1 decodes no instructions. */
static void page_fault_exit(const struct vmcb *vmcb, struct mezz_vmcs12_exit *exit)
{
    exit->guest_physical_address = vmcb->exit_info_2;
    if (vmcb->exit_info_1 & SVM_NPF_FETCH) {
        exit->reason = MEZZ_EXIT_EPT_VIOLATION;
        exit->qualification = MEZZ_EPT_VIOLATION_FETCH;
    } else {
        exit->qualification =
            vmcb->exit_info_1 & SVM_NPF_WRITE ? MEZZ_EPT_VIOLATION_WRITE : MEZZ_EPT_VIOLATION_READ;
    }
}

void svm_translate_exit(struct svm_guest *guest, struct mezz_vmcs12 *vmcs, bool time_over)
{
    struct vmcb *vmcb = &guest->vmcb;
    struct mezz_vmcs12_exit *exit = &vmcs->exit;

    *exit = (struct mezz_vmcs12_exit){
        .reason = MEZZ_EXIT_EMULATION_FAILURE,
        .idt_vectoring_info = (uint32_t)vmcb->exit_int_info,
        .idt_vectoring_error_code = (uint32_t)(vmcb->exit_int_info >> 32),
        .count = exit->count + 1,
    };
    vmcs->completion = (struct mezz_vmcs12_completion){.value = UINT64_MAX};
    switch (vmcb->exit_code) {
    case SVM_EXIT_INTR:
        exit->reason = time_over ? MEZZ_EXIT_PREEMPTION_TIMER : MEZZ_EXIT_EXTERNAL_INTERRUPT;
        break;
    case SVM_EXIT_VINTR:
        exit->reason = MEZZ_EXIT_INTERRUPT_WINDOW;
        break;
    case SVM_EXIT_HLT:
        exit->reason = MEZZ_EXIT_HLT;
        exit->flags = MEZZ_EXIT_RETIRED;
        retire(guest, LENGTH_OF_HLT);
        break;
    case SVM_EXIT_IOIO:
        io_exit(guest, exit);
        break;
    case SVM_EXIT_MSR:
        msr_exit(guest, &vmcs->regs, exit);
        break;
    case SVM_EXIT_SHUTDOWN:
        exit->reason = MEZZ_EXIT_TRIPLE_FAULT;
        break;
    case SVM_EXIT_NPF:
        page_fault_exit(vmcb, exit);
        break;
    case SVM_EXIT_INVALID:
        exit->reason = MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED;
        exit->qualification = MEZZ_CHECK_HOST;
        break;
    default:
        break;
    }
}

void svm_complete(struct svm_guest *guest, struct mezz_vmcs12 *vmcs)
{
    struct mezz_vmcs12_regs *regs = &vmcs->regs;
    uint64_t value = vmcs->completion.value;

    if (!guest->pending)
        return;
    guest->pending = false;
    if (vmcs->completion.flags & MEZZ_COMPLETION_FAULT) {
        vmcs->events.entry_interruption_info =
            MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | MEZZ_EVENT_DELIVER_CODE | EXCEPTION_GP;
        vmcs->events.entry_exception_error_code = 0;
        return;
    }
    regs->guest_rip = guest->pending_rip;
    vmcs->events.interruptibility_state = 0;
    if (guest->pending_size == 4) {
        regs->gpr[MEZZ_RAX] = value & LOW_HALF;
    } else if (guest->pending_size != 0) {
        regs->gpr[MEZZ_RAX] &= ~low_bytes(UINT64_MAX, guest->pending_size);
        regs->gpr[MEZZ_RAX] |= low_bytes(value, guest->pending_size);
    } else if (vmcs->exit.reason == MEZZ_EXIT_RDMSR) {
        regs->gpr[MEZZ_RAX] = value & LOW_HALF;
        regs->gpr[MEZZ_RDX] = value >> 32;
    }
}
