/* SPDX-License-Identifier: Apache-2.0 */
#include "views/tlb_page.h"

#include <errno.h>
#include <sys/mman.h>

#include "host/hot.h"
#include "host/memory.h"
#include "mezz/gate.h"

/* Where no board has a device, and no KVM its own pages. */
#define HIGHEST 0xfbad5000ULL
#define LOWEST  0x80000000ULL

_Static_assert(sizeof(struct kvm_steal_time) == 64, "64 records are one page");

uint64_t tlb_page_free_address(const struct extent_table *extents)
{
    for (uint64_t at = HIGHEST; at >= LOWEST; at -= PAGE_SIZE) {
        const struct extent *in_the_way = extent_table_find(extents, l2_at(at));

        if (in_the_way == NULL && at != MEZZ_GATE_ADDRESS)
            return at;
        if (in_the_way == NULL)
            continue;
        if (in_the_way->l2.value < LOWEST)
            break;
        at = in_the_way->l2.value;
    }
    return 0;
}

static int create(struct tlb_page *tlb)
{
    void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    *tlb = (struct tlb_page){.page = page};
    return 0;
}

int tlb_page_place(struct tlb_page *tlb, const struct slot_set *slots, uint32_t slot)
{
    uint64_t at;
    int code;

    if (tlb->address != 0)
        return 0;
    if (tlb->page == NULL && (code = create(tlb)) != 0)
        return code;
    at = tlb_page_free_address(&slots->built);
    if (at == 0)
        return -ENOSPC;
    code = kvm_vm_set_slot(slots->vm, slot, at, PAGE_SIZE, tlb->page, 0);
    if (code == 0)
        tlb->address = at;
    return code;
}

void tlb_page_leave(struct tlb_page *tlb, const struct slot_set *slots, uint32_t slot)
{
    if (tlb->address != 0)
        kvm_vm_set_slot(slots->vm, slot, tlb->address, 0, tlb->page, 0);
    tlb->address = 0;
}

void tlb_page_destroy(struct tlb_page *tlb)
{
    if (tlb->page != NULL)
        munmap(tlb->page, PAGE_SIZE);
    *tlb = (struct tlb_page){0};
}

static struct kvm_steal_time *record(const struct tlb_page *tlb, uint32_t number)
{
    return (struct kvm_steal_time *)(void *)tlb->page + number;
}

bool tlb_page_attach(const struct tlb_page *tlb, struct kvm_vcpu *vcpu, uint32_t number)
{
    union {
        struct kvm_msrs header;
        uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } list = {.header = {.nmsrs = 1}};

    list.header.entries[0] = (struct kvm_msr_entry){
        .index = MSR_KVM_STEAL_TIME,
        .data = (tlb->address + number * sizeof(struct kvm_steal_time)) | KVM_MSR_ENABLED,
    };
    return kvm_vcpu_ioctl(vcpu, KVM_SET_MSRS, &list) == 1;
}

HOT void tlb_page_ask(const struct tlb_page *tlb, uint32_t number)
{
    tlb_page_ask_by(tlb_page_byte(tlb, number));
}

uint8_t *tlb_page_byte(const struct tlb_page *tlb, uint32_t number)
{
    return &record(tlb, number)->preempted;
}

bool tlb_page_is_asked(const struct tlb_page *tlb, uint32_t number)
{
    return __atomic_load_n(&record(tlb, number)->preempted, __ATOMIC_SEQ_CST) & KVM_VCPU_FLUSH_TLB;
}
