/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CAGE_PROGRAM_H
#define TESTS_CAGE_PROGRAM_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

/*
 * The programs of seccomp filters as this process and its children hand them to the kernel: what
 * libseccomp asks it for goes through syscall(), which stands here in the place of the C library's.
 */
#define CAGE_PROGRAM_MAX 1024 /* instructions; each of them counts 8 bytes */

struct cage_program {
    unsigned short length;
    int refused; /* by the kernel: its errno */
    struct sock_filter code[CAGE_PROGRAM_MAX];
};

/* Forgets what was seen, and looks on from here. */
void cage_programs_watch(void);

/* The i-th one since then; NULL: there were not as many. */
const struct cage_program *cage_program(unsigned int i);

/* What the kernel would do about a call: SECCOMP_RET_*, with its data. */
uint32_t cage_program_run(const struct cage_program *program, const struct seccomp_data *call);

#endif
