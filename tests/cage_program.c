/* SPDX-License-Identifier: Apache-2.0 */
#include "cage_program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAMS 4U

struct seen {
    atomic_uint count;
    struct cage_program program[PROGRAMS];
};

static struct seen *seen;

static long system_call(long number, const long *argument)
{
    register long fourth __asm__("r10") = argument[3];
    register long fifth __asm__("r8") = argument[4];
    register long sixth __asm__("r9") = argument[5];
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(argument[0]), "S"(argument[1]), "d"(argument[2]), "r"(fourth),
                       "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

/* Before it is loaded: afterwards there is little that the thread may do. */
static struct cage_program *keep(const struct sock_fprog *given)
{
    unsigned int i = atomic_fetch_add(&seen->count, 1);

    if (i >= PROGRAMS || given->len > CAGE_PROGRAM_MAX)
        abort();
    seen->program[i].length = given->len;
    memcpy(seen->program[i].code, given->filter, given->len * sizeof(*given->filter));
    return &seen->program[i];
}

/* In the place of the C library's, for libraries as well. As that one does, it takes six arguments,
 * whether they were given or not: the last one lies on the caller's stack. */
__attribute__((no_sanitize_address)) long syscall(long number, ...)
{
    struct cage_program *kept = NULL;
    long argument[6];
    va_list arguments;
    long result;

    va_start(arguments, number);
    for (size_t i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_seccomp && argument[0] == SECCOMP_SET_MODE_FILTER && seen != NULL &&
        argument[2] != 0)
        kept = keep((const struct sock_fprog *)(uintptr_t)argument[2]);
    result = system_call(number, argument);
    if (kept != NULL)
        kept->refused = result < 0 ? (int)-result : 0;
    if (result >= 0 || result < -4095)
        return result;
    errno = (int)-result;
    return -1;
}

void cage_programs_watch(void)
{
    if (seen == NULL)
        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        abort();
    memset(seen, 0, sizeof(*seen));
}

const struct cage_program *cage_program(unsigned int i)
{
    return i < atomic_load(&seen->count) ? &seen->program[i] : NULL;
}

_Noreturn static void cannot(const struct sock_filter *at)
{
    fprintf(stderr, "an instruction that this test does not know: code 0x%x\n", at->code);
    abort();
}

static bool jumps(const struct sock_filter *at, uint32_t value)
{
    switch (BPF_OP(at->code)) {
    case BPF_JEQ:
        return value == at->k;
    case BPF_JGT:
        return value > at->k;
    case BPF_JGE:
        return value >= at->k;
    case BPF_JSET:
        return (value & at->k) != 0;
    default:
        cannot(at);
    }
}

uint32_t cage_program_run(const struct cage_program *program, const struct seccomp_data *call)
{
    uint32_t value = 0;

    for (const struct sock_filter *at = program->code;; at++) {
        if (at < program->code || at >= program->code + program->length)
            cannot(program->code);
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (at->k % 4 != 0 || at->k > sizeof(*call) - 4)
                cannot(at);
            memcpy(&value, (const char *)call + at->k, sizeof(value));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            value &= at->k;
            break;
        case BPF_JMP | BPF_JA:
            at += at->k;
            break;
        case BPF_RET | BPF_K:
            return at->k;
        default:
            if (BPF_CLASS(at->code) != BPF_JMP || BPF_SRC(at->code) != BPF_K)
                cannot(at);
            at += jumps(at, value) ? at->jt : at->jf;
        }
    }
}
