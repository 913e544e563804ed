/* SPDX-License-Identifier: Apache-2.0 */
/* The library of examples/guarded-library does what docs/hookguard.md says of it. That of
 * examples/l1-in-200-lines is kvm_tutorial.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mezz_process.h"
#include "runner.h"

static void must_print(const struct mezz_process *mezz, const char *text)
{
    ck_assert_msg(strstr(mezz->out, text) != NULL, "no \"%s\" in:\n%s", text, mezz->out);
}

START_TEST(guarded_library)
{
    static const char *const said[] = {"good morning\ntalk: quiet: 0\ntalk: loud: -13\n",
                                       "beep 3\ntalk: beep: 0\n", "talk.elf: "};
    static const char *const heard[] = {
        "call\tspeaker_say\ttalk.elf:main+0x", "nested\tspeaker_say\t\tallowed\n",
        "call\tspeaker_beep\ttalk.elf:main+0x", "refused\tspeaker_beep\ttalk.elf:main+0x"};
    char path[512];
    const char *argv[] = {"run", path, "--json", "out.json", NULL};
    struct mezz_process mezz;
    json_t *json;

    snprintf(path, sizeof(path), "%s/guarded-library/stack.lua", getenv("MEZZ_EXAMPLES"));
    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    for (size_t i = 0; i < ELEMENTS(said); i++)
        ck_assert_msg(mezz_tiny_says(json, said[i]), "no \"%s\" in:\n%s", said[i],
                      json_string_value(mezz_at(json, "levels.l2.tiny.console")));
    ck_assert(!mezz_tiny_says(json, "GOOD"));
    ck_assert(!mezz_tiny_says(json, "nobody gets here"));
    for (size_t i = 0; i < ELEMENTS(heard); i++)
        must_print(&mezz, heard[i]);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.calls"), 4);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.allowed"), 2);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.denied"), 1);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.guard.nested.allowed"), 1);
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

static const char *obstacle(void)
{
    return getenv("MEZZ_EXAMPLES") == NULL ? "MEZZ_EXAMPLES is not set (meson test sets it)"
                                           : mezz_obstacle();
}

RUN_CASES_IF(obstacle, "examples", 120, ONCE(guarded_library))
