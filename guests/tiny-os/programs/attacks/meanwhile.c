/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks in the middle of a call: the agent (agent-waits.elf) lets others run between the check
 * and the use when it is asked for "wait...". The attacker is process 1; a helper, a second process
 * of the same program, alters its memory meanwhile.
 */
#include "programs/attacks/attack.h"

#define STACK_BYTES 1536 /* of the caller's stack that the agent may use, if it does */

/* One page that the helper sees, too: by its frame. */
static struct {
    volatile uint64_t calls; /* not 0: the next thing is the call */
    volatile uint64_t slot;  /* of the stack: where its return address lies */
    volatile uint64_t done;
    char name[32];
} shared __attribute__((aligned(4096))) = {.name = "wait.txt"};

static volatile uint64_t landed;

/* The call, with the place of its return address published. */
static int64_t call_open(void)
{
    int64_t result;

    __asm__ volatile("leaq -8(%%rsp), %%rax\n"
                     "movq %%rax, %[slot]\n"
                     "movq $1, %[calls]\n"
                     "call *%[open]\n"
                     : "=&a"(result), [slot] "=m"(shared.slot), [calls] "=m"(shared.calls)
                     : [open] "r"(api_open), "D"(shared.name), "S"((uint64_t)TINY_OPEN_CREATE)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

/* In the helper: the attacker's shared page, once its call has begun. */
static volatile struct shared_page {
    uint64_t calls, slot, done;
    char name[32];
} * wait_for_call(void)
{
    volatile struct shared_page *there = (volatile struct shared_page *)ELSEWHERE;

    map(ELSEWHERE, frame_of(1, (uint64_t)&shared), TINY_MAP_READ | TINY_MAP_WRITE);
    while (!there->calls) {
        tiny_yield();
    }
    /* A timer may have stopped it before it called: it gets some turns, of the many that it gives.
     */
    for (unsigned i = 0; i < 8; i++) {
        tiny_yield();
    }
    return there;
}

/* --- other arguments than those that were checked --- */

bool attack_race(void)
{
    call_open();
    return forbidden_file_exists();
}

bool help_race(void)
{
    volatile struct shared_page *there = wait_for_call();

    for (unsigned i = 0; i < sizeof("secret.txt"); i++) {
        there->name[i] = forbidden_name[i];
    }
    return false;
}

/* --- another return address --- */

static void landing(void)
{
    tiny_print("attack: return: succeeded\n");
    tiny_exit(0);
}

bool attack_return(void)
{
    call_open();
    return false;
}

bool help_return(void)
{
    uint64_t slot = wait_for_call()->slot;

    map(ELSEWHERE + PAGE, frame_of(1, slot), TINY_MAP_READ | TINY_MAP_WRITE);
    *(volatile uint64_t *)(ELSEWHERE + PAGE + slot % PAGE) = (uint64_t)landing;
    return false;
}

/* --- the agent's own return addresses, if it is on the caller's stack --- */

/* In the security view, if it gets here. */
static void in_agents_place(void)
{
    landed = has_secret((const volatile uint8_t *)AGENT_DATA);
    tiny_print("attack: stack: %s\n", landed ? "succeeded" : "failed");
    tiny_exit(0);
}

bool attack_stack(void)
{
    call_open();
    return false;
}

bool help_stack(void)
{
    uint64_t slot = wait_for_call()->slot;

    for (uint64_t at = slot - STACK_BYTES; at < slot; at += 8) {
        volatile uint64_t *word = (volatile uint64_t *)(ELSEWHERE + PAGE + at % PAGE);

        if (at == slot - STACK_BYTES || at % PAGE == 0) {
            map(ELSEWHERE + PAGE, frame_of(1, at), TINY_MAP_READ | TINY_MAP_WRITE);
        }
        if (*word >= AGENT_CODE && *word < AGENT_CODE_END) {
            *word = (uint64_t)in_agents_place;
        }
    }
    return false;
}

/* --- another program, while the agent runs --- */

bool attack_interrupt(void)
{
    call_open();
    return false;
}

/* Is the function's body reachable now? */
bool help_interrupt(void)
{
    open_function *behind = (open_function *)((uint64_t)api_open + TINY_API_PREAMBLE);

    wait_for_call();
    behind(forbidden_name, TINY_OPEN_CREATE);
    return forbidden_file_exists();
}
