/* SPDX-License-Identifier: Apache-2.0 */
#include "space_world.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "views/space_internal.h"
#include "vmm/vmcs/x86.h"

uint8_t pages[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
struct kvm_run run;
static struct kvm_vcpu kvm;
static struct space views;
static struct l2 l2;
uint64_t *view_changes = &views.changes;
struct l2_vcpu *guest_vcpu;
static struct guest_known known;
struct guest_memory memory;
struct address_space space;
struct kept_space *kept;
uint64_t cr3;
uint64_t version;

void set(uint64_t physical, uint64_t value)
{
    memcpy(&pages[physical / PAGE_SIZE][physical % PAGE_SIZE], &value, sizeof(value));
}

void set_entry(uint64_t table, uint64_t index, uint64_t value)
{
    set(table + 8 * index, value);
}

uint64_t kernel(uint64_t page)
{
    return KERNEL + page;
}

static void set_gate(unsigned int vector, uint64_t handler)
{
    uint8_t *gate = &pages[TABLES / PAGE_SIZE][16 * vector];

    memset(gate, 0, 16);
    memcpy(gate, &handler, 2);
    gate[2] = SEGMENT;
    gate[5] = 0x8e;
    memcpy(gate + 6, (uint8_t *)&handler + 2, 2);
    memcpy(gate + 8, (uint8_t *)&handler + 4, 4);
}

static void make_tables(void)
{
    set_entry(ROOT, 0, TABLE_3 | P | W | U);
    set_entry(TABLE_3, 0, TABLE_2 | P | W | U);
    set_entry(TABLE_2, 2, TABLE_1 | P | W | U);
    set_entry(TABLE_1, 0, PROGRAM | P | W | U);
    set_entry(ROOT, 511, KERNEL_3 | P | W);
    set_entry(KERNEL_3, 0, KERNEL_2 | P | W);
    set_entry(KERNEL_2, 0, KERNEL_1 | P | W);
    for (unsigned int i = TABLES / PAGE_SIZE; i <= CALLED / PAGE_SIZE; i++)
        set_entry(KERNEL_1, i, i * PAGE_SIZE | P | W);
    set_gate(3, kernel(HANDLER));
    set(TABLES + 0x800 + SEGMENT, 0x209a0000000000);
    set(TABLES + 0x900 + 4, kernel(STACK + 0x800)); /* RSP0 */
}

static void make_vcpu(void)
{
    struct kvm_sregs *sregs = &run.s.regs.sregs;

    memset(&run, 0, sizeof(run));
    sregs->cr0 = CR0_PG;
    sregs->cr4 = 0x20;
    sregs->efer = EFER_LMA | EFER_SCE;
    sregs->idt.base = kernel(TABLES);
    sregs->idt.limit = 16 * IDT_GATES - 1;
    sregs->gdt.base = kernel(TABLES + 0x800);
    sregs->gdt.limit = 0x3f;
    sregs->tr.base = kernel(TABLES + 0x900);
    kvm = (struct kvm_vcpu){.run = &run, .fresh = UINT32_MAX};
    l2.space = &views;
    memset(guest_vcpu, 0, sizeof(*guest_vcpu));
    guest_vcpu->l2 = &l2;
    guest_vcpu->kvm = &kvm;
    guest_vcpu->place.eptp = 0x1e;
    guest_vcpu->msr_shadow.lstar = kernel(CALLED);
    guest_vcpu->msr_shadow.cstar = kernel(CALLED);
    guest_vcpu->msr_shadow.sysenter_eip = kernel(CALLED);
    views.changes = 1;
}

/* All of the guest's memory is where it was found. */
static void find_all(void)
{
    known.eptp = guest_vcpu->place.eptp;
    known.changes = views.changes;
    for (unsigned int i = 0; i < PAGES; i++) {
        known.page[i] = i * PAGE_SIZE;
        known.at[i] = pages[i];
    }
}

void read_it(void)
{
    find_all();
    guest_memory_look(&memory, guest_vcpu);
    kept_space_begin(kept, &memory, cr3, version);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, kept), 0);
    kept_space_end(kept);
}

bool is_same(void)
{
    guest_memory_look(&memory, guest_vcpu);
    return kept_space_same(kept, &memory, cr3, version);
}

void begin(void)
{
    guest_vcpu = calloc(1, sizeof(*guest_vcpu));
    kept = kept_space_create();
    ck_assert(guest_vcpu != NULL && kept != NULL);
    memset(pages, 0, sizeof(pages));
    memset(&memory, 0, sizeof(memory));
    memory.known = &known;
    cr3 = ROOT;
    version = 7;
    make_tables();
    make_vcpu();
    read_it();
    ck_assert(is_same());
}

void end(void)
{
    address_space_destroy(&space);
    kept_space_destroy(kept);
    free(guest_vcpu);
}
