/* SPDX-License-Identifier: Apache-2.0 */
/* The serial console (16550 at 0x3f8) and the two ways to stop the machine. */
#ifndef TINY_KERNEL_CONSOLE_H
#define TINY_KERNEL_CONSOLE_H

#include <stdint.h>

/* Statuses of the machine, written to the debug-exit port. */
#define STATUS_OK      0 /* every program has ended, however */
#define STATUS_NOTHING 1 /* no program could be started */
#define STATUS_BROKEN  2 /* the kernel itself failed */

struct frame;

void console_init(void);
void console_write(const char *bytes, uint64_t n);

/* One line of at most 200 bytes, format as in common/format.h. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

_Noreturn void power_off(uint8_t status);

/* Says why, with the registers if there are any, and powers off with STATUS_BROKEN. */
_Noreturn void panic(const char *why, const struct frame *frame);

#endif
