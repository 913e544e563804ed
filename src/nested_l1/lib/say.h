/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_LIB_SAY_H
#define L1_LIB_SAY_H

#include <stdint.h>

/*
 * L1's own console: COM1 until say_to_root, then MEZZ_CALL_CONSOLE, a call for a line. Each line
 * starts with "nested_l1: " and ends by itself; what is longer than a line is cut.
 * %s, %.*s, %u, %x, %lu and %lx.
 */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_to_root(void);

/* Text of a guest's console: of this number at the root, or behind its name on COM1. */
void say_for(uint32_t console, const char *name, const char *text, uint64_t length);

/* Ends the machine. */
_Noreturn void stop(uint8_t status);

#endif
