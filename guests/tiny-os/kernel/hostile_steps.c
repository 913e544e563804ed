/* SPDX-License-Identifier: Apache-2.0 */
/* A process in single steps, and what the kernel sees of it. */
#include "abi/calls.h"
#include "abi/steps.h"
#include "kernel/hostile.h"
#include "kernel/layout.h"
#include "kernel/memory.h"
#include "kernel/process.h"

#include <stddef.h>

#define FLAG_STEP     0x100
#define PROGRAM_FLAGS 0xcd5
#define GATE_PLAIN    0x8e
#define GATE_RING_3   0xee
#define CALL_LENGTH   2

static const struct process *stepped;
static uint64_t stepped_how, first, end, shown, resumed_at;
static struct tiny_seen seen;

int64_t hostile_step(uint64_t how, uint64_t from, uint64_t to, uint64_t behind)
{
    if (!hostile_allowed()) {
        return -TINY_ENOSYS;
    }
    if (how > TINY_STEP_OPEN || to < from) {
        return -TINY_EINVAL;
    }
    stepped = how == TINY_STEP_OFF ? NULL : process_current();
    stepped_how = how;
    process_current()->frame.rflags &= ~(uint64_t)FLAG_STEP;
    /* The handler of calls is behind those that the vectors have in a row. */
    hostile_set_handler(VECTOR_DEBUG,
                        HANDLER(how == TINY_STEP_AS_CALL ? VECTOR_PLAIN : VECTOR_DEBUG));
    kernel_idt[VECTOR_DEBUG * GATE_SIZE + GATE_RIGHTS] =
        how == TINY_STEP_OPEN ? GATE_RING_3 : GATE_PLAIN;
    if (how != TINY_STEP_OFF) {
        first = from;
        end = to;
        shown = behind;
        seen = (struct tiny_seen){0, 0, 0};
    }
    return 0;
}

int64_t hostile_seen(uint64_t to)
{
    return hostile_allowed() ? copy_to_user(to, &seen, sizeof(seen)) : -TINY_ENOSYS;
}

static bool is_between(const struct frame *frame)
{
    return frame->rip >= first && frame->rip < end;
}

/* By the gate of calls. From `first` to `end` all are steps, and so is what comes before anything
 * was run: there are hosts that step once more where they had to leave the guest meanwhile. */
static bool is_call(const struct frame *frame)
{
    uint8_t bytes[CALL_LENGTH];

    return !is_between(frame) && frame->rip != resumed_at &&
           copy_from_user(bytes, frame->rip - CALL_LENGTH, sizeof(bytes)) == 0 &&
           bytes[0] == 0xcd && bytes[1] == VECTOR_CALL;
}

bool hostile_stepped(const struct frame *frame)
{
    if (stepped == NULL || stepped != process_current() ||
        !(frame->vector == VECTOR_DEBUG ||
          (frame->vector == VECTOR_CALL && stepped_how == TINY_STEP_AS_CALL && !is_call(frame)))) {
        return false;
    }
    if (is_between(frame) && frame->rip > shown) {
        seen.steps++;
        seen.registers |= frame->rax | frame->rbx | frame->rcx | frame->rdx | frame->rsi |
                          frame->rdi | frame->rbp | frame->r8 | frame->r9 | frame->r10 |
                          frame->r11 | frame->r12 | frame->r13 | frame->r14 | frame->r15;
        seen.flags |= frame->rflags & PROGRAM_FLAGS;
    }
    return true;
}

void hostile_resume(struct frame *frame)
{
    if (stepped != NULL && stepped == process_current()) {
        frame->rflags |= FLAG_STEP;
        resumed_at = frame->rip;
    }
}
