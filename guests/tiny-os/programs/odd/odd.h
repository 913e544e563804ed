/* SPDX-License-Identifier: Apache-2.0 */
/* A library of functions that libraries may well have and that are hard to guard. */
#ifndef TINY_ODD_H
#define TINY_ODD_H

#include <stdint.h>

struct odd_pair {
    int64_t first, second;
};

#define ODD_DENIED 13 /* odd_add with it is refused with EACCES, */
#define ODD_KILLS  14 /* and with this one ends the program */

int64_t odd_add(int64_t a, int64_t b);
struct odd_pair odd_pair(int64_t a);
int64_t odd_through(int64_t a, int64_t b); /* odd_add, by a call of its entry */
int64_t odd_deep(int64_t n);               /* n calls of itself */
int64_t odd_large(int64_t n);              /* with more on the stack than the agent has */
int64_t odd_code(int64_t a);               /* its callback answers 5 */
int64_t odd_left(int64_t a);               /* a + 1, by the same bytes */
int64_t odd_right(int64_t a);

#endif
