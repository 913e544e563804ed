/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call of a portion costs, from one entry to the next, in R: the bare exit round trip of a
 * guest in ring 3, measured in turn. Prints; `meson test --benchmark` or by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/portions.h"
#include "runner.h"
#include "test_machine.h"
#include "views_guest.h"
#include "vmm/boot/input_file.h"
#include "vmm/machine_state.h"

#define CALLS_HOST 2000U
#define CALLS_LANE 200U
#define WARM_UP    20U

static unsigned int samples(void)
{
    const char *lane = getenv("MEZZ_LANE");

    return lane != NULL && strcmp(lane, "host") != 0 ? CALLS_LANE : CALLS_HOST;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;

    return (left > right) - (left < right);
}

static double part(double *values, unsigned int count, unsigned int percent)
{
    qsort(values, count, sizeof(*values), compare);
    return values[(count - 1) * percent / 100];
}

static void declare(struct portion_table *table, const char *path, bool strict)
{
    static const char *const sections[] = {".vault", ".secret"};
    static const char *const entries[] = {"vault_sign"};
    const struct portion_declaration declaration = {.program = "vault-calls.elf",
                                                    .name = "vault",
                                                    .parts.section = sections,
                                                    .parts.sections = 2,
                                                    .entry = entries,
                                                    .entries = 1,
                                                    .strict = strict,
                                                    .on_refusal = REFUSAL_KILL};
    struct input_file file;
    struct error error;
    void *bytes;

    portion_table_init(table);
    ck_assert_msg(input_file_open(&file, path, &error) == 0, "%s", error.text);
    bytes = malloc(file.size);
    ck_assert_int_eq(input_file_read(&file, bytes, &error), 0);
    ck_assert_int_eq(
        portion_table_add_program(table, declaration.program, bytes, file.size, &error), 0);
    ck_assert_msg(portion_table_add(table, &declaration, &error) == 0, "%s", error.text);
    free(bytes);
    input_file_close(&file);
}

static uint64_t entries_of(const struct machine *machine)
{
    return machine->record[0]->report.portions.entries;
}

/* To the next entry: its duration in us. */
static double call(struct machine *machine)
{
    const uint64_t before = entries_of(machine);
    const double begin = guest_seconds();

    while (entries_of(machine) == before && !machine->ended)
        l1_vcpu_step(machine->l1[0]);
    ck_assert_msg(!machine->ended, "%s", machine->report.error.text);
    return (guest_seconds() - begin) * 1e6;
}

/* The machine's timer may end it. */
static double bare_exit(struct guest_views *guest, struct machine *machine)
{
    const double begin = guest_seconds();
    int code;

    ck_assert_int_eq(view_vcpu_prepare(&guest->vcpu, NULL), 0);
    do {
        code = kvm_vcpu_run(guest->vcpu.kvm);
        if (code == -EINTR)
            l1_check_time(machine->l1[0]);
    } while (code == -EINTR);
    ck_assert_int_eq(code, 0);
    view_vcpu_after(&guest->vcpu);
    return (guest_seconds() - begin) * 1e6;
}

static void measure(struct machine *machine, const char *name)
{
    const struct guest_run what = {.code = CODE_LOOP, .ring = 3, .rbx = GUEST_DATA};
    const unsigned int count = samples();
    double *bare = calloc(count, sizeof(*bare));
    double *calls = calloc(count, sizeof(*calls));
    struct guest_views guest;
    double r;

    ck_assert(bare != NULL && calls != NULL);
    guest_create_without_engine(&guest);
    guest_use_views(&guest);
    guest_start(&guest.vcpu, &what);
    for (unsigned int i = 0; i < WARM_UP; i++) {
        bare_exit(&guest, machine);
        call(machine);
    }
    for (unsigned int i = 0; i < count; i++) {
        bare[i] = bare_exit(&guest, machine);
        calls[i] = call(machine);
    }
    r = part(bare, count, 50);
    printf("%-20s R %6.1f us  p50 %6.2f R  p99 %6.2f R\n", name, r, part(calls, count, 50) / r,
           part(calls, count, 99) / r);
    guest_destroy(&guest);
    free(bare);
    free(calls);
}

START_TEST(portion_call)
{
    const bool strict = _i != 0;
    char path[512];
    char program[512];
    struct module_config modules[] = {{program, "vault-calls.elf"}};
    struct portion_table table;
    struct l2_config l2 = {.name = "tiny",
                           .memory = 16ULL << 20,
                           .image = {path, "tick=0 quiet"},
                           .modules = modules,
                           .module_count = 1,
                           .portions = &table};
    struct machine_config config = {.l1_memory = 48ULL << 20,
                                    .l1_command_line = "exits=callback",
                                    .l1_vcpus = 1,
                                    .l2 = &l2,
                                    .l2_count = 1,
                                    .timeout_ns = 600000000000ULL};
    struct machine *machine;
    struct error error;

    snprintf(path, sizeof(path), "%s", test_image("tiny-os.elf"));
    snprintf(program, sizeof(program), "%s", test_image("vault-calls.elf"));
    declare(&table, program, strict);
    machine = test_machine_create(&config, "nested_l1.elf");
    pthread_mutex_lock(&machine->lock);
    machine->deadline = machine_time(machine) + config.timeout_ns;
    ck_assert_int_eq(l1_vcpu_begin(machine->l1[0], &error), 0);
    measure(machine, strict ? "portion.call, strict" : "portion.call");
    l1_vcpu_end(machine->l1[0]);
    pthread_mutex_unlock(&machine->lock);
    machine_destroy(machine);
    portion_table_destroy(&table);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "portions_figures", 600, EACH(portion_call, 2))
