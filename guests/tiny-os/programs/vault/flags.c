/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a portion, and returns to it, with flags that make other instructions of its own: with DF
 * its copies go backward. What is to be there behind it is what is there behind a system call, as a
 * host may lose some of them at any exit. */
#include "lib/tiny.h"
#include "programs/vault/portion.h"

#define FLAGS      0x44400 /* AC, NT, DF */
#define KEPT       0x44000 /* AC, NT */
#define TEXT(what) #what
#define TEXT_OF(a) TEXT(a)

/* RFLAGS at its begin. */
uint64_t vault_flags(void);
/* The same behind the call of this function. */
uint64_t vault_flags_behind(void (*function)(void));

void set_flags(void);
/* What `function` gives with all of FLAGS set, and then RFLAGS behind it. */
uint64_t call_with_flags(uint64_t (*function)(void), uint64_t *behind);

static uint64_t ask(void)
{
    return (uint64_t)tiny_call(TINY_CALL_YIELD, 0, 0, 0, 0);
}

__asm__(".pushsection .vault, \"ax\", @progbits\n"
        ".globl vault_flags\n"
        ".type vault_flags, @function\n"
        "vault_flags:\n"
        "    pushfq\n"
        "    popq %rax\n"
        "    ret\n"
        ".size vault_flags, . - vault_flags\n"
        ".globl vault_flags_behind\n"
        ".type vault_flags_behind, @function\n"
        "vault_flags_behind:\n"
        "    subq $8, %rsp\n"
        "    call *%rdi\n"
        "    pushfq\n"
        "    popq %rax\n"
        "    addq $8, %rsp\n"
        "    ret\n"
        ".size vault_flags_behind, . - vault_flags_behind\n"
        ".popsection\n"
        ".pushsection .text\n"
        "set_flags:\n"
        "    pushfq\n"
        "    orq $" TEXT_OF(FLAGS) ", (%rsp)\n"
                                   "    popfq\n"
                                   "    ret\n"
                                   "call_with_flags:\n"
                                   "    pushq %rsi\n"
                                   "    call set_flags\n"
                                   "    call *%rdi\n"
                                   "    popq %rsi\n"
                                   "    pushfq\n"
                                   "    popq (%rsi)\n"
                                   "    pushq $0x202\n"
                                   "    popfq\n"
                                   "    ret\n"
                                   ".popsection\n");

int main(int argc, char **argv)
{
    uint64_t behind;
    uint64_t kept;
    uint64_t inside = call_with_flags(vault_flags, &behind);

    (void)argc;
    call_with_flags(ask, &kept);
    tiny_print("%s: flags inside 0x%lx, behind a call 0x%lx, after 0x%lx, as 0x%lx\n", argv[0],
               inside & FLAGS, vault_flags_behind(set_flags) & FLAGS, behind & FLAGS, kept & KEPT);
    return 0;
}
