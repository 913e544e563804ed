/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves: reasons and their names, text as UTF-8, JSON, the table. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/calls.h"
#include "runner.h"
#include "vmm/cli/report_json.h"
#include "vmm/cli/report_table.h"
#include "vmm/cli/report_text.h"

static const struct {
    const char *text;
    const char *utf8; /* R stands for U+FFFD */
} texts[] = {
    {"", ""},
    {"plain\r\n\t", "plain\r\n\t"},
    {"\x7f\x1b[0m", "\x7f\x1b[0m"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\x80", "R"},
    {"\xff\xfe", "RR"},
    {"\xc3", "R"},                /* cut off */
    {"\xe2\x82x", "RRx"},         /* cut off by a letter */
    {"\xc0\xaf", "RR"},           /* overlong */
    {"\xe0\x80\xaf", "RRR"},      /* overlong */
    {"\xed\xa0\x80", "RRR"},      /* a surrogate */
    {"\xf4\x90\x80\x80", "RRRR"}, /* past U+10FFFF */
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    {"\xf8\x88\x80\x80\x80", "RRRRR"},
};

START_TEST(utf8)
{
    char expected[64] = "";
    size_t length;
    char *text;

    for (const char *c = texts[_i].utf8; *c != '\0'; c++)
        strcat(expected, *c == 'R' ? "\xef\xbf\xbd" : (char[]){*c, '\0'});
    text = report_utf8(texts[_i].text, strlen(texts[_i].text), &length);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(length, strlen(expected));
    ck_assert_str_eq(text, expected);
    free(text);
}
END_TEST

START_TEST(utf8_keeps_nul)
{
    size_t length;
    char *text = report_utf8("a\0b", 3, &length);

    ck_assert_uint_eq(length, 3);
    ck_assert_int_eq(memcmp(text, "a\0b", 4), 0);
    free(text);
}
END_TEST

START_TEST(reasons)
{
    for (int i = 0; i < (int)REASON_INDEX_COUNT; i++) {
        ck_assert_int_eq(reason_index(reason_of_index(i)), i);
        ck_assert_ptr_nonnull(reason_name(reason_of_index(i)));
        ck_assert_int_eq(strcmp(reason_name(reason_of_index(i)), "unknown") != 0,
                         reason_is_known(i));
    }
    ck_assert_str_eq(reason_name(MEZZ_EXIT_IO), "io");
    ck_assert_str_eq(reason_name(MEZZ_EXIT_EPT_VIOLATION), "ept_violation");
    ck_assert_str_eq(reason_name(MEZZ_EXIT_PORTION), "portion");
    ck_assert_int_eq(reason_index(MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED),
                     MEZZ_EXIT_INVALID_GUEST_STATE);
    ck_assert_int_eq(reason_index(MEZZ_EXIT_SDM_COUNT), -1);
    ck_assert_int_eq(reason_index(MEZZ_EXIT_OWN_END), -1);
    ck_assert_str_eq(reason_name(0x7fffffff), "unknown");
    ck_assert(!reason_is_known(-1));
    ck_assert(!reason_is_known((int)REASON_INDEX_COUNT));
}
END_TEST

/* Two L2s of one name, one with bytes that are no text. */
static const struct callback_report sample_callback = {
    .id = 3,
    .reason = MEZZ_EXIT_IO,
    .mode = MEZZ_MODE_OBSERVE,
    .conditions = 2,
    .counters = {.evaluated = 9, .fired = 4, .failed = {0, 5}},
};

static struct machine_report sample(struct l2_report *l2)
{
    struct machine_report report = {.end = MACHINE_DONE,
                                    .duration_ns = 1500000,
                                    .last_words = "",
                                    .l1 = {.console = {"l1\n", 3, 0}},
                                    .l2 = l2,
                                    .l2_count = 2};

    report.l1.calls[MEZZ_CALL_ENTER] = 4;
    l2[0] = (struct l2_report){
        .name = "tiny", .end = L2_DONE, .console = {"a\0\xff", 3, 7}, .last_words = ""};
    l2[0].callbacks = &sample_callback;
    l2[0].callback_count = 1;
    l2[0].groups_loaded[MEZZ_GROUP_EVENTS] = 6;
    l2[0].exits[MEZZ_EXIT_HLT] = (struct exit_counts){1, 2, 3};
    l2[1] = (struct l2_report){
        .name = "tiny", .end = L2_DIED, .console = {"", 0, 0}, .last_words = "gone\nregisters\n"};
    return report;
}

START_TEST(copy)
{
    struct l2_report l2[2];
    struct machine_report report = sample(l2);
    struct machine_report kept;

    ck_assert_int_eq(report_copy(&kept, &report), 0);
    memset(l2, 0, sizeof(l2));
    ck_assert_uint_eq(kept.l2_count, 2);
    ck_assert_str_eq(kept.l2[0].name, "tiny");
    ck_assert_int_eq(memcmp(kept.l2[0].console.text, "a\0\xff", 3), 0);
    ck_assert_str_eq(kept.l2[1].last_words, "gone\nregisters\n");
    ck_assert_uint_eq(report_total(&kept.l2[0]).reflect, 3);
    ck_assert_uint_eq(kept.l2[0].callback_count, 1);
    ck_assert_ptr_ne(kept.l2[0].callbacks, &sample_callback);
    ck_assert_uint_eq(kept.l2[0].callbacks[0].counters.fired, 4);
    report_release(&kept);
}
END_TEST

static void print_all(struct machine_report *report)
{
    struct script_run run = {.report = *report};
    struct script_record record = {"t.lua", &run, 1, NULL, 0, 0, NULL};
    struct report_facts facts = {&record, "", 0, "kvm_amd", NULL};

    free(report_json(&facts));
}

/* What a report names becomes the exit status, and what it says is shown. */
START_TEST(stop_of_a_stranger)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, 0, SIGKILL, 77, 128, -128, 256};
    struct l2_report l2[2];
    struct machine_report report = sample(l2);
    struct machine_report got;

    report.end = MACHINE_STOPPED;
    report.signal_number = signals[_i];
    strcpy(report.error.text, "x\x1b[2J\x9b"
                              "2J\nmezz: ");
    ck_assert_int_eq(report_copy(&got, &report), _i < 4 ? 0 : -EBADMSG);
    if (_i >= 4)
        return;
    ck_assert_str_eq(got.error.text, "x?[2J?2J?mezz: ");
    report_release(&got);
}
END_TEST

