/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_PORTIONS_H
#define HOOKGUARD_PORTIONS_PORTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hookguard/portions/patterns.h"
#include "hookguard/program_image.h"
#include "host/error.h"

/*
 * Portions: sets of a program's pages that only code of the portion itself may use, and that is
 * entered at its entry points only. docs/portions-policy.md is for who declares them.
 *
 * A page belongs to one portion or to none. What is declared by symbol, section or address is
 * widened to pages; a page on which anything else of the program lies is refused, with its names.
 */
#define PORTIONS_LIMIT        64U
#define PORTION_PAGES_LIMIT   1024U
#define PORTION_ENTRIES_LIMIT 64U
#define PORTION_NAMES_LIMIT   256U /* of one list of a declaration */
#define PORTION_PROGRAMS      32U

enum portion_refusal {
    REFUSAL_LOG,   /* the access happens and is written down */
    REFUSAL_ERROR, /* the program gets an error */
    REFUSAL_KILL,  /* the program ends */
    REFUSAL_STOP,  /* the L2 ends */
    REFUSAL_KINDS
};

const char *portion_refusal_name(enum portion_refusal refusal);
/* REFUSAL_KINDS if there is none of this name. */
enum portion_refusal portion_refusal_by_name(const char *name);

struct address_range {
    uint64_t address;
    uint64_t length;
};

/* Things of a program. */
struct portion_parts {
    const char *const *symbol;
    size_t symbols;
    const char *const *section;
    size_t sections;
    const struct address_range *range;
    size_t ranges;
};

struct portion_declaration {
    const char *program; /* as portion_table_add_program named it */
    const char *name;
    struct portion_parts parts;
    const char *const *entry; /* symbols */
    size_t entries;
    const uint64_t *entry_address;
    size_t entry_addresses;
    struct portion_parts shared; /* data of the program that the portion may use, too */
    enum portion_refusal on_refusal;
    uint64_t tolerated; /* bit r: enum decision_reason r is only logged, or does not wipe */
    bool strict;        /* data of the program that the portion uses is served access by access */
    struct patterns *patterns; /* NULL: none; outlives the table */
};

/* Whole pages. Rights: MEZZ_EPT_READ, _WRITE, _EXECUTE. */
struct portion_pages {
    uint64_t address; /* linear */
    uint64_t length;
    uint32_t inside;  /* rights in the portion's view */
    uint32_t outside; /* in all other views */
};

struct portion {
    uint32_t id; /* from 1 on, its place in the table */
    uint32_t program;
    char *name;
    struct portion_pages *pages; /* by address; the portion's own, then the shared ones */
    size_t own;
    size_t shared;
    uint64_t *entry; /* by address */
    size_t entries;
    size_t own_pages;  /* PAGE_SIZE each */
    size_t code_pages; /* among them */
    enum portion_refusal on_refusal;
    uint64_t tolerated;
    bool strict;
    struct patterns *patterns;
};

struct portion_table {
    struct program_image program[PORTION_PROGRAMS];
    size_t programs;
    struct portion portion[PORTIONS_LIMIT];
    size_t portions;
};

void portion_table_init(struct portion_table *table);
void portion_table_destroy(struct portion_table *table);

/* name: what declarations and messages call it. */
int portion_table_add_program(struct portion_table *table, const char *name, const void *bytes,
                              size_t size, struct error *error);

/* "PROGRAM: portion NAME: what is wrong": -EINVAL, -ENOMEM. The table is then as it was. */
int portion_table_add(struct portion_table *table, const struct portion_declaration *declaration,
                      struct error *error);

/* NULL for id 0 and for one past the last. */
const struct portion *portion_by_id(const struct portion_table *table, uint32_t id);

bool portion_is_entry(const struct portion *portion, uint64_t address);

/* The pages that have this linear address, its own or shared; NULL. */
const struct portion_pages *portion_pages_at(const struct portion *portion, uint64_t address);

/* The portion of a program that owns the address; NULL. */
const struct portion *portion_at(const struct portion_table *table, uint32_t program,
                                 uint64_t address);

#endif
