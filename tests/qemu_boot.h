/* SPDX-License-Identifier: Apache-2.0 */
/* Starts an image under QEMU's TCG for a test; one boot at a time, failures are Check's. */
#ifndef QEMU_BOOT_H
#define QEMU_BOOT_H

#include <stddef.h>
#include <stdint.h>

#define TEST_SECONDS  60
#define TEST_FILE_MAX (1 << 20)

struct file {
    size_t size;
    uint8_t bytes[TEST_FILE_MAX];
};

/* What load() read, for a test to spoil; the newc archive that add() appends to, emptied by
 * a boot. */
extern struct file image, archive;

/* What the last boot printed. */
extern char console[1 << 16];

/* NULL, or why no test can run: no QEMU, no images. */
const char *boot_obstacle(void);

void load(const char *name);

/* Adds the loaded image to the archive under a name, which may have arguments; add() loads it. */
void add_as(const char *name);
void add(const char *name);
/* The archive's end, which tiny-OS does without. */
void add_trailer(void);

struct qemu_machine {
    const char *machine; /* -M */
    const char *cpu;
    const char *option; /* -kernel or -bios */
    const char *image;  /* in MEZZ_IMAGES */
};

/* Runs the image with a module (or NULL) until it powers off; it must do so with this status. */
void boots_on(const struct qemu_machine *machine, const char *command_line,
              const struct file *module, int status);
/* The same with tiny-OS on a PC. */
void boots(const char *command_line, const struct file *module, int status);

/* Where the console has the text, which must be there. */
const char *found(const char *text);
void in_order(const char *first, const char *second);

#endif
