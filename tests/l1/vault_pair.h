/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VAULT_PAIR_H
#define VAULT_PAIR_H

/*
 * A program with a portion, for an L2 without a kernel that two vCPUs run: what its L1 and
 * tests/kvm_portion_siblings.c both have to know. Linear addresses are L2-physical ones.
 */
#define VAULT_CODE   0x400000ULL /* the portion: its one entry point, */
#define VAULT_KEY    0x401000ULL /* and its data */
#define VAULT_WORDS  0x402000ULL /* which both vCPUs write */
#define VAULT_SECRET 0x5ec3e75ec3e7ULL

#define VAULT_CALL   0x28

/* What the first vCPU runs inside: it stays until the other one has tried `rdx` times more. RBX:
 * the words, RSI: the key. If R8 is not 0 it calls the kernel, by VAULT_CALL. */
#define VAULT_TEXT         \
    "testq %r8, %r8\n"     \
    "jz 3f\n"              \
    "movq (%rsi), %rax\n"  \
    "int $0x28\n"          \
    "3:\n"                 \
    "movq (%rsi), %rax\n"  \
    "movq 8(%rbx), %rcx\n" \
    "movq $1, (%rbx)\n"    \
    "1: pause\n"           \
    "incq 48(%rbx)\n"      \
    "movq 8(%rbx), %rdi\n" \
    "subq %rcx, %rdi\n"    \
    "cmpq %rdx, %rdi\n"    \
    "jb 1b\n"              \
    "cmpq (%rsi), %rax\n"  \
    "jne 2f\n"             \
    "incq 16(%rbx)\n"      \
    "2: movq $0, (%rbx)\n" \
    "xorl %eax, %eax\n"    \
    "ret\n"

#endif
