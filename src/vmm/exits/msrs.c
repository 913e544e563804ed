/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/msrs.h"

#include <asm/kvm_para.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/sync.h"

#define BITMAP_BYTES 1024U /* of 0x2000 MSRs */
#define HIGH_MSRS    0xc0000000U
#define RANGE_MSRS   0x2000U
#define MSR_KINDS    4U /* low and high ones, to be read and written */

/*
 * MSRs by which KVM serves a guest that knows it: its clock, stolen time, asynchronous page faults,
 * the end of an interrupt, and Hyper-V's. Many name a page that KVM then writes by itself, whatever
 * the guest's view has there. CPUID tells no L2 of them, and for an L2 there are none.
 */
static const struct host_msrs {
    uint32_t first;
    uint32_t count;
} host_msrs[] = {
    {MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME + 1 - MSR_KVM_WALL_CLOCK}, /* in the low range */
    {0x40000000U, 0x200},                                               /* Hyper-V's */
    {MSR_KVM_WALL_CLOCK_NEW, 0x100},
};
#define HOST_MSRS          (sizeof(host_msrs) / sizeof(host_msrs[0]))
#define MOST_HOSTS         0x200U

#define MC0_STATUS         0x401U
#define MC_BANKS           32U
#define MC_BANK_MSRS       4U
#define HWCR               0xc0010015U
#define HWCR_STATUS_WRITES (1ULL << 18)

/* In the order of struct mezz_vmcs12_msrs. */
static const uint32_t group_msr[] = {
    0x174,      0x175,      0x176,      0x277,      0xc0000081,
    0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103,
};
#define GROUP_MSRS (sizeof(group_msr) / sizeof(group_msr[0]))

union msr_list {
    struct kvm_msrs list; /* ends with its entries */
    uint8_t room[sizeof(struct kvm_msrs) + GROUP_MSRS * sizeof(struct kvm_msr_entry)];
};

static int get_msr(struct l2_vcpu *vcpu, uint32_t index, uint64_t *value)
{
    union msr_list msr = {.list = {.nmsrs = 1}};

    msr.list.entries[0].index = index;
    if (kvm_vcpu_ioctl(vcpu->kvm, KVM_GET_MSRS, &msr) != 1)
        return -EINVAL;
    *value = msr.list.entries[0].data;
    return 0;
}

static int set_msr(struct l2_vcpu *vcpu, uint32_t index, uint64_t value)
{
    union msr_list msr = {.list = {.nmsrs = 1}};

    msr.list.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
    view_vcpu_msr_changed(&vcpu->place, index);
    if (kvm_vcpu_ioctl(vcpu->kvm, KVM_SET_MSRS, &msr) != 1)
        return -EINVAL;
    /* The run page has that one, too. */
    if (view_msr_kind(index) == VIEW_MSR_SWAPPED)
        vcpu->kvm->run->s.regs.sregs.gs.base = value;
    return 0;
}

int msrs_load(struct l2_vcpu *vcpu, const struct mezz_vmcs12_msrs *msrs)
{
    union msr_list msr = {.list = {0}};
    uint64_t value[GROUP_MSRS];
    size_t first = 0;

    view_vcpu_msrs_changed(&vcpu->place);
    memcpy(value, msrs, sizeof(value));
    while (first < GROUP_MSRS) {
        int done;

        msr.list.nmsrs = (uint32_t)(GROUP_MSRS - first);
        for (size_t i = first; i < GROUP_MSRS; i++)
            msr.list.entries[i - first] =
                (struct kvm_msr_entry){.index = group_msr[i], .data = value[i]};
        done = kvm_vcpu_ioctl(vcpu->kvm, KVM_SET_MSRS, &msr);
        if (done < 0)
            return -1;
        first += (size_t)done;
        /* One that this KVM does not have is no failure as long as L1 wants nothing of it. */
        if (first < GROUP_MSRS && value[first++] != 0)
            return -1;
    }
    vcpu->msr_shadow = *msrs;
    return 0;
}

