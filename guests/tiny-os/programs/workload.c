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
static char name[] = "work-0-0";

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

/* Bad ones among them: a handle that is none, a text without end, memory that is not there. */
static void call_once(int64_t handle)
{
    uint64_t n = below(64);

    switch (below(8)) {
    case 0:
        note(api_sum(bytes, below(sizeof(bytes))));
        break;
    case 1:
        note(api_read(handle, bytes, n));
        break;
    case 2:
        note(api_write(handle, bytes, n));
        break;
    case 3:
        note(api_open("no-such-file", 0));
        break;
    case 4:
        note(api_close(77));
        break;
    case 5:
        note(api_send(tiny_getpid(), bytes, n));
        break;
    case 6:
        note(api_receive(bytes, sizeof(bytes)));
        break;
    default:
        bytes[below(sizeof(bytes))] = (uint8_t)n;
        note(api_sum(bytes, n));
        break;
    }
}

int main(int argc, char **argv)
{
    uint64_t calls = argc > 2 ? number(argv[2]) : 1000;
    int64_t handle = -1;

    state = argc > 1 ? number(argv[1]) * 2 + 1 : 1;
    name[5] = (char)('0' + tiny_getpid() % 10);
    for (uint64_t i = 0; i < calls; i++) {
        if (i % 64 == 0) { /* a new file position, so that it does not fill up */
            api_close(handle);
            handle = api_open(name, TINY_OPEN_CREATE);
            note(api_append(name, "x", i < 64 ? 1 : 0));
        }
        call_once(handle);
    }
    tiny_print("workload: seed %s, %lu calls, sum %lx\n", argc > 1 ? argv[1] : "-", calls, sum);
    return 0;
}
