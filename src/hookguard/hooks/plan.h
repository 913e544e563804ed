/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_PLAN_H
#define HOOKGUARD_HOOKS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/program_image.h"
#include "host/error.h"
#include "mezz/guard.h"

/*
 * The plan of a guard: what each page of the library and of its agent shows in the default view and
 * in the security view. Made once, from the two ELF files and a declaration, before anything runs;
 * what cannot be laid out is refused with the reason. docs/hookguard.md is for who declares one.
 * A program may be its own library: then the rest of it is not of the plan, but an application's
 * code like any other.
 *
 * A guarded function's entry, HOOK_BYTES long, in the three pages that it may have:
 *
 *   security view       +0  jmp +6      for calls that are made in this view
 *                       +8  jmp thunk   the security hook
 *   default, inline     +0  movb $HOOK_INDEX, gate   the gate; then the function as it was
 *   default, api-nx     the page as it is in the file, not executable
 *
 * What the security hook displaces is behind it (a preamble of no-operations) or moved to the
 * agent's plan pages (move.h).
 */
#define HOOK_GATE_BYTES  8U
#define HOOK_BYTES       13U
#define HOOK_INDEX       0xc0U /* of the security view, as the gates of this guard write it */
#define HOOK_TRAP_INDEX  0xc1U /* what padding runs into: always refused */
#define HOOK_AGENT_PAGES 256U
#define HOOK_PAGES_LIMIT 512U

/* Each stops something by itself (docs/hookguard.md has the table); all is what one wants. */
enum hook_defence {
    HOOK_PADDING = 1U << 0,        /* "padding" */
    HOOK_API_NX = 1U << 1,         /* "api-nx" */
    HOOK_APP_NX = 1U << 2,         /* "app-nx" */
    HOOK_GATE_SITES = 1U << 3,     /* "gate-sites" */
    HOOK_GATE_INDEX = 1U << 4,     /* "gate-index" */
    HOOK_READ_ONLY = 1U << 5,      /* "read-only" */
    HOOK_HIDDEN = 1U << 6,         /* "agent-hidden" */
    HOOK_OWN_STACK = 1U << 7,      /* "agent-stack" */
    HOOK_COPIES = 1U << 8,         /* "copies" */
    HOOK_RETURN_CHECK = 1U << 9,   /* "return-check" */
    HOOK_MAPPING_CHECK = 1U << 10, /* "mapping-check" */
    HOOK_KERNEL_NX = 1U << 11,     /* "kernel-nx" */
    HOOK_TABLE_CHECK = 1U << 12,   /* "table-check" */
    HOOK_ALL_DEFENCES = (1U << 13) - 1
};

/* 0 if there is none of this name. */
uint32_t hook_defence_by_name(const char *name);
/* By the number of its bit; NULL past the last. */
const char *hook_defence_name(unsigned int bit);

struct hook_argument {
    enum mezz_guard_kind kind;
    unsigned int length_in; /* BUFFER, MEMORY: argument, from 0 on; or MEZZ_GUARD_NO_LENGTH */
    uint32_t limit;         /* 0: the default */
};

struct hook_function_declaration {
    const char *name;
    const struct hook_argument *argument;
    size_t arguments;
};

struct hook_declaration {
    const struct hook_function_declaration *function;
    size_t functions;
    uint32_t defences;
    uint64_t gate; /* linear address of the gate that hooks write to; needed without HOOK_API_NX */
    bool asks;     /* what the agent allows is to be asked of somebody else */
    bool own;      /* the functions are those of the program that calls them */
};

struct hook_function {
    char *name;
    uint64_t entry;
    uint64_t length;
    uint64_t body;  /* what the agent calls */
    uint64_t thunk; /* on the plan pages */
    uint64_t callback;
    size_t arguments;
    struct mezz_guard_argument argument[MEZZ_GUARD_ARGUMENTS];
};

enum hook_page_kind {
    HOOK_PAGE_GUARDED, /* has a guarded function */
    HOOK_PAGE_LIBRARY, /* another one of the library; of a program, not of the plan */
    HOOK_PAGE_AGENT,   /* agent code or constants */
    HOOK_PAGE_PLAN,    /* the same, and written by the planner */
    HOOK_PAGE_DATA,    /* agent data and stack */
    HOOK_PAGE_EXCHANGE,
    HOOK_PAGE_DOOR,
    HOOK_PAGE_KINDS
};

/* Rights are MEZZ_EPT_READ, _WRITE, _EXECUTE. Contents are of PAGE_SIZE bytes. */
struct hook_page {
    enum hook_page_kind kind;
    uint64_t linear;
    uint8_t *file;   /* as the image has it: by this the page is found in a guest */
    uint8_t *shown;  /* in the default view; NULL: what the guest has there */
    uint8_t *secure; /* in the security view; NULL: what the guest has there */
    uint32_t default_rights;
    uint32_t secure_rights;
};

struct hook_plan {
    uint32_t defences;
    bool own; /* library is the program that calls */
    uint64_t gate;
    struct hook_page *page; /* by linear address */
    size_t pages;
    uint64_t door;
    uint64_t record;
    uint64_t nested; /* 0: it does not tell of calls within calls */
    uint64_t stack;
    uint64_t stack_end;
    uint64_t exchange;
    uint64_t exchange_end;
    uint64_t copy; /* guard_copy, and where it goes on after a fault */
    uint64_t copy_fault;
    uint64_t answered; /* where an agent that asked goes on; 0: this one never asks */
    size_t functions;
    struct hook_function function[MEZZ_GUARD_FUNCTIONS];
    char *library;
    char *agent;
};

/* "LIBRARY: guard of FUNCTION: what is wrong": -EINVAL, -ENOMEM. */
int hook_plan_make(struct hook_plan *plan, const struct program_image *library,
                   const struct program_image *agent, const struct hook_declaration *declaration,
                   struct error *error);
void hook_plan_destroy(struct hook_plan *plan);

/* Of a plan for a program's own functions: whether another program (or this one, by its name) has a
 * page more with the bytes of a guarded one. -EINVAL, and which. */
int hook_own_compare(const struct hook_plan *plan, const struct program_image *image,
                     struct error *error);

/* NULL if there is none. */
const struct hook_page *hook_page_at(const struct hook_plan *plan, uint64_t linear);
/* The function with this entry, or the one of which [entry, entry + length) has the address. */
const struct hook_function *hook_function_of_entry(const struct hook_plan *plan, uint64_t address);
const struct hook_function *hook_function_at(const struct hook_plan *plan, uint64_t address);
/* The one that has the address, or else one on the same page. */
const struct hook_function *hook_function_near(const struct hook_plan *plan, uint64_t address);

#endif
