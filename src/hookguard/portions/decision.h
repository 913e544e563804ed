/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_DECISION_H
#define HOOKGUARD_PORTIONS_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "hookguard/portions/portions.h"

/*
 * What becomes of an access that a view does not allow: a function of facts, with no state and no
 * mechanism. guard.h finds the facts.
 *
 * The model. The default view has everything but the portions. The view of a portion executes the
 * portion's code and nothing else, also none of the guest's kernel, which is not trusted: whatever
 * runs next, the kernel or the rest of the program, is a fetch that the view does not allow, and is
 * judged before it happens. Leaving a portion is always allowed. Coming back is allowed at an entry
 * point, or exactly where it was left: at the instruction that was interrupted, or behind the call
 * that led out, with the same stack pointer.
 */
enum portion_access {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_KINDS
};

/* Whether the address space (CR3) is one in which the target portion lives. */
enum portion_identity {
    IDENTITY_BOUND,    /* it is: the portion's pages are where they were when it was bound */
    IDENTITY_NEW,      /* not yet known, and can be bound: all pages are there, the code is right */
    IDENTITY_OTHER,    /* bound already, to an address space that is not this one */
    IDENTITY_REMAPPED, /* bound, but its pages are not where they were */
    IDENTITY_UNMAPPED, /* not known, and pages of the portion are missing */
    IDENTITY_DIFFERS,  /* not known, and what lies there is not the program's code */
    IDENTITY_TAKEN,    /* not known, and a page of it is another's already */
    IDENTITY_FULL,     /* not known, and no more can be */
    IDENTITY_KINDS
};

enum portion_resume {
    RESUME_NONE,
    RESUME_EXACT, /* instruction and stack pointer are those of a point where it was left */
    RESUME_MOVED, /* the instruction is, the stack pointer is not */
    RESUME_KINDS
};

/* What the portion would return by and push to. Its own `ret` causes no exit. */
enum portion_stack {
    STACK_OUTSIDE,
    STACK_RETURNS_INSIDE, /* the return address is the portion's, not known, or not what it was */
    STACK_INSIDE,         /* the stack lies in the portion's own pages, or they are right below */
    STACK_KINDS
};

enum portion_scan {
    SCAN_CLEAN, /* or there are no rules */
    SCAN_DUE,   /* not done yet: VERDICT_SCAN asks for it when it matters */
    SCAN_MATCHED,
    SCAN_FAILED,
    SCAN_KINDS
};

/* How the current portion is left by this fetch. */
enum portion_leave {
    LEAVE_RETURN, /* to its caller, by the stack pointer and the address it was entered with */
    LEAVE_CALL,   /* by a call: the return address on the stack is the portion's, behind a call */
    LEAVE_INTERRUPT, /* to the kernel, with an interrupt frame that can be believed */
    LEAVE_FORGED,    /* to the kernel, with a frame that cannot */
    LEAVE_OTHER,     /* any other jump */
    LEAVE_KINDS
};

struct decision_request {
    enum portion_access access;
    unsigned int cpl;
    uint32_t from;   /* portion whose view it happens in; 0: the default view */
    uint32_t target; /* portion whose page is accessed; 0: none's */
    bool alias;      /* by a linear address that is not the page's declared one */
    bool gone;       /* whom the page belongs to does not map it any more */
    bool writable;   /* the page, in its own view */
    bool executable;
    bool other_mode; /* not 64-bit: the code's bytes are other instructions then */
    enum portion_identity identity;
    bool altered; /* IDENTITY_NEW: its data is not what the program's file has there */
    bool entry;   /* the address is an entry point */
    enum portion_resume resume;
    bool room; /* for one more call of the portion */
    enum portion_stack stack;
    enum portion_scan scan;
    enum portion_leave leave; /* fetches, from != 0 */
    enum portion_refusal on_refusal;
    uint64_t tolerated; /* bit r: as if on_refusal were to log, for this refusal */
};

enum decision_verdict {
    VERDICT_RESUME,  /* none of a portion's business: the view's other rules decide */
    VERDICT_SERVE,   /* do this one data access for it */
    VERDICT_SWITCH,  /* into the view of `to` */
    VERDICT_SCAN,    /* compare the patterns, and ask again */
    VERDICT_RELEASE, /* wipe and open what belonged to who is gone, and ask again */
    VERDICT_ERROR,   /* the program gets an error, the access does not happen */
    VERDICT_KILL,    /* the program ends */
    VERDICT_STOP,    /* the L2 ends */
    VERDICT_KINDS
};

/* L1 sees the numbers (MEZZ_EXIT_PORTION): new ones go to the end. */
enum decision_reason {
    REASON_NONE,
    /* Allowed. */
    REASON_ENTRY,
    REASON_RESUME_POINT,
    REASON_RETURN,
    REASON_CALL_OUT,
    REASON_INTERRUPT,
    REASON_LEFT,
    REASON_INTERRUPT_FRAME, /* left, and cannot be come back to */
    /* Released. */
    REASON_OWNER_GONE,
    REASON_REMAPPED,
    /* Refused. */
    REASON_NOT_ENTRY,
    REASON_RESUME_MOVED,
    REASON_TOO_MANY_CALLS,
    REASON_ALIAS,
    REASON_OTHER_PROGRAM,
    REASON_NOT_MAPPED,
    REASON_CODE_DIFFERS,
    REASON_FRAME_TAKEN,
    REASON_TOO_MANY_PROGRAMS,
    REASON_KERNEL_FETCH,
    REASON_KERNEL_READ,
    REASON_KERNEL_WRITE,
    REASON_READ_OUTSIDE,
    REASON_WRITE_OUTSIDE,
    REASON_WRITE_CODE,
    REASON_DATA_FETCH,
    REASON_PATTERN,
    REASON_NOT_SCANNED,
    REASON_UNSAFE_SPACE, /* found by portion_guard_refuse's caller, never by decide() */
    REASON_RETURN_ADDRESS,
    REASON_STACK_INSIDE,
    REASON_NOT_64_BIT,
    REASON_DATA_DIFFERS,
    REASON_TABLE_INSIDE, /* found by portion_guard_refuse_table's caller */
    REASON_KINDS
};

struct decision {
    enum decision_verdict verdict;
    enum decision_reason reason;
    uint32_t to;   /* VERDICT_SWITCH: portion; 0: the default view */
    bool refused;  /* the reason is a refusal, also if it was only to be logged */
    uint64_t also; /* bit r: a refusal that it would have been, too; of those that are tolerated and
                      let in as well as of one that is not */
    bool resumes;  /* VERDICT_SWITCH: a call is come back to, and is not a new one */
    bool remember; /* where `from` is left: it may be come back to */
    bool ends;     /* the call of `from` is over */
};

struct decision decide(const struct decision_request *request);

/* What a refusal for this reason leads to, by the request's on_refusal, tolerated, access and cpl.
 * One that is only to be logged is an error if it is a fetch. */
struct decision decision_refuse(const struct decision_request *request,
                                enum decision_reason reason);

const char *decision_verdict_name(enum decision_verdict verdict);
const char *decision_reason_name(enum decision_reason reason);
bool decision_is_refusal(enum decision_reason reason);
/* A reason that a declaration may tolerate: a refusal, or a release, whose pages are then not
 * wiped. REASON_KINDS if there is none of this name. */
enum decision_reason decision_tolerable_by_name(const char *name);

#endif
