/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "l1.h"
#include "layout.h"
#include "lib/say.h"
#include "mezz/exit.h"
#include "personality.h"

const char report_never_woken[] = "halted, and nothing can wake it";

static const char *const reasons[EXIT_INDEX_COUNT] = {
    [EXIT_INDEX(MEZZ_EXIT_EXCEPTION)] = "exception",
    [EXIT_INDEX(MEZZ_EXIT_EXTERNAL_INTERRUPT)] = "external interrupt",
    [EXIT_INDEX(MEZZ_EXIT_TRIPLE_FAULT)] = "triple fault",
    [EXIT_INDEX(MEZZ_EXIT_INTERRUPT_WINDOW)] = "interrupt window",
    [EXIT_INDEX(MEZZ_EXIT_HLT)] = report_never_woken,
    [EXIT_INDEX(MEZZ_EXIT_IO)] = "port access",
    [EXIT_INDEX(MEZZ_EXIT_RDMSR)] = "read of an MSR",
    [EXIT_INDEX(MEZZ_EXIT_WRMSR)] = "write of an MSR",
    [EXIT_INDEX(MEZZ_EXIT_INVALID_GUEST_STATE)] = "invalid guest state",
    [EXIT_INDEX(MEZZ_EXIT_EPT_VIOLATION)] = "EPT violation",
    [EXIT_INDEX(MEZZ_EXIT_EPT_MISCONFIG)] = "EPT misconfiguration",
    [EXIT_INDEX(MEZZ_EXIT_PREEMPTION_TIMER)] = "preemption timer",
    [EXIT_INDEX(MEZZ_EXIT_EMULATION_FAILURE)] = "an instruction that cannot be run for it",
    [EXIT_INDEX(MEZZ_EXIT_GATE)] = "refused gate",
    [EXIT_INDEX(MEZZ_EXIT_GUARD)] = "guarded call",
    [EXIT_INDEX(MEZZ_EXIT_PORTION)] = "inaccessible portion",
};

static const char *const checks[MEZZ_CHECK_COUNT] = {
    [MEZZ_CHECK_PDPTE] = "PDPTE",
    [MEZZ_CHECK_NMI] = "NMI",
    [MEZZ_CHECK_LINK_POINTER] = "link pointer",
    [MEZZ_CHECK_CONTROLS] = "controls",
    [MEZZ_CHECK_BITMAP_ADDRESS] = "bitmap address",
    [MEZZ_CHECK_CR0] = "CR0",
    [MEZZ_CHECK_CR3] = "CR3",
    [MEZZ_CHECK_CR4] = "CR4",
    [MEZZ_CHECK_EFER] = "EFER",
    [MEZZ_CHECK_RFLAGS] = "RFLAGS",
    [MEZZ_CHECK_RIP] = "RIP",
    [MEZZ_CHECK_CS] = "CS",
    [MEZZ_CHECK_SS] = "SS",
    [MEZZ_CHECK_DATA_SEGMENT] = "data segment",
    [MEZZ_CHECK_TR] = "TR",
    [MEZZ_CHECK_LDTR] = "LDTR",
    [MEZZ_CHECK_DESCRIPTOR_TABLE] = "descriptor table",
    [MEZZ_CHECK_ACTIVITY] = "activity state",
    [MEZZ_CHECK_INTERRUPTIBILITY] = "interruptibility state",
    [MEZZ_CHECK_EVENT] = "event",
    [MEZZ_CHECK_EPT] = "EPT",
    [MEZZ_CHECK_MSR] = "MSR",
    [MEZZ_CHECK_DEBUG] = "debug registers",
    [MEZZ_CHECK_HOST] = "the host refused the state",
};

static const char *name_of(const char *const *names, uint32_t count, uint32_t index)
{
    return index < count && names[index] ? names[index] : "unknown";
}

const char *report_reason(const struct l2 *l2)
{
    uint32_t reason = l2->vmcs->exit.reason & ~MEZZ_EXIT_ENTRY_FAILED;

    return name_of(reasons, EXIT_INDEX_COUNT, EXIT_INDEX(reason));
}

void report_death(const struct l2 *l2, const char *why)
{
    const struct mezz_vmcs12 *vmcs = l2->vmcs;
    uint32_t reason = vmcs->exit.reason;

    if (reason & MEZZ_EXIT_ENTRY_FAILED)
        why = name_of(checks, MEZZ_CHECK_COUNT, (uint32_t)vmcs->exit.qualification);
    say("guest %s died: %s%s (reason %u, qualification 0x%lx, gpa 0x%lx, rip 0x%lx)", l2->name,
        reason & MEZZ_EXIT_ENTRY_FAILED ? "entry failed, check: " : "", why,
        reason & ~MEZZ_EXIT_ENTRY_FAILED, vmcs->exit.qualification,
        vmcs->exit.guest_physical_address, vmcs->regs.guest_rip);
}

/* The registers as entry.S pushes them. */
struct exception_frame {
    uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

_Noreturn void exception_report(const struct exception_frame *frame, uint64_t cr2);

_Noreturn void exception_report(const struct exception_frame *frame, uint64_t cr2)
{
    say("exception %lu in L1: error code 0x%lx, rip 0x%lx, rsp 0x%lx, rflags 0x%lx, cr2 0x%lx, "
        "rax 0x%lx, rbx 0x%lx, rcx 0x%lx, rdx 0x%lx, rsi 0x%lx, rdi 0x%lx, rbp 0x%lx, r8 0x%lx, "
        "r9 0x%lx, r10 0x%lx, r11 0x%lx, r12 0x%lx, r13 0x%lx, r14 0x%lx, r15 0x%lx",
        frame->vector, frame->error_code, frame->rip, frame->rsp, frame->rflags, cr2, frame->rax,
        frame->rbx, frame->rcx, frame->rdx, frame->rsi, frame->rdi, frame->rbp, frame->r8,
        frame->r9, frame->r10, frame->r11, frame->r12, frame->r13, frame->r14, frame->r15);
    stop(L1_STATUS_EXCEPTION);
}
