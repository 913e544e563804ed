/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiler may call by itself. */
#include "lib/machine.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

void *memcpy(void *to, const void *from, size_t bytes)
{
    copy_bytes(to, from, bytes);
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    fill_bytes(to, (uint8_t)value, bytes);
    return to;
}
