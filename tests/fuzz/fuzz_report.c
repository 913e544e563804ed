/* SPDX-License-Identifier: Apache-2.0 */
/* A report from a machine's process, which a guest may have taken over: what is accepted can be
 * printed as JSON, and packed and unpacked again. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/report_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static unsigned char *sample;
static size_t sample_size;

/* A report that has something in each of its parts. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static struct l2_report l2[2] = {{.name = "one", .end = L2_DIED, .last_words = "words"},
                                     {.name = "two", .last_words = ""}};
    static struct callback_report callbacks[2] = {{.id = 1, .conditions = 2}, {.id = 2}};
    struct machine_report report = {.last_words = "", .l2 = l2, .l2_count = 2};

    (void)argc;
    (void)argv;
    l2[0].console = (struct console_text){"hello\n", 6, 3};
    l2[0].callbacks = callbacks;
    l2[0].callback_count = 2;
    l2[1].console = report.l1.console = (struct console_text){"", 0, 0};
    sample = report_pack(&report, &sample_size);
    if (sample == NULL)
        abort();
    return 0;
}

/* Most inputs are the sample with something else in it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    if (seed % 16 == 0 && sample_size <= most) {
        memcpy(data, sample, sample_size);
        size = sample_size;
    }
    return LLVMFuzzerMutate(data, size, most);
}

static void print(const struct machine_report *report)
{
    struct script_run run = {.report = *report};
    const struct script_record record = {.path = "t.lua", .runs = &run, .run_count = 1};
    const struct report_facts facts = {.record = &record, .error = "", .kvm = "none"};
    char *text = report_json(&facts);
    json_t *json = text != NULL ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;

    if (json == NULL)
        abort();
    json_decref(json);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine_report report;
    struct machine_report again;
    void *bytes;
    size_t length;

    if (report_unpack(&report, data, size) != 0)
        return 0;
    print(&report);
    bytes = report_pack(&report, &length);
    if (bytes == NULL || report_unpack(&again, bytes, length) != 0)
        abort();
    if (report_has_death(&report) != report_has_death(&again))
        abort();
    free(bytes);
    report_release(&report);
    report_release(&again);
    return 0;
}
