/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_GUARD_H
#define HOOKGUARD_PORTIONS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/log/event_log.h"
#include "hookguard/portions/decision.h"
#include "hookguard/portions/portions.h"

/*
 * The guard of one L2's portions: it finds the facts of an access, lets decide() judge, and keeps
 * what has to be remembered. All of it is bounded, and nothing in it moves a page: the caller reads
 * portion_guard_each_frame() and makes views of it.
 *
 * A portion comes to life when an address space first enters it: its pages are then found, its code
 * compared with the program's file, and the frames become those of one view (number 1 to
 * PORTION_GUARD_VIEWS). Before that, frames that hold the portion's code and constants are
 * *claimed* (portion_guard_claim), so that the first entry is seen. Another address space with the
 * same code is another view with other data.
 *
 * docs/portions-policy.md lists what the caller must hold to.
 */
#define PORTION_GUARD_VIEWS  64U
#define PORTION_GUARD_CALLS  16U   /* that a view remembers; the oldest that waits is forgotten */
#define PORTION_GUARD_CLAIMS 4096U /* frames */

struct portion_guard;

/* The L2's memory. Frames are page-aligned L2-physical addresses. */
struct portion_guard_memory {
    /* Where ring 3 of this address space has the linear page: 0, or a negative errno. */
    int (*translate)(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame);
    int (*read)(void *context, uint64_t frame, void *to);
    int (*wipe)(void *context, uint64_t frame); /* to zeros */
    uint64_t (*generation)(void *context, uint64_t frame);
    /* A vCPU still sees what this view was: it is not given to another address space. */
    bool (*occupied)(void *context, uint32_t view);
    void *context;
};

/* table and memory outlive the guard. -ENOMEM. */
int portion_guard_create(struct portion_guard **guard, const struct portion_table *table,
                         const struct portion_guard_memory *memory);
void portion_guard_destroy(struct portion_guard *guard);

/* Claims the frame for each portion of which it holds a page of code or constants. 1 if there is
 * one, 0 if not, or a negative errno (-ENOSPC: PORTION_GUARD_CLAIMS). */
int portion_guard_claim(struct portion_guard *guard, uint64_t frame);

struct portion_guard_frame {
    uint64_t frame;
    uint32_t view;   /* that has it; 0: claimed, no view has it yet */
    uint32_t inside; /* rights there; shared data has rights outside, too, and is not listed */
    uint64_t linear;
};

/* Counts changes of what portion_guard_each_frame gives. */
uint64_t portion_guard_version(const struct portion_guard *guard);

/* Frames that the default view, and each view but their own, must not have. A frame of code may be
 * of several views. Stops at the first result that is not 0. */
int portion_guard_each_frame(const struct portion_guard *guard,
                             int (*function)(void *context,
                                             const struct portion_guard_frame *frame),
                             void *context);

/* Scans for patterns so far: those that were not answered from what was known. */
uint64_t portion_guard_scans(const struct portion_guard *guard);

/* The portion and address space of a view; NULL if there is none. */
const struct portion *portion_guard_view_portion(const struct portion_guard *guard, uint32_t view,
                                                 uint64_t *cr3);

/* What a vCPU is in. Zeroed: the default view. */
struct portion_guard_vcpu {
    uint32_t view;
    uint32_t call;
    uint64_t serial; /* of the view: it may be another's by now */
};

struct portion_guard_registers {
    uint64_t gpr[16];
    uint64_t rflags;
};

struct portion_guard_access {
    enum portion_access access;
    unsigned int cpl;
    uint64_t cr3; /* without flags and PCID */
    uint64_t rip; /* of a fetch: the address itself */
    uint64_t rsp;
    uint64_t rflags; /* of ring 3: of a fetch */
    bool other_mode; /* not 64-bit */
    uint64_t linear; /* accessed */
    bool linear_known;
    uint64_t frame;    /* accessed */
    uint64_t physical; /* in it; 0: not known */

