/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/paging_tables.h"

#include <string.h>

#include "vmm/exits/guest_walk.h"
#include "vmm/exits/paging_events.h"
#include "vmm/l2_view.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/x86.h"

/* Of one CR3; beyond it tables are opened as any page is. */
#define TABLE_LIMIT   1024U
#define LEVELS        4U
#define ENTRY_PRESENT 1U
#define ENTRY_LEAF    (1U << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL
#define OFFSET_MASK   (PAGE_SIZE - 1)

struct scan {
    struct l2_vcpu *vcpu;
    uint64_t told;        /* page of the store that L2 exited with */
    bool told_is_a_table; /* that was opened now */
    unsigned int tables;
    unsigned int opened;
    unsigned int entry_size;
    uint64_t parent[LEVELS]; /* a table that refers to itself is no new one */
};

static bool is_parent(const struct scan *scan, uint64_t table, unsigned int level)
{
    for (unsigned int i = level; i < LEVELS; i++)
        if (scan->parent[i] == table)
            return true;
    return false;
}

static uint64_t entry_of(const struct scan *scan, const uint8_t *table, unsigned int index)
{
    uint64_t entry = 0;

    memcpy(&entry, table + (size_t)index * scan->entry_size, scan->entry_size);
    return entry;
}

/* level: 1 for a table of 4 KiB pages. */
static void open_table(struct scan *scan, uint64_t address, unsigned int level, unsigned int size)
{
    struct space_view *view = scan->vcpu->place.view;
    const struct l1_memory *l1 = &scan->vcpu->l2->machine->l1_memory;
    struct ept12_translation at;
    uint8_t table[PAGE_SIZE];

    if (scan->tables++ >= TABLE_LIMIT || space_view_lookup_ept(view, l2_at(address), &at) != 0 ||
        at.rights == 0)
        return;
    if (!(at.rights & MEZZ_EPT_WRITE) && paging_open_for_write(scan->vcpu, &at)) {
        scan->opened++;
        scan->told_is_a_table |= scan->told == (address & ~OFFSET_MASK);
    }
    if (level == 1 || space_view_lookup_ept(view, l2_at(address), &at) != 0 ||
        l1_read(l1, at.l1, table, size) != 0)
        return;
    scan->parent[level - 1] = address;
    for (unsigned int i = 0; i < size / scan->entry_size; i++) {
        uint64_t entry = entry_of(scan, table, i);
        uint64_t next = entry & ENTRY_ADDRESS;

        if (entry & ENTRY_PRESENT && (level == LEVELS || !(entry & ENTRY_LEAF)) &&
            !is_parent(scan, next, level - 1))
            open_table(scan, next, level - 1, PAGE_SIZE);
    }
}

static void open_from(struct scan *scan, const struct kvm_sregs *sregs)
{
    scan->entry_size = 8;
    if (sregs->efer & EFER_LMA) {
        open_table(scan, sregs->cr3 & ENTRY_ADDRESS, LEVELS, PAGE_SIZE);
    } else if (sregs->cr4 & CR4_PAE) {
        open_table(scan, sregs->cr3 & 0xffffffe0U, 3, 4 * scan->entry_size);
    } else {
        scan->entry_size = 4;
        open_table(scan, sregs->cr3 & 0xfffff000U, 2, PAGE_SIZE);
    }
}

/* A push or a call: RSP is where it wrote to. Of another store the linear address is unknown. */
static void put_address_right(struct l2_vcpu *vcpu)
{
    const struct kvm_regs *regs = &vcpu->kvm->run->s.regs.regs;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct guest_paging paging = {sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer, 0, 0};
    struct guest_view memory = l2_view_memory(vcpu);
    const struct guest_reader reader = {guest_view_read, &memory};
    struct guest_translation stack;
    struct guest_fault fault;

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_REGS);
    if (((regs->rsp ^ vcpu->exit.gpa) & OFFSET_MASK) == 0 &&
        guest_walk(&stack, &paging, regs->rsp, GUEST_WRITE, &reader, &fault) == 0)
        vcpu->exit.gpa = stack.address.value;
}

/* A store of L2 to memory that waits for its first write, or what KVM took for one. */
static bool is_store(const struct l2_exit *exit)
{
    return exit->reason == MEZZ_EXIT_EPT_VIOLATION && exit->size != 0 &&
           exit->qualification & MEZZ_EPT_VIOLATION_WRITE;
}

bool paging_open_new_tables(struct l2_vcpu *vcpu, bool exited)
{
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct l2 *l2 = vcpu->l2;
    struct scan scan = {.vcpu = vcpu, .told = UINT64_MAX};

    kvm_vcpu_need(vcpu->kvm, KVM_SYNC_X86_SREGS);
    if (!(sregs->cr0 & CR0_PG) ||
        (vcpu->tables_cr3 == sregs->cr3 && vcpu->tables_round == l2->protection_round))
        return false;
    vcpu->tables_cr3 = sregs->cr3;
    vcpu->tables_round = l2->protection_round;
    if (exited && is_store(&vcpu->exit))
        scan.told = vcpu->exit.gpa & ~OFFSET_MASK;
    vcpu->extent = NULL;
    open_from(&scan, sregs);
    if (scan.told_is_a_table)
        put_address_right(vcpu);
    return scan.opened > 0;
}
