/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "views/carry.h"
#include "views/space_internal.h"

static bool logs_writes(const struct space *space)
{
    const struct host_traits *host = space->config.host;

    return space->engine->vm_per_view && host->paging.kind != PAGING_HARDWARE &&
           host->ring_entries != 0;
}

static int enable_rings(const struct kvm_vm *vm, uint32_t entries, struct error *error)
{
    struct kvm_enable_cap enable = {.cap = KVM_CAP_DIRTY_LOG_RING,
                                    .args = {entries * sizeof(struct kvm_dirty_gfn)}};

    if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0)
        return error_set(error, errno, "KVM_ENABLE_CAP DIRTY_LOG_RING: %s", strerror(errno));
    return 0;
}

static int told(const struct space_config *config, int code, const struct error *error)
{
    if (code != 0 && config->failed != NULL)
        config->failed(config->context, error);
    return code;
}

static int create_vm(struct space *space, struct view_vm **created, struct error *error)
{
    const struct space_config *config = &space->config;
    struct view_vm *vm = aligned_alloc(VIEW_VM_ALIGNMENT, round_up(sizeof(*vm), VIEW_VM_ALIGNMENT));
    int code;

    if (vm == NULL)
        return error_set(error, ENOMEM, "out of memory");
    memset(vm, 0, sizeof(*vm));
    code = kvm_vm_create(&vm->vm, config->kvm, error);
    if (code != 0)
        goto free_vm;
    vm->space = space;
    slot_set_init(&vm->slots, &vm->vm, logs_writes(space) ? KVM_MEM_LOG_DIRTY_PAGES : 0,
                  RESERVED_SLOTS);
    vm->slots.over = space->config.over;
    vm->slots.context = space->config.context;
    vm->has_sides = space->engine->uses_sides && config->host->two_sides;
    if (vm->has_sides) {
        vm->other.slots = vm->slots;
        vm->other.slots.first = SIDE_SLOTS;
    }
    vm->sync.seen = space->log.head;
    space->log.read = space->log.head;
    if (logs_writes(space))
        code = enable_rings(&vm->vm, config->host->ring_entries, error);
    if (code == 0 && config->vm_created != NULL) {
        code = config->vm_created(config->context, &vm->vm);
        if (code != 0)
            error_set(error, -code, "set-up of a VM: %s", strerror(-code));
    }
    if (code != 0)
        goto destroy_vm;
    vm->next = space->vms;
    space->vms = vm;
    space->figures.vms++;
    *created = vm;
    return 0;

destroy_vm:
    slot_set_destroy(&vm->slots);
    kvm_vm_destroy(&vm->vm);
free_vm:
    free(vm);
    return code;
}

int view_vm_create(struct space *space, struct view_vm **created, struct error *error)
{
    return told(&space->config, create_vm(space, created, error), error);
}

void view_vm_destroy(struct view_vm *vm)
{
    struct view_vm **link = &vm->space->vms;

    while (*link != vm)
        link = &(*link)->next;
    *link = vm->next;
    vm->space->figures.vms--;
    for (unsigned int i = 0; i < SPACE_VCPUS; i++)
        if (vm->core[i] != NULL)
            view_core_destroy(vm->core[i]);
    table_sync_destroy(&vm->sync);
    tlb_page_destroy(&vm->tlb);
    slot_set_destroy(&vm->slots);
    slot_set_destroy(&vm->other.slots);
    kvm_vm_destroy(&vm->vm);
    remap_window_destroy(&vm->window);
    remap_window_destroy(&vm->other.window);
    free(vm);
}

void view_vm_lose(struct view_vm *vm, const struct space_view *view)
{
    if (vm->view == view)
        vm->view = NULL;
    if (vm->other.view == view)
        vm->other.view = NULL;
}

/* Every VM counts the time stamp from its own start; siblings agree with the first. */
static void align_tsc(struct view_vm *vm, struct view_core *core, uint32_t number)
{
    for (struct view_vm *other = vm->space->vms; other != NULL; other = other->next) {
        if (other != vm && other->core[number] != NULL) {
            carry_tsc(&core->kvm, &other->core[number]->kvm);
            return;
        }
    }
}

static uint32_t take_id(struct view_vm *vm, uint32_t number)
{
    const uint64_t own = 1ULL << number;

    if (vm->ids_used & own)
        return SPACE_VCPUS + vm->next_id++;
    vm->ids_used |= own;
    return number;
}

static struct view_core *take_place(struct view_vm *vm)
{
    if (vm->first_is_taken)
        return calloc(1, sizeof(vm->first));
    vm->first_is_taken = true;
    vm->first = (struct view_core){.vm = vm};
    return &vm->first;
}

static void leave_place(struct view_vm *vm, struct view_core *core)
{
    if (core == &vm->first)
        vm->first_is_taken = false;
    else
        free(core);
}

static int create_core(struct view_vm *vm, uint32_t number, struct view_core **created,
                       struct error *error)
{
    const struct space_config *config = &vm->space->config;
    struct view_core *core = take_place(vm);
    int code;

    if (core == NULL)
        return error_set(error, ENOMEM, "out of memory");
    code = kvm_vcpu_create(&core->kvm, &vm->vm, take_id(vm, number), config->cpuid, error);
    if (code != 0) {
        leave_place(vm, core);
        return code;
    }
    core->vm = vm;
    fresh_take(&vm->space->fresh, &core->kvm);
    if (logs_writes(vm->space))
        code = dirty_ring_map(&core->ring, &core->kvm, config->host->ring_entries);
    if (code == 0 && vm->has_sides)
        code = side_prepare(&core->kvm);
    if (code == 0 && config->vcpu_created != NULL)
        code = config->vcpu_created(config->context, &core->kvm);
    if (code != 0) {
        error_set(error, -code, "set-up of a vCPU: %s", strerror(-code));
        view_core_destroy(core);
        return code;
    }
    align_tsc(vm, core, number);
    vm->core[number] = core;
    *created = core;
    return 0;
}

int view_core_create(struct view_vm *vm, uint32_t number, struct view_core **created,
                     struct error *error)
{
    return told(&vm->space->config, create_core(vm, number, created, error), error);
}

void view_core_leave(struct view_core *core)
{
    core->used = false;
    core->ask = NULL;
    core->kvm.runs = 0;
    core->kvm.other_ioctls = 0;
}

void view_core_destroy(struct view_core *core)
{
    dirty_ring_unmap(&core->ring);
    kvm_vcpu_destroy(&core->kvm);
    leave_place(core->vm, core);
}

void view_vm_forget_tlb(struct view_vm *vm)
{
    tlb_page_leave(&vm->tlb, &vm->slots, vm->slots.limit);
    for (unsigned int i = 0; i < SPACE_VCPUS; i++)
        if (vm->core[i] != NULL)
            vm->core[i]->ask = NULL;
}

int view_vm_harvest(struct view_vm *vm)
{
    const bool always = !vm->space->config.host->logs_each_write;
    int result = 0;

    for (unsigned int i = 0; i < SPACE_VCPUS; i++) {
        struct view_core *core = vm->core[i];

        if (core != NULL && dirty_ring_has(&core->ring)) {
            int code = dirty_ring_harvest(&core->ring, &vm->slots, &vm->space->log, vm, always);

            result = result != 0 ? result : code;
        }
    }
    return result;
}
