/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_HOOKS_PARTS_H
#define HOOKGUARD_HOOKS_PARTS_H

#include "hookguard/hooks/plan.h"

/* Between plan.c, parts.c, own.c,
 * pointers.c and place.c: a plan that is being made. */

struct hook_maker {
    struct hook_plan *plan;
    const struct program_image *library;
    const struct program_image *agent;
    struct error *error;
    bool asks;
    uint64_t enter;                     /* guard_enter */
    uint64_t area_address;              /* guard_plan */
    uint8_t area[MEZZ_GUARD_PLAN_SIZE]; /* what will be there */
    size_t used;
};

enum hook_side {
    HOOK_SHOWN,
    HOOK_SECURE
};

/* -EINVAL and the message: what is wrong with the guard of this function. */
int hook_bad(const struct hook_maker *maker, const struct hook_function *function,
             const char *what);

/* The agent's symbols. */
int hook_parts_find(struct hook_maker *maker);

/* All pages of both images, with their rights and contents before there are hooks. */
int hook_parts_pages(struct hook_maker *maker);

/* Bytes into the contents of one side, which exist, across pages. */
void hook_parts_write(struct hook_plan *plan, uint64_t linear, const void *bytes, size_t length,
                      enum hook_side side);

/* own.c: what a program that is its own library must not have. */
int hook_own_check(struct hook_maker *maker);

/* pointers.c: code of the view that goes where a pointer says. */
int hook_pointers_check(struct hook_maker *maker);

/* place.c: the hooks of all functions, into the contents of the pages. */
int hook_place_all(struct hook_maker *maker);

#endif
