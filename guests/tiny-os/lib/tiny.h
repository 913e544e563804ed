/* SPDX-License-Identifier: Apache-2.0 */
/* What a tiny-OS program has: its calls, and a line of formatted output. */
#ifndef TINY_LIB_TINY_H
#define TINY_LIB_TINY_H

#include "abi/calls.h"

#include <stdint.h>

/* A program defines this; what it returns is its exit status. argv[0] is the program's name. */
int main(int argc, char **argv);

static inline int64_t tiny_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t fourth __asm__("r8") = d;
    int64_t result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "memory");
    return result;
}

_Noreturn static inline void tiny_exit(int status)
{
    tiny_call(TINY_CALL_EXIT, (uint64_t)status, 0, 0, 0);
    __builtin_unreachable();
}

static inline int64_t tiny_write(const void *bytes, uint64_t n)
{
    return tiny_call(TINY_CALL_WRITE, (uint64_t)bytes, n, 0, 0);
}

static inline void tiny_yield(void)
{
    tiny_call(TINY_CALL_YIELD, 0, 0, 0, 0);
}

static inline uint64_t tiny_time(void)
{
    return (uint64_t)tiny_call(TINY_CALL_TIME, 0, 0, 0, 0);
}

static inline int tiny_getpid(void)
{
    return (int)tiny_call(TINY_CALL_GETPID, 0, 0, 0, 0);
}

static inline int64_t tiny_sleep(uint64_t milliseconds)
{
    return tiny_call(TINY_CALL_SLEEP, milliseconds, 0, 0, 0);
}

/* One call, so that lines of several programs do not mix. At most 256 bytes; format as in printf.
 */
__attribute__((format(printf, 1, 2))) void tiny_print(const char *format, ...);

/* Computes for so many time-stamp counter ticks without a call. */
void tiny_burn(uint64_t tsc_ticks);

#endif
