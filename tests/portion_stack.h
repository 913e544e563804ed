/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PORTION_STACK_H
#define TESTS_PORTION_STACK_H

#include <stdbool.h>

#include "mezz_process.h"

/* A stack with one program that has a portion, or attacks it. */

#define PORTION_STACK_FOR(time)                                                                   \
    "local s = mezz.stack { memory = '64M' }\n"                                                   \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '48M', cmdline = 'exits=callback%s' }\n" \
    "local tiny = l1:l2 { name = 'tiny', image = 'tiny-os.elf', memory = '16M',\n"                \
    "    cmdline = 'hostile'%s%s%s, programs = { %s } }\n"                                        \
    "%s\n"                                                                                        \
    "s:run { timeout = '" time "', may_die = %s }\n"
#define PORTION_STACK PORTION_STACK_FOR("120s")

#define PORTION_PROTECT                                                                    \
    "tiny:protect { program = 'vault%s.elf', portion = 'vault',\n"                         \
    "    sections = { '.vault', '.secret' }, entries = { 'vault_sign', 'vault_check' },\n" \
    "    %s }"

/* What a run is made of. */
struct portion_run {
    const char *engine; /* NULL: what suits the host */
    const char *attack; /* "-read" for vault-read.elf; "": vault.elf */
    const char *more;   /* of the declaration; NULL: there is none */
    bool may_die;
    const char *l1; /* words for L1; NULL: none */
};

/* way: the program's argument, with a space, or "". log: a file, or NULL. */
void portion_run_way(struct mezz_process *mezz, const struct portion_run *wanted, const char *way,
                     const char *log);
void portion_run(struct mezz_process *mezz, const struct portion_run *wanted, const char *log);

/* kvm_pvm delivers events itself. */
bool portion_lane_is_host(void);

#endif
