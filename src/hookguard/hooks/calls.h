/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_CALLS_H
#define HOOKGUARD_HOOKS_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/hooks/plan.h"
#include "hookguard/portions/portions.h"

/*
 * The guarded calls of one L2: who may come into a security view, from where, and how it is left
 * again. It decides and remembers; the caller makes the views of hook_each_patch() and alters the
 * vCPU as the outcome says.
 *
 * An address space that makes a guarded call gets a security view of its own (1 to HOOK_VIEWS): its
 * agent pages are found, their data is what the agent's file says, and from then on the frames are
 * that view's. Frames with the library's and the agent's code are claimed before the L2 first runs
 * (hook_claim), so that the first call is seen.
 *
 * The call's way: entry (fetch or gate) - hook - agent - function - agent - door. The door is a
 * page that no view has: a fetch there is the way out, and in the default view the way back in for
 * a call that an interrupt or a system call took out.
 */
#define HOOK_VIEWS      32U
#define HOOK_CLAIMS     2048U
#define HOOK_EXECUTABLE 4096U /* pages that an address space may execute */

/* In gpr, as struct kvm_regs has them. */
#define HOOK_RAX 0U
#define HOOK_RBX 1U
#define HOOK_RDX 3U
#define HOOK_RSI 4U
#define HOOK_RDI 5U
#define HOOK_RSP 6U

struct hooks;

struct hook_memory {
    /* Where ring 3 of this address space has the linear page: 0, or a negative errno; -EACCES if
     * the way there is by a page table in a frame of hook_is_closed(). */
    int (*translate)(void *context, uint64_t cr3, uint64_t linear, uint64_t *frame);
    /* L2-physical, within a page. */
    int (*read)(void *context, uint64_t address, void *to, size_t length);
    int (*write)(void *context, uint64_t address, const void *from, size_t length);
    /* Each 4-KiB frame that the address space maps executable, of ring 3 (user) or not. Stops at
     * the first result that is not 0. */
    int (*executable)(void *context, uint64_t cr3,
                      int (*function)(void *argument, uint64_t frame, bool user), void *argument);
    /* Both may be NULL. Notes how the address space, which is that of view number + 1, leads to the
     * plan's pages in these frames, and to nothing below the agent's stack; whether each entry of
     * each table still is as it was then. */
    void (*note)(void *context, unsigned int number, uint64_t cr3, const uint64_t *frames);
    bool (*same)(void *context, unsigned int number, uint64_t cr3);
    /* May be NULL. Whether what the processor itself reads and writes when an event leaves view
     * number + 1 lies in no frame of hook_is_closed(), and leads to nothing of hook_runs(). */
    bool (*sound)(void *context, unsigned int number, uint64_t cr3);
    void *context;
};

/* plan and memory outlive it. -ENOMEM. */
int hooks_create(struct hooks **hooks, const struct hook_plan *plan,
                 const struct hook_memory *memory, enum portion_refusal on_refusal);
void hooks_destroy(struct hooks *hooks);

/* 1: the frame holds a page of the library's or the agent's code; 0: not; -ENOSPC. */
int hook_claim(struct hooks *hooks, uint64_t frame);
/* How many of the plan's code pages have a frame, and how many there are. */
size_t hook_claimed(const struct hooks *hooks, size_t *of);

/* A page of a view that is not as EPT12 has it. */
struct hook_patch {
    uint64_t frame;
    uint32_t rights;
    const uint8_t *content; /* what is shown; NULL: what the frame has */
};

/* Counts changes of what hook_each_patch gives for the view. 0 is the default view. */
uint64_t hook_version(const struct hooks *hooks, uint32_t view);
bool hook_view_exists(const struct hooks *hooks, uint32_t view);
/* In no order; a frame may come twice, then the first counts. */
int hook_each_patch(const struct hooks *hooks, uint32_t view,
                    int (*function)(void *context, const struct hook_patch *patch), void *context);

struct hook_registers {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
};

/* What a vCPU is in. Zeroed: the default view. */
struct hook_vcpu {
    uint32_t view;
    uint64_t serial;
};

enum hook_access_kind {
    HOOK_FETCH,
    HOOK_READ,
    HOOK_WRITE,
    HOOK_GATE /* a store to the gate: RIP is behind it */
};

struct hook_access {
    enum hook_access_kind kind;
    unsigned int cpl;
    uint64_t cr3;    /* without flags and PCID */
    bool other_mode; /* not 64-bit: the code's bytes are other instructions then */
    uint64_t linear;
    bool linear_known;
    uint64_t frame;  /* accessed, page-aligned */
    uint64_t offset; /* of data in it */
    uint64_t index;  /* that the gate was told */

    /* The kernel's first fetch: what the processor pushed. */
    struct {
        bool known;
        unsigned int vector;
        uint64_t rip;
        uint64_t rsp;
        uint64_t rflags;
        bool call_instruction; /* INT 80h lies at rip */
    } interrupt;
    struct hook_registers registers; /* the last: whoever clears an access leaves these */
};