/* The process that runs guests sends its report as bytes, and may have fallen to one of them:
 * bytes that end early or were altered are refused, or give a report that can be printed. */
START_TEST(pack_of_a_stranger)
{
    struct l2_report l2[2];
    struct machine_report report = sample(l2);
    struct machine_report got;
    size_t length;
    unsigned char *bytes = report_pack(&report, &length);

    ck_assert_ptr_nonnull(bytes);
    for (size_t cut = 0; cut < length; cut++) {
        unsigned char *part = malloc(cut + 1);

        memcpy(part, bytes, cut);
        ck_assert_int_eq(report_unpack(&got, part, cut), -EBADMSG);
        ck_assert_ptr_null(got.l2);
        free(part);
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char before = bytes[i];

        bytes[i] = (unsigned char)(_i == 0 ? 0xff : before ^ 0x01);
        if (report_unpack(&got, bytes, length) == 0) {
            print_all(&got);
            report_release(&got);
        }
        bytes[i] = before;
    }
    ck_assert_int_eq(report_unpack(&got, bytes, length), 0);
    ck_assert_str_eq(got.l2[1].last_words, "gone\nregisters\n");
    report_release(&got);
    free(bytes);
}
END_TEST

/* A length that no console has is what a report uses to say "as long as the text is". */
START_TEST(pack_with_a_console_without_end)
{
    struct l2_report l2[2];
    struct machine_report report = sample(l2);
    struct machine_report got;
    struct console_text *const console = _i == 0 ? &report.l1.console : &l2[0].console;
    size_t length;
    void *bytes;

    *console = (struct console_text){"text", SIZE_MAX, 0};
    bytes = report_pack(&report, &length);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(report_unpack(&got, bytes, length), -EBADMSG);
    ck_assert_ptr_null(got.l2);
    free(bytes);
}
END_TEST

