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

typedef void own_visitor(uint64_t i);

/* What has been paid then; not to "secret" somebody. To "forbidden" it is the program's end. */
int64_t own_pay(const char *to, uint64_t amount);

/* The same twice, by own_pay. */
int64_t own_pay_twice(const char *to, uint64_t amount);

/* Calls its caller back, which no guarded function must. */
int64_t own_each(uint64_t n, own_visitor *visit);

#endif
