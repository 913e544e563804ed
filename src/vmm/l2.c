/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2.h"

#include <stdlib.h>
#include <string.h>

#include "host/kick.h"
#include "mezz/errors.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/msrs.h"
#include "vmm/l2_policy.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/policy.h"
#include "vmm/protect/portions/policy.h"

static bool name_is_valid(const char *name)
{
    size_t length = strnlen(name, MEZZ_NAME_SIZE);

    if (length == 0 || length == MEZZ_NAME_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return true;
}

static int vm_created(void *context, const struct kvm_vm *vm)
{
    return msrs_set_filter(context, vm);
}

static int vcpu_created(void *context, struct kvm_vcpu *kvm)
{
    (void)context;
    kvm_vcpu_be_lazy(kvm);
    return 0;
}

/* Its next look at the time ends the machine. */
static bool over(void *context)
{
    const struct l2 *l2 = context;
    struct machine *machine = l2->machine;

    if (atomic_load(&machine->stop_signal) == 0 && machine_time(machine) < machine->deadline)
        return false;
    /* What is left undone now is an error to L1, which does not get to see it. */
    kicks_now();
    return true;
}

static void failed(void *context, const struct error *error)
{
    const struct l2 *l2 = context;

    machine_note_trouble(l2->machine, "memory of L2 %s: %s", l2->name, error->text);
}

static int create_space(struct l2 *l2)
{
    struct machine *machine = l2->machine;
    const struct space_config config = {
        .kvm = &machine->kvm,
        .l1 = &machine->l1_memory,
        .cpuid = machine->l2_cpuid,
        .vm_created = vm_created,
        .vcpu_created = vcpu_created,
        .over = over,
        .failed = failed,
        .context = l2,
    };
    struct error error;

    l2->engine = l2->record->engine;
    return space_create(&l2->space, &config, &error);
}

int l2_create(struct machine *machine, const char *name, struct l2 **created)
{
    struct l2_record *record;
    struct l2 *l2;
    int index = -1;
    int error;

    if (!name_is_valid(name))
        return MEZZ_E_ARGUMENT;
    for (int i = (int)MEZZ_MAX_L2 - 1; i >= 0; i--) {
        if (machine->l2[i] == NULL)
            index = i;
        else if (strcmp(machine->l2[i]->name, name) == 0)
            return MEZZ_E_ARGUMENT;
    }
    if (index < 0)
        return MEZZ_E_LIMIT;
    error = machine_record(machine, name, &record);
    if (error != 0)
        return error;
    l2 = calloc(1, sizeof(*l2));
    if (l2 == NULL)
        return MEZZ_E_HOST;
    l2->machine = machine;
    l2->id = (uint32_t)index + 1;
    strcpy(l2->name, name);
    l2->record = record;
    if (create_space(l2) != 0) {
        free(l2);
        return MEZZ_E_HOST;
    }
    if ((record->portions != NULL && portion_policy_add(l2, record->portions) != 0) ||
        (record->guard != NULL && hook_policy_add(l2, record->guard) != 0)) {
        l2_policies_destroy(l2);
        space_destroy(l2->space);
        free(l2);
        return MEZZ_E_HOST;
    }
    record->in_use = true;
    record->report.end = L2_RUNNING;
    machine->l2[index] = l2;
    *created = l2;
    return 0;
}

void l2_destroy(struct l2 *l2)
{
    struct machine *machine = l2->machine;

    callbacks_remove_all(l2);
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        if (machine->vcpu[i] != NULL && machine->vcpu[i]->l2 == l2)
            l2_vcpu_destroy(machine->vcpu[i]);
    l2_policies_destroy(l2);
    space_destroy(l2->space);
    free(l2->frames);
    free(l2->gate_sites);
    l2->record->in_use = false;
    machine->l2[l2->id - 1] = NULL;
    free(l2);
}

int l2_vcpu_create(struct l2 *l2, struct mezz_vmcs12 *vmcs12, struct l2_vcpu **created)
{
    struct machine *machine = l2->machine;
    struct l2_vcpu *vcpu;
    struct error error;
    unsigned int index = 0;

    while (index < MEZZ_MAX_L2_VCPUS && machine->vcpu[index] != NULL)
        index++;
    if (index == MEZZ_MAX_L2_VCPUS)
        return MEZZ_E_LIMIT;
    vcpu = calloc(1, sizeof(*vcpu) + 3 * PAGE_SIZE);
    if (vcpu == NULL)
        return MEZZ_E_HOST;
    if (view_vcpu_create(&vcpu->place, l2->space, &error) != 0) {
        free(vcpu);
        return MEZZ_E_HOST;
    }
    vcpu->kvm = vcpu->place.kvm;
    vcpu->l2 = l2;
    vcpu->id = index + 1;
    vcpu->vmcs12 = vmcs12;
    vmcs12->clean = 0; /* there is nothing yet that could be clean */
    vcpu->io_bitmap = vcpu->bitmaps;
    vcpu->msr_bitmap = vcpu->bitmaps + 2 * PAGE_SIZE;
    vcpu->preempt_at = UINT64_MAX;
    vcpu->policy_at = UINT64_MAX;
    machine->vcpu[index] = vcpu;
    *created = vcpu;
    return 0;
}

void l2_vcpu_report(const struct l2_vcpu *vcpu)
{
    uint64_t runs, other_ioctls;

    view_vcpu_counts(&vcpu->place, &runs, &other_ioctls);
    vcpu->l2->record->report.kvm_runs += runs;
    vcpu->l2->record->report.other_ioctls += other_ioctls;
    vcpu->l2->record->run_tsc += vcpu->run_tsc;
    for (int group = 0; group < MEZZ_GROUP_COUNT; group++)
        vcpu->l2->record->report.groups_loaded[group] += vcpu->groups_loaded[group];
}

/* Without waiting for a turn: there may be nobody left to end one. */
static void end_instruction(struct l2_vcpu *vcpu)
{
    if (!vcpu->kvm_pending)
        return;
    vcpu->place.spoilt = view_vcpu_hold(&vcpu->place) != 0;
    if (vcpu->place.spoilt)
        return;
    view_vcpu_after(&vcpu->place);
    vcpu->place.spoilt = l2_drain(vcpu) != 0;
}

void l2_vcpu_destroy(struct l2_vcpu *vcpu)
{
    end_instruction(vcpu);
    l2_policies_vcpu_gone(vcpu);
    l2_vcpu_report(vcpu);
    view_vcpu_destroy(&vcpu->place);
    vcpu->l2->machine->vcpu[vcpu->id - 1] = NULL;
    free(vcpu);
}

struct l2 *l2_find(struct machine *machine, uint64_t id)
{
    return id == 0 || id > MEZZ_MAX_L2 ? NULL : machine->l2[id - 1];
}

struct l2_vcpu *l2_vcpu_find(struct machine *machine, uint64_t id)
{
    return id == 0 || id > MEZZ_MAX_L2_VCPUS ? NULL : machine->vcpu[id - 1];
}
