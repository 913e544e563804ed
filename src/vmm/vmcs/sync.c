/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vmcs/sync.h"

#include <string.h>

#include "vmm/vmcs/vmcs12.h"

void sync_note_field(struct l2_vcpu *vcpu, uint64_t field, uint64_t from, uint64_t to)
{
    struct sync_fields *fields = &vcpu->sync;

    for (unsigned int i = 0; i < fields->count; i++) {
        if (fields->record[i].key == field) {
            fields->record[i].to = to;
            return;
        }
    }
    if (from == to || fields->count == SYNC_FIELDS)
        return;
    fields->record[fields->count++] =
        (struct mezz_sync_record){.object = MEZZ_SYNC_VMCS, .key = field, .from = from, .to = to};
}

void sync_note_progress(struct l2_vcpu *vcpu)
{
    struct sync_known *known = &vcpu->known;
    struct mezz_vmcs12_events now;
    uint64_t rip;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    rip = vcpu->kvm->run->s.regs.regs.rip;
    vmcs12_events_from_run(&now, vcpu);
    sync_note_field(vcpu, MEZZ_VMCS12_FIELD(regs.guest_rip), known->guest_rip, rip);
    sync_note_field(vcpu, MEZZ_VMCS12_FIELD(events.interruptibility_state),
                    known->interruptibility_state, now.interruptibility_state);
    sync_note_field(vcpu, MEZZ_VMCS12_FIELD(events.activity_state), known->activity_state,
                    now.activity_state);
    *known = (struct sync_known){rip, now.interruptibility_state, now.activity_state};
}

static uint32_t deliver_edits(struct ept12_edits *edits, struct mezz_sync_record *to, uint32_t room)
{
    uint32_t count = 0;

    for (size_t i = 0; i < edits->count && edits->untold > 0 && count < room; i++) {
        struct ept12_edit *edit = &edits->edit[i];

        if (edit->told)
            continue;
        edit->told = true;
        edits->untold--;
        to[count++] = (struct mezz_sync_record){
            .object = MEZZ_SYNC_EPT, .key = edit->l2.value, .from = edit->from, .to = edit->to};
    }
    return count;
}

uint32_t sync_deliver(struct l2_vcpu *vcpu, struct mezz_sync_record *to, uint32_t *more)
{
    struct sync_fields *fields = &vcpu->sync;
    struct ept12_edits *edits = vcpu->place.edits;
    uint32_t fields_fit =
        fields->count < MEZZ_SYNC_RECORDS ? fields->count : (uint32_t)MEZZ_SYNC_RECORDS;
    uint32_t count;

    memcpy(to, fields->record, fields_fit * sizeof(*to));
    fields->count = 0;
    count = fields_fit + deliver_edits(edits, to + fields_fit, MEZZ_SYNC_RECORDS - fields_fit);
    *more = (uint32_t)edits->untold;
    return count;
}
