/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API library: functions that every process can call when the module libapi.elf is there. They
 * are at the same addresses in all of them, each alone on its page (api.ld has the order), so that
 * a page's permission is a function's permission. All but api_sum begin with TINY_API_PREAMBLE
 * bytes of no-operations, where a hook has room (gcc's patchable_function_entry).
 *
 * A program that uses them is linked with the library's symbols; a call without the library in the
 * machine is a page fault. Results are as those of the system calls: negative ones are -TINY_E*.
 */
#ifndef TINY_API_API_H
#define TINY_API_API_H

#include "abi/calls.h"

#include <stdint.h>

#define TINY_API_PREAMBLE 16

/* Opens the memory file of this name; flags: TINY_OPEN_* or 0. Returns a handle. */
int64_t api_open(const char *name, uint64_t flags);

/* From where the handle stands; the number of bytes, 0 at the end of the file. */
int64_t api_read(int64_t handle, void *to, uint64_t n);

/* To where the handle stands: all n bytes, or an error and nothing. */
int64_t api_write(int64_t handle, const void *from, uint64_t n);

int64_t api_close(int64_t handle);

/* 1..TINY_MESSAGE_MAX bytes to another program; -TINY_EAGAIN while it has not taken the last. */
int64_t api_send(int64_t pid, const void *from, uint64_t n);

/* The message that waits for this program, its length; -TINY_EAGAIN if there is none. */
int64_t api_receive(void *to, uint64_t n);

/* Fletcher's sum of the bytes; makes no system call. */
int64_t api_sum(const void *bytes, uint64_t n);

/* Opens or creates the file, goes to its end, writes all n bytes there: by api_open, api_read,
 * api_write and api_close. */
int64_t api_append(const char *name, const void *from, uint64_t n);

/* 0. */
int64_t api_nothing(void);

#endif
