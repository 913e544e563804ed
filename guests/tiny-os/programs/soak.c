/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `soak SEED SECONDS` calls functions of the API library at random for so long, knows what each has
 * to come to, with the agent's rules (agent/policy.c), and prints how many calls there were, how
 * many of them the agent denied, and how many came to something else.
 */
#include "api/api.h"
#include "lib/tiny.h"

#define BYTES      64u
#define MEASURE_MS 50u
#define MEASURES   5

static uint64_t state;
static uint64_t calls, denied, wrong;
static uint8_t bytes[BYTES];
static uint8_t back[BYTES];
static char name[] = "soak-0";

static uint64_t below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static uint64_t number(const char *text)
{
    uint64_t n = 0;

    while (*text >= '0' && *text <= '9') {
        n = n * 10 + (uint64_t)(*text++ - '0');
    }
    return n;
}

static void expect(const char *what, int64_t got, int64_t want)
{
    calls++;
    denied += want == -TINY_EACCES;
    if (got != want && wrong++ < 8) {
        tiny_print("soak: %s: %ld, expected %ld\n", what, got, want);
    }
}

/* Fletcher's sum, a second time. */
static int64_t sum_of(const uint8_t *byte, uint64_t n)
{
    uint64_t low = 1;
    uint64_t high = 0;

    while (n-- > 0) {
        low = (low + *byte++) % 65521;
        high = (high + low) % 65521;
    }
    return (int64_t)(high << 16 | low);
}

static void fill(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)below(256);
    }
}

static int64_t open_own(void)
{
    int64_t handle = api_open(name, TINY_OPEN_CREATE);

    expect("open", handle >= 0, 1);
    return handle;
}

/* What was written is what is read. */
static void use_file(void)
{
    uint64_t n = 1 + below(BYTES);
    uint64_t same = 0;
    int64_t handle;

    fill(n);
    bytes[0] = 'x'; /* not the word that no file may have */
    handle = open_own();
    expect("write", api_write(handle, bytes, n), (int64_t)n);
    expect("close", api_close(handle), 0);
    handle = open_own();
    expect("read", api_read(handle, back, n), (int64_t)n);
    expect("close", api_close(handle), 0);
    while (same < n && bytes[same] == back[same]) {
        same++;
    }
    wrong += same != n;
}

static void write_poison(void)
{
    uint64_t at = below(BYTES - 6);
    int64_t handle = open_own();

    for (int i = 0; i < 6; i++) {
        bytes[at + (uint64_t)i] = (uint8_t) "poison"[i];
    }
    expect("poison", api_write(handle, bytes, BYTES), -TINY_EACCES);
    expect("close", api_close(handle), 0);
    bytes[at] = 0;
}

static void call_once(void)
{
    uint64_t n;

    switch (below(8)) {
    case 0:
        expect("secret", api_open("secret.txt", TINY_OPEN_CREATE), -TINY_EACCES);
        break;
    case 1:
        expect("nothing", api_open("no-such-file", 0), -TINY_ENOENT);
        break;
    case 2:
        expect("no handle", api_close(77), -TINY_EBADF);
        break;
    case 3:
        write_poison();
        break;
    case 4:
    case 5:
        use_file();
        break;
    default:
        n = below(BYTES);
        fill(n);
        expect("sum", api_sum(bytes, n), sum_of(bytes, n));
        break;
    }
}

/* Time-stamp counter ticks of a second, or 0 without a timer: by the shortest of some sleeps, as a
 * busy host makes them longer. */
static uint64_t ticks_of_second(void)
{
    uint64_t shortest = ~0ull;

    for (int i = 0; i < MEASURES; i++) {
        uint64_t begin = tiny_time();
        uint64_t length;

        if (tiny_sleep(MEASURE_MS) != 0) {
            return 0;
        }
        length = tiny_time() - begin;
        shortest = length < shortest ? length : shortest;
    }
    return shortest * (1000 / MEASURE_MS);
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 2 ? number(argv[2]) : 1;
    uint64_t begin = tiny_time();
    uint64_t second;

    state = argc > 1 ? number(argv[1]) * 2 + 1 : 1;
    name[5] = (char)('0' + tiny_getpid() % 10);
    second = ticks_of_second();
    if (second == 0) {
        tiny_print("soak: there is no timer\n");
        return 1;
    }
    do {
        call_once();
    } while (tiny_time() - begin < second * seconds);
    tiny_print("soak: seed %s, %lu calls, %lu denied, %lu wrong\n", argc > 1 ? argv[1] : "-", calls,
               denied, wrong);
    return wrong != 0;
}