void msrs_save(struct l2_vcpu *vcpu, struct mezz_vmcs12_msrs *to)
{
    uint64_t value[GROUP_MSRS] = {0};

    for (size_t i = 0; i < GROUP_MSRS; i++)
        get_msr(vcpu, group_msr[i], &value[i]);
    *to = (struct mezz_vmcs12_msrs){0};
    memcpy(to, value, sizeof(value));
    vcpu->msr_shadow = *to;
}

static bool bitmap_has(const uint8_t *bitmap, uint32_t bit)
{
    return bitmap[bit / 8] >> (bit % 8) & 1;
}

/* Offset of the bitmap in the SDM's MSR bitmap page (25.6.9), and the bit; false: not covered. */
static bool locate(uint32_t msr, bool write, uint32_t *offset, uint32_t *bit)
{
    *offset = write ? 2 * BITMAP_BYTES : 0;
    *bit = msr;
    if (msr >= HIGH_MSRS) {
        *offset += BITMAP_BYTES;
        *bit = msr - HIGH_MSRS;
    }
    return *bit < RANGE_MSRS;
}

static bool l1_intercepts(const struct l2_vcpu *vcpu, uint32_t msr, bool write)
{
    uint32_t offset, bit;

    if (!(vcpu->controls.cpu_based & MEZZ_CPU_USE_MSR_BITMAPS) ||
        !locate(msr, write, &offset, &bit))
        return true;
    return bitmap_has(vcpu->msr_bitmap + offset, bit);
}

static void add_group_writes(uint8_t *page)
{
    for (size_t i = 0; i < GROUP_MSRS; i++) {
        uint32_t offset, bit;

        locate(group_msr[i], true, &offset, &bit);
        page[offset + bit / 8] |= (uint8_t)(1U << bit % 8);
    }
}

/* ORs what one vCPU wants to see into the page. */
static void add_wishes(uint8_t *page, const struct l2_vcpu *vcpu)
{
    if (vcpu->controls.cpu_based & MEZZ_CPU_USE_MSR_BITMAPS)
        for (size_t i = 0; i < PAGE_SIZE; i++)
            page[i] |= vcpu->msr_bitmap[i];
    if (vcpu->controls.exit_controls & MEZZ_VMEXIT_SAVE_MSRS)
        add_group_writes(page);
}

/* A switch of the view hands MSRs over that changed: KVM does not say of itself that they did. */
static void add_carried(uint8_t *page)
{
    for (uint32_t i = 0; i < view_msrs_count; i++) {
        const bool heard = view_msrs[i].kind != VIEW_MSR_UNHEARD;

        for (uint32_t k = 0; heard && k < view_msrs[i].count; k++) {
            uint32_t offset, bit;

            if (locate(view_msrs[i].first + k, true, &offset, &bit))
                page[offset + bit / 8] |= (uint8_t)(1U << bit % 8);
        }
    }
}

static bool is_host_msr(uint32_t msr)
{
    for (size_t i = 0; i < HOST_MSRS; i++)
        if (msr - host_msrs[i].first < host_msrs[i].count)
            return true;
    return false;
}

/* Where the filter's page has bits for them, these exit; the others get ranges of their own. */
static void add_host_msrs(struct kvm_msr_filter *filter, uint8_t *page)
{
    static uint8_t none[MOST_HOSTS / 8];
    uint32_t ranges = MSR_KINDS;

    for (size_t i = 0; i < HOST_MSRS; i++) {
        const struct host_msrs *hosts = &host_msrs[i];
        uint32_t offset, bit;

        if (!locate(hosts->first, false, &offset, &bit)) {
            filter->ranges[ranges++] = (struct kvm_msr_filter_range){
                .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                .nmsrs = hosts->count,
                .base = hosts->first,
                .bitmap = none,
            };
            continue;
        }
        for (; bit < hosts->first + hosts->count; bit++) {
            page[bit / 8] &= (uint8_t) ~(1U << bit % 8);
            page[2 * BITMAP_BYTES + bit / 8] &= (uint8_t) ~(1U << bit % 8);
        }
    }
}

