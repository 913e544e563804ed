/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "views/carry.h"
#include "views/space.h"

/*
 * SYSENTER_CS, _ESP, _EIP, PAT, STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE, TSC_AUX, MISC_ENABLE,
 * XSS, SPEC_CTRL. FS_BASE, GS_BASE and EFER are system registers; but a write to GS_BASE is one to
 * KERNEL_GS_BASE behind the next SWAPGS.
 * MTRRs, MCG_STATUS, and CTL, STATUS, ADDR and MISC of 32 banks of machine checks.
 * TSC_ADJUST, FEAT_CTL, UMWAIT_CONTROL, TSX_CTRL, MISC_FEATURES_ENABLES, DEBUGCTL, POWER_CTL,
 * BNDCFGS; AMD's TSC_RATIO, HWCR, VM_CR, VM_HSAVE_PA, OSVW, VIRT_SPEC_CTRL, DE_CFG: what they may
 * be is between KVM and the guest.
 */
const struct view_msrs view_msrs[] = {
    {0x174, 3, VIEW_MSR_CARRIED},      {0x277, 1, VIEW_MSR_CARRIED},
    {0xc0000081, 4, VIEW_MSR_CARRIED}, {0xc0000102, 2, VIEW_MSR_CARRIED},
    {0x1a0, 1, VIEW_MSR_CARRIED},      {0xda0, 1, VIEW_MSR_CARRIED},
    {0x48, 1, VIEW_MSR_CARRIED},       {0xc0000101, 1, VIEW_MSR_SWAPPED},
    {0x17a, 1, VIEW_MSR_SELDOM},       {0x200, 16, VIEW_MSR_SELDOM},
    {0x250, 1, VIEW_MSR_SELDOM},       {0x258, 2, VIEW_MSR_SELDOM},
    {0x268, 8, VIEW_MSR_SELDOM},       {0x2ff, 1, VIEW_MSR_SELDOM},
    {0x400, 128, VIEW_MSR_SELDOM},     {0x3b, 1, VIEW_MSR_UNHEARD},
    {0x3a, 1, VIEW_MSR_UNHEARD},       {0xe1, 1, VIEW_MSR_UNHEARD},
    {0x122, 1, VIEW_MSR_UNHEARD},      {0x140, 1, VIEW_MSR_UNHEARD},
    {0x1d9, 1, VIEW_MSR_UNHEARD},      {0x1fc, 1, VIEW_MSR_UNHEARD},
    {0xd90, 1, VIEW_MSR_UNHEARD},      {0xc0000104, 1, VIEW_MSR_UNHEARD},
    {0xc0010015, 1, VIEW_MSR_UNHEARD}, {0xc0010114, 1, VIEW_MSR_UNHEARD},
    {0xc0010117, 1, VIEW_MSR_UNHEARD}, {0xc0010140, 2, VIEW_MSR_UNHEARD},
    {0xc001011f, 1, VIEW_MSR_UNHEARD}, {0xc0011029, 1, VIEW_MSR_UNHEARD},
};
const uint32_t view_msrs_count = sizeof(view_msrs) / sizeof(view_msrs[0]);

union msr_list {
    struct kvm_msrs header;
    uint8_t bytes[sizeof(struct kvm_msrs) + CARRIED_MSRS * sizeof(struct kvm_msr_entry)];
};

enum view_msr_kind view_msr_kind(uint32_t msr)
{
    for (uint32_t i = 0; i < view_msrs_count; i++)
        if (msr - view_msrs[i].first < view_msrs[i].count)
            return view_msrs[i].kind;
    return VIEW_MSR_OTHER;
}

static bool one_msr(struct kvm_vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
    union msr_list one;
    int done;

    one.header = (struct kvm_msrs){.nmsrs = 1};
    one.header.entries[0] = *entry;
    done = kvm_vcpu_ioctl(vcpu, request, &one);
    *entry = one.header.entries[0];
    return done == 1;
}

/* What the root cannot write the guest cannot have written; and one of these would make each switch
 * set all others one by one. */
static void add(struct carried_msrs *msrs, struct kvm_vcpu *vcpu, uint32_t index)
{
    struct kvm_msr_entry entry = {.index = index};

    if (msrs->count < CARRIED_MSRS && one_msr(vcpu, KVM_GET_MSRS, &entry) &&
        one_msr(vcpu, KVM_SET_MSRS, &entry))
        msrs->index[msrs->count++] = index;
}

static void find(struct carried_msrs *msrs, struct kvm_vcpu *vcpu, enum view_msr_kind kind)
{
    for (uint32_t i = 0; i < view_msrs_count; i++)
        for (uint32_t k = 0; view_msrs[i].kind == kind && k < view_msrs[i].count; k++)
            add(msrs, vcpu, view_msrs[i].first + k);
}

void carry_find_msrs(struct carried_msrs *msrs, struct kvm_vcpu *vcpu)
{
    msrs->count = 0;
    find(msrs, vcpu, VIEW_MSR_CARRIED);
    msrs->at_gates = msrs->count;
    find(msrs, vcpu, VIEW_MSR_UNHEARD);
}

void carry_find_seldom_msrs(struct carried_msrs *msrs, struct kvm_vcpu *vcpu)
{
    msrs->count = 0;
    find(msrs, vcpu, VIEW_MSR_SELDOM);
    msrs->at_gates = msrs->count;
}

/* SWAPGS alters KERNEL_GS_BASE. In ring 3 a kernel has its own base put away, and the other one is
 * in GS, where a change shows; in ring 0 it may have been changed while it was in GS. A write to
 * the MSR of GS's base is heard of, WRGSBASE is not. */
bool carry_base_may_differ(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    const struct kvm_sregs *there = &from->run->s.regs.sregs;

    kvm_vcpu_need(from, KVM_SYNC_X86_SREGS);
    if (!(to->fresh & KVM_SYNC_X86_SREGS) || there->gs.base != to->run->s.regs.sregs.gs.base)
        return true;
    return carry_base_may_have_changed(there);
}

/* One that can be read and not written: no matter as long as both have the same. */
static int set_each(struct kvm_vcpu *to, const struct kvm_msrs *wanted)
{
    for (uint32_t i = 0; i < wanted->nmsrs; i++) {
        struct kvm_msr_entry entry = wanted->entries[i];

        if (!one_msr(to, KVM_SET_MSRS, &entry) &&
            (!one_msr(to, KVM_GET_MSRS, &entry) || entry.data != wanted->entries[i].data))
            return -EIO;
    }
    return 0;
}

int carry_msrs(struct kvm_vcpu *to, struct kvm_vcpu *from, const struct carried_msrs *msrs,
               enum view_carry what)
{
    const uint32_t count = what == CARRY_ALL ? msrs->count : msrs->at_gates;
    union msr_list list;
    int done;

    list.header = (struct kvm_msrs){.nmsrs = count};
    for (uint32_t i = 0; i < count; i++)
        list.header.entries[i] = (struct kvm_msr_entry){.index = msrs->index[i]};
    done = kvm_vcpu_ioctl(from, KVM_GET_MSRS, &list);
    if (done < 0 || (uint32_t)done != count)
        return done < 0 ? done : -EIO;
    done = kvm_vcpu_ioctl(to, KVM_SET_MSRS, &list);
    if (done < 0 || (uint32_t)done == count)
        return done < 0 ? done : 0;
    return set_each(to, &list.header);
}
