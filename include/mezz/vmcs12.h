/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_VMCS12_H
#define MEZZ_VMCS12_H

#include "abi.h"

/*
 * VMCS12: what L1 writes about an L2 vCPU. One page, shared by L1 and the root while the vCPU
 * exists. The fields have the SDM's names and formats (volume 3, chapter 25) and stand in groups.
 * The root copies a group once when it loads it; what L1 alters while L2 runs has no effect before
 * the next entry.
 *
 * Clean groups: L1 clears a group's bit in `clean` when it wrote a field of the group, the root
 * loads those groups at the entry and sets their bits again. Changed groups: at a reflected exit
 * the root sets the bits of the groups whose fields it altered since the last one; L1 clears them
 * when it likes to.
 */
enum mezz_vmcs12_group {
    MEZZ_GROUP_REGS = 0,     /* general registers, RIP, RFLAGS */
    MEZZ_GROUP_SYSTEM = 1,   /* segments, descriptor tables, control registers, EFER */
    MEZZ_GROUP_MSRS = 2,     /* MSRs that are part of the guest's state */
    MEZZ_GROUP_DEBUG = 3,    /* debug registers */
    MEZZ_GROUP_EVENTS = 4,   /* interruptibility, activity, the event to inject */
    MEZZ_GROUP_CONTROLS = 5, /* execution controls, bitmaps, preemption timer */
    MEZZ_GROUP_EPT = 6,      /* EPTP, view index */
    MEZZ_GROUP_EXIT = 7,     /* OUT only: in `changed`, never in `clean` */
    MEZZ_GROUP_COUNT
};
#define MEZZ_GROUP_BIT(group) (1ULL << (group))
#define MEZZ_GROUPS_LOADED    (MEZZ_GROUP_BIT(MEZZ_GROUP_EXIT) - 1)

#define MEZZ_VMCS12_REVISION  0x6d7a0001U /* "mz", ABI version 1 */

struct mezz_segment {
    uint64_t base;
    uint32_t limit;
    uint32_t access_rights; /* SDM table 25-2; bit 16: unusable */
    uint16_t selector;
    uint16_t reserved[3];
};
MEZZ_PIN_SIZE(struct mezz_segment, 24);

#define MEZZ_SEGMENT_UNUSABLE (1U << 16)

struct mezz_descriptor_table {
    uint64_t base;
    uint32_t limit;
    uint32_t reserved;
};
MEZZ_PIN_SIZE(struct mezz_descriptor_table, 16);

enum mezz_register {
    MEZZ_RAX,
    MEZZ_RCX,
    MEZZ_RDX,
    MEZZ_RBX,
    MEZZ_RSP,
    MEZZ_RBP,
    MEZZ_RSI,
    MEZZ_RDI,
    MEZZ_R8,
    MEZZ_R9,
    MEZZ_R10,
    MEZZ_R11,
    MEZZ_R12,
    MEZZ_R13,
    MEZZ_R14,
    MEZZ_R15,
    MEZZ_REGISTER_COUNT
};

enum mezz_segment_register {
    MEZZ_ES,
    MEZZ_CS,
    MEZZ_SS,
    MEZZ_DS,
    MEZZ_FS,
    MEZZ_GS,
    MEZZ_LDTR,
    MEZZ_TR,
    MEZZ_SEGMENT_COUNT
};

/* MEZZ_GROUP_REGS; RSP is gpr[MEZZ_RSP]. */
struct mezz_vmcs12_regs {
    uint64_t gpr[MEZZ_REGISTER_COUNT]; /* INOUT */
    uint64_t guest_rip;                /* INOUT */
    uint64_t guest_rflags;             /* INOUT */
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_regs, 144);

/* MEZZ_GROUP_SYSTEM */
struct mezz_vmcs12_system {
    struct mezz_segment segment[MEZZ_SEGMENT_COUNT]; /* INOUT */
    struct mezz_descriptor_table gdtr;               /* INOUT */
    struct mezz_descriptor_table idtr;               /* INOUT */
    uint64_t guest_cr0;                              /* INOUT */
    uint64_t guest_cr2;                              /* INOUT */
    uint64_t guest_cr3;                              /* INOUT */
    uint64_t guest_cr4;                              /* INOUT */
    uint64_t guest_efer;                             /* INOUT */
    uint64_t reserved;
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_system, 272);

