/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <errno.h>
#include <x86intrin.h>

#include "host/hot.h"
#include "vmm/machine_state.h"

#define L1_MEMORY (2ULL << 20)
#define SECOND_NS 1000000000ULL
/* Of everything that happens between subject_begin and subject_end. */
#define TIMEOUT_NS (60 * SECOND_NS)

int subject_create(struct subject *subject, const char *image, const char *command_line,
                   const char *kvm, struct error *error)
{
    const struct machine_config config = {
        .kvm_device = kvm,
        .l1_memory = L1_MEMORY,
        .l1_image = image,
        .l1_command_line = command_line,
        .l1_vcpus = 1,
        .timeout_ns = TIMEOUT_NS,
    };
    uint64_t ticks;
    int code = machine_create(&subject->machine, &config, error);

    if (code != 0)
        return code;
    subject->l1 = subject->machine->l1[0];
    code = subject_begin(subject, error);
    if (code == 0) {
        code = subject_cycle(subject, &ticks, error);
        subject_end(subject);
    }
    if (code != 0)
        machine_destroy(subject->machine);
    return code;
}

void subject_destroy(struct subject *subject)
{
    machine_destroy(subject->machine);
}

int subject_begin(struct subject *subject, struct error *error)
{
    struct machine *machine = subject->machine;
    int code;

    pthread_mutex_lock(&machine->lock);
    machine->deadline = machine_time(machine) + TIMEOUT_NS;
    code = l1_vcpu_begin(subject->l1, error);
    if (code != 0)
        pthread_mutex_unlock(&machine->lock);
    return code;
}

void subject_end(struct subject *subject)
{
    l1_vcpu_end(subject->l1);
    pthread_mutex_unlock(&subject->machine->lock);
}

enum l1_mode subject_mode(const struct subject *subject)
{
    return subject->l1->mode;
}

static int explain_end(struct subject *subject, struct error *error)
{
    const struct machine_report *report = &subject->machine->report;
    struct console_text said;

    if (report->error.text[0] != '\0')
        return error_set(error, EPROTO, "%s", report->error.text);
    console_flush(&subject->machine->l1_console);
    said = console_text(&subject->machine->l1_console);
    return error_set(error, EPROTO, "bench_l1.elf ended with status %u: %.*s", report->status,
                     (int)said.length, said.text);
}

HOT int subject_cycle(struct subject *subject, uint64_t *ticks, struct error *error)
{
    struct l1_vcpu *l1 = subject->l1;
    uint64_t before = __rdtsc();
    const struct l2_vcpu *l2;
    uint64_t exits;

    do {
        l2 = l1->mode == L1_ENTERED ? l1->entered : NULL;
        exits = l2 != NULL ? l2->exit_count : 0;
        l1_vcpu_step(l1);
        if (subject->machine->ended)
            return explain_end(subject, error);
    } while (l2 == NULL || l2->exit_count == exits);
    *ticks = __rdtsc() - before;
    return 0;
}

static struct subject_counts count(const struct subject *subject)
{
    const struct machine *machine = subject->machine;
    struct subject_counts counts = {subject->l1->kvm.runs, subject->l1->kvm.other_ioctls};

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++) {
        uint64_t runs, other_ioctls;

        if (machine->vcpu[i] == NULL)
            continue;
        view_vcpu_counts(&machine->vcpu[i]->place, &runs, &other_ioctls);
        counts.kvm_runs += runs;
        counts.other_ioctls += other_ioctls;
    }
    return counts;
}

int subject_count_cycle(struct subject *subject, struct subject_counts *counts, bool *interrupted,
                        struct error *error)
{
    const struct subject_counts before = count(subject);
    uint64_t timer_at = subject->l1->timer_at;
    uint64_t ticks;
    int code = subject_cycle(subject, &ticks, error);

    *counts = count(subject);
    counts->kvm_runs -= before.kvm_runs;
    counts->other_ioctls -= before.other_ioctls;
    *interrupted = subject->l1->timer_at != timer_at;
    return code;
}
