/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel and its programs agree on: system calls and the layout of a process.
 *
 * A call is `int 0x80`: number in RAX, arguments in RDI, RSI, RDX, R8, result in RAX; all other
 * registers are kept. A result in [-TINY_ERROR_MAX, -1] is an error. The instruction must be the
 * plain two bytes CD 80: on some KVMs it arrives as an invalid opcode and the kernel looks at them.
 */
#ifndef TINY_ABI_CALLS_H
#define TINY_ABI_CALLS_H

#define TINY_CALL_EXIT   0 /* (status): does not return */
#define TINY_CALL_WRITE  1 /* (buffer, length): to the console; the length, or an error */
#define TINY_CALL_YIELD  2 /* (): lets the next runnable process run; 0 */
#define TINY_CALL_TIME   3 /* (): time-stamp counter ticks, monotonic */
#define TINY_CALL_GETPID 4 /* (): 1 for the first program, and so on */
#define TINY_CALL_SLEEP  5 /* (milliseconds): 0, or -TINY_ENODEV without a timer */

/* Memory files: found by name, one page each, kept until the machine stops. */
#define TINY_CALL_OPEN  6 /* (name, length, TINY_OPEN_*): a handle of this process, at offset 0 */
#define TINY_CALL_READ  7 /* (handle, buffer, length): bytes read, 0 at the end */
#define TINY_CALL_STORE 8 /* (handle, buffer, length): all bytes written, or an error */
#define TINY_CALL_CLOSE 9 /* (handle): 0 */

/* One message can wait for each process. */
#define TINY_CALL_SEND    10 /* (pid, buffer, length): 0, or -TINY_EAGAIN while one waits there */
#define TINY_CALL_RECEIVE 11 /* (buffer, length): its length, or -TINY_EAGAIN if none waits */

/* With the kernel's option `hostile` only, for attackers to whom the kernel belongs. */
#define TINY_CALL_FRAME 20 /* (pid or 0 for oneself, address): the physical page, or an error */
#define TINY_CALL_MAP   21 /* (address, physical page, TINY_MAP_* or 0 for nothing): 0 */
#define TINY_CALL_WRMSR 22 /* (MSR, value): 0, or -TINY_EFAULT if the processor refuses */
#define TINY_CALL_STEP  23 /* (abi/steps.h): the kernel single-steps it from now on; 0 */
#define TINY_CALL_TABLE 24 /* (abi/tables.h: what, where, address): 0 */
#define TINY_CALL_SEEN  25 /* (buffer): what the kernel saw in steps, a struct tiny_seen; 0 */
#define TINY_CALL_RING  26 /* (1 to 3): the caller goes on in this ring; 0 */
#define TINY_CALL_ASK   27 /* (number, a, b): a hypercall of KVM; its result */
#define TINY_CALL_USE   28 /* (TINY_USE_*, physical page): 0, or the kernel's end */

/* The kernel's one instruction that uses the page. */
#define TINY_USE_SGDT    0
#define TINY_USE_LGDT    1
#define TINY_USE_SIDT    2
#define TINY_USE_LIDT    3

#define TINY_MAP_READ    1
#define TINY_MAP_WRITE   2
#define TINY_MAP_EXECUTE 4
#define TINY_MAP_LARGE   8 /* 2 MiB, in place of what was mapped there */

#define TINY_OPEN_CREATE 1
#define TINY_OPEN_EMPTY  2 /* what was in the file is gone */

#define TINY_NAME_MAX    31
#define TINY_FILE_MAX    4096
#define TINY_FILES       16
#define TINY_HANDLES     8
#define TINY_MESSAGE_MAX 256

#define TINY_ERROR_MAX   4095
#define TINY_ENOENT      2
#define TINY_EBADF       9
#define TINY_EAGAIN      11
#define TINY_ENOMEM      12
#define TINY_EACCES      13
#define TINY_EFAULT      14
#define TINY_ENODEV      19
#define TINY_EINVAL      22
#define TINY_ENFILE      23
#define TINY_EFBIG       27
#define TINY_ENOSYS      38

#define TINY_WRITE_MAX   4096 /* bytes in one console write */
#define TINY_SLEEP_MAX   10000

/* A process's addresses. Nothing is ever mapped outside [TINY_USER_START, TINY_USER_END). */
#define TINY_USER_START  0x00001000
#define TINY_USER_END    0x40000000
#define TINY_IMAGE_START 0x00400000 /* a program's segments */
#define TINY_IMAGE_END   0x10000000
#define TINY_API_START   0x10000000 /* libapi.elf, the same in every process */
#define TINY_API_END     0x10200000
#define TINY_AGENT_START 0x10200000 /* agent.elf: code the same in every process, data its own */
#define TINY_AGENT_END   0x10400000
#define TINY_GATE        0x10900000 /* with an agent: where its hooks ask a root hypervisor in */
#define TINY_STACK_TOP   0x3ffff000
#define TINY_STACK_PAGES 4

#endif /* TINY_ABI_CALLS_H */
