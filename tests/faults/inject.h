/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULTS_INJECT_H
#define TESTS_FAULTS_INJECT_H

#include <stdbool.h>

/*
 * The program under test with one call of the host made to fail. The linker puts the functions of
 * wrap.c in the place of the C library's (--wrap), in this program alone and only where the root's
 * own objects call them.
 *
 * A test program that links it is both: as it is, the test; with INJECT_VARIABLE in its
 * environment, mezz. The variable is "KIND:NUMBER:COUNT:ERRNO": so many calls of this kind fail,
 * the number-th first; number 0 fails none. What the run left is written to the file that
 * INJECT_LOG_VARIABLE names:
 *
 *     call KIND PATH   one line for each call of any kind, when none was to fail; PATH tells call
 *                      paths within the program apart
 *     fork             from here on there is another process; its calls are counted in the same row
 *     hit PATH NAME    the call that failed
 *     leak WHAT        memory, a mapping or a file that is still there when main() has returned;
 * for whom, as an address that addr2line(1) knows end STATUS       main() has returned
 */
#define INJECT_VARIABLE     "MEZZ_INJECT"
#define INJECT_LOG_VARIABLE "MEZZ_INJECT_LOG"

enum inject_kind {
    INJECT_MEMORY, /* the allocations */
    INJECT_MMAP,
    INJECT_IOCTL,  /* but those that follow */
    INJECT_RUN,    /* KVM_RUN */
    INJECT_RESET,  /* KVM_RESET_DIRTY_RINGS */
    INJECT_FILE,   /* open, read, write and their like */
    INJECT_THREAD, /* threads, timers and processes */
    INJECT_KINDS
};

extern const char *const inject_kind_name[INJECT_KINDS];

/* For wrap.c: whether this call of the kind fails; errno is set then. */
bool inject_fails(enum inject_kind kind, const char *name);

/* For wrap.c: fork() is called. */
void inject_forks(void);

/* For wrap.c: what is there, made for `caller`, and is there no more. Unknown ones are none of the
 * root's. */
void inject_made(const void *what, const char *name, const void *caller);
void inject_gone(const void *what);

/* main() of the program under test, and of the test. */
int mezz_main(int argc, char **argv);
int inject_test_main(void);

#endif