int msrs_set_filter(const struct l2 *l2, const struct kvm_vm *vm)
{
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
    uint8_t page[PAGE_SIZE];

    /* In the filter a set bit allows. */
    for (size_t i = 0; i < PAGE_SIZE; i++)
        page[i] = (uint8_t)~l2->msr_filter[i];
    for (uint32_t i = 0; i < MSR_KINDS; i++)
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = i < 2 ? KVM_MSR_FILTER_READ : KVM_MSR_FILTER_WRITE,
            .nmsrs = RANGE_MSRS,
            .base = i % 2 == 0 ? 0 : HIGH_MSRS,
            .bitmap = page + i * BITMAP_BYTES,
        };
    add_host_msrs(&filter, page);
    return ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0 ? -errno : 0;
}

static int set_filter(void *l2, const struct kvm_vm *vm)
{
    return msrs_set_filter(l2, vm);
}

int msrs_update_filter(struct l2 *l2)
{
    struct machine *machine = l2->machine;
    uint8_t page[PAGE_SIZE] = {0};

    /* Policies look at where `syscall` leads: the shadow is true for any L2 that may have one. */
    if (space_has_engine(l2->space))
        add_group_writes(page);
    if (space_hands_over(l2->space))
        add_carried(page);
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        if (machine->vcpu[i] != NULL && machine->vcpu[i]->l2 == l2)
            add_wishes(page, machine->vcpu[i]);
    if (memcmp(page, l2->msr_filter, PAGE_SIZE) == 0)
        return 0;
    memcpy(l2->msr_filter, page, PAGE_SIZE);
    return space_each_vm(l2->space, set_filter, l2);
}

/* What KVM takes from the root and not from a guest: an error in a bank of machine checks, unless
 * AMD's HWCR lets it. */
static bool is_for_root(struct l2_vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t hwcr = 0;

    if (msr - MC0_STATUS >= MC_BANKS * MC_BANK_MSRS || (msr - MC0_STATUS) % MC_BANK_MSRS != 0)
        return false;
    get_msr(vcpu, HWCR, &hwcr);
    return value != 0 && !(hwcr & HWCR_STATUS_WRITES);
}

/* The root writes an MSR in L2's place: the shadow and RIP change under L1. */
static enum root_verdict write_for_l2(struct l2_vcpu *vcpu)
{
    uint64_t *shadow = (uint64_t *)&vcpu->msr_shadow;
    uint32_t msr = vcpu->exit.msr;
    bool refused =
        is_for_root(vcpu, msr, vcpu->exit.value) || set_msr(vcpu, msr, vcpu->exit.value) != 0;

    for (size_t i = 0; i < GROUP_MSRS && !refused; i++) {
        if (group_msr[i] == msr) {
            uint64_t field = (offsetof(struct mezz_vmcs12, msrs) + i * sizeof(uint64_t)) |
                             (uint64_t)sizeof(uint64_t) << 16;

            sync_note_field(vcpu, field, shadow[i], vcpu->exit.value);
            shadow[i] = vcpu->exit.value;
        }
    }
    l2_complete(vcpu, 0, refused);
    return ROOT_HANDLED;
}

enum root_verdict msrs_rule(struct l2_vcpu *vcpu)
{
    bool filtered =
        vcpu->kvm->run->msr.reason == KVM_MSR_EXIT_REASON_FILTER && !is_host_msr(vcpu->exit.msr);
    bool write = vcpu->exit.reason == MEZZ_EXIT_WRMSR;
    uint64_t value = 0;
    bool fault = true;

    /* Those that KVM has and no bitmap names exit just for the shadows. */
    if (l1_intercepts(vcpu, vcpu->exit.msr, write) &&
        (!filtered || vcpu->controls.cpu_based & MEZZ_CPU_USE_MSR_BITMAPS))
        return ROOT_LEFT;
    if (filtered && write)
        return write_for_l2(vcpu);
    if (filtered)
        fault = get_msr(vcpu, vcpu->exit.msr, &value) != 0;
    l2_complete(vcpu, value, fault);
    return ROOT_HANDLED;
}
