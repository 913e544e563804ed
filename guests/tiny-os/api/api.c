/* SPDX-License-Identifier: Apache-2.0 */
/* No function calls another or has data elsewhere: a page is all that it needs. */
#include "api/api.h"

#include "lib/tiny.h"

#define ON_OWN_PAGE(name) __attribute__((section(".api." #name)))

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
