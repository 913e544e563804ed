/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of a program's own that are guarded: linked into it, each alone on its page. They are
 * in a file of their own, since a compiler that has seen them may call a copy of one, or know what
 * it returns.
 */
#ifndef TINY_OWN_OWN_H
#define TINY_OWN_OWN_H

#include <stdint.h>

#define OWN_LIMIT 100 /* the agent lets nobody pay more at once */

/* What has been paid so far. */
extern uint64_t own_paid;

/* What has been paid then; not to "secret" somebody. To "forbidden" it is the program's end. */
int64_t own_pay(const char *to, uint64_t amount);

/* The same twice, by own_pay. */
int64_t own_pay_twice(const char *to, uint64_t amount);

/* The sum of 4 numbers at most; it does not look how many there are, which is its mistake. */
#define OWN_VALUES 4
int64_t own_sum(const uint64_t *values, uint64_t bytes);

#endif
