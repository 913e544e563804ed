/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_GUEST_H
#define MEZZ_GUEST_H

/* How an L1 makes a call, for GCC and Clang on x86-64. */

#include "calls.h"
#include "errors.h"

struct mezz_result {
    int64_t status; /* RAX */
    uint64_t value; /* RDX: VMREAD's value */
};

static inline struct mezz_result mezz_call_value(enum mezz_call call, uint64_t rdi, uint64_t rsi,
                                                 uint64_t rdx)
{
    int64_t status = (int64_t)call;

    __asm__ volatile("outb %%al, %[port]"
                     : "+a"(status), "+d"(rdx)
                     : [port] "i"(MEZZ_CALL_PORT), "D"(rdi), "S"(rsi)
                     : "memory");
    return (struct mezz_result){.status = status, .value = rdx};
}

static inline int64_t mezz_call(enum mezz_call call, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
    return mezz_call_value(call, rdi, rsi, rdx).status;
}

#endif
