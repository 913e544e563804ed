/* SPDX-License-Identifier: Apache-2.0 */
#include "test_machine.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/kvm.h"

#define PATHS 32U

const char *test_machine_obstacle(void)
{
    static struct error error;
    struct kvm kvm;

    if (kvm_open(&kvm, KVM_DEFAULT_DEVICE, &error) != 0)
        return error.text;
    kvm_close(&kvm);
    return NULL;
}

unsigned int test_machine_patience(void)
{
    const char *factor = getenv("CK_TIMEOUT_MULTIPLIER");
    const double times = factor == NULL ? 1 : atof(factor);

    return times < 1 ? 1 : (unsigned int)times;
}

const char *test_image(const char *name)
{
    static char paths[PATHS][512];
    static unsigned int next;
    char *path = paths[next++ % PATHS];
    const char *directory = getenv("MEZZ_IMAGES");

    snprintf(path, sizeof(paths[0]), "%s/%s", directory != NULL ? directory : "images", name);
    return path;
}

struct machine *test_machine_create(struct machine_config *config, const char *l1_image)
{
    struct machine *machine;
    struct error error;

    config->l1_image = test_image(l1_image);
    ck_assert_msg(machine_create(&machine, config, &error) == 0, "%s", error.text);
    return machine;
}

void test_machine_ended_well(const struct machine_report *report, const char *what)
{
    const struct console_text *said = &report->l1.console;

    ck_assert_msg(report->end == MACHINE_DONE && report->status == 0, "%s: %s, status %u: %s\n%.*s",
                  what, report_status(report), report->status, report->error.text,
                  (int)said->length, said->text);
}
