/* SPDX-License-Identifier: Apache-2.0 */
/* No function has data elsewhere, and only api_append calls others. */
#include "api/api.h"

#include "lib/tiny.h"

/* A call of another one is a call. */
#define ON_A_PAGE(name) __attribute__((section(".api." #name), noinline))
#define ON_OWN_PAGE(name) \
    ON_A_PAGE(name) __attribute__((patchable_function_entry(TINY_API_PREAMBLE)))

ON_OWN_PAGE(open) int64_t api_open(const char *name, uint64_t flags)
{
    uint64_t length = 0;

    while (length <= TINY_NAME_MAX && name[length]) {
        length++;
    }
    return tiny_call(TINY_CALL_OPEN, (uint64_t)name, length, flags, 0);
}

ON_OWN_PAGE(read) int64_t api_read(int64_t handle, void *to, uint64_t n)
{
    return tiny_call(TINY_CALL_READ, (uint64_t)handle, (uint64_t)to, n, 0);
}

ON_OWN_PAGE(write) int64_t api_write(int64_t handle, const void *from, uint64_t n)
{
    return tiny_call(TINY_CALL_STORE, (uint64_t)handle, (uint64_t)from, n, 0);
}

ON_OWN_PAGE(close) int64_t api_close(int64_t handle)
{
    return tiny_call(TINY_CALL_CLOSE, (uint64_t)handle, 0, 0, 0);
}

ON_OWN_PAGE(send) int64_t api_send(int64_t pid, const void *from, uint64_t n)
{
    return tiny_call(TINY_CALL_SEND, (uint64_t)pid, (uint64_t)from, n, 0);
}

ON_OWN_PAGE(receive) int64_t api_receive(void *to, uint64_t n)
{
    return tiny_call(TINY_CALL_RECEIVE, (uint64_t)to, n, 0, 0);
}

ON_A_PAGE(sum) int64_t api_sum(const void *bytes, uint64_t n)
{
    const uint8_t *byte = bytes;
    uint64_t low = 1;
    uint64_t high = 0;

    for (uint64_t i = 0; i < n; i++) {
        low = (low + byte[i]) % 65521;
        high = (high + low) % 65521;
    }
    return (int64_t)(high << 16 | low);
}

ON_OWN_PAGE(append) int64_t api_append(const char *name, const void *from, uint64_t n)
{
    uint8_t bytes[64];
    int64_t handle = api_open(name, TINY_OPEN_CREATE);
    int64_t result = handle < 0 ? handle : 1;

    if (handle < 0) {
        return handle;
    }
    while (result > 0) {
        result = api_read(handle, bytes, sizeof(bytes));
    }
    if (!result) {
        result = api_write(handle, from, n);
    }
    api_close(handle);
    return result;
}

ON_OWN_PAGE(nothing) int64_t api_nothing(void)
{
    return 0;
}