/* MEZZ_GROUP_MSRS */
struct mezz_vmcs12_msrs {
    uint64_t sysenter_cs;    /* INOUT */
    uint64_t sysenter_esp;   /* INOUT */
    uint64_t sysenter_eip;   /* INOUT */
    uint64_t pat;            /* INOUT */
    uint64_t star;           /* INOUT */
    uint64_t lstar;          /* INOUT */
    uint64_t cstar;          /* INOUT */
    uint64_t sfmask;         /* INOUT */
    uint64_t kernel_gs_base; /* INOUT */
    uint64_t tsc_aux;        /* INOUT */
    uint64_t reserved[2];
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_msrs, 96);

/* MEZZ_GROUP_DEBUG */
struct mezz_vmcs12_debug {
    uint64_t dr[4]; /* INOUT */
    uint64_t dr6;   /* INOUT */
    uint64_t dr7;   /* INOUT */
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_debug, 48);

/* MEZZ_GROUP_EVENTS */
struct mezz_vmcs12_events {
    uint32_t interruptibility_state;     /* INOUT: SDM table 25-3, bits 0, 1 and 3 */
    uint32_t activity_state;             /* INOUT: 0 active, 1 HLT */
    uint32_t entry_interruption_info;    /* IN: the root clears the valid bit when it is injected */
    uint32_t entry_exception_error_code; /* IN */
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_events, 16);

/* MEZZ_GROUP_CONTROLS: the SDM's bits; others must be zero. */
#define MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING (1U << 0)
#define MEZZ_PIN_PREEMPTION_TIMER           (1U << 6)
#define MEZZ_CPU_INTERRUPT_WINDOW_EXITING   (1U << 2)
#define MEZZ_CPU_HLT_EXITING                (1U << 7)
#define MEZZ_CPU_UNCONDITIONAL_IO_EXITING   (1U << 24)
#define MEZZ_CPU_USE_IO_BITMAPS             (1U << 25)
#define MEZZ_CPU_USE_MSR_BITMAPS            (1U << 28)
#define MEZZ_VMEXIT_SAVE_DEBUG              (1U << 2) /* store MEZZ_GROUP_DEBUG at a reflected exit */
#define MEZZ_VMEXIT_SAVE_MSRS               (1U << 18) /* (SDM: save PAT) store MEZZ_GROUP_MSRS */

struct mezz_vmcs12_controls {
    uint32_t pin_based;           /* IN */
    uint32_t cpu_based;           /* IN: primary processor-based controls */
    uint32_t cpu_based_secondary; /* IN: 0 in version 1 */
    uint32_t preemption_timer;    /* IN: microseconds (SDM: TSC ticks), from each ENTER on */
    uint64_t io_bitmap_a;         /* IN: page: ports 0x0000 to 0x7fff; 1 exits */
    uint64_t io_bitmap_b;         /* IN: page: ports 0x8000 to 0xffff */
    uint64_t msr_bitmap;          /* IN: page, SDM 25.6.9; without one just unknown MSRs exit */
    uint64_t tsc_offset;          /* IN: 0 in version 1 */
    uint32_t exit_controls;       /* IN: MEZZ_VMEXIT_... */
    uint32_t reserved;
    uint64_t reserved2;
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_controls, 64);

/* MEZZ_GROUP_EPT */
struct mezz_vmcs12_ept {
    uint64_t eptp;       /* INOUT: the root alters it when the view is switched */
    uint32_t eptp_index; /* INOUT: the current view or MEZZ_VIEW_NONE; 0 without an EPTP list */
    uint32_t reserved;
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_ept, 16);

/* The index of a view whose EPTP the list has not. */
#define MEZZ_VIEW_NONE 0xffffffffU

/* MEZZ_GROUP_EXIT */
struct mezz_vmcs12_exit {
    uint32_t reason;                   /* OUT: enum mezz_exit_reason, MEZZ_EXIT_ENTRY_FAILED */
    uint32_t flags;                    /* OUT: MEZZ_EXIT_RETIRED, MEZZ_EXIT_PENDING */
    uint64_t qualification;            /* OUT */
    uint64_t guest_physical_address;   /* OUT: EPT violations */
    uint64_t value;                    /* OUT: what OUT, WRMSR or a write to memory wrote */
    uint32_t size;                     /* OUT: bytes of value, or of completion_value */
    uint32_t msr;                      /* OUT: ECX of RDMSR and WRMSR */
    uint32_t interruption_info;        /* OUT: external interrupts */
    uint32_t interruption_error_code;  /* OUT */
    uint32_t idt_vectoring_info;       /* OUT: an event that was being delivered */
    uint32_t idt_vectoring_error_code; /* OUT */
    uint32_t instruction_length;       /* OUT: 0 where KVM does not tell */
    uint32_t vm_instruction_error;     /* OUT: 0 in version 1: calls have their own errors */
    uint64_t count;                    /* OUT: L2 exits of this vCPU so far, of all kinds */
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_exit, 72);

