/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_GUARD_H
#define MEZZ_GUARD_H

#include <stdint.h>

/*
 * The agent's side of a guard (docs/hookguard.md): what the root writes into the pages that the
 * agent's image keeps free for it, and what the agent leaves for the root to read.
 *
 * An agent is an ELF64 executable at fixed addresses with these symbols, all of them page-aligned
 * but guard_enter and those from guard_record on:
 *
 *   guard_plan       MEZZ_GUARD_PLAN_SIZE bytes, executable: the root puts a mezz_guard_plan there
 *                    and, behind it, code of its own. A multiple of 16 is enough for it, too
 *   guard_door       one page, executable, in no view: control that gets here is the root's
 *   guard_exchange   writable, as long as the symbol says: copies of arguments, which the guest's
 *                    kernel may read
 *   guard_stack      the same: the agent's own stack
 *   guard_enter      where each guarded call begins, with the function's index in R11D
 *   guard_record     a mezz_guard_record
 *   guard_copy       the one instruction that touches the caller's memory ...
 *   guard_copy_fault ... and where the root lets it go on when the guest says that it may not
 *   check_NAME       the validating callback of function NAME
 *   guard_answered   only where somebody else decides, too: where an agent that asks goes on
 *   guard_nested     optional: a mezz_guard_nested; without one nobody hears of calls within calls
 */
#define MEZZ_GUARD_MAGIC        0x4452475aU /* "ZGRD" */
#define MEZZ_GUARD_VERSION      1U
#define MEZZ_GUARD_PLAN_SIZE    8192U
#define MEZZ_GUARD_FUNCTIONS    32U
#define MEZZ_GUARD_ARGUMENTS    6U
#define MEZZ_GUARD_GATE         0x10900000ULL /* linear: where hooks expect the gate's page */
#define MEZZ_GUARD_COPY_LIMIT   4096U         /* bytes of one argument's copy */
#define MEZZ_GUARD_MEMORY_LIMIT 0x1000000U    /* of MEMORY: an agent denies more than 16 MiB */

/* Of a call from outside, registers that are declared to be no argument are 0.
 * What a caller gives is its own memory: an agent refuses pointers to its own, in all of them but
 * NUMBER. */
enum mezz_guard_kind {
    MEZZ_GUARD_VALUE,   /* a number, or a pointer that is passed on as it is */
    MEZZ_GUARD_CSTRING, /* text that ends in a zero byte: copied */
    MEZZ_GUARD_BUFFER,  /* as many bytes as another argument says: copied */
    MEZZ_GUARD_MEMORY,  /* bytes that the function itself reads or writes: not copied */
    MEZZ_GUARD_NUMBER,  /* no pointer, whatever it is */
    MEZZ_GUARD_KINDS
};

static inline int mezz_guard_is_copied(uint32_t kind)
{
    return kind == MEZZ_GUARD_CSTRING || kind == MEZZ_GUARD_BUFFER;
}

#define MEZZ_GUARD_NO_LENGTH 0xffU

struct mezz_guard_argument {
    uint8_t kind;      /* enum mezz_guard_kind */
    uint8_t length_in; /* BUFFER, MEMORY: the argument with its length, from 0 on */
    uint16_t limit;    /* CSTRING: bytes with the zero; BUFFER: bytes; MEMORY: with no length_in
                        * (MEZZ_GUARD_NO_LENGTH) as many, otherwise at most, 0: no limit */
};

struct mezz_guard_function {
    uint64_t body;     /* what the call runs when it is allowed */
    uint64_t callback; /* check_NAME */
    uint32_t arguments;
    struct mezz_guard_argument argument[MEZZ_GUARD_ARGUMENTS];
    uint32_t reserved;
};

/* Tests switch these off one by one, to see that something depends on them. */
#define MEZZ_GUARD_COPIES    (1U << 0) /* the function gets the copies, not the caller's memory */
#define MEZZ_GUARD_OWN_STACK (1U << 1)
/* The agent asks before it calls the function of a call that it allows: with a complete
 * guard_record it goes to the door with MEZZ_GUARD_ASKS in RDI, and goes on at guard_answered, all
 * registers as they were but RAX, which says what a callback says. */
#define MEZZ_GUARD_ASK  (1U << 2)
#define MEZZ_GUARD_ASKS 0x100U

struct mezz_guard_plan {
    uint32_t magic;
    uint32_t version;
    uint32_t functions;
    uint32_t flags;
    struct mezz_guard_function function[MEZZ_GUARD_FUNCTIONS];
};

/* What a callback says. Any number in [-4095, -1] is a denial with that result. */
#define MEZZ_GUARD_ALLOW 0
#define MEZZ_GUARD_KILL  INT64_MIN

/* At the door RAX and RDX have the call's result and RDI one of these. KILLED may come from a call
 * within the call, too: the record is of that one, and nothing else of the call happens. */
enum mezz_guard_verdict {
    MEZZ_GUARD_ALLOWED,
    MEZZ_GUARD_DENIED,
    MEZZ_GUARD_KILLED,
    MEZZ_GUARD_UNREADABLE, /* an argument is no memory of the caller's: denied with -14, EFAULT */
    MEZZ_GUARD_TOO_LONG,   /* or was longer than its limit: denied with -22, EINVAL */
    MEZZ_GUARD_VERDICTS
};

/* Complete when the agent is at the door: of the outermost call, or of the one that it asks about.
 * With the outermost call's arguments and copies in it before its callback is called, they are told
 * of a call that makes a fault, too. */
struct mezz_guard_record {
    uint32_t function; /* index */
    uint32_t verdict;
    uint64_t argument[MEZZ_GUARD_ARGUMENTS]; /* as the caller gave them */
    uint64_t copy[MEZZ_GUARD_ARGUMENTS];     /* address of the copy; 0: none */
    uint64_t length[MEZZ_GUARD_ARGUMENTS];   /* bytes of it */
};

/* Calls that guarded functions made of each other in the outermost call, in the order of their
 * verdicts; the root reads it when that call is over. */
#define MEZZ_GUARD_NESTED 16U

struct mezz_guard_nested_call {
    uint32_t function; /* index */
    uint32_t verdict;
    uint64_t argument[MEZZ_GUARD_ARGUMENTS];
};

struct mezz_guard_nested {
    uint64_t calls;                         /* all of them; the first ones have a place below */
    uint64_t verdicts[MEZZ_GUARD_VERDICTS]; /* of all of them */
    struct mezz_guard_nested_call call[MEZZ_GUARD_NESTED];
};

_Static_assert(sizeof(struct mezz_guard_argument) == 4, "ABI");
_Static_assert(sizeof(struct mezz_guard_function) == 48, "ABI");
_Static_assert(sizeof(struct mezz_guard_plan) == 16 + 48 * MEZZ_GUARD_FUNCTIONS, "ABI");
_Static_assert(sizeof(struct mezz_guard_record) == 152, "ABI");
_Static_assert(sizeof(struct mezz_guard_nested) == 48 + 56 * MEZZ_GUARD_NESTED, "ABI");

#endif
