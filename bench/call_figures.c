/* SPDX-License-Identifier: Apache-2.0 */
#include "call_figures.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "statistics.h"
#include "view_guest.h"

#define WARM_UP 5U
#define FEW     30U /* samples where a call takes many R */

static const char *const names[CALL_KINDS] = {
    [CALL_GUARDED] = "guard.call",       [CALL_DENIED] = "guard.denied",
    [CALL_API_NX] = "guard.api_nx_call", [CALL_UNGUARDED] = "guard.unguarded_exits",
    [CALL_PORTION] = "portion.call",     [CALL_STRICT] = "portion.strict_call",
};

bool call_figures_asked(const struct cli_words *only)
{
    for (size_t kind = 0; kind < CALL_KINDS; kind++)
        if (only_asks(only, names[kind]))
            return true;
    return false;
}

bool call_figures_named(const char *word)
{
    const struct cli_words one = {.word = {word}, .count = 1};

    return call_figures_asked(&one);
}

/* R: a VM, a vCPU and a slot, nothing else. */
struct bare_vcpu {
    struct host_traits host; /* the guest's space looks there as long as it lives */
    struct view_guest guest;
    struct kvm_vm vm;
    struct kvm_vcpu vcpu;
};

static int create_bare(struct bare_vcpu *bare, const struct kvm *kvm, struct error *error)
{
    int code = host_traits_probe(kvm, &bare->host, error);

    if (code == 0)
        code = view_guest_create(&bare->guest, kvm, &bare->host, ENGINE_SLOTS, 1, 1, error);
    if (code != 0)
        return code;
    code = kvm_vm_create(&bare->vm, kvm, error);
    if (code != 0)
        goto destroy_guest;
    code = kvm_vcpu_create(&bare->vcpu, &bare->vm, 0, kvm->cpuid, error);
    if (code != 0)
        goto destroy_vm;
    code = view_guest_map_bare(&bare->guest, &bare->vm);
    if (code == 0)
        code = view_guest_start_bare(&bare->vcpu, 3);
    if (code == 0)
        return 0;
    code = error_set(error, -code, "a bare vCPU in ring 3: %s", strerror(-code));
    kvm_vcpu_destroy(&bare->vcpu);
destroy_vm:
    kvm_vm_destroy(&bare->vm);
destroy_guest:
    view_guest_destroy(&bare->guest);
    return code;
}

static void destroy_bare(struct bare_vcpu *bare)
{
    kvm_vcpu_destroy(&bare->vcpu);
    kvm_vm_destroy(&bare->vm);
    view_guest_destroy(&bare->guest);
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int bare_exit(struct call_guest *guest, struct bare_vcpu *bare, struct series *r)
{
    double begin;
    int code;

    do {
        begin = now_us();
        code = kvm_vcpu_run(&bare->vcpu);
        if (code == -EINTR)
            call_guest_tick(guest);
    } while (code == -EINTR);
    return code != 0 ? code : series_add(r, now_us() - begin);
}

static int take_turns(struct call_guest *guest, struct bare_vcpu *bare, unsigned int samples,
                      struct series *r, struct series *calls, struct error *error)
{
    int code = 0;

    for (unsigned int i = 0; i < samples && code == 0; i++) {
        double begin;

        code = bare_exit(guest, bare, r);
        if (code != 0)
            return error_set(error, -code, "a bare vCPU: %s", strerror(-code));
        begin = now_us();
        code = call_guest_step(guest, error);
        if (code == 0)
            code = series_add(calls, now_us() - begin);
    }
    return code;
}

static int warm_up(struct call_guest *guest, struct bare_vcpu *bare, struct error *error)
{
    struct series r = {.value = NULL};
    struct series calls = {.value = NULL};
    int code = take_turns(guest, bare, WARM_UP, &r, &calls, error);

    series_release(&r);
    series_release(&calls);
    return code;
}

static void fill(struct call_row *row, enum call_kind kind, unsigned int samples,
                 const struct call_counts *before, const struct call_counts *after)
{
    const double each = 1.0 / samples;

    row->exits = (double)(after->exits - before->exits) * each;
    row->kvm_runs = (double)(after->kvm_runs - before->kvm_runs) * each;
    row->other_ioctls = (double)(after->other_ioctls - before->other_ioctls) * each;
    if (kind != CALL_UNGUARDED)
        return;
    /* In and out of the guarded one between them. */
    row->exits = (row->exits - 2) / CALL_UNGUARDED_EACH;
    row->p50 = row->p99 = 0;
}

static int measure_guest(struct call_guest *guest, struct bare_vcpu *bare, enum call_kind kind,
                         unsigned int samples, struct call_row *row, struct error *error)
{
    struct series r = {.value = NULL};
    struct series calls = {.value = NULL};
    struct call_counts before, after;
    int code = call_guest_begin(guest, error);

    if (code != 0)
        return code;
    code = warm_up(guest, bare, error);
    before = call_guest_counts(guest);
    if (code == 0)
        code = take_turns(guest, bare, samples, &r, &calls, error);
    after = call_guest_counts(guest);
    call_guest_end(guest);
    row->r_us = series_percentile(&r, 50);
    row->p50 = series_percentile(&calls, 50) / row->r_us;
    row->p99 = series_percentile(&calls, 99) / row->r_us;
    fill(row, kind, samples, &before, &after);
    series_release(&r);
    series_release(&calls);
    return code;
}

static int measure_row(struct call_figures *figures, const struct kvm *kvm, const char *device,
                       const char *images, enum call_kind kind, enum engine_kind engine,
                       unsigned int samples, struct error *error)
{
    struct call_row *row = &figures->row[figures->rows];
    struct bare_vcpu bare;
    struct call_guest guest;
    int code = create_bare(&bare, kvm, error);

    if (code != 0)
        return code;
    *row = (struct call_row){.name = names[kind], .engine = engine};
    code = call_guest_create(&guest, kind, engine_name(engine), images, device, error);
    if (code == 0) {
        code =
            measure_guest(&guest, &bare, kind, engine == ENGINE_FLIP ? samples : FEW, row, error);
        call_guest_destroy(&guest);
    }
    destroy_bare(&bare);
    figures->rows += code == 0;
    return code;
}

int call_figures_measure(struct call_figures *figures, const struct kvm *kvm, const char *device,
                         const char *images, const struct cli_words *only, unsigned int samples,
                         struct error *error)
{
    int code = 0;

    figures->rows = 0;
    for (size_t kind = 0; kind < CALL_KINDS; kind++)
        for (size_t engine = 0; engine < ENGINE_KINDS && code == 0; engine++)
            if (only_asks(only, names[kind]))
                code = measure_row(figures, kvm, device, images, (enum call_kind)kind,
                                   (enum engine_kind)engine, samples, error);
    return code;
}
