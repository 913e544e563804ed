/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls the portion with a stack of its own, and while that waits for a function of the program has
 * the kernel map something else there that is no memory: nobody but the processor can read what the
 * portion will return to.
 */
#include "programs/vault/attack.h"

#define STACK   ATTACK_ELSEWHERE
#define NOTHING 0xfbad5000u /* no memory of the guest's, and on some hosts a page of the root's */
#define PAGE    4096

uint64_t stack_before;
int check_elsewhere(uint64_t message, uint64_t signature);
void take_away(void);

__asm__(".pushsection .text\n"
        "confirm:\n"
        "    movq (%rsp), %rbx\n"
        "    leaq 8(%rsp), %rbp\n"
        "    movq stack_before(%rip), %rsp\n"
        "    call take_away\n"
        "    movl $1, %eax\n"
        "    movq %rbp, %rsp\n"
        "    jmp *%rbx\n"
        ".globl check_elsewhere\n"
        "check_elsewhere:\n" ATTACK_KEEP "    movq %rsp, stack_before(%rip)\n"
        "    movl $0x20000ff0, %esp\n" /* STACK, near its end */
        "    leaq confirm(%rip), %rdx\n"
        "    call vault_check\n"
        "    movq stack_before(%rip), %rsp\n" ATTACK_RETURN ".popsection\n");

void take_away(void)
{
    attack_map(STACK, NOTHING, TINY_MAP_READ | TINY_MAP_WRITE);
}

int main(int argc, char **argv)
{
    static uint8_t stack[PAGE] __attribute__((aligned(PAGE)));
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);

    (void)argc;
    stack[0] = 0; /* The page is there. */
    attack_map(STACK, attack_frame_of(0, stack), TINY_MAP_READ | TINY_MAP_WRITE);
    check_elsewhere(ATTACK_MESSAGE, signature);
    return attack_ends(argv[0], true);
}
