/* SPDX-License-Identifier: Apache-2.0 */
#include "test_machine.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/kvm.h"
#include "vmm/machine_state.h"

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

/* What the threads share; under the machine's lock. */
static void (*prepare_l2)(struct machine *machine);

static void *run_vcpu(void *argument)
{
    struct l1_vcpu *l1 = argument;
    struct machine *machine = l1->machine;
    struct error error;

    pthread_mutex_lock(&machine->lock);
    ck_assert_int_eq(l1_vcpu_begin(l1, &error), 0);
    while (!machine->ended) {
        if (l1->started)
            l1_vcpu_step(l1);
        else
            pthread_cond_wait(&machine->changed, &machine->lock);
        if (prepare_l2 != NULL && machine->l2[0] != NULL) {
            prepare_l2(machine);
            prepare_l2 = NULL;
        }
    }
    l1_vcpu_end(l1);
    pthread_mutex_unlock(&machine->lock);
    return NULL;
}

void test_machine_run(struct machine *machine, void (*prepare)(struct machine *machine))
{
    pthread_t thread[MACHINE_MAX_L1_VCPUS];

    prepare_l2 = prepare;
    for (unsigned int i = 0; i < machine->l1_count; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_vcpu, machine->l1[i]), 0);
    for (unsigned int i = 0; i < machine->l1_count; i++)
        pthread_join(thread[i], NULL);
    console_flush(&machine->l1_console);
    machine->report.l1.console = console_text(&machine->l1_console);
}

void test_machine_ended_well(const struct machine_report *report, const char *what)
{
    const struct console_text *said = &report->l1.console;

    ck_assert_msg(report->end == MACHINE_DONE && report->status == 0, "%s: %s, status %u: %s\n%.*s",
                  what, report_status(report), report->status, report->error.text,
                  (int)said->length, said->text);
}
