/* SPDX-License-Identifier: Apache-2.0 */
/* Boots tiny-OS under QEMU for a test; one boot at a time, failures are Check's. */
#ifndef E2E_TINY_OS_QEMU_BOOT_H
#define E2E_TINY_OS_QEMU_BOOT_H

#include <stddef.h>
#include <stdint.h>

#define TEST_SECONDS  60
#define TEST_FILE_MAX (1 << 20)

struct file {
    size_t size;
    uint8_t bytes[TEST_FILE_MAX];
};

/* What load() read, for a test to spoil; the newc archive that add() appends to, emptied by
 * boots(). */
extern struct file image, archive;

/* What the last boot printed. */
extern char console[1 << 16];

/* NULL, or why no test can run: no QEMU, no images. */
const char *boot_obstacle(void);

void load(const char *name);

/* Adds the loaded image to the archive under a name, which may have arguments; add() loads it. */
void add_as(const char *name);
void add(const char *name);

/* Runs tiny-OS with a module (or NULL) until it powers off; it must do so with this status. */
void boots(const char *command_line, const struct file *module, int status);

/* Where the console has the text, which must be there. */
const char *found(const char *text);
void in_order(const char *first, const char *second);

#endif