START_TEST(deaths)
{
    struct l2_report l2[2];
    struct machine_report report = sample(l2);

    ck_assert(report_has_death(&report));
    l2[1].end = L2_RUNNING;
    ck_assert(!report_has_death(&report));
    report.status = 1;
    ck_assert(report_has_death(&report));
    ck_assert_str_eq(report_status(&report), "failed");
    report.end = MACHINE_TIMEOUT;
    ck_assert(report_has_death(&report));
    ck_assert_str_eq(report_status(&report), "timeout");
    report.end = MACHINE_STOPPED;
    ck_assert(!report_has_death(&report));
}
END_TEST

static const json_t *at(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);

    ck_assert_msg(value != NULL, "no %s", name);
    return value;
}

START_TEST(json)
{
    struct l2_report l2[2];
    struct script_run run = {.report = sample(l2), .line = 7};
    char what[] = "it \xff works";
    struct script_expectation expectation = {what, 9, true};
    struct script_record record = {"t.lua", &run, 1, &expectation, 1, 0, NULL};
    struct report_facts facts = {&record, "", 0, "kvm_amd", NULL};
    char *text = report_json(&facts);
    const json_t *levels;
    const json_t *tiny;
    const json_t *callback;
    json_t *object;

    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    object = json_loads(text, JSON_ALLOW_NUL, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(at(object, "status")), "done");
    ck_assert(json_is_null(at(object, "error")));
    ck_assert(json_is_null(at(object, "lane")));
    ck_assert(json_is_null(at(object, "first_l2_output_ms")));
    ck_assert(json_object_get(object, "runs") == NULL);
    levels = at(object, "levels");
    ck_assert_int_eq(json_integer_value(at(at(at(levels, "l1"), "calls"), "enter")), 4);
    tiny = at(at(levels, "l2"), "tiny");
    ck_assert_uint_eq(json_string_length(at(tiny, "console")), 5);
    ck_assert_int_eq(json_integer_value(at(tiny, "console_dropped")), 7);
    ck_assert_int_eq(json_integer_value(at(at(at(tiny, "exits"), "hlt"), "callback")), 2);
    ck_assert(json_object_get(at(tiny, "exits"), "io") == NULL);
    ck_assert_int_eq(json_integer_value(at(at(tiny, "groups_loaded"), "events")), 6);
    callback = json_array_get(at(tiny, "callbacks"), 0);
    ck_assert_str_eq(json_string_value(at(callback, "reason")), "io");
    ck_assert_str_eq(json_string_value(at(callback, "mode")), "observe");
    ck_assert_int_eq(json_integer_value(at(callback, "fired")), 4);
    ck_assert_uint_eq(json_array_size(at(callback, "failed")), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(at(callback, "failed"), 1)), 5);
    ck_assert_str_eq(json_string_value(at(at(at(levels, "l2"), "tiny#2"), "status")), "died");
    json_decref(object);
    free(text);
}
END_TEST

/* A name that plays with the terminal does not. */
START_TEST(table)
{
    struct l2_report l2[2];
    struct machine_report report = sample(l2);
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    l2[1].name = "\033[2J\n\xff";
    report_table(out, &report, true);
    fclose(out);
    for (size_t i = 0; i < length; i++)
        ck_assert(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    ck_assert_ptr_nonnull(strstr(text, "\nL2 ?[2J??"));
    ck_assert_ptr_nonnull(strstr(text, "    enter"));
    free(text);
}
END_TEST

RUN_CASES("report", 30, EACH(utf8, ELEMENTS(texts)), ONCE(utf8_keeps_nul), ONCE(reasons),
          ONCE(copy), EACH(stop_of_a_stranger, 10), EACH(pack_of_a_stranger, 2),
          EACH(pack_with_a_console_without_end, 2), ONCE(deaths), ONCE(json), ONCE(table))
