/* SPDX-License-Identifier: Apache-2.0 */
/* Ways around a hook: into the function somewhere behind its beginning. */
#include "programs/attacks/attack.h"
#include "programs/own/own.h"

static uint8_t scratch[2 * PAGE] __attribute__((aligned(4096)));

/* Half an instruction may be executed: registers that it may use point at memory that is ours. */
static int64_t call_at(uint64_t address)
{
    int64_t result;

    __asm__ volatile("pushq %%rbx\n"
                     "pushq %%rbp\n"
                     "call *%[address]\n"
                     "popq %%rbp\n"
                     "popq %%rbx\n"
                     : "=a"(result)
                     : [address] "r"(address), "a"(scratch + PAGE), "D"(forbidden_name),
                       "S"((uint64_t)TINY_OPEN_CREATE)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

/* Behind the hook first, then everywhere on the page, the hook's own middle last. */
static bool skip(uint64_t function, bool won(void))
{
    if (call_at(function + TINY_API_PREAMBLE) >= 0 && won()) {
        return true;
    }
    for (uint64_t offset = 8; offset < PAGE; offset++) {
        call_at(function + offset);
    }
    if (won()) {
        return true;
    }
    tiny_print("attack: skip: every offset from 8 on was refused\n");
    for (uint64_t offset = 1; offset < 8; offset++) {
        call_at(function + offset);
    }
    return won();
}

bool attack_skip(void)
{
    return skip((uint64_t)api_open, forbidden_file_exists);
}

static bool has_paid(void)
{
    return own_paid != 0;
}

/* A function of his own image. */
bool attack_own_skip(void)
{
    return skip((uint64_t)own_pay, has_paid);
}

/* A copy of the function's own beginning, then the rest of it where it is. */
bool attack_stolen_prologue(void)
{
    int64_t result;

    __asm__ volatile("call 1f\n"
                     "jmp 2f\n"
                     "1: .skip 16, 0x90\n"
                     "jmp *%[rest]\n"
                     "2:\n"
                     : "=a"(result)
                     : [rest] "r"((uint64_t)api_open + TINY_API_PREAMBLE), "D"(forbidden_name),
                       "S"((uint64_t)TINY_OPEN_CREATE)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result >= 0 && forbidden_file_exists();
}

/* An instruction that begins on a page of ours, right before the API's, and has the hook for its
 * operand: the hook is passed without having been executed. What follows may be the rest of a
 * longer no-operation, as compilers differ: zeros, which add to where RAX points. */
bool attack_straddle(void)
{
    scratch[PAGE - 2] = 0x48; /* movabs $the next eight bytes, %rcx */
    scratch[PAGE - 1] = 0xb9;
    map((uint64_t)api_open - PAGE, frame_of(0, (uint64_t)scratch),
        TINY_MAP_READ | TINY_MAP_EXECUTE);
    return call_at((uint64_t)api_open - 2) >= 0 && forbidden_file_exists();
}

/* The function's page by another address. */
bool attack_alias_call(void)
{
    map(ELSEWHERE, frame_of(0, (uint64_t)api_open), TINY_MAP_READ | TINY_MAP_EXECUTE);
    return call_at(ELSEWHERE + TINY_API_PREAMBLE) >= 0 && forbidden_file_exists();
}
