/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2.h"

#include <stdlib.h>
#include <string.h>

#include "mezz/errors.h"
#include "vmm/machine_state.h"

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

int l2_create(struct machine *machine, const char *name, struct l2 **created)
{
    struct l2_record *record;
    struct error error;
    struct l2 *l2;
    int index = -1;

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
    record = machine_record(machine, name);
    l2 = calloc(1, sizeof(*l2));
    if (record == NULL || l2 == NULL) {
        free(l2);
        return MEZZ_E_HOST;
    }
    if (kvm_vm_create(&l2->vm, &machine->kvm, &error) != 0) {
        free(l2);
        return MEZZ_E_HOST;
    }
    l2->machine = machine;
    l2->id = (uint32_t)index + 1;
    strcpy(l2->name, name);
    l2->record = record;
    record->in_use = true;
    record->report.end = L2_RUNNING;
    view_init(&l2->view, &l2->vm, &machine->l1_memory);
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
    while (l2->spare_count > 0)
        kvm_vcpu_destroy(&l2->spare[--l2->spare_count]);
    view_destroy(&l2->view);
    free(l2->frames);
    kvm_vm_destroy(&l2->vm);
    l2->record->in_use = false;
    machine->l2[l2->id - 1] = NULL;
    free(l2);
}

/* KVM keeps a vCPU, and the page tables that it used, until its VM goes: L1 may make and destroy
 * them as often as it likes, so that the next one takes the place of one that is gone. */
static void make_spare(struct l2_vcpu *vcpu)
{
    struct l2 *l2 = vcpu->l2;
    struct kvm_xsave initial = {.region = {0}};
    struct kvm_run *run = vcpu->kvm.run;

    if (l2_drain(vcpu) != 0 || l2->spare_count == MEZZ_MAX_L2_VCPUS ||
        kvm_vcpu_ioctl(&vcpu->kvm, KVM_SET_XSAVE, &initial) < 0) {
        kvm_vcpu_destroy(&vcpu->kvm);
        return;
    }
    run->request_interrupt_window = 0;
    memset(&run->s.regs.events, 0, sizeof(run->s.regs.events));
    kvm_vcpu_replaced(&vcpu->kvm, KVM_SYNC_X86_EVENTS);
    vcpu->kvm.runs = 0;
    vcpu->kvm.other_ioctls = 0;
    l2->spare[l2->spare_count++] = vcpu->kvm;
}

static int take_vcpu(struct kvm_vcpu *vcpu, struct l2 *l2)
{
    struct error error;

    if (l2->spare_count > 0) {
        *vcpu = l2->spare[--l2->spare_count];
        return 0;
    }
    if (kvm_vcpu_create(vcpu, &l2->vm, l2->vcpu_count, l2->machine->l2_cpuid, &error) != 0)
        return MEZZ_E_HOST;
    l2->vcpu_count++;
    return 0;
}

int l2_vcpu_create(struct l2 *l2, struct mezz_vmcs12 *vmcs12, struct l2_vcpu **created)
{
    struct machine *machine = l2->machine;
    struct l2_vcpu *vcpu;
    unsigned int index = 0;

    while (index < MEZZ_MAX_L2_VCPUS && machine->vcpu[index] != NULL)
        index++;
    if (index == MEZZ_MAX_L2_VCPUS)
        return MEZZ_E_LIMIT;
    vcpu = calloc(1, sizeof(*vcpu) + 3 * PAGE_SIZE);
    if (vcpu == NULL)
        return MEZZ_E_HOST;
    if (take_vcpu(&vcpu->kvm, l2) != 0) {
        free(vcpu);
        return MEZZ_E_HOST;
    }
    kvm_vcpu_be_lazy(&vcpu->kvm);
    vcpu->l2 = l2;
    vcpu->id = index + 1;
    vcpu->vmcs12 = vmcs12;
    vmcs12->clean = 0; /* there is nothing yet that could be clean */
    vcpu->io_bitmap = vcpu->bitmaps;
    vcpu->msr_bitmap = vcpu->bitmaps + 2 * PAGE_SIZE;
    vcpu->preempt_at = UINT64_MAX;
    machine->vcpu[index] = vcpu;
    *created = vcpu;
    return 0;
}

void l2_vcpu_report(const struct l2_vcpu *vcpu)
{
    vcpu->l2->record->report.kvm_runs += vcpu->kvm.runs;
    vcpu->l2->record->run_tsc += vcpu->run_tsc;
    for (int group = 0; group < MEZZ_GROUP_COUNT; group++)
        vcpu->l2->record->report.groups_loaded[group] += vcpu->groups_loaded[group];
}

void l2_vcpu_destroy(struct l2_vcpu *vcpu)
{
    l2_vcpu_report(vcpu);
    make_spare(vcpu);
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
