/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A portion: code that keeps a key and signs numbers with it. vault_sign and vault_check are meant
 * to be called; the rest of what is declared here is what attackers are after.
 */
#ifndef TINY_VAULT_PORTION_H
#define TINY_VAULT_PORTION_H

#include <stdbool.h>
#include <stdint.h>

#define VAULT_KEY_WORDS 4

/* The rest: for attackers. */
extern uint64_t vault_key[VAULT_KEY_WORDS];
extern uint64_t vault_has_key;  /* it is made */
extern uint8_t vault_spare[64]; /* room among the code */
uint64_t vault_key_word(uint64_t i);

/* Makes the key when it is first called. rounds: how long it shall take. */
uint64_t vault_sign(uint64_t message, uint64_t rounds);

/* Signs the number of the process, for which it asks the kernel. */
uint64_t vault_sign_process(void);

/* confirm: asked first, unless it is 0; what is returned is then up to it as well. */
int vault_check(uint64_t message, uint64_t signature, int (*confirm)(uint64_t message));

/* How a signature comes about. Who has the key can do it alone. */
__attribute__((always_inline)) static inline uint64_t
vault_signature(const uint64_t *key, uint64_t message, uint64_t rounds)
{
    uint64_t sum = message ^ key[0];

    for (uint64_t i = 0; i <= rounds; i++) {
        sum = (sum << 13 | sum >> 51) * 0x9e3779b97f4a7c15u + key[i % VAULT_KEY_WORDS];
        sum ^= sum >> 29;
    }
    return sum;
}

/* Whether what an attacker has is the key with which this was signed. */
static inline bool vault_is_key(const uint64_t *key, uint64_t message, uint64_t signature)
{
    return vault_signature(key, message, 0) == signature;
}

#endif
