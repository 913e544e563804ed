/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_EXIT_H
#define MEZZ_EXIT_H

#include "abi.h"

/* Basic exit reasons: the numbers of the Intel SDM, volume 3, appendix C. */
enum mezz_exit_reason {
    MEZZ_EXIT_EXCEPTION = 0,
    MEZZ_EXIT_EXTERNAL_INTERRUPT = 1,
    MEZZ_EXIT_TRIPLE_FAULT = 2,
    MEZZ_EXIT_INTERRUPT_WINDOW = 7,
    MEZZ_EXIT_TASK_SWITCH = 9,
    MEZZ_EXIT_CPUID = 10,
    MEZZ_EXIT_HLT = 12,
    MEZZ_EXIT_INVD = 13,
    MEZZ_EXIT_INVLPG = 14,
    MEZZ_EXIT_RDPMC = 15,
    MEZZ_EXIT_RDTSC = 16,
    MEZZ_EXIT_VMCALL = 18,
    MEZZ_EXIT_CR_ACCESS = 28,
    MEZZ_EXIT_DR_ACCESS = 29,
    MEZZ_EXIT_IO = 30,
    MEZZ_EXIT_RDMSR = 31,
    MEZZ_EXIT_WRMSR = 32,
    MEZZ_EXIT_INVALID_GUEST_STATE = 33,
    MEZZ_EXIT_MONITOR_TRAP = 37,
    MEZZ_EXIT_PAUSE = 40,
    MEZZ_EXIT_EPT_VIOLATION = 48,
    MEZZ_EXIT_EPT_MISCONFIG = 49,
    MEZZ_EXIT_RDTSCP = 51,
    MEZZ_EXIT_PREEMPTION_TIMER = 52,
    MEZZ_EXIT_WBINVD = 54,
    MEZZ_EXIT_XSETBV = 55,
    MEZZ_EXIT_SDM_COUNT = 80,

    /* Our own range: exits that no processor has. */
    MEZZ_EXIT_OWN_FIRST = 0x1000,
    MEZZ_EXIT_EMULATION_FAILURE = 0x1000, /* KVM could not run the instruction at guest_rip */
    MEZZ_EXIT_GATE = 0x1001,              /* a view switch was asked for and refused */
    MEZZ_EXIT_GUARD = 0x1002,             /* a guarded API call or what its guard refused */
    MEZZ_EXIT_PORTION = 0x1003,           /* an inaccessible portion, for the callback's decision */
    MEZZ_EXIT_OWN_END
};

/* Bit 31 of the exit reason: the entry failed, L2 did not run (SDM 28.8). */
#define MEZZ_EXIT_ENTRY_FAILED (1U << 31)

/*
 * How far the instruction is that caused the exit. KVM decodes and runs the instruction by itself,
 * so an L1 never has to; it only says what a read reads. RETIRED  guest_rip is behind the
 * instruction: OUT, a write to memory, HLT PENDING  guest_rip is at the instruction: IN, a read of
 * memory, RDMSR, WRMSR. The next entry ends it with completion_value (and completion_flags). If L1
 * writes the REGS group, the instruction is ended first and L1's registers are loaded then: whoever
 * prefers to advance RIP and to set RAX as on a processor, may. neither  guest_rip is at an
 * instruction that had no effect: a fetch, an emulation failure After a data access that EPT12
 * refused, the entry looks at EPT12 again: if the page is there now, the access is done on it, and
 * completion_value is not used.
 */
#define MEZZ_EXIT_RETIRED (1U << 0)
#define MEZZ_EXIT_PENDING (1U << 1)

/*
 * Exit qualification of MEZZ_EXIT_PORTION: why the root refuses the access (its own number, named
 * in docs/portions-policy.md), how it was made (0 read, 1 write, 2 fetch), and to which portion.
 * guest_physical_address is what was accessed. L2 goes on with a value: MEZZ_PORTION_ALLOW and the
 * access takes place, anything else and it is refused as the stack says.
 */
#define MEZZ_PORTION_REASON_MASK  0xffULL
#define MEZZ_PORTION_ACCESS_SHIFT 8
#define MEZZ_PORTION_ID_SHIFT     16
#define MEZZ_PORTION_ALLOW        1ULL

/*
 * Exit qualification of MEZZ_EXIT_GUARD: what happened (the guard's own number, named in
 * docs/hookguard.md), the verdict (enum mezz_guard_verdict, of a call that is over), and the
 * function's index in the guard's list of names in alphabetical order, or MEZZ_GUARD_NO_FUNCTION.
 * guest_linear_address is the caller's instruction, guest_physical_address where the agent's
 * mezz_guard_record lies (0: there is none). At MEZZ_GUARD_ASKED the call has not run: L2 goes on
 * with a value, MEZZ_GUARD_LET for the function to run, an error from -4095 to -1 for the caller to
 * get, anything else for -1. All others are told to handlers that observe.
 */
