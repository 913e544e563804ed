/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that name the agent's memory for the caller's, each in a way of its own: intrude.elf WAY.
 */
#include "api/api.h"
#include "lib/tiny.h"

#include <stdbool.h>

/* As agent/agent.ld has them. */
#define AGENT_DATA 0x10209000ul
#define EXCHANGE   0x1020a000ul

static int64_t handle;
static uint64_t bytes[8];

static int64_t by_memory(void)
{
    return api_sum((const void *)AGENT_DATA, 1);
}

/* Begins before the agent, and reaches into it. */
static int64_t by_length(void)
{
    return api_read(handle, (void *)0x101ff000, 0x200000);
}

static int64_t by_buffer(void)
{
    return api_write(handle, (const void *)AGENT_DATA, 32);
}

static int64_t by_text(void)
{
    return api_open((const char *)AGENT_DATA, 0);
}

/* What is on the function's page for the function. */
static int64_t by_hook(void)
{
    return api_sum((const void *)(uint64_t)api_open, 64);
}

static int64_t by_hook_text(void)
{
    return api_open((const char *)(uint64_t)api_open, TINY_OPEN_CREATE);
}

/* Not declared what it is. */
static int64_t by_value(void)
{
    return api_close((int64_t)AGENT_DATA);
}

/* The agent takes it for the stack of a call within a call, and finds the return address that the
 * last buffer left there. */
static int64_t by_stack(void)
{
    bytes[0] = (uint64_t)by_value;
    api_write(handle, bytes, sizeof(bytes));
    __asm__ volatile("movq %0, %%rsp; jmp *%1"
                     :
                     : "r"(EXCHANGE), "r"((uint64_t)api_close), "D"(handle)
                     : "memory");
    __builtin_unreachable();
}

/* Strings run downwards: 1 if the result is what it is upwards. */
static int64_t by_direction(void)
{
    int64_t upwards = api_sum(bytes, sizeof(bytes));
    int64_t result;

    __asm__ volatile("movq %%rsp, %%rbx; andq $-16, %%rsp; std; call *%3; cld; movq %%rbx, %%rsp"
                     : "=a"(result)
                     : "D"(bytes), "S"(sizeof(bytes)), "r"((uint64_t)api_sum)
                     : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result == upwards;
}

/* Of functions that are declared without arguments: how many bytes of the agent's make a
 * difference, at its own addresses and by a length that runs into it; and that the kernel writes
 * none. */
static int64_t by_nothing_declared(void)
{
    int64_t nothing = api_sum(0, 0);
    int64_t found = 0;

    for (uint64_t i = 0; i < 64; i++) {
        found += api_sum((const void *)(AGENT_DATA + i), 1) != nothing;
    }
    found += api_sum((const void *)(EXCHANGE - 64), 64) != nothing;
    found += api_read(handle, (void *)(EXCHANGE - 0x800), 0x800) > 0;
    return found;
}

/* No intruder: what is no argument has an address of the agent's by chance. */
static int64_t by_chance(void)
{
    register uint64_t r8 __asm__("r8") = AGENT_DATA;
    register uint64_t r9 __asm__("r9") = AGENT_DATA;
    int64_t result;

    __asm__ volatile("movq %%rsp, %%rbx; andq $-16, %%rsp; call *%2; movq %%rbx, %%rsp"
                     : "=a"(result)
                     : "D"(-1ul), "a"((uint64_t)api_close), "S"(AGENT_DATA), "d"(AGENT_DATA),
                       "c"(AGENT_DATA), "r"(r8), "r"(r9)
                     : "rbx", "r10", "r11", "memory", "cc");
    return result;
}

static const struct {
    const char *name;
    int64_t (*try)(void);
} ways[] = {
    {"memory", by_memory},
    {"length", by_length},
    {"buffer", by_buffer},
    {"text", by_text},
    {"value", by_value},
    {"stack", by_stack},
    {"hook", by_hook},
    {"hook-text", by_hook_text},
    {"direction", by_direction},
    {"chance", by_chance},
    {"undeclared", by_nothing_declared},
};

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

int main(int argc, char **argv)
{
    handle = api_open("public.txt", TINY_OPEN_CREATE);
    for (unsigned i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (equal(argv[1], ways[i].name)) {
            tiny_print("intrude: %s: %d\n", argv[1], (int)ways[i].try());
        }
    }
    return 0;
}
