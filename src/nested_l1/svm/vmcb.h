/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_SVM_VMCB_H
#define L1_SVM_VMCB_H

#include <stddef.h>
#include <stdint.h>

/* The virtual machine control block: AMD64 Architecture Programmer's Manual, volume 2, appendix B.
 */

/* Intercepts at offset 0xc. */
#define SVM_INTERCEPT_INTR     (1U << 0)
#define SVM_INTERCEPT_VINTR    (1U << 4)
#define SVM_INTERCEPT_CPUID    (1U << 18)
#define SVM_INTERCEPT_INVD     (1U << 22)
#define SVM_INTERCEPT_HLT      (1U << 24)
#define SVM_INTERCEPT_INVLPGA  (1U << 26)
#define SVM_INTERCEPT_IOIO     (1U << 27)
#define SVM_INTERCEPT_MSR      (1U << 28)
#define SVM_INTERCEPT_SHUTDOWN (1U << 31)
/* Intercepts at offset 0x10. */
#define SVM_INTERCEPT_VMRUN   (1U << 0)
#define SVM_INTERCEPT_VMMCALL (1U << 1)
#define SVM_INTERCEPT_VMLOAD  (1U << 2)
#define SVM_INTERCEPT_VMSAVE  (1U << 3)
#define SVM_INTERCEPT_STGI    (1U << 4)
#define SVM_INTERCEPT_CLGI    (1U << 5)
#define SVM_INTERCEPT_SKINIT  (1U << 6)
#define SVM_INTERCEPT_WBINVD  (1U << 9)
#define SVM_INTERCEPT_MONITOR (1U << 10)
#define SVM_INTERCEPT_MWAIT   (1U << 11)
#define SVM_INTERCEPT_XSETBV  (1U << 13)

/* vintr */
#define SVM_VINTR_REQUEST    (1ULL << 8)
#define SVM_VINTR_PRIORITY   (0xfULL << 16)
#define SVM_VINTR_IGNORE_TPR (1ULL << 20)
#define SVM_VINTR_MASKING    (1ULL << 24) /* RFLAGS.IF of the guest is for virtual interrupts only */

#define SVM_SHADOW           (1ULL << 0)
#define SVM_NESTED_PAGING    (1ULL << 0)
#define SVM_FLUSH_ALL        1

enum svm_exit {
    SVM_EXIT_INTR = 0x60,
    SVM_EXIT_VINTR = 0x64,
    SVM_EXIT_CPUID = 0x72,
    SVM_EXIT_INVD = 0x76,
    SVM_EXIT_HLT = 0x78,
    SVM_EXIT_INVLPGA = 0x7a,
    SVM_EXIT_IOIO = 0x7b,
    SVM_EXIT_MSR = 0x7c,
    SVM_EXIT_SHUTDOWN = 0x7f,
    SVM_EXIT_VMRUN = 0x80, /* VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT follow */
    SVM_EXIT_SKINIT = 0x86,
    SVM_EXIT_WBINVD = 0x89,
    SVM_EXIT_MONITOR = 0x8a,
    SVM_EXIT_MWAIT = 0x8b,
    SVM_EXIT_XSETBV = 0x8d,
    SVM_EXIT_NPF = 0x400
};
#define SVM_EXIT_INVALID UINT64_MAX

/* exit_info_1 of SVM_EXIT_IOIO; the port is in bits 16 to 31, the next RIP in exit_info_2. */
#define SVM_IO_IN         (1U << 0)
#define SVM_IO_STRING     (1U << 2)
#define SVM_IO_SIZE_SHIFT 4 /* 1, 2 or 4 */
#define SVM_IO_SIZE_MASK  7U
#define SVM_IO_PORT_SHIFT 16

/* exit_info_1 of SVM_EXIT_NPF, as a page fault's error code; exit_info_2 is the address. */
#define SVM_NPF_WRITE (1ULL << 1)
#define SVM_NPF_FETCH (1ULL << 4)

struct vmcb_segment {
    uint16_t selector;
    uint16_t attributes; /* bits 40 to 47 and 52 to 55 of the descriptor */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    uint32_t intercept_cr;
    uint32_t intercept_dr;
    uint32_t intercept_exceptions;
    uint32_t intercept1;
    uint32_t intercept2;
    uint8_t reserved1[0x40 - 0x14];
    uint64_t iopm_base;
    uint64_t msrpm_base;
    uint64_t tsc_offset;
    uint32_t asid;
    uint32_t tlb_control;
    uint64_t vintr;
    uint64_t interrupt_shadow;
    uint64_t exit_code;
    uint64_t exit_info_1;
    uint64_t exit_info_2;
    uint64_t exit_int_info;
    uint64_t nested_control;
    uint8_t reserved2[0xa8 - 0x98];
    uint64_t event_injection;
    uint64_t n_cr3;
    uint64_t virtualization_control;
    uint64_t clean;
    uint64_t next_rip;
    uint8_t reserved3[0x400 - 0xd0];

    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved4[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved5;
    uint64_t efer;
    uint8_t reserved6[0x548 - 0x4d8];
    uint64_t cr4;
    uint64_t cr3;
    uint64_t cr0;
    uint64_t dr7;
    uint64_t dr6;
    uint64_t rflags;
    uint64_t rip;
    uint8_t reserved7[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved8[0x5f8 - 0x5e0];
    uint64_t rax;
    uint64_t star;
    uint64_t lstar;
    uint64_t cstar;
    uint64_t sfmask;
    uint64_t kernel_gs_base;
    uint64_t sysenter_cs;
    uint64_t sysenter_esp;
    uint64_t sysenter_eip;
    uint64_t cr2;
    uint8_t reserved9[0x668 - 0x648];
    uint64_t g_pat;
    uint8_t reserved10[0x1000 - 0x670];
};
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is a page");
_Static_assert(offsetof(struct vmcb, iopm_base) == 0x40, "iopm_base moved");
_Static_assert(offsetof(struct vmcb, vintr) == 0x60, "vintr moved");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "exit_code moved");
_Static_assert(offsetof(struct vmcb, nested_control) == 0x90, "nested_control moved");
_Static_assert(offsetof(struct vmcb, event_injection) == 0xa8, "event_injection moved");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "next_rip moved");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "es moved");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "cpl moved");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "efer moved");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "cr4 moved");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "rip moved");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "rsp moved");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "rax moved");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "cr2 moved");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "g_pat moved");

#endif
