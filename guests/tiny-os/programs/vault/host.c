/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel name the portion's data as a place where KVM itself writes for its guests, so that
 * it becomes other data. The arguments say by what: `msr NUMBER` with the number in hexadecimal
 * digits, or `pairing`, the hypercall for the clock.
 */
#include "programs/vault/attack.h"

#define MSR_ENABLED         1 /* of most of them; the others have a bit of the address there */
#define HYPERCALL_PAIRING   9
#define PAIRING_OF_THE_DATE 0
#define TRIES               100
#define BUSY_ROUNDS         3000 /* so that the host does something else meanwhile */
#define WORDS               16

/* What KVM writes begins at a round address, and is shorter than this. */
__attribute__((section(".secret"), aligned(64))) static volatile uint64_t words[WORDS] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
};

uint64_t vault_digest(void);

__attribute__((section(".vault"), noinline)) uint64_t vault_digest(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        sum = (sum << 7 | sum >> 57) ^ words[i];
    }
    return sum;
}

static uint64_t number_of(const char *digits)
{
    uint64_t number = 0;

    for (; *digits != 0; digits++) {
        number = number * 16 + (uint64_t)(*digits <= '9' ? *digits - '0' : *digits - 'a' + 10);
    }
    return number;
}

static int64_t have_it_written(char **argv)
{
    const uint64_t offset = (uint64_t)words & 0xfff;
    const uint64_t at = attack_frame_of(0, (const void *)words) + offset;

    if (argv[1][0] == 'm') {
        return tiny_call(TINY_CALL_WRMSR, number_of(argv[2]), at | MSR_ENABLED, 0, 0);
    }
    return tiny_call(TINY_CALL_ASK, HYPERCALL_PAIRING, at, PAIRING_OF_THE_DATE, 0);
}

int main(int argc, char **argv)
{
    const uint64_t before = vault_digest();
    uint64_t after = before;

    if (argc < 2) {
        return 2;
    }
    tiny_print("%s: asked: %ld\n", argv[0], have_it_written(argv));
    for (int i = 0; i < TRIES && after == before; i++) {
        vault_sign(ATTACK_MESSAGE, BUSY_ROUNDS);
        tiny_yield();
        after = vault_digest();
    }
    return attack_ends(argv[0], after != before);
}