/* What ends a pending instruction at the next entry. Read at each entry that has one: in no group.
 */
struct mezz_vmcs12_completion {
    uint64_t value; /* INOUT: for IN, RDMSR and reads of memory; the root puts all ones here at the
                       exit */
    uint32_t flags; /* INOUT: MEZZ_COMPLETION_FAULT; the root puts zero here at the exit */
    uint32_t reserved;
};
MEZZ_PIN_SIZE(struct mezz_vmcs12_completion, 16);

#define MEZZ_COMPLETION_FAULT (1U << 0) /* RDMSR and WRMSR: inject #GP instead */

/*
 * A synchronization record: the root altered a real object, and the virtual one of L1 is behind.
 *   EPT   a leaf that the root altered: a page became dirty, or was copied (ept.h). L1 puts `to` in
 * the place of `from`. Until then the root goes on using `to`; an L1 that put something else there
 *         meant it, and the root follows. MEZZ_CALL_INVEPT makes EPT12 the truth for all records
 *         that were delivered: apply them before.
 *   VMCS  a field that the root altered when it handled an exit by itself.
 * Records travel with the next callback of the L2 vCPU (MEZZ_MODE_OBSERVE or DECIDE), else with the
 * next reflected exit, each once. Those of the EPT belong to the L2 and are given to whichever of
 * its vCPUs comes first.
 */
enum mezz_sync_object {
    MEZZ_SYNC_VMCS = 1, /* key: MEZZ_VMCS12_FIELD(); from, to: the field's values */
    MEZZ_SYNC_EPT = 2   /* key: guest-physical address of the leaf's page; from, to: EPT entries */
};

struct mezz_sync_record {
    uint32_t object; /* OUT: enum mezz_sync_object */
    uint32_t reserved;
    uint64_t key;  /* OUT */
    uint64_t from; /* OUT */
    uint64_t to;   /* OUT */
};
MEZZ_PIN_SIZE(struct mezz_sync_record, 32);

#define MEZZ_SYNC_RECORDS 16

struct mezz_sync_area {
    uint32_t count; /* OUT */
    uint32_t more;  /* OUT: records that wait for the next delivery */
    uint64_t reserved;
    struct mezz_sync_record record[MEZZ_SYNC_RECORDS]; /* OUT */
};
MEZZ_PIN_SIZE(struct mezz_sync_area, 528);

struct mezz_vmcs12 {
    uint32_t revision; /* IN: MEZZ_VMCS12_REVISION */
    uint32_t abort;    /* OUT: enum mezz_error when ENTER returned one, otherwise 0 */
    uint64_t clean;    /* INOUT */
    uint64_t changed;  /* INOUT */
    uint64_t reserved;
    struct mezz_vmcs12_exit exit;
    struct mezz_vmcs12_completion completion;
    struct mezz_vmcs12_events events;
    struct mezz_vmcs12_ept ept;
    uint64_t reserved2;
    struct mezz_vmcs12_regs regs;
    struct mezz_vmcs12_system system;
    struct mezz_vmcs12_msrs msrs;
    struct mezz_vmcs12_debug debug;
    struct mezz_vmcs12_controls controls;
    uint8_t reserved3[1024 - 784];
    struct mezz_sync_area sync; /* OUT: at a reflected exit */
    uint8_t reserved4[4096 - 1552];
};
MEZZ_PIN_SIZE(struct mezz_vmcs12, MEZZ_PAGE_SIZE);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, exit, 32);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, completion, 104);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, events, 120);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, ept, 136);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, regs, 160);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, system, 304);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, msrs, 576);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, debug, 672);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, controls, 720);
MEZZ_PIN_LAYOUT(struct mezz_vmcs12, sync, 1024);

/* The name of a field for MEZZ_CALL_VMREAD and MEZZ_CALL_VMWRITE, for example
 * MEZZ_VMCS12_FIELD(regs.guest_rip). */
#define MEZZ_VMCS12_FIELD(field)                     \
    ((uint64_t)offsetof(struct mezz_vmcs12, field) | \
     (uint64_t)sizeof(((struct mezz_vmcs12 *)0)->field) << 16)
#define MEZZ_FIELD_OFFSET(name) ((uint32_t)(name)&0xffffU)
#define MEZZ_FIELD_WIDTH(name)  ((uint32_t)((name) >> 16) & 0xfU)

#endif
