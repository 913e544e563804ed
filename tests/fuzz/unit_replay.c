/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds without libFuzzer: each that breaks something is named, and none behind it is left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

static char directory[] = "/tmp/replay.XXXXXX";
static char said[4096];

static void seed(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void begin(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
}

static void end(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(unlink(names[i]), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* Its exit status; what it says is in `said`. */
static int replay(const char *arguments)
{
    char command[256];
    FILE *pipe;
    size_t length;

    snprintf(command, sizeof(command), REPLAY_SAMPLE " %s 2>&1", arguments);
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    length = fread(said, 1, sizeof(said) - 1, pipe);
    said[length] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

START_TEST(all_is_well)
{
    static const char *const names[] = {"empty", "one"};

    begin();
    seed("empty", "");
    seed("one", "1");
    ck_assert_int_eq(replay("1 ."), 0);
    ck_assert_str_eq(said, "");
    end(names, ELEMENTS(names));
}
END_TEST

START_TEST(each_is_named)
{
    static const char *const names[] = {"aborts", "bad", "exits", "hangs", "well"};
    static const char *const lines[] = {"./aborts: ended by signal 6",
                                        "./exits: ended with status 0",
                                        "./hangs: takes longer than "};

    begin();
    for (size_t i = 0; i < ELEMENTS(names); i++)
        seed(names[i], names[i]);
    seed("bad", "s");
    ck_assert_int_eq(replay("1 ."), 1);
    for (size_t i = 0; i < ELEMENTS(lines); i++)
        ck_assert_msg(strstr(said, lines[i]) != NULL, "no \"%s\" in: %s", lines[i], said);
    /* By a signal, or as a sanitizer ends it. */
    ck_assert_msg(strstr(said, "./bad: ended") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "./well") == NULL, "%s", said);
    end(names, ELEMENTS(names));
}
END_TEST

START_TEST(nothing_to_run)
{
    begin();
    ck_assert_int_eq(replay("1 ."), 2);
    ck_assert_int_eq(replay("1 ./none"), 2);
    ck_assert_int_eq(replay("1"), 2);
    end(NULL, 0);
}
END_TEST

RUN_CASES("replay", 30, ONCE(all_is_well), ONCE(each_is_named), ONCE(nothing_to_run))
