/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_INPUT_FILE_H
#define VMM_INPUT_FILE_H

#include <stdint.h>

#include "host/error.h"

/*
 * A file that a person named: opened without following it into a wait (FIFO), a device or a
 * directory, with its size known and bounded. It is read and never mapped, so that one that is cut
 * off meanwhile is an error and not a SIGBUS.
 *
 * Errors name the file; the codes are those of open, fstat and read, and -EINVAL for what is not a
 * regular file, empty, too large, or changed while it was read.
 */
#define INPUT_FILE_LIMIT (256ULL << 20)

struct input_file {
    const char *path; /* borrowed: outlives this structure */
    int fd;
    uint64_t size; /* 1..INPUT_FILE_LIMIT */
};

int input_file_open(struct input_file *file, const char *path, struct error *error);

/* Reads all of it, from the start, into `to`, which holds file->size bytes. */
int input_file_read(const struct input_file *file, void *to, struct error *error);

void input_file_close(struct input_file *file);

#endif
