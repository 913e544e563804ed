/* SPDX-License-Identifier: Apache-2.0 */
/* Gates of the attacker's own: then his code runs in the security view, and reads the agent. */
#include "programs/attacks/attack.h"
#include "programs/own/own.h"

static uint8_t stolen[PAGE] __attribute__((aligned(4096)));

/* Everything between a gate and here runs in the security view, if the gate was one. */
static void steal(void)
{
    const volatile uint8_t *from = (const volatile uint8_t *)AGENT_DATA;

    for (uint64_t i = 0; i < sizeof(stolen); i++) {
        stolen[i] = from[i];
    }
}

/* The agent has something to hide from its first call on. */
static void meet_agent(void)
{
    api_close(api_open("public.txt", TINY_OPEN_CREATE));
}

bool attack_stray_gate(void)
{
    meet_agent();
    __asm__ volatile("movb %[index], %c[gate]"
                     :
                     : [index] "i"(GATE_INDEX), [gate] "i"(TINY_GATE)
                     : "memory");
    steal();
    return has_secret(stolen);
}

/* The same in the middle of an instruction that is something else when it is looked at. */
bool attack_hidden_gate(void)
{
    meet_agent();
    __asm__ volatile("jmp 1f + 2\n"
                     "1: .byte 0x48, 0xb8\n" /* movabs $..., %%rax */
                     ".byte 0xc6, 0x04, 0x25\n"
                     ".long %c[gate]\n"
                     ".byte %c[index]\n"
                     :
                     : [index] "i"(GATE_INDEX), [gate] "i"(TINY_GATE)
                     : "rax", "memory");
    steal();
    return has_secret(stolen);
}

/* In the view, and on the agent's stack, from which nothing returns. */
static void steal_and_tell(void)
{
    steal();
    tiny_print("attack: own-return: %s\n", has_secret(stolen) ? "succeeded" : "failed");
    tiny_exit(0);
}

/* No gate at all: the program's own function, guarded, overwrites its return address by what its
 * caller passes. */
bool attack_own_return(void)
{
    uint64_t values[OWN_VALUES + 6];

    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        values[i] = (uint64_t)steal_and_tell;
    }
    own_sum(values, sizeof(values));
    return false;
}

bool attack_bad_index(void)
{
    static const uint32_t indices[] = {0, 1, 2, 511, 512, 0x7fffffff, 0xffffffff};

    meet_agent();
    for (unsigned i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
        *(volatile uint32_t *)TINY_GATE = indices[i];
        steal();
        if (has_secret(stolen)) {
            return true;
        }
    }
    return false;
}
