/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nested_l1 as a hypervisor: guests in turn by the preemption timer, interrupts by injection, and a
 * guest that dies beside others. What is compared does not depend on how fast the host is: the
 * order of lines, and how often each guest had its turn.
 */
#include <stdio.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

#define STATUS_DEATH 4
#define MANY         16

/* A stack's text in pieces. */
#define STACK(memory, l1_memory)                                      \
    "local s = mezz.stack { memory = '" memory "' }\n"                \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '" l1_memory \
    "', vcpus = vcpus, cmdline = cmdline }\n"
#define L2(name, programs)                                              \
    "l1:l2 { name = '" name "', image = 'tiny-os.elf', memory = '4M', " \
    "programs = { " programs " } }\n"
#define L2_OF(name, image) "l1:l2 { name = '" name "', image = " image ", memory = '4M' }\n"
#define RUN(timeout)       "s:run { timeout = '" timeout "' }\n"

struct run {
    struct mezz_process mezz;
    json_t *json;
};

/* Runs the text, for which vcpus, cmdline and image are variables. */
static void run(struct run *run, int vcpus, const char *cmdline, const char *image,
                const char *text, int status)
{
    char stack[8192];

    snprintf(stack, sizeof(stack), "local vcpus, cmdline, image = %d, '%s', '%s'\n%s", vcpus,
             cmdline, image, text);
    mezz_begin(&run->mezz);
    mezz_write(&run->mezz, "t.lua", stack, strlen(stack));
    mezz_run(&run->mezz, (const char *const[]){"run", "t.lua", "--json", "out.json", NULL});
    ck_assert_msg(run->mezz.status == status, "status %d:\n%s%s", run->mezz.status, run->mezz.err,
                  run->mezz.out);
    run->json = mezz_json(&run->mezz);
}

static void end(struct run *run)
{
    json_decref(run->json);
    mezz_end(&run->mezz, 2);
}

static const json_t *of_l2(const struct run *run, const char *name, const char *member)
{
    char path[128];

    snprintf(path, sizeof(path), "levels.l2.%s.%s", name, member);
    return mezz_at(run->json, path);
}

static const char *text_of(const struct run *run, const char *name, const char *member)
{
    return json_string_value(of_l2(run, name, member));
}

static long long turns_of(const struct run *run, const char *name)
{
    return json_integer_value(of_l2(run, name, "exits.preemption_timer.reflect"));
}

/* Where a part of the text begins. */
static size_t place(const char *text, const char *part)
{
    const char *at = strstr(text, part);

    ck_assert_msg(at != NULL, "no \"%s\" in:\n%s", part, text);
    return (size_t)(at - text);
}

static void ended_well(const struct run *run, const char *name, const char *words)
{
    ck_assert_str_eq(text_of(run, name, "status"), "done");
    place(text_of(run, name, "console"), words);
}

/* spin computes without a call: the timer that L1 emulates and the interrupt that it injects are
 * all that lets tiny-OS run count meanwhile. */
START_TEST(programs_interleave)
{
    static const char text[] =
        STACK("64M", "48M") L2("tiny", "'spin.elf', 'count.elf', 'sleep.elf'") RUN("60s");
    struct run it;
    const char *console;

    run(&it, 1 + _i, "", "", text, 0);
    console = text_of(&it, "tiny", "console");
    ck_assert_uint_lt(place(console, "spin: begin"), place(console, "count: 5"));
    ck_assert_uint_lt(place(console, "count: 1"), place(console, "spin: end"));
    place(console, "sleep: woke up, 3");
    ck_assert_int_gt(turns_of(&it, "tiny"), 0);
    ended_well(&it, "tiny", "tiny-os: all programs ended (3 exited, 0 faulted");
    end(&it);
}
END_TEST

/* Neither waits for the other's end: both begin before one ends. */
START_TEST(guests_interleave)
{
    static const char text[] =
        STACK("64M", "48M") L2("one", "'count.elf'") L2("two", "'count.elf'") RUN("60s");
    const char *out;
    struct run it;

    run(&it, 1 + _i, "slice=1000", "", text, 0);
    out = it.mezz.out;
    ck_assert_uint_lt(place(out, "L2 one | count: 1"), place(out, "L2 two | count: 5"));
    ck_assert_uint_lt(place(out, "L2 two | count: 1"), place(out, "L2 one | count: 5"));
    ended_well(&it, "one", "count: 5");
    ended_well(&it, "two", "count: 5");
    end(&it);
}
END_TEST

