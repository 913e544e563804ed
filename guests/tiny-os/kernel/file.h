/* SPDX-License-Identifier: Apache-2.0 */
/* Memory files and messages: the objects behind the API library. All arguments are ring 3's. */
#ifndef TINY_KERNEL_FILE_H
#define TINY_KERNEL_FILE_H

#include "abi/calls.h"

#include <stdint.h>

struct memory_file {
    char name[TINY_NAME_MAX + 1];
    uint64_t size;
    char *page; /* NULL: this entry is free */
};

struct handle {
    struct memory_file *file; /* NULL: closed */
    uint64_t offset;
};

struct message {
    uint64_t size; /* 0: none waits */
    char bytes[TINY_MESSAGE_MAX];
};

/* The calls of the same names, for the current process. */
int64_t file_open(uint64_t name, uint64_t length, uint64_t flags);
int64_t file_read(uint64_t handle, uint64_t to, uint64_t length);
int64_t file_store(uint64_t handle, uint64_t from, uint64_t length);
int64_t file_close(uint64_t handle);
int64_t message_send(uint64_t pid, uint64_t from, uint64_t length);
int64_t message_receive(uint64_t to, uint64_t length);

#endif