    /* Fetches of ring 3: the 8 bytes at RSP, and whether a call instruction is right before where
     * they point. */
    bool stack_known;
    uint64_t stack;
    bool after_call;

    /* The first fetch of the kernel: what the processor pushed. Trusted: the root put the event in
     * by itself, or no other vCPU of the L2 could write since. next_rip: 0, or where it may go on,
     * too: behind a system call that this host delivers as a fault. */
    struct {
        bool known;
        bool trusted;
        unsigned int cpl;
        uint64_t rip;
        uint64_t rsp;
        uint64_t next_rip;
        /* As above, at this RSP. */
        bool stack_known;
        uint64_t stack;
        bool after_call;
    } frame_of_interrupt;

    /* L1 was asked. Bit r: it allows it, enum decision_reason r is only logged. */
    bool asked;
    uint64_t allowed;

    /* What the root keeps of an interrupted portion, and takes from the kernel: otherwise a kernel
     * that makes the portion fault could go on with other registers. NULL: nothing is kept. At a
     * system call the kernel is given the registers, and its result in RAX is taken. */
    const struct portion_guard_registers *keep;
    bool system_call;
};

/* The frame of a fetch that leads out of all portions. */
#define PORTION_GUARD_NO_FRAME UINT64_MAX

/* Of RFLAGS, what a caller of a portion may have set and its callee does not alter: TF, NT, AC. */
#define PORTION_GUARD_CALLER_FLAGS 0x44100ULL

struct portion_guard_outcome {
    struct decision decision;      /* `to` is a view; never VERDICT_SCAN or VERDICT_RELEASE */
    uint32_t from;                 /* view */
    const struct portion *portion; /* that is entered, left or kept; NULL: none */
    const char *rule;              /* YARA rule, or why there was no scan; NULL */
    uint32_t released;             /* views that were wiped and ended on the way */
    enum decision_reason released_for;
    uint64_t flags; /* REASON_RETURN: PORTION_GUARD_CALLER_FLAGS that the caller had */
    bool forgot;    /* an older call can not be come back to any more */
    bool restore;   /* load `registers` */
    bool result;    /* but not RAX: it is the result of a system call */
    struct portion_guard_registers registers;
};

/* Judges, and if the verdict is to switch, the vCPU is in the other view from now on. */
void portion_guard_judge(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                         const struct portion_guard_access *access,
                         struct portion_guard_outcome *outcome);

/* Whether portion_guard_judge would look at pages, or give some to another view or to none: until
 * it has, and views are made of it, no other vCPU of the L2 may run. */
bool portion_guard_moves_pages(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                               const struct portion_guard_access *access);

/* The switch that was just judged cannot be made: the vCPU stays out of the portion, whose call is
 * over, and the outcome becomes a refusal for this reason. */
void portion_guard_refuse(struct portion_guard *guard, struct portion_guard_vcpu *vcpu,
                          const struct portion_guard_access *access, enum decision_reason reason,
                          struct portion_guard_outcome *outcome);

/* The processor itself needs the frame of the access, as a page table or the like, and does not get
 * at it: the L2 ends. */
void portion_guard_refuse_table(struct portion_guard *guard, const struct portion_guard_vcpu *vcpu,
                                const struct portion_guard_access *access,
                                struct portion_guard_outcome *outcome);

/* Whether the pages of code and constants of a view hold what the program's file has: again, now
 * that nobody else has them. */
bool portion_guard_code_is_right(struct portion_guard *guard, uint32_t view);

/* The program of this address space has ended, and the caller knows it: wipes its data. */
void portion_guard_forget(struct portion_guard *guard, uint64_t cr3);

struct portion_guard_event {
    struct log_event event;
    struct log_field more[9];
    char address[24]; /* linear; "": not known */
    char physical[24];
    char space[24];
    char also[256]; /* names of reasons */
};

/* What to log of it. The strings are the guard's; `event` must stay where it is. */
void portion_guard_describe(const struct portion_guard *guard,
                            const struct portion_guard_access *access,
                            const struct portion_guard_outcome *outcome,
                            struct portion_guard_event *event);

#endif
