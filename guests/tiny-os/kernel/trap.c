/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/trap.h"

#include "abi/calls.h"
#include "kernel/calls.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/hostile.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/timer.h"

#define PAGE_FAULT_WRITE        0x02
#define PAGE_FAULT_FETCH        0x10

#define CALL_INSTRUCTION_LENGTH 2

extern const char user_copy_fault[], try_write_msr_end[];

static const char *const fault_names[32] = {
    [0] = "divide error",        [1] = "debug exception", [2] = "NMI",
    [3] = "breakpoint",          [4] = "overflow",        [5] = "bound range exceeded",
    [6] = "invalid opcode",      [7] = "no FPU state",    [8] = "double fault",
    [10] = "invalid TSS",        [11] = "no segment",     [12] = "stack fault",
    [13] = "general protection", [14] = "page fault",     [16] = "x87 error",
    [17] = "alignment check",    [18] = "machine check",  [19] = "SIMD error",
};

static const char *fault_name(uint64_t vector)
{
    const char *name = vector < 32 ? fault_names[vector] : NULL;

    return name ? name : "unexpected vector";
}

/* Some KVMs deliver `int n` in ring 3 as an invalid opcode at the instruction. */
static bool is_call_instruction(uint64_t rip)
{
    uint8_t bytes[CALL_INSTRUCTION_LENGTH];

    return !copy_from_user(bytes, rip, sizeof(bytes)) && bytes[0] == 0xcd && bytes[1] == 0x80;
}

static void end_by_fault(const struct frame *frame)
{
    const struct process *p = process_current();

    if (frame->vector == VECTOR_PAGE_FAULT) {
        const char *access = frame->error & PAGE_FAULT_FETCH   ? "execute"
                             : frame->error & PAGE_FAULT_WRITE ? "write"
                                                               : "read";
        print("tiny-os: %s: page fault (%s) at 0x%lx rip 0x%lx: program ended\n", p->name, access,
              read_cr2(), frame->rip);
    } else {
        print("tiny-os: %s: %s rip 0x%lx: program ended\n", p->name, fault_name(frame->vector),
              frame->rip);
    }
    process_end(ENDED_BY_FAULT, 0);
}

struct frame *trap_from_user(struct frame *frame)
{
    uint64_t vector = frame->vector;

    if (hostile_stepped(frame) || hostile_lands(frame)) {
        /* It shall go on. */
    } else if (vector == VECTOR_CALL) {
        call_dispatch(frame);
    } else if (vector == VECTOR_INVALID && is_call_instruction(frame->rip)) {
        frame->rip += CALL_INSTRUCTION_LENGTH;
        call_dispatch(frame);
    } else if (vector >= VECTOR_IRQ && vector < VECTOR_PLAIN) {
        timer_interrupt(vector - VECTOR_IRQ);
        process_yield();
    } else if (vector == VECTOR_NMI || vector == VECTOR_DOUBLE_FAULT ||
               vector == VECTOR_MACHINE_CHECK) {
        panic(fault_name(vector), frame);
    } else {
        end_by_fault(frame);
    }
    hostile_resume(&process_current()->frame);
    return &process_current()->frame;
}

void trap_from_kernel(struct frame *frame)
{
    if (frame->vector >= VECTOR_IRQ && frame->vector < VECTOR_PLAIN) {
        timer_interrupt(frame->vector - VECTOR_IRQ); /* only in wait_for_interrupt */
    } else if (frame->vector == VECTOR_PAGE_FAULT && frame->rip >= (uint64_t)user_copy &&
               frame->rip < (uint64_t)user_copy_fault) {
        frame->rip = (uint64_t)user_copy_fault;
    } else if (frame->vector == VECTOR_PROTECTION && frame->rip >= (uint64_t)try_write_msr &&
               frame->rip < (uint64_t)try_write_msr_end) {
        frame->rip = (uint64_t)user_copy_fault;
    } else {
        panic(fault_name(frame->vector), frame);
    }
}
