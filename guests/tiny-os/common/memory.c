/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that a compiler calls on its own. One string instruction each, because an emulated
 * ring 0 pays for instructions and hardly for their repetitions.
 */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    void *out = to;

    __asm__ volatile("rep movsb" : "+D"(out), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t n)
{
    void *out = to;

    __asm__ volatile("rep stosb" : "+D"(out), "+c"(n) : "a"(value) : "memory");
    return to;
}
