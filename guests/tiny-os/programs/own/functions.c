/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/own/own.h"

/* Room for a hook, and pages that they share with nothing. */
#define GUARDED \
    __attribute__((section(".guarded"), noinline, aligned(4096), patchable_function_entry(16)))

uint64_t own_paid;

GUARDED int64_t own_pay(const char *to, uint64_t amount)
{
    own_paid += *to ? amount : 0;
    return (int64_t)own_paid;
}

GUARDED int64_t own_pay_twice(const char *to, uint64_t amount)
{
    int64_t result = own_pay(to, amount);

    return result < 0 ? result : own_pay(to, amount);
}

/* Without a look at how many: what is above the copy on the stack is its caller's to choose. */
GUARDED int64_t own_sum(const uint64_t *values, uint64_t bytes)
{
    volatile uint64_t copy[OWN_VALUES] = {0};
    volatile uint64_t *to = copy;
    uint64_t sum = 0;

    __asm__("" : "+r"(to)); /* the compiler does not look, either */
    for (uint64_t i = 0; i < bytes / sizeof(*to); i++) {
        to[i] = values[i];
    }
    for (uint64_t i = 0; i < OWN_VALUES; i++) {
        sum += copy[i];
    }
    return (int64_t)sum;
}
