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

static void steal_when_called(uint64_t i)
{
    (void)i;
    steal();
}

/* No gate at all: the program's own function, guarded, calls what its caller says. */
bool attack_own_callback(void)
{
    own_each(1, steal_when_called);
    return has_secret(stolen);
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