/* Guests that never exit by themselves get their turns one after the other: however long each turn
 * really was, the numbers of turns of those on one processor differ by one at most. */
START_TEST(turns_are_equal)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const char text[] = STACK("64M", "48M") L2_OF("a", "image") L2_OF("b", "image")
        L2_OF("c", "image") L2_OF("d", "image") RUN("2s");
    long long turns[4];
    struct run it;

    run(&it, 1 + _i, "slice=2000", "l1_loop.elf", text, STATUS_DEATH);
    ck_assert_str_eq(json_string_value(mezz_at(it.json, "status")), "timeout");
    for (int i = 0; i < 4; i++)
        turns[i] = turns_of(&it, names[i]);
    for (int i = 0; i < 4; i++) {
        int same_processor = _i == 0 ? 0 : i % 2;

        ck_assert_int_gt(turns[i], 3);
        ck_assert_int_le(turns[i] - turns[same_processor], 1);
        ck_assert_int_ge(turns[i] - turns[same_processor], -1);
    }
    end(&it);
}
END_TEST

static const struct death {
    const char *image;
    const char *status; /* of the guest */
    const char *machine;
} deaths[] = {
    {"l2_triple_fault.elf", "died", "failed"},
    {"l2_jump_to_nothing.elf", "died", "failed"},
    {"l1_loop.elf", "running", "timeout"},
    {"l2_endless_output.elf", "running", "timeout"},
};

/* The healthy ones, before and behind it in turn, do all they have to. */
START_TEST(others_outlive_a_death)
{
    static const char text[] = STACK("64M", "48M") L2("before", "'count.elf'") L2_OF("bad", "image")
        L2("behind", "'hello.elf', 'sleep.elf'") RUN("8s");
    const struct death *death = &deaths[_i / 2];
    struct run it;

    run(&it, 1 + _i % 2, "slice=1000", death->image, text, STATUS_DEATH);
    ck_assert_str_eq(json_string_value(mezz_at(it.json, "status")), death->machine);
    ck_assert_str_eq(text_of(&it, "bad", "status"), death->status);
    ended_well(&it, "before", "tiny-os: all programs ended (1 exited, 0 faulted");
    ended_well(&it, "behind", "tiny-os: all programs ended (2 exited, 0 faulted");
    place(text_of(&it, "behind", "console"), "sleep: woke up, 3");
    end(&it);
}
END_TEST

START_TEST(sixteen_at_once)
{
    static const char text[] = STACK("160M", "128M") "for i = 1, 16 do\n" L2(
        "g' .. i .. '", "'hello.elf number ' .. i") "end\n" RUN("120s");
    struct run it;

    run(&it, 1 + _i, "slice=1000", "", text, 0);
    for (int i = 1; i <= MANY; i++) {
        char name[8], line[64];

        snprintf(name, sizeof(name), "g%d", i);
        snprintf(line, sizeof(line), "hello: argument 2: %d\n", i);
        ended_well(&it, name, line);
        ended_well(&it, name, "tiny-os: all programs ended (1 exited, 0 faulted");
    }
    end(&it);
}
END_TEST

static const char *const ways[] = {"exits=callback", "exits=observe", "exits=reflect",
                                   "exits=classic"};

/* The UART's own interrupt, a character each. */
START_TEST(uart_interrupts)
{
    static const char text[] = STACK("64M", "48M") L2_OF("guest", "image") RUN("60s");
    struct run it;

    run(&it, 1, ways[_i], "l2_uart_interrupt.elf", text, 0);
    ended_well(&it, "guest", "sent by interrupts");
    end(&it);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "scheduling", 150, EACH(programs_interleave, 2),
             EACH(guests_interleave, 2), EACH(turns_are_equal, 2),
             EACH(others_outlive_a_death, 2 * ELEMENTS(deaths)), EACH(sixteen_at_once, 2),
             EACH(uart_interrupts, ELEMENTS(ways)))