enum hook_reason {
    HOOK_REASON_NONE,
    HOOK_REASON_CALL,        /* in, by an entry */
    HOOK_REASON_RETURN,      /* out, by the door */
    HOOK_REASON_SYSTEM_CALL, /* out, to come back */
    HOOK_REASON_INTERRUPT,
    HOOK_REASON_BACK,
    HOOK_REASON_UNREADABLE, /* the agent was told that it cannot read an argument */
    HOOK_REASON_ASKED,      /* the agent allows the call and asks whether it may be */
    /* Refused. */
    HOOK_REASON_NOT_ENTRY,
    HOOK_REASON_STRAY_GATE,
    HOOK_REASON_BAD_INDEX,
    HOOK_REASON_ALIAS,
    HOOK_REASON_KERNEL_FETCH,
    HOOK_REASON_AGENT_FETCH,
    HOOK_REASON_AGENT_READ,
    HOOK_REASON_AGENT_WRITE,
    HOOK_REASON_CODE_WRITE,
    HOOK_REASON_NOT_MAPPED,
    HOOK_REASON_CODE_DIFFERS,
    HOOK_REASON_FRAME_TAKEN,
    HOOK_REASON_TOO_MANY_PROGRAMS,
    HOOK_REASON_REMAPPED,
    HOOK_REASON_BUSY,
    HOOK_REASON_NO_STACK,
    HOOK_REASON_NO_CALL, /* the door, without a call that waits */
    HOOK_REASON_RETURN_CHANGED,
    HOOK_REASON_OUTSIDE, /* the security view ran something else */
    HOOK_REASON_AGENT_FAULT,
    HOOK_REASON_KILLED, /* the callback's wish */
    HOOK_REASON_NOT_64_BIT,
    HOOK_REASON_BAD_ARGUMENT, /* names what its caller cannot reach */
    HOOK_REASON_BAD_TABLES,   /* the processor's own, in frames of agents */
    HOOK_REASONS
};

const char *hook_reason_name(enum hook_reason reason);
bool hook_is_refusal(enum hook_reason reason);
const char *hook_verdict_name(enum mezz_guard_verdict verdict);

enum hook_action {
    HOOK_NOT_OURS, /* 0 */
    HOOK_GO_ON,    /* in vcpu->view, with `registers` if `load` says so */
    HOOK_ASK,      /* the same, with `registers` and the answer in RAX */
    HOOK_SERVE,    /* the data access happens */
    HOOK_NOTHING,  /* the data access does not: reads give ones */
    HOOK_KILL,     /* the same, and the program gets a general protection fault */
    HOOK_STOP,     /* the L2 ends */
    HOOK_ACTIONS
};

/* An argument in these registers. */
uint64_t hook_given_argument(const uint64_t *gpr, size_t i);
/* "page-fault"; NULL: it has no name. */
const char *hook_fault_name(unsigned int vector);

/* What became of it, in a word: of a call that is over the verdict, of a refusal the answer. */
const char *hook_word(enum hook_reason reason, enum mezz_guard_verdict verdict,
                      enum hook_action action);

struct hook_outcome {
    enum hook_action action;
    enum hook_reason reason;
    const struct hook_function *function; /* NULL: none */
    uint32_t from;                        /* view */
    uint32_t to;
    uint64_t caller;                 /* where a call returns to; of an access, the instruction */
    enum mezz_guard_verdict verdict; /* HOOK_REASON_RETURN and _KILLED */
    const uint64_t *given;           /* of a call that is refused: the caller's gpr; NULL */
    bool load;
    bool to_user; /* and ring 3 again, from the kernel's first instruction */
    /* The frame that the processor pushed gets these, and the kernel goes on at another vector. */
    bool rewrite;
    uint64_t frame_rip;
    uint64_t frame_rsp;
    bool system_call_vector;
    struct hook_registers registers; /* good only with `load`, or of HOOK_ASK */
};

/* Whether hook_judge would give pages to a view or take them: until views are made of that, no
 * other vCPU of the L2 may run. */
bool hook_moves_pages(struct hooks *hooks, const struct hook_vcpu *vcpu,
                      const struct hook_access *access);

/* Judges; the vCPU is in vcpu->view from now on. What views show may be another thing then,
 * whatever the outcome is. */
void hook_judge(struct hooks *hooks, struct hook_vcpu *vcpu, const struct hook_access *access,
                struct hook_outcome *outcome);

/* The default view has less of the frame's data than a security view: which frames these are is
 * another thing with another hook_version(hooks, 0) only. */
bool hook_is_closed(struct hooks *hooks, uint64_t frame);
/* Code of the frame would run in this security view. */
bool hook_runs(const struct hooks *hooks, uint32_t view, uint64_t frame);

/* The vCPU is no more; if it was inside, the call is over. */
void hook_vcpu_gone(struct hooks *hooks, struct hook_vcpu *vcpu);

/* L2-physical address of the linear one, by the view's own frames: for its record and its copies.
 * 0, or -EFAULT. */
int hook_agent_address(const struct hooks *hooks, uint32_t view, uint64_t linear,
                       uint64_t *address);

#endif
