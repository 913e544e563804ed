/* SPDX-License-Identifier: Apache-2.0 */
/* The L1 of docs/tutorial-l1.md does what the tutorial says. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "vmm/machine.h"

static void expect_console(const struct console_text *console, const char *text)
{
    ck_assert_msg(console->length == strlen(text) &&
                      memcmp(console->text, text, console->length) == 0,
                  "console: %.*s", (int)console->length, console->text);
}

START_TEST(reflect_then_callback)
{
    const char *images = getenv("MEZZ_IMAGES");
    char image[512];
    struct machine_config config = {
        .l1_memory = 2 << 20, .l1_image = image, .timeout_ns = 60000000000ULL};
    struct machine_report report;
    struct machine *machine;
    struct error error;

    snprintf(image, sizeof(image), "%s/l1-in-200-lines.elf", images != NULL ? images : "images");
    ck_assert_msg(machine_create(&machine, &config, &error) == 0, "%s", error.text);
    machine_run(machine, &report);
    ck_assert_msg(report.end == MACHINE_DONE, "%s\n%s", report.error.text, report.last_words);
    ck_assert_uint_eq(report.status, 0);
    ck_assert_uint_eq(report.l1.refused_calls, 0);
    expect_console(&report.l1.console,
                   "reflect: ENTER came back 15 times\n"
                   "callback: ENTER came back 01 times, the handler ran 14 times\n");
    ck_assert_uint_eq(report.l2_count, 1);
    ck_assert_str_eq(report.l2[0].name, "small");
    ck_assert_int_eq(report.l2[0].end, L2_DONE);
    expect_console(&report.l2[0].console, "hello from L2\nhello from L2\n");
    ck_assert_uint_eq(report.l2[0].exits[MEZZ_EXIT_IO].reflect, 14);
    ck_assert_uint_eq(report.l2[0].exits[MEZZ_EXIT_IO].callback, 14);
    machine_destroy(machine);
}
END_TEST

static const char *obstacle(void)
{
    return access("/dev/kvm", R_OK | W_OK) == 0 ? NULL : "there is no /dev/kvm to use";
}

RUN_CASES_IF(obstacle, "tutorial", 120, ONCE(reflect_then_callback))
