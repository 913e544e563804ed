/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor and entry.S save of whoever was interrupted. */
#ifndef TINY_KERNEL_TRAP_H
#define TINY_KERNEL_TRAP_H

#include "kernel/layout.h"

#include <stddef.h>
#include <stdint.h>

struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

_Static_assert(offsetof(struct frame, vector) == FRAME_VECTOR, "entry.S");
_Static_assert(offsetof(struct frame, cs) == FRAME_CS, "entry.S");
_Static_assert(sizeof(struct frame) == FRAME_SIZE && FRAME_SIZE % 16 == 0, "entry.S");

/* Called by entry.S. Both return with interrupts off; the first returns the frame to resume. */
struct frame *trap_from_user(struct frame *frame);
void trap_from_kernel(struct frame *frame);

_Noreturn void return_to(struct frame *frame);

/* entry.S: 0, or -TINY_EFAULT when a page is missing; the caller has checked the range. */
int64_t user_copy(void *to, const void *from, uint64_t n);
int64_t try_write_msr(uint32_t msr, uint64_t value);

#endif
