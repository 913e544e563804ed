/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses the portion's data by an instruction that hosts do not emulate, or that they try for ever:
 * the argument says which. One that begins with `kernel-` the kernel executes.
 */
#include "programs/vault/attack.h"

static const struct {
    const char *name;
    uint64_t way;
} kernel_ways[] = {
    {"kernel-sgdt", TINY_USE_SGDT},
    {"kernel-lgdt", TINY_USE_LGDT},
    {"kernel-sidt", TINY_USE_SIDT},
    {"kernel-lidt", TINY_USE_LIDT},
};

static bool is_same(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void have_kernel_use_key(const char *way)
{
    for (unsigned i = 0; i < sizeof(kernel_ways) / sizeof(kernel_ways[0]); i++) {
        if (is_same(way, kernel_ways[i].name)) {
            tiny_call(TINY_CALL_USE, kernel_ways[i].way, attack_frame_of(0, vault_key), 0, 0);
        }
    }
}

/* In compatibility mode, where addresses have 32 bits. */
static void use_key_in_half(void)
{
    __asm__ volatile("movl $0x1b, %%eax\n"
                     "movl %%eax, %%ds\n"
                     "pushq $0x3b\n"
                     "leaq 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     ".code32\n"
                     "1: sgdt (%%ecx)\n"
                     "ljmp $0x23, $2f\n"
                     ".code64\n"
                     "2:\n" ::"c"(vault_key)
                     : "rax", "memory");
}

static void use_key(const char *way)
{
    uint64_t word;

    switch (way[0]) {
    case 'c': /* compat-sgdt */
        use_key_in_half();
        break;
    case 'f': /* fild */
        __asm__ volatile("fildll (%0)" ::"r"(vault_key) : "memory");
        break;
    case 'i': /* iret */
        __asm__ volatile("movq %0, %%rsp\n"
                         "iretq" ::"r"(vault_key)
                         : "memory");
        break;
    case 'k':
        have_kernel_use_key(way);
        break;
    case 'l': /* lar */
        __asm__ volatile("lar (%1), %0" : "=r"(word) : "r"(vault_key) : "cc", "memory");
        break;
    case 's':
        if (way[1] == 'g') { /* sgdt */
            __asm__ volatile("sgdt (%0)" ::"r"(vault_key) : "memory");
        } else if (way[1] == 'i') { /* sidt */
            __asm__ volatile("sidt (%0)" ::"r"(vault_key) : "memory");
        } else { /* sldt */
            __asm__ volatile("sldt (%0)" ::"r"(vault_key) : "memory");
        }
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    vault_sign(ATTACK_MESSAGE, 0);
    use_key(argc > 1 ? argv[1] : "");
    return attack_ends(argv[0], true);
}
