/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <x86intrin.h>

#include "host/clock.h"
#include "mezz/errors.h"
#include "mezz/firmware.h"
#include "vmm/boot/machine_boot.h"
#include "vmm/cpuid.h"
#include "vmm/l2_view.h"
#include "vmm/machine_state.h"

#define DEFAULT_CALLBACK_TIMEOUT SECOND_NS
#define L1_MEMORY_LIMIT          (2ULL << 30)

uint64_t machine_time(const struct machine *machine)
{
    return clock_now_ns() - machine->started_at;
}

void machine_end(struct machine *machine, enum machine_end end, const char *format, ...)
{
    va_list arguments;
    char line[sizeof(machine->report.error.text)];

    if (machine->ended)
        return;
    machine->ended = true;
    machine->report.end = end;
    if (format != NULL) {
        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        error_set(&machine->report.error, EIO, "%s", line);
    }
    for (unsigned int i = 0; i < machine->l1_count; i++)
        l1_vcpu_kick(machine->l1[i]);
    pthread_cond_broadcast(&machine->changed);
}

void machine_note_trouble(struct machine *machine, const char *format, ...)
{
    va_list arguments;
    char line[sizeof(machine->report.trouble.text)];

    if (machine->report.trouble.text[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    error_set(&machine->report.trouble, EIO, "%s", line);
}

void machine_note_l2_output(struct machine *machine)
{
    if (machine->report.first_l2_output_ns == 0)
        machine->report.first_l2_output_ns = clock_now_ns() - machine->process_started_at;
}

static void show_l1(void *context, const char *text, size_t length)
{
    const struct machine *machine = context;

    if (machine->console != NULL)
        machine->console(machine->console_context, 0, "L1", text, length);
}

static void show_l2(void *context, const char *text, size_t length)
{
    const struct l2_record *record = context;
    const struct machine *machine = record->machine;

    if (machine->console != NULL)
        machine->console(machine->console_context, record->source, record->name, text, length);
}

static struct l2_record *find_record(struct machine *machine, const char *name)
{
    for (unsigned int i = 0; i < machine->record_count; i++)
        if (!machine->record[i]->in_use && strcmp(machine->record[i]->name, name) == 0)
            return machine->record[i];
    return NULL;
}

int machine_record(struct machine *machine, const char *name, struct l2_record **found)
{
    struct l2_record *record = find_record(machine, name);
    struct l2_report *reports;

    *found = record;
    if (record != NULL)
        return 0;
    if (machine->record_count == MACHINE_MAX_REPORTS)
        return MEZZ_E_LIMIT;
    /* Now, because there may be no memory to be had when the run is over. */
    reports = realloc(machine->l2_reports, (machine->record_count + 1) * sizeof(*reports));
    if (reports == NULL)
        return MEZZ_E_HOST;
    machine->l2_reports = reports;
    record = calloc(1, sizeof(*record));
    if (record == NULL)
        return MEZZ_E_HOST;
    snprintf(record->name, sizeof(record->name), "%s", name);
    record->machine = machine;
    record->source = machine->record_count + 1;
    record->report.name = record->name;
    record->engine = ENGINE_KINDS;
    console_init(&record->console, 0, show_l2, record);
    machine->record[machine->record_count++] = record;
    *found = record;
    return 0;
}

static bool needs_views(const struct machine_config *config)
{
    for (unsigned int i = 0; i < config->l2_count; i++)
        if (config->l2[i].portions != NULL || config->l2[i].guard != NULL)
            return true;
    return false;
}

static int check_config(const struct machine_config *config, struct error *error)
{
    struct sysinfo host;
    uint64_t host_memory;
    uint64_t needed = config->l1_memory + MEZZ_FIRMWARE_SIZE;

    if (config->l1_memory == 0 || config->l1_memory % LARGE_PAGE_SIZE != 0 ||
        config->l1_memory > L1_MEMORY_LIMIT)
        return error_set(error, EINVAL, "memory of L1: 2M to 2G in steps of 2M are possible");
    if (config->memory != 0 && config->memory < needed)
        return error_set(error, EINVAL,
                         "memory of the stack: L1's memory and 64K for the firmware are %lluK",
                         (unsigned long long)(needed >> 10));
    if (config->l1_vcpus > MACHINE_MAX_L1_VCPUS)
        return error_set(error, EINVAL, "vcpus of L1: at most %u", MACHINE_MAX_L1_VCPUS);
    sysinfo(&host);
    host_memory = (uint64_t)host.totalram * host.mem_unit;
    if (needed > host_memory || config->memory > host_memory)
        return error_set(
            error, EINVAL, "memory: %lluM are asked for, this host has %lluM",
            (unsigned long long)((config->memory > needed ? config->memory : needed) >> 20),
            (unsigned long long)(host_memory >> 20));
    return 0;
}

static void destroy_l1_vcpus(struct machine *machine)
{
    for (unsigned int i = 0; i < machine->l1_count; i++)
        l1_vcpu_destroy(machine->l1[i]);
}

static int create_vms(struct machine *machine, unsigned int vcpus, struct error *error)
{
    int code = kvm_vm_create(&machine->l1_vm, &machine->kvm, error);

    if (code != 0)
        return code;
    machine->l1_cpuid = cpuid_for_l1(machine->kvm.cpuid);
    machine->l2_cpuid = cpuid_for_l2(machine->kvm.cpuid);
    if (machine->l1_cpuid == NULL || machine->l2_cpuid == NULL) {
        code = error_set(error, ENOMEM, "out of memory");
        goto destroy;
    }
    code = kvm_vm_set_slot(&machine->l1_vm, 0, 0, machine->l1_memory.size, machine->memory.base, 0);
    if (code != 0) {
        code = error_set(error, ENODEV, "memory slot of L1: %s", strerror(-code));
        goto destroy;
    }
    for (unsigned int i = 0; i < vcpus && code == 0; i++)
        code = l1_vcpu_create(machine, i, error);
    if (code == 0)
        return 0;
    destroy_l1_vcpus(machine);
destroy:
    free(machine->l1_cpuid);
    free(machine->l2_cpuid);
    kvm_vm_destroy(&machine->l1_vm);
    return code;
}

static int create_records(struct machine *machine, const struct machine_config *config,
                          struct error *error)
{
    for (unsigned int i = 0; i < config->l2_count; i++) {
        struct l2_record *record;

        /* Each lays its own overlay over the view, and a vCPU is in one. */
        if (config->l2[i].portions != NULL && config->l2[i].guard != NULL)
            return error_set(error, EINVAL,
                             "L2 %s has portions and a guard: one of both is possible",
                             config->l2[i].name);
        if (machine_record(machine, config->l2[i].name, &record) != 0)
            return error_set(error, ENOMEM, "out of memory");
        if (config->l2[i].engine != NULL)
            record->engine = engine_by_name(config->l2[i].engine);
        record->portions = config->l2[i].portions;
        record->guard = config->l2[i].guard;
    }
    return 0;
}

static void destroy_records(struct machine *machine)
{
    for (unsigned int i = 0; i < machine->record_count; i++) {
        console_destroy(&machine->record[i]->console);
        free(machine->record[i]->callbacks);
        free(machine->record[i]);
    }
    console_destroy(&machine->l1_console);
    free(machine->l2_reports);
}

static void set_times(struct machine *machine, const struct machine_config *config)
{
    machine->started_at = clock_now_ns();
    machine->started_tsc = __rdtsc();
    machine->process_started_at =
        config->process_started_ns != 0 ? config->process_started_ns : machine->started_at;
    machine->timeout = config->timeout_ns;
    machine->deadline = config->timeout_ns;
    machine->callback_timeout =
        config->callback_timeout_ns != 0 ? config->callback_timeout_ns : DEFAULT_CALLBACK_TIMEOUT;
}

static int create_memory(struct machine *machine, uint64_t l1, struct error *error)
{
    const uint64_t levels = l1 + MEZZ_FIRMWARE_SIZE;
    int code = memory_create(&machine->memory, levels + MACHINE_ROOT_PAGES * PAGE_SIZE, error);

    if (code != 0)
        return code;
    code = root_pages_create(&machine->root_pages, &machine->memory, levels, MACHINE_ROOT_PAGES);
    if (code != 0) {
        memory_destroy(&machine->memory);
        error_set(error, -code, "out of memory");
    }
    return code;
}

int machine_create(struct machine **created, const struct machine_config *config,
                   struct error *error)
{
    const char *device = config->kvm_device != NULL ? config->kvm_device : KVM_DEFAULT_DEVICE;
    struct machine *machine;
    int code = check_config(config, error);

    if (code != 0)
        return code;
    machine = calloc(1, sizeof(*machine));
    if (machine == NULL)
        return error_set(error, ENOMEM, "out of memory");
    set_times(machine, config);
    machine->console = config->console;
    machine->console_context = config->console_context;
    machine->trace = config->trace;
    machine->cage = config->cage;
    machine->log = config->log;
    machine->listener = config->listener;
    pthread_mutex_init(&machine->lock, NULL);
    pthread_cond_init(&machine->changed, NULL);
    console_init(&machine->l1_console, 0, show_l1, machine);
    uart16550_init(&machine->uart, console_sink, &machine->l1_console);
    code = create_records(machine, config, error);
    if (code != 0)
        goto free_machine;
    code = kvm_open(&machine->kvm, device, error);
    if (code != 0)
        goto free_machine;
    code = create_memory(machine, config->l1_memory, error);
    if (code != 0)
        goto close_kvm;
    machine->l1_memory = (struct l1_memory){.memory = &machine->memory, .size = config->l1_memory};
    code = create_vms(machine, config->l1_vcpus == 0 ? 1 : config->l1_vcpus, error);
    if (code != 0)
        goto destroy_memory;
    code = machine_boot(machine, config, error);
    if (code == 0 && needs_views(config) && l2_view_look_at_host(machine) != 0)
        code = error_set(error, ENODEV, "views: what this host's KVM does could not be found out");
    if (code != 0)
        goto destroy_vm;
    *created = machine;
    return 0;

destroy_vm:
    destroy_l1_vcpus(machine);
    free(machine->l1_cpuid);
    free(machine->l2_cpuid);
    kvm_vm_destroy(&machine->l1_vm);
destroy_memory:
    root_pages_destroy(&machine->root_pages);
    memory_destroy(&machine->memory);
close_kvm:
    kvm_close(&machine->kvm);
free_machine:
    destroy_records(machine);
    pthread_cond_destroy(&machine->changed);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
    return code;
}

void machine_destroy(struct machine *machine)
{
    for (unsigned int i = 0; i < MEZZ_MAX_L2; i++)
        if (machine->l2[i] != NULL)
            l2_destroy(machine->l2[i]);
    destroy_l1_vcpus(machine);
    free(machine->l1_cpuid);
    free(machine->l2_cpuid);
    kvm_vm_destroy(&machine->l1_vm);
    root_pages_destroy(&machine->root_pages);
    memory_destroy(&machine->memory);
    kvm_close(&machine->kvm);
    destroy_records(machine);
    pthread_cond_destroy(&machine->changed);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
}
