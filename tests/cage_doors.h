/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CAGE_DOORS_H
#define TESTS_CAGE_DOORS_H

/*
 * Ways out of the cage: system calls that somebody who has taken over the process that runs guests
 * would like to make.
 */
struct cage_door {
    const char *name;
    long number;
    long argument[6];
};

extern const struct cage_door cage_doors[];
extern const int cage_door_count;

/* Makes the call. What it returns, or a negative errno. */
long cage_door_open(const struct cage_door *door);

/* Whether the run time of a sanitizer needs this call, so that a build with it allows or refuses it
 * and does not end the process. */
int cage_runtime_call(long number);

#endif
