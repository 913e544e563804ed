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

GUARDED int64_t own_each(uint64_t n, own_visitor *visit)
{
    for (uint64_t i = 0; i < n; i++) {
        visit(i);
    }
    return 0;
}
