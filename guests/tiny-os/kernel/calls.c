/* SPDX-License-Identifier: Apache-2.0 */
/* System calls. Everything in the frame comes from ring 3: copied once, checked, then used. */
#include "kernel/calls.h"

#include "abi/calls.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/file.h"
#include "kernel/hostile.h"
#include "kernel/memory.h"
#include "kernel/process.h"
#include "kernel/timer.h"

struct arguments {
    uint64_t a, b, c, d;
};

static int64_t call_exit(const struct arguments *args)
{
    process_end(ENDED_BY_EXIT, (int)(uint32_t)args->a);
    return 0;
}

static int64_t call_write(const struct arguments *args)
{
    static char line[TINY_WRITE_MAX];

    if (args->b > sizeof(line)) {
        return -TINY_EINVAL;
    }
    int64_t error = copy_from_user(line, args->a, args->b);
    if (error) {
        return error;
    }
    console_write(line, args->b);
    return (int64_t)args->b;
}

static int64_t call_yield(const struct arguments *args)
{
    (void)args;
    process_yield();
    return 0;
}

static int64_t call_time(const struct arguments *args)
{
    (void)args;
    return (int64_t)(read_tsc() & INT64_MAX);
}

static int64_t call_getpid(const struct arguments *args)
{
    (void)args;
    return process_current()->pid;
}

static int64_t call_sleep(const struct arguments *args)
{
    if (args->a > TINY_SLEEP_MAX) {
        return -TINY_EINVAL;
    }
    if (!timer_ticks_come()) {
        return -TINY_ENODEV;
    }
    process_sleep(timer_deadline(args->a));
    return 0;
}

static int64_t call_open(const struct arguments *args)
{
    return file_open(args->a, args->b, args->c);
}

static int64_t call_read(const struct arguments *args)
{
    return file_read(args->a, args->b, args->c);
}

static int64_t call_store(const struct arguments *args)
{
    return file_store(args->a, args->b, args->c);
}

static int64_t call_close(const struct arguments *args)
{
    return file_close(args->a);
}

static int64_t call_send(const struct arguments *args)
{
    return message_send(args->a, args->b, args->c);
}

static int64_t call_receive(const struct arguments *args)
{
    return message_receive(args->a, args->b);
}

static int64_t call_frame(const struct arguments *args)
{
    return hostile_frame(args->a, args->b);
}

static int64_t call_map(const struct arguments *args)
{
    return hostile_map(args->a, args->b, args->c);
}

static int64_t call_wrmsr(const struct arguments *args)
{
    return hostile_write_msr(args->a, args->b);
}

static int64_t call_step(const struct arguments *args)
{
    return hostile_step(args->a, args->b, args->c, args->d);
}

static int64_t call_table(const struct arguments *args)
{
    return hostile_table(args->a, args->b, args->c);
}

static int64_t call_seen(const struct arguments *args)
{
    return hostile_seen(args->a);
}

static int64_t call_ring(const struct arguments *args)
{
    return hostile_ring(args->a);
}

static int64_t call_ask(const struct arguments *args)
{
    return hostile_ask(args->a, args->b, args->c);
}

static int64_t call_use(const struct arguments *args)
{
    return hostile_use(args->a, args->b);
}

static int64_t (*const calls[])(const struct arguments *) = {
    [TINY_CALL_EXIT] = call_exit,     [TINY_CALL_WRITE] = call_write,
    [TINY_CALL_YIELD] = call_yield,   [TINY_CALL_TIME] = call_time,
    [TINY_CALL_GETPID] = call_getpid, [TINY_CALL_SLEEP] = call_sleep,
    [TINY_CALL_OPEN] = call_open,     [TINY_CALL_READ] = call_read,
    [TINY_CALL_STORE] = call_store,   [TINY_CALL_CLOSE] = call_close,
    [TINY_CALL_SEND] = call_send,     [TINY_CALL_RECEIVE] = call_receive,
    [TINY_CALL_FRAME] = call_frame,   [TINY_CALL_MAP] = call_map,
    [TINY_CALL_WRMSR] = call_wrmsr,   [TINY_CALL_STEP] = call_step,
    [TINY_CALL_TABLE] = call_table,   [TINY_CALL_SEEN] = call_seen,
    [TINY_CALL_RING] = call_ring,     [TINY_CALL_ASK] = call_ask,
    [TINY_CALL_USE] = call_use,
};

void call_dispatch(struct frame *frame)
{
    const struct arguments args = {frame->rdi, frame->rsi, frame->rdx, frame->r8};
    uint64_t number = frame->rax;

    process_count_call();
    if (number >= sizeof(calls) / sizeof(calls[0]) || !calls[number]) {
        frame->rax = (uint64_t)-TINY_ENOSYS;
        return;
    }
    /* The frame stays the caller's, also when the call lets another process run. */
    frame->rax = (uint64_t)calls[number](&args);
}
