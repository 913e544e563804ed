/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guarded call costs, in time-stamp counter ticks: stacks/guard-cost.lua runs it and divides
 * by the cost of one exit of this ring, measured in turn with the calls. That exit is a read of an
 * API page where the guard makes it not executable, which the root serves.
 */
#include "api/api.h"
#include "lib/tiny.h"

#define ROUNDS 300
#define KINDS  4

static const char *const names[KINDS] = {"exit", "allowed", "denied", "unguarded"};
static uint64_t ticks[KINDS][ROUNDS];

static uint64_t now(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void one_exit(void)
{
    (void)*(const volatile uint8_t *)((uint64_t)api_open + 64);
}

static void measure(unsigned kind)
{
    switch (kind) {
    case 0:
        one_exit();
        break;
    case 1:
        api_sum(0, 0);
        break;
    case 2:
        api_open("secret", 0);
        break;
    default:
        /* At the API's address as well, but not among the guarded ones. */
        api_nothing();
        break;
    }
}

static void sort(uint64_t *v)
{
    for (unsigned i = 1; i < ROUNDS; i++) {
        uint64_t x = v[i];
        unsigned j = i;

        for (; j && v[j - 1] > x; j--) {
            v[j] = v[j - 1];
        }
        v[j] = x;
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            uint64_t begin;

            measure(kind); /* once for the caches */
            begin = now();
            measure(kind);
            ticks[kind][i] = now() - begin;
        }
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        sort(ticks[kind]);
        tiny_print("callcost: %s %lu %lu\n", names[kind], ticks[kind][ROUNDS / 2],
                   ticks[kind][ROUNDS * 99 / 100]);
    }
    return 0;
}