#define MEZZ_GUARD_REASON_MASK    0xffULL
#define MEZZ_GUARD_VERDICT_SHIFT  8
#define MEZZ_GUARD_FUNCTION_SHIFT 16
#define MEZZ_GUARD_NO_FUNCTION    0xffULL
#define MEZZ_GUARD_ASKED          7ULL
#define MEZZ_GUARD_RETURNED       2ULL
#define MEZZ_GUARD_LET            1ULL

/* Exit qualification of MEZZ_EXIT_IO (SDM table 28-5). */
#define MEZZ_IO_SIZE_MASK  0x7ULL /* size - 1: 0, 1 or 3 */
#define MEZZ_IO_IN         (1ULL << 3)
#define MEZZ_IO_STRING     (1ULL << 4)
#define MEZZ_IO_PORT_SHIFT 16

/* Exit qualification of MEZZ_EXIT_EPT_VIOLATION (SDM table 28-7). */
#define MEZZ_EPT_VIOLATION_READ       (1ULL << 0)
#define MEZZ_EPT_VIOLATION_WRITE      (1ULL << 1)
#define MEZZ_EPT_VIOLATION_FETCH      (1ULL << 2)
#define MEZZ_EPT_VIOLATION_READABLE   (1ULL << 3) /* what EPT12 allows at this address */
#define MEZZ_EPT_VIOLATION_WRITABLE   (1ULL << 4)
#define MEZZ_EPT_VIOLATION_EXECUTABLE (1ULL << 5)

/*
 * Exit qualification of MEZZ_EXIT_INVALID_GUEST_STATE: the check that failed. The first four are
 * the SDM's (28.8), the others name the root's check.
 */
enum mezz_entry_check {
    MEZZ_CHECK_NONE = 0,
    MEZZ_CHECK_PDPTE = 2,
    MEZZ_CHECK_NMI = 3,
    MEZZ_CHECK_LINK_POINTER = 4,
    MEZZ_CHECK_CONTROLS = 16,  /* a control bit that this root does not have */
    MEZZ_CHECK_BITMAP_ADDRESS, /* an I/O or MSR bitmap outside L1's memory or not page-aligned */
    MEZZ_CHECK_CR0,            /* PG without PE, NW without CD, reserved bits */
    MEZZ_CHECK_CR3,            /* bits beyond the physical address width */
    MEZZ_CHECK_CR4,            /* reserved bits, bits that the host's KVM does not know */
    MEZZ_CHECK_EFER,           /* LMA is not LME and PG, reserved bits, long mode without PAE */
    MEZZ_CHECK_RFLAGS,         /* reserved bits, VM in long mode, IF with an external interrupt */
    MEZZ_CHECK_RIP,            /* not canonical, or past 4 GiB outside 64-bit code */
    MEZZ_CHECK_CS,             /* type, S, DPL, P, L with D, limit and granularity */
    MEZZ_CHECK_SS,
    MEZZ_CHECK_DATA_SEGMENT, /* DS, ES, FS, GS */
    MEZZ_CHECK_TR,
    MEZZ_CHECK_LDTR,
    MEZZ_CHECK_DESCRIPTOR_TABLE, /* GDTR or IDTR: base not canonical, limit over 65535 */
    MEZZ_CHECK_ACTIVITY,         /* activity state */
    MEZZ_CHECK_INTERRUPTIBILITY, /* interruptibility state against RFLAGS and the event */
    MEZZ_CHECK_EVENT,            /* entry_interruption_info: type, vector, error code */
    MEZZ_CHECK_EPT,              /* EPTP or EPT12: qualification bits 63:32 hold the mezz_error */
    MEZZ_CHECK_MSR,              /* an MSR value that the host's KVM refuses */
    MEZZ_CHECK_DEBUG,            /* DR6 or DR7 */
    MEZZ_CHECK_HOST, /* the host's KVM refused the state: a check that is missing here */
    MEZZ_CHECK_COUNT
};

/* VM-entry and VM-exit interruption information (SDM tables 25-17 and 25-20). */
#define MEZZ_EVENT_VECTOR_MASK  0xffU
#define MEZZ_EVENT_TYPE_SHIFT   8
#define MEZZ_EVENT_TYPE_MASK    (7U << MEZZ_EVENT_TYPE_SHIFT)
#define MEZZ_EVENT_EXTERNAL     (0U << MEZZ_EVENT_TYPE_SHIFT)
#define MEZZ_EVENT_NMI          (2U << MEZZ_EVENT_TYPE_SHIFT)
#define MEZZ_EVENT_EXCEPTION    (3U << MEZZ_EVENT_TYPE_SHIFT)
#define MEZZ_EVENT_DELIVER_CODE (1U << 11)
#define MEZZ_EVENT_VALID        (1U << 31)

#endif
