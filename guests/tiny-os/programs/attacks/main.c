/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/attacks/attack.h"

const char forbidden_name[] = "secret.txt";

static const struct {
    const char *name;
    attack *run;
} attacks[] = {
    {"stray-gate", attack_stray_gate},
    {"hidden-gate", attack_hidden_gate},
    {"bad-index", attack_bad_index},
    {"skip", attack_skip},
    {"own-skip", attack_own_skip},
    {"own-return", attack_own_return},
    {"stolen-prologue", attack_stolen_prologue},
    {"straddle", attack_straddle},
    {"alias-call", attack_alias_call},
    {"overwrite", attack_overwrite},
    {"overwrite-agent", attack_overwrite_agent},
    {"read-hook", attack_read_hook},
    {"read-strange", attack_read_strange},
    {"discover", attack_discover},
    {"remap", attack_remap},
    {"alias", attack_alias},
    {"alias-large", attack_alias_large},
    {"alias-read", attack_alias_read},
    {"alias-write", attack_alias_write},
    {"alias-stack", attack_alias_stack},
    {"copy", attack_copy},
    {"copy-call", attack_copy_call},
    {"time", attack_time},
    {"table-pages", attack_table_pages},
    {"table-stack", attack_table_stack},
    {"table-idt", attack_table_idt},
    {"table-gdt", attack_table_gdt},
    {"table-tss", attack_table_tss},
    {"handler", attack_handler},
    {"race", attack_race},
    {"race-helper", help_race},
    {"return", attack_return},
    {"return-helper", help_return},
    {"stack", attack_stack},
    {"stack-helper", help_stack},
    {"interrupt", attack_interrupt},
    {"interrupt-helper", help_interrupt},
};

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool forbidden_file_exists(void)
{
    /* The system call itself is not guarded: whoever could do without the API needs no attack. */
    return tiny_call(TINY_CALL_OPEN, (uint64_t)forbidden_name, sizeof(forbidden_name) - 1, 0, 0) >=
           0;
}

bool has_secret(const volatile uint8_t *page)
{
    for (uint64_t at = 0; at + SECRET_BYTES <= PAGE; at += SECRET_ALIGNMENT) {
        uint64_t i = 0;

        while (i < SECRET_BYTES && page[at + i] == (uint8_t)(i * 37 + 101)) {
            i++;
        }
        if (i == SECRET_BYTES) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        if (argc != 2 || !same(argv[1], attacks[i].name)) {
            continue;
        }
        bool succeeded = attacks[i].run();
        tiny_print("attack: %s: %s\n", argv[1], succeeded ? "succeeded" : "failed");
        return 0;
    }
    tiny_print("attack: which one?\n");
    return 1;
}
