/* SPDX-License-Identifier: Apache-2.0 */
#include "views/fresh.h"

#include <errno.h>
#include <string.h>

#include "views/carry.h"
#include "views/space.h"

/* What a guest can write and KVM keeps, a vCPU's own each, beside those of view_msrs. Not the time
 * stamp counter, which is the offset's, and nothing that is in the system registers. */
static const uint32_t fresh_msrs[] =
    {
        0x3b,       0x1c4,      0x1c5,      0xc1,       0xc2,       0xc3,
        0xc4,                                                              /* TSC_ADJUST ... */
        0x186,      0x187,      0x188,      0x189,      0x38d,      0x38f, /* counters */
        0x6a0,      0x6a2,      0x6a4,      0x6a5,      0x6a6,      0x6a7, /* CET */
        0xc0010000, 0xc0010001, 0xc0010002, 0xc0010003, 0xc0010004, 0xc0010005,
        0xc0010006, 0xc0010007, 0x11,       0x12,       0x4b564d00, 0x4b564d01,
        0x4b564d02,                                     /* KVM's own: some */
        0x4b564d03, 0x4b564d04, 0x4b564d05, 0x4b564d06, /* name pages that KVM writes */
};

union msr_list {
    struct kvm_msrs header;
    uint8_t bytes[sizeof(struct kvm_msrs) + FRESH_MSRS * sizeof(struct kvm_msr_entry)];
};

static int one_msr(struct kvm_vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
    union msr_list one = {.header = {.nmsrs = 1}};
    int done;

    one.header.entries[0] = *entry;
    done = kvm_vcpu_ioctl(vcpu, request, &one);
    *entry = one.header.entries[0];
    return done == 1 ? 0 : done < 0 ? done : -EIO;
}

static int tsc_offset(struct kvm_vcpu *vcpu, unsigned long request, uint64_t *offset)
{
    struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};

    return kvm_vcpu_ioctl(vcpu, request, &attribute);
}

static void take_msr(struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu, uint32_t index)
{
    struct kvm_msr_entry entry = {.index = index};

    if (fresh->count < FRESH_MSRS && one_msr(vcpu, KVM_GET_MSRS, &entry) == 0)
        fresh->msr[fresh->count++] = entry;
}

void fresh_take(struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu)
{
    const uint64_t ioctls = vcpu->other_ioctls;

    if (fresh->taken)
        return;
    fresh->taken = true;
    for (size_t i = 0; i < sizeof(fresh_msrs) / sizeof(fresh_msrs[0]); i++)
        take_msr(fresh, vcpu, fresh_msrs[i]);
    for (uint32_t i = 0; i < view_msrs_count; i++)
        for (uint32_t k = 0; k < view_msrs[i].count; k++)
            if (view_msrs[i].kind != VIEW_MSR_SWAPPED)
                take_msr(fresh, vcpu, view_msrs[i].first + k);
    fresh->has_sregs = kvm_vcpu_ioctl(vcpu, KVM_GET_SREGS, &fresh->sregs) >= 0;
    fresh->has_xcrs = kvm_vcpu_ioctl(vcpu, KVM_GET_XCRS, &fresh->xcrs) >= 0;
    fresh->has_tsc_offset = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &fresh->tsc_offset) >= 0;
    vcpu->other_ioctls = ioctls;
}

/* One that can be read and not written has to be what it was. */
static int check_msr(struct kvm_vcpu *vcpu, const struct kvm_msr_entry *wanted)
{
    struct kvm_msr_entry entry = *wanted;

    if (one_msr(vcpu, KVM_SET_MSRS, &entry) == 0)
        return 0;
    entry = (struct kvm_msr_entry){.index = wanted->index};
    if (one_msr(vcpu, KVM_GET_MSRS, &entry) != 0 || entry.data != wanted->data)
        return -EIO;
    return 0;
}

/* KVM stops at the first one that it does not take. */
static int restore_msrs(const struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu)
{
    for (uint32_t at = 0; at < fresh->count;) {
        union msr_list list = {.header = {.nmsrs = fresh->count - at}};
        int done;
        int code;

        memcpy(list.header.entries, fresh->msr + at, (fresh->count - at) * sizeof(fresh->msr[0]));
        done = kvm_vcpu_ioctl(vcpu, KVM_SET_MSRS, &list);
        if (done < 0)
            return done;
        at += (uint32_t)done;
        if (at == fresh->count)
            break;
        code = check_msr(vcpu, &fresh->msr[at++]);
        if (code != 0)
            return code;
    }
    return 0;
}

/* What of them no entry loads: the priority of tasks, the place of the APIC. KVM takes the former
 * from the run page alone. */
static void restore_sregs(const struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu)
{
    vcpu->run->s.regs.sregs = fresh->sregs;
    vcpu->run->cr8 = fresh->sregs.cr8;
    vcpu->run->apic_base = fresh->sregs.apic_base;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_SREGS);
}

int fresh_restore(const struct fresh_vcpu *fresh, struct kvm_vcpu *vcpu)
{
    struct kvm_xcrs xcrs = fresh->xcrs;
    uint64_t offset = fresh->tsc_offset;
    int code = carry_clear(vcpu);

    if (code == 0)
        code = restore_msrs(fresh, vcpu);
    if (code == 0 && fresh->has_sregs)
        restore_sregs(fresh, vcpu);
    if (code == 0 && fresh->has_xcrs)
        code = kvm_vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);
    if (code >= 0 && fresh->has_tsc_offset)
        code = tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset);
    vcpu->other_ioctls = 0;
    return code < 0 ? code : 0;
}
