/* SPDX-License-Identifier: Apache-2.0 */
#include "call_guest.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot/input_file.h"
#include "vmm/machine_state.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS 600000000000ULL
#define BUDGET_NS  10000000ULL

static const char *const arguments[CALL_KINDS] = {
    [CALL_GUARDED] = "guardcalls.elf allowed", [CALL_DENIED] = "guardcalls.elf denied",
    [CALL_API_NX] = "guardcalls.elf allowed",  [CALL_UNGUARDED] = "guardcalls.elf unguarded",
    [CALL_PORTION] = "vault-calls.elf",        [CALL_STRICT] = "vault-calls.elf",
};

static bool is_portion(enum call_kind kind)
{
    return kind == CALL_PORTION || kind == CALL_STRICT;
}

static int read_file(const char *images, const char *name, void **bytes, size_t *size,
                     struct error *error)
{
    struct input_file file;
    char path[PATH_MAX];
    int code;

    snprintf(path, sizeof(path), "%s/%s", images, name);
    code = input_file_open(&file, path, error);
    if (code != 0)
        return code;
    *size = file.size;
    *bytes = malloc(file.size + 1);
    code = *bytes == NULL ? error_set(error, ENOMEM, "out of memory")
                          : input_file_read(&file, *bytes, error);
    input_file_close(&file);
    if (code != 0)
        free(*bytes);
    return code;
}

static int open_program(struct program_image *image, const char *images, const char *name,
                        struct error *error)
{
    void *bytes;
    size_t size;
    int code = read_file(images, name, &bytes, &size, error);

    if (code != 0)
        return code;
    code = program_image_open(image, name, bytes, size, error);
    free(bytes);
    return code;
}

/* The defences are all that there are; without api-nx the way in is the gate. */
static int make_guard(struct call_guest *guest, enum call_kind kind, const char *images,
                      struct error *error)
{
    static const struct hook_argument open_arguments[] = {{MEZZ_GUARD_CSTRING, 0, 0},
                                                          {MEZZ_GUARD_VALUE, 0, 0}};
    static const struct hook_function_declaration functions[] = {
        {"api_open", open_arguments, 2},
        {"api_sum", NULL, 0},
    };
    const struct hook_declaration declaration = {
        .function = functions,
        .functions = 2,
        .defences = kind == CALL_API_NX ? HOOK_ALL_DEFENCES : HOOK_ALL_DEFENCES & ~HOOK_API_NX,
        .gate = MEZZ_GUARD_GATE,
    };
    int code = open_program(&guest->library, images, "libapi.elf", error);

    if (code == 0)
        code = open_program(&guest->agent, images, "agent.elf", error);
    if (code == 0)
        code = hook_plan_make(&guest->plan, &guest->library, &guest->agent, &declaration, error);
    guest->guard = (struct guard_config){
        .plan = &guest->plan, .on_refusal = REFUSAL_KILL, .budget_ns = BUDGET_NS};
    return code;
}

static int make_portion(struct call_guest *guest, bool strict, const char *images,
                        struct error *error)
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
    void *bytes;
    size_t size;
    int code = read_file(images, declaration.program, &bytes, &size, error);

    if (code != 0)
        return code;
    code = portion_table_add_program(&guest->portions, declaration.program, bytes, size, error);
    free(bytes);
    return code == 0 ? portion_table_add(&guest->portions, &declaration, error) : code;
}

static int make_machine(struct call_guest *guest, enum call_kind kind, const char *engine,
                        const char *images, const char *kvm, struct error *error)
{
    char path[5][PATH_MAX];
    const char *const names[] = {"nested_l1.elf", "tiny-os.elf",
                                 is_portion(kind) ? "vault-calls.elf" : "guardcalls.elf",
                                 "libapi.elf", "agent.elf"};
    const struct module_config modules[] = {
        {path[2], arguments[kind]}, {path[3], names[3]}, {path[4], names[4]}};
    const struct l2_config l2 = {.name = "tiny",
                                 .memory = 16 * MIB,
                                 .image = {path[1], "tick=0 quiet"},
                                 .modules = modules,
                                 .module_count = is_portion(kind) ? 1 : 3,
                                 .engine = engine,
                                 .portions = is_portion(kind) ? &guest->portions : NULL,
                                 .guard = is_portion(kind) ? NULL : &guest->guard};
    const struct machine_config config = {.kvm_device = kvm,
                                          .l1_memory = 48 * MIB,
                                          .l1_image = path[0],
                                          .l1_command_line = "exits=callback",
                                          .l1_vcpus = 1,
                                          .l2 = &l2,
                                          .l2_count = 1,
                                          .timeout_ns = TIMEOUT_NS};

    for (size_t i = 0; i < 5; i++)
        snprintf(path[i], sizeof(path[i]), "%s/%s", images, names[i]);
    return machine_create(&guest->machine, &config, error);
}

int call_guest_create(struct call_guest *guest, enum call_kind kind, const char *engine,
                      const char *images, const char *kvm, struct error *error)
{
    int code;

    memset(guest, 0, sizeof(*guest));
    portion_table_init(&guest->portions);
    code = is_portion(kind) ? make_portion(guest, kind == CALL_STRICT, images, error)
                            : make_guard(guest, kind, images, error);
    if (code == 0)
        code = make_machine(guest, kind, engine, images, kvm, error);
    if (code != 0)
        call_guest_destroy(guest);
    return code;
}

void call_guest_destroy(struct call_guest *guest)
{
    if (guest->machine != NULL)
        machine_destroy(guest->machine);
    hook_plan_destroy(&guest->plan);
    program_image_close(&guest->library);
    program_image_close(&guest->agent);
    portion_table_destroy(&guest->portions);
}

int call_guest_begin(struct call_guest *guest, struct error *error)
{
    struct machine *machine = guest->machine;
    int code;

    pthread_mutex_lock(&machine->lock);
    machine->deadline = machine_time(machine) + TIMEOUT_NS;
    code = l1_vcpu_begin(machine->l1[0], error);
    if (code != 0)
        pthread_mutex_unlock(&machine->lock);
    return code;
}

void call_guest_end(struct call_guest *guest)
{
    l1_vcpu_end(guest->machine->l1[0]);
    pthread_mutex_unlock(&guest->machine->lock);
}

static uint64_t calls_of(const struct machine *machine)
{
    const struct l2_report *report = &machine->record[0]->report;

    return report->portions.entries + report->guard.reasons[HOOK_REASON_RETURN];
}

__attribute__((noinline)) int call_guest_step(struct call_guest *guest, struct error *error)
{
    struct machine *machine = guest->machine;
    const uint64_t before = calls_of(machine);

    while (calls_of(machine) == before && !machine->ended)
        l1_vcpu_step(machine->l1[0]);
    if (!machine->ended)
        return 0;
    return error_set(error, EPROTO, "a guest that calls for ever ended: %s",
                     machine->report.error.text);
}

void call_guest_tick(struct call_guest *guest)
{
    l1_check_time(guest->machine->l1[0]);
}

__attribute__((noinline)) struct call_counts call_guest_counts(const struct call_guest *guest)
{
    const struct machine *machine = guest->machine;
    const struct l2_report *report = &machine->record[0]->report;
    struct exit_counts total = report_total(report);
    struct call_counts counts = {.exits = total.root + total.callback + total.reflect};

    counts.exits -= report->exits[MEZZ_EXIT_PREEMPTION_TIMER].reflect;
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
