/* SPDX-License-Identifier: Apache-2.0 */
/* Quiet runs and titles: what people see of them, on a pipe and on a terminal. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mezz_process.h"
#include "runner.h"

#define RUN(keys)                                                   \
    "local s = mezz.stack {}\n"                                     \
    "local l1 = s:l1 { image = 'nested_l1.elf', memory = '32M' }\n" \
    "local t = l1:l2 { name = 't', image = 'tiny-os.elf',\n"        \
    "    memory = '8M', programs = { 'hello.elf' } }\n"             \
    "s:run { timeout = '60s', " keys " }\n"                         \
    "print(t.console:find 'hello from ring 3' and 'it said hello')\n"
#define DYING(keys)                                           \
    "local s = mezz.stack {}\n"                               \
    "s:l1 { image = 'l1_triple_fault.elf', memory = '4M' }\n" \
    "s:run { timeout = '60s', " keys " }\n"

static void run(struct mezz_process *mezz, const char *text, const char *option)
{
    const char *const argv[] = {"run", "t.lua", "--json", "out.json", option, NULL};

    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
}

/* The script sees the console all the same, and JSON has all of it. */
START_TEST(nothing_but_the_script)
{
    struct mezz_process mezz;
    json_t *json;

    run(&mezz, RUN("quiet = true, title = 'a title'"), NULL);
    mezz_expect(&mezz, 0, "");
    ck_assert_str_eq(mezz.out, "stack | it said hello\n");
    json = mezz_json(&mezz);
    ck_assert_str_eq(json_string_value(mezz_at(json, "title")), "a title");
    ck_assert_ptr_nonnull(
        strstr(json_string_value(mezz_at(json, "levels.l2.t.console")), "hello from ring 3"));
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* As without `quiet`: the title, the levels, the table. */
START_TEST(with_verbose)
{
    static const char *const texts[] = {RUN("quiet = true, title = 'a title'"),
                                        RUN("title = 'a title'")};
    struct mezz_process mezz;

    run(&mezz, texts[_i], _i == 0 ? "-v" : NULL);
    mezz_expect(&mezz, 0, "");
    ck_assert_msg(strncmp(mezz.out, "== a title\n", 11) == 0, "%s", mezz.out);
    ck_assert_ptr_nonnull(strstr(mezz.out, "L2 t  | hello from ring 3"));
    ck_assert_ptr_nonnull(strstr(mezz.out, "level and exit reason"));
    mezz_end(&mezz, 2);
}
END_TEST

/* What the stack did not ask for is told. */
START_TEST(a_death_is_told)
{
    struct mezz_process mezz;

    run(&mezz, DYING("quiet = true"), NULL);
    ck_assert_int_eq(mezz.status, 4);
    ck_assert_str_eq(mezz.out, "");
    ck_assert_msg(strncmp(mezz.err, "mezz: t.lua:3: L1 died", 22) == 0, "%s", mezz.err);
    mezz_end(&mezz, 2);
    run(&mezz, DYING("quiet = true, may_die = true"), NULL);
    mezz_expect(&mezz, 0, "");
    ck_assert_str_eq(mezz.out, "");
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(a_failed_expectation)
{
    struct mezz_process mezz;

    run(&mezz, RUN("quiet = true") "mezz.expect(false, 'what I hoped for')\n", NULL);
    mezz_expect(&mezz, 1, "mezz: t.lua:7: expectation failed: what I hoped for\n");
    ck_assert_str_eq(mezz.out, "stack | it said hello\n"
                               "0 of 1 expectations held\n"
                               "-v shows what the levels of quiet runs wrote\n");
    mezz_end(&mezz, 2);
}
END_TEST

/* A terminal hands on what was written to it in pieces, and a little later. */
static void read_terminal(int terminal, char *text, size_t size)
{
    struct pollfd pollfd = {.fd = terminal, .events = POLLIN};
    size_t length = 0;

    while (length < size - 1 && poll(&pollfd, 1, 300) > 0) {
        ssize_t part = read(terminal, text + length, size - 1 - length);

        ck_assert_int_gt(part, 0);
        length += (size_t)part;
    }
    text[length] = '\0';
}

/* A terminal shows the title as long as the run lasts; one that is dumb does not. */
START_TEST(on_a_terminal)
{
    static const char *const terms[] = {"TERM=xterm", "TERM=dumb"};
    static const char *const seen[] = {"... a title\r\033[Kstack | it said hello\r\n",
                                       "stack | it said hello\r\n"};
    static const char text[] = RUN("quiet = true, title = 'a title'");
    static const char *const argv[] = {"run", "t.lua", "--no-colour", NULL};
    struct mezz_process mezz;
    char said[256];
    int ours = posix_openpt(O_RDWR | O_NOCTTY);
    int theirs;

    ck_assert_msg(ours >= 0 && grantpt(ours) == 0 && unlockpt(ours) == 0, "no pseudo-terminal");
    theirs = open(ptsname(ours), O_RDWR | O_NOCTTY); /* what was written stays */
    ck_assert_int_ge(theirs, 0);
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz.out_to = ptsname(ours);
    mezz.environment[0] = terms[_i];
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    read_terminal(ours, said, sizeof(said));
    ck_assert_str_eq(said, seen[_i]);
    close(theirs);
    close(ours);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "quiet", 120, ONCE(nothing_but_the_script), EACH(with_verbose, 2),
             ONCE(a_death_is_told), ONCE(a_failed_expectation), EACH(on_a_terminal, 2))
