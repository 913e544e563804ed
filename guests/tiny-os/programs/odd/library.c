/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/odd/odd.h"

#define ON_OWN_PAGE(name) \
    __attribute__((noinline, section(".odd." #name), patchable_function_entry(16)))

ON_OWN_PAGE(add) int64_t odd_add(int64_t a, int64_t b)
{
    return a + b;
}

ON_OWN_PAGE(pair) struct odd_pair odd_pair(int64_t a)
{
    return (struct odd_pair){a, a + 1};
}

/* By names that the compiler does not know: through the hook. */
__asm__(".set any_add, odd_add\n.set any_deep, odd_deep");
int64_t any_add(int64_t a, int64_t b);
int64_t any_deep(int64_t n);

ON_OWN_PAGE(through) int64_t odd_through(int64_t a, int64_t b)
{
    return any_add(a, b) + 1;
}

ON_OWN_PAGE(deep) int64_t odd_deep(int64_t n)
{
    return n <= 0 ? 0 : 1 + any_deep(n - 1);
}

ON_OWN_PAGE(large) int64_t odd_large(int64_t n)
{
    volatile char bytes[24000];

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)n;
    }
    return bytes[n & 1023];
}

ON_OWN_PAGE(code) int64_t odd_code(int64_t a)
{
    return a + 100;
}

ON_OWN_PAGE(left) int64_t odd_left(int64_t a)
{
    return a + 1;
}

ON_OWN_PAGE(right) int64_t odd_right(int64_t a)
{
    return a + 1;
}
