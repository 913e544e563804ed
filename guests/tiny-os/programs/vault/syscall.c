/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel lets a system call of the portion's own lead into the portion: to a function that
 * copies the key, which then runs in ring 0. The argument says by which register: `lstar`, `cstar`
 * (from compatibility mode) or `sysenter`. Not every processor has each of them: it is tried from
 * the program's own code first.
 */
#include "programs/vault/attack.h"

#define EFER         0xc0000080u
#define EFER_VALUE   0xd01 /* LME, LMA, NXE, and SCE: syscall */
#define STAR         0xc0000081u
#define STAR_VALUE   (0x08ull << 32) /* the kernel's code; its data is behind it */
#define LSTAR        0xc0000082u
#define CSTAR        0xc0000083u
#define SFMASK       0xc0000084u
#define FLAGS_OFF    0x300 /* IF, TF */
#define SYSENTER_CS  0x174
#define SYSENTER_ESP 0x175
#define SYSENTER_EIP 0x176
#define REHEARSED    0x5e7u

/* To be reached by one instruction of the portion, or of the program. */
typedef void asked(uint64_t *to);
asked vault_copy_key, rehearsal;
asked vault_ask_lstar, vault_ask_cstar, vault_ask_sysenter;
asked ask_lstar, ask_cstar, ask_sysenter;

static const struct way {
    char letter;
    asked *rehearsed;
    asked *portion;
} ways[] = {
    {'l', ask_lstar, vault_ask_lstar},
    {'c', ask_cstar, vault_ask_cstar},
    {'s', ask_sysenter, vault_ask_sysenter},
};

void call_and_land(asked *ask, uint64_t *to);

extern const uint8_t landing[];
uint64_t landing_stack;
uint64_t saved_stack;

#define ASK(name, text) \
    ".globl " name "\n" \
    ".type " name ", @function\n" name ":\n" text ".size " name ", . - " name "\n"
#define ALL(prefix)                             \
    ASK(prefix "lstar", "syscall\n")            \
    ASK(prefix "cstar", "pushq $0x3b\n"         \
                        "leaq 1f(%rip), %rax\n" \
                        "pushq %rax\n"          \
                        "lretq\n"               \
                        ".code32\n"             \
                        "1: syscall\n"          \
                        ".code64\n")            \
    ASK(prefix "sysenter", "sysenter\n")

__asm__(".pushsection .vault, \"ax\", @progbits\n" ALL(
    "vault_ask_") ".type vault_copy_key, @function\n"
                  "vault_copy_key:\n"
                  "    cld\n"
                  "    leaq vault_key(%rip), %rsi\n"
                  "    movl $4, %ecx\n"
                  "    rep movsq\n"
                  "    ret\n"
                  ".size vault_copy_key, . - vault_copy_key\n"
                  ".popsection\n"
                  ".pushsection .text\n" ALL("ask_") "rehearsal:\n"
                                                     "    movq $0x5e7, (%rdi)\n"
                                                     "    ret\n"
                                                     /* What returns here is in ring 0, on most
                                                        hosts, and has no registers. */
                                                     "call_and_land:\n" ATTACK_KEEP
                                                     "    movq %rsp, saved_stack(%rip)\n"
                                                     "    movq %rdi, %rdx\n"
                                                     "    movq %rsi, %rdi\n"
                                                     "    call *%rdx\n"
                                                     ".globl landing\n"
                                                     "landing:\n"
                                                     "    movq saved_stack(%rip), %rsp\n"
                                                     "    movq %rsp, %rcx\n"
                                                     "    pushq $0x1b\n"
                                                     "    pushq %rcx\n"
                                                     "    pushfq\n"
                                                     "    orq $0x200, (%rsp)\n"
                                                     "    pushq $0x23\n"
                                                     "    leaq 1f(%rip), %rcx\n"
                                                     "    pushq %rcx\n"
                                                     "    iretq\n"
                                                     "1:\n" ATTACK_RETURN ".popsection\n");

static void write_msr(uint32_t msr, uint64_t value)
{
    tiny_call(TINY_CALL_WRMSR, msr, value, 0, 0);
}

static void lead_to(const struct way *way, asked *target)
{
    const uint64_t address = (uint64_t)target;

    if (way->letter == 's') {
        landing_stack = (uint64_t)landing;
        write_msr(SYSENTER_CS, STAR_VALUE >> 32);
        write_msr(SYSENTER_ESP, (uint64_t)&landing_stack);
        write_msr(SYSENTER_EIP, address);
        return;
    }
    write_msr(EFER, EFER_VALUE);
    write_msr(STAR, STAR_VALUE);
    write_msr(SFMASK, FLAGS_OFF);
    write_msr(way->letter == 'l' ? LSTAR : CSTAR, address);
}

/* In long mode `sysenter` is Intel's, and `syscall` from compatibility mode is AMD's. */
static bool processor_has(const struct way *way)
{
    uint32_t eax = 0, ebx, ecx, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
    return way->letter == 'l' || (way->letter == 's') == (ecx == 0x6c65746e); /* "ntel" */
}

static const struct way *way_of(const char *name)
{
    const struct way *way = ways;

    while (way->letter != name[0] && way < ways + 2) {
        way++;
    }
    return way;
}

int main(int argc, char **argv)
{
    const struct way *way = way_of(argc > 1 ? argv[1] : "");
    uint64_t signature = vault_sign(ATTACK_MESSAGE, 0);
    uint64_t key[VAULT_KEY_WORDS] = {0};

    if (!processor_has(way)) {
        return attack_ends(argv[0], false);
    }
    lead_to(way, rehearsal);
    call_and_land(way->rehearsed, key);
    if (*(volatile uint64_t *)key == REHEARSED) {
        tiny_print("%s: rehearsed\n", argv[0]);
    }
    lead_to(way, vault_copy_key);
    call_and_land(way->portion, key);
    return attack_ends(argv[0], vault_is_key(key, ATTACK_MESSAGE, signature));
}
