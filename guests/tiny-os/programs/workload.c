/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An honest program: `workload SEED CALLS` calls the functions of the API library with arguments
 * that the seed gives, and prints a sum over all results. The sum must be the same whether the
 * library is guarded or not, and however often the program is interrupted.
 */
#include "api/api.h"
#include "lib/tiny.h"

static uint64_t state;
static uint64_t sum = 1;
static uint8_t bytes[2048];

static uint64_t below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static void note(int64_t result)
{
    sum = (sum * 6364136223846793005ul + (uint64_t)result) ^ (sum >> 29);
}

static uint64_t number(const char *text)
{
    uint64_t n = 0;

    while (*text >= '0' && *text <= '9') {
        n = n * 10 + (uint64_t)(*text++ - '0');
    }
    return n;
}

/* One of a few of its own, and now and then one that is no name: too long, or none at all. Between
 * processes nothing is shared, so that the results are the same in any order; nor do they take so
 * many files that who comes first gets the last one. */
static const char *any_name(void)
{
    static char name[TINY_NAME_MAX + 16];
    uint64_t length = 6;

    if (!below(16)) {
        length = below(4) ? TINY_NAME_MAX + 1 + below(sizeof(name) - TINY_NAME_MAX - 1) : 0;
    }
    for (uint64_t i = 0; i < length; i++) {
        name[i] = 'w';
    }
    name[length] = 0;
    if (length == 6) {
        name[4] = (char)('0' + tiny_getpid() % 10);
        name[5] = (char)('0' + below(4));
    }
    return name;
}

/* Bad ones among them: a handle that is none, no such file, a process that is none, too much. */
static void call_once(int64_t handle)
{
    uint64_t n = below(16) ? below(64) : below(sizeof(bytes));
    int64_t any_handle = below(8) ? handle : (int64_t)below(2 * TINY_HANDLES) - 1;
    int64_t receiver = below(8) ? tiny_getpid() : 99;
    int64_t opened;

    switch (below(8)) {
    case 0:
        note(api_sum(bytes, below(sizeof(bytes))));
        break;
    case 1:
        note(api_read(handle, bytes, n));
        break;
    case 2:
        note(api_write(any_handle, bytes, n));
        break;
    case 3:
        opened = api_open(any_name(), below(4) ? TINY_OPEN_CREATE : below(8));
        note(opened);
        note(api_close(opened));
        break;
    case 4:
        note(api_close(any_handle == handle ? -1 : any_handle));
        break;
    case 5:
        note(api_send(receiver, bytes, n));
        break;
    case 6:
        note(api_receive(bytes, below(sizeof(bytes))));
        break;
    default:
        bytes[below(sizeof(bytes))] = (uint8_t)(n % 64);
        note(api_sum(bytes, n));
        break;
    }
}

int main(int argc, char **argv)
{
    uint64_t calls = argc > 2 ? number(argv[2]) : 1000;
    int64_t handle = -1;

    state = argc > 1 ? number(argv[1]) * 2 + 1 : 1;
    for (uint64_t i = 0; i < calls; i++) {
        if (i % 64 == 0) { /* an empty file, so that api_append, which reads it all, has an end */
            api_close(handle);
            handle = api_open(any_name(), TINY_OPEN_CREATE | TINY_OPEN_EMPTY);
            note(handle);
            note(api_append(any_name(), bytes, below(8)));
        }
        call_once(handle);
    }
    tiny_print("workload: seed %s, %lu calls, sum %lx\n", argc > 1 ? argv[1] : "-", calls, sum);
    return 0;
}
