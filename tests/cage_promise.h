/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CAGE_PROMISE_H
#define TESTS_CAGE_PROMISE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cage/cage.h"
#include "cage_program.h"

/* What docs/security.md promises of the cage, written down a second time: a call or a request that
 * is added to one of both lists alone is found. */
#define CAGE_PROMISED_CALLS 20

/* Whether a thread may make this call with some arguments. */
bool cage_promised_call(enum cage_thread kind, long number);
bool cage_promised_request(unsigned long request);

/* Checks a program with all numbers of calls, each with arguments that it looks at, and with all
 * requests of KVM, or, `brief`, those of the directions and sizes that KVM's have. The test fails
 * if what is let through is not what is promised. */
void cage_promise_check(const struct cage_program *program, enum cage_thread kind, bool brief);

/* Who loaded a program. */
struct cage_inhabitant {
    pid_t process;
    const int *outputs;
    size_t output_count;
};

/* The same for calls that are open with some arguments, other than ioctl. */
void cage_promise_check_arguments(const struct cage_program *program,
                                  const struct cage_inhabitant *who);

/* Of which kind of thread this is. */
enum cage_thread cage_promise_kind(const struct cage_program *program);

#endif
