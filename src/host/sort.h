/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_SORT_H
#define HOST_SORT_H

#include <stddef.h>

/* Sorts structures that begin with a uint64_t by it. In place and in bounded time, without memory
 * and without a system call: glibc's qsort() asks the kernel how much memory there is, which the
 * cage does not allow. Equal ones come in any order. size: at most SORT_SIZE. */
#define SORT_SIZE 64U
void sort_by_key(void *base, size_t count, size_t size);

#endif
