/* SPDX-License-Identifier: Apache-2.0 */
/* An address space that was read, and what makes that it is read again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "views/space_internal.h"
#include "vmm/l2.h"
#include "vmm/protect/portions/address_space.h"
#include "vmm/vmcs/x86.h"

#define P        (1ULL << 0)
#define W        (1ULL << 1)
#define U        (1ULL << 2)
#define ACCESSED (1ULL << 5)
#define DIRTY    (1ULL << 6)
#define NX       (1ULL << 63)

/* The guest: pages 0 to 15. The program's tables for 0x400000, and the kernel's for KERNEL. */
#define ROOT      0x1000U
#define TABLE_3   0x2000U
#define TABLE_2   0x3000U
#define TABLE_1   0x4000U
#define KERNEL_3  0x5000U
#define KERNEL_2  0x6000U
#define KERNEL_1  0x7000U
#define TABLES    0x8000U /* IDT at 0, GDT at 0x800, TSS at 0x900 */
#define STACK     0x9000U
#define HANDLER   0xa000U
#define CALLED    0xb000U
#define PROGRAM   0xc000U
#define SPARE     0xd000U
#define MORE      0xe000U
#define PAGES     16U

#define LINEAR    0x400000ULL
#define KERNEL    0xffffff8000000000ULL
#define IDT_GATES 16U
#define SEGMENT   8U /* in the GDT: its code of ring 0 */
#define VERSION   7U
#define ELSE      17U

static uint8_t pages[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static struct kvm_run run;
static struct kvm_vcpu kvm;
static struct space views;
static struct l2 l2;
static struct l2_vcpu *vcpu;
static struct guest_known known;
static struct guest_memory memory;
static struct address_space space;
static struct kept_space *kept;
static uint64_t cr3;
static uint64_t version;

static void set(uint64_t physical, uint64_t value)
{
    memcpy(&pages[physical / PAGE_SIZE][physical % PAGE_SIZE], &value, sizeof(value));
}

static void set_entry(uint64_t table, uint64_t index, uint64_t value)
{
    set(table + 8 * index, value);
}

static void flip_bits(void *at, uint64_t bits)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    value ^= bits;
    memcpy(at, &value, sizeof(value));
}

static void flip_in_memory(uint64_t physical, uint64_t bits)
{
    flip_bits(&pages[physical / PAGE_SIZE][physical % PAGE_SIZE], bits);
}

static uint64_t kernel(uint64_t page)
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
    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->l2 = &l2;
    vcpu->kvm = &kvm;
    vcpu->place.eptp = 0x1e;
    vcpu->msr_shadow.lstar = kernel(CALLED);
    vcpu->msr_shadow.cstar = kernel(CALLED);
    vcpu->msr_shadow.sysenter_eip = kernel(CALLED);
    views.changes = 1;
}

/* All of the guest's memory is where it was found. */
static void find_all(void)
{
    known.eptp = vcpu->place.eptp;
    known.changes = views.changes;
    for (unsigned int i = 0; i < PAGES; i++) {
        known.page[i] = i * PAGE_SIZE;
        known.at[i] = pages[i];
    }
}

static void read_it(void)
{
    find_all();
    guest_memory_look(&memory, vcpu);
    kept_space_begin(kept, &memory, cr3, version);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, kept), 0);
    kept_space_end(kept);
}

static bool is_same(void)
{
    guest_memory_look(&memory, vcpu);
    return kept_space_same(kept, &memory, cr3, version);
}

static void begin(void)
{
    vcpu = calloc(1, sizeof(*vcpu));
    kept = kept_space_create();
    ck_assert(vcpu != NULL && kept != NULL);
    memset(pages, 0, sizeof(pages));
    memset(&memory, 0, sizeof(memory));
    memory.known = &known;
    cr3 = ROOT;
    version = VERSION;
    make_tables();
    make_vcpu();
    read_it();
    ck_assert(is_same());
}

static void end(void)
{
    address_space_destroy(&space);
    kept_space_destroy(kept);
    free(vcpu);
}

/* What lies in memory, and what else it is to say. Of pages of the program nothing counts. */
static const struct {
    uint64_t physical;
    uint64_t flip;
    bool counts;
} words_of_memory[] = {
    {ROOT, NX, true}, /* the way to the program */
    {TABLE_3, U, true},
    {TABLE_2 + 8 * 2, W, true},
    {TABLE_1, PROGRAM ^ SPARE, true},
    {TABLE_1, P, true},
    {ROOT, TABLE_3 ^ SPARE, true}, /* another table in its place */
    {TABLE_3, TABLE_2 ^ SPARE, true},
    {TABLE_2 + 8 * 2, TABLE_1 ^ SPARE, true},
    {ROOT + 8 * 255, SPARE | P | U, true}, /* where nothing was: in a line of its own, and not */
    {ROOT + 8 * 256, SPARE | P | U, true}, /* the upper half */
    {TABLE_3 + 8 * 511, P | U, true},
    {TABLE_2 + 8 * 3, P | U, true},
    {TABLE_1 + 8, P | U, true},
    {TABLE_1 + 8 * 63, P | U, true},
    {TABLE_1 + 8 * 64, P | U, true},
    {TABLE_1 + 8 * 300, P | U, true},
    {TABLE_1 + 8 * 511, P | U, true},
    {ROOT + 8 * 511, NX, true}, /* the way to the kernel's */
    {ROOT + 8 * 511, KERNEL_3 ^ SPARE, true},
    {KERNEL_3, KERNEL_2 ^ SPARE, true},
    {KERNEL_2, KERNEL_1 ^ SPARE, true},
    {KERNEL_1 + TABLES / 512, TABLES ^ SPARE, true},
    {KERNEL_1 + STACK / 512, STACK ^ SPARE, true},
    {KERNEL_1 + HANDLER / 512, HANDLER ^ SPARE, true},
    {KERNEL_1 + CALLED / 512, CALLED ^ SPARE, true},
    {TABLES + 16 * 3, 0x1000, true}, /* a gate's handler */
    {TABLES + 16 * 3 + 8, 1, true},
    {TABLES + 16 * (IDT_GATES - 1), 1, true},
    {TABLES + 0x800 + SEGMENT, 0x600000000000, true}, /* its segment's ring */
    {TABLES + 0x900 + 4, 0x1000, true},               /* RSP0 */
    {TABLES + 0x900 + 36, 0x1000, true},              /* IST1 */
    {TABLES + 0x900 + 84, 0x1000, true},              /* IST7 */
    {TABLES + 0x900 + 96, 1, true},                   /* its end */
    {ROOT, ACCESSED, false},
    {TABLE_1, ACCESSED | DIRTY, false},
    {KERNEL_1 + STACK / 512, ACCESSED | DIRTY, false},
    {TABLES + 0x800 + 2 * SEGMENT, 1, false}, /* a segment that no gate has */
    {TABLES + 16 * IDT_GATES, 1, false},
    {TABLES + 0x900 + 104, 1, false},
    {PROGRAM, 1, false},
    {STACK, 1, false},
};

START_TEST(memory_changes)
{
    begin();
    flip_in_memory(words_of_memory[_i].physical, words_of_memory[_i].flip);
    ck_assert(is_same() != words_of_memory[_i].counts);
    flip_in_memory(words_of_memory[_i].physical, words_of_memory[_i].flip);
    ck_assert(is_same());
    end();
}
END_TEST

/* Entries, each by itself, also where no other is near. */
START_TEST(each_entry_counts)
{
    begin();
    for (unsigned int i = 0; i < PAGE_SIZE / 8; i++) {
        flip_in_memory(TABLE_1 + 8 * i, P | U);
        ck_assert_msg(!is_same(), "entry %u", i);
        flip_in_memory(TABLE_1 + 8 * i, P | U);
    }
    ck_assert(is_same());
    end();
}
END_TEST

/* What the vCPU's registers, EPT12 and the guard say. */
START_TEST(else_changes)
{
    struct kvm_sregs *sregs = &run.s.regs.sregs;

    begin();
    {
        void *const what[] = {
            &cr3,
            &version,
            &vcpu->place.eptp,
            &views.changes,
            &sregs->cr0,
            &sregs->cr4,
            &sregs->cr4,
            &sregs->efer,
            &sregs->efer,
            &sregs->efer,
            &sregs->idt.base,
            &sregs->gdt.base,
            &sregs->tr.base,
            &vcpu->msr_shadow.lstar,
            &vcpu->msr_shadow.cstar,
            &vcpu->msr_shadow.sysenter_cs,
            &vcpu->msr_shadow.sysenter_eip,
        };
        static const uint64_t flip[] = {
            0x1000,   1,      0x1000, 1,      CR0_PG, 1ULL << 12, 1ULL << 20, 1ULL << 11, EFER_LMA,
            EFER_SCE, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000,     8,          0x1000,
        };

        _Static_assert(ELEMENTS(what) == ELEMENTS(flip) && ELEMENTS(flip) == ELSE, "each");
        flip_bits(what[_i], flip[_i]);
        ck_assert(!is_same());
        flip_bits(what[_i], flip[_i]);
        ck_assert(is_same());
    }
    end();
}
END_TEST

START_TEST(limits_change)
{
    begin();
    run.s.regs.sregs.idt.limit += 16;
    ck_assert(!is_same());
    run.s.regs.sregs.idt.limit -= 16;
    run.s.regs.sregs.gdt.limit += 8;
    ck_assert(!is_same());
    run.s.regs.sregs.gdt.limit -= 8;
    ck_assert(is_same());
    end();
}
END_TEST

/* What is read again is what is there now. */
START_TEST(read_again)
{
    begin();
    ck_assert_uint_eq(address_space_kinds(&space, PROGRAM), SPACE_CODE);
    ck_assert_uint_eq(address_space_kinds(&space, HANDLER), SPACE_HANDLER);
    ck_assert_uint_eq(address_space_kinds(&space, STACK), SPACE_TABLE);
    ck_assert_uint_eq(address_space_kinds(&space, SPARE), 0);
    set_entry(TABLE_1, 1, SPARE | P | U | NX);
    set_entry(KERNEL_1, STACK / PAGE_SIZE, MORE | P);
    ck_assert(!is_same());
    read_it();
    ck_assert(is_same());
    ck_assert_uint_eq(address_space_kinds(&space, SPARE), SPACE_DATA);
    ck_assert_uint_eq(address_space_kinds(&space, MORE), SPACE_TABLE);
    ck_assert_uint_eq(address_space_kinds(&space, STACK), 0);
    end();
}
END_TEST

/* The upper half of all addresses may be ring 3's as the lower one, also a table that is its own.
 */
START_TEST(upper_half)
{
    begin();
    ck_assert_uint_eq(address_space_kinds(&space, ROOT), SPACE_TABLE);
    set_entry(ROOT, 320, ROOT | P | W | U);
    read_it();
    ck_assert_uint_eq(address_space_kinds(&space, ROOT), SPACE_TABLE | SPACE_CODE);
    set_entry(ROOT, 320, TABLE_3 | P | W | U);
    read_it();
    ck_assert_uint_eq(address_space_kinds(&space, PROGRAM), SPACE_CODE | SPACE_TWICE);
    end();
}
END_TEST

static const struct {
    uint16_t selector;
    uint64_t descriptor;
} segments[] = {
    {SEGMENT, 0x20fa0000000000},     /* of ring 3 */
    {SEGMENT, 0x20ba0000000000},     /* of ring 1 */
    {SEGMENT, 0x209e0000000000},     /* of any ring */
    {SEGMENT, 0x20920000000000},     /* data */
    {SEGMENT, 0x208a0000000000},     /* of the system */
    {SEGMENT, 0x201a0000000000},     /* not there */
    {SEGMENT, 0x409a0000000000},     /* 32 bits */
    {SEGMENT | 4, 0x209a0000000000}, /* of the LDT */
    {0, 0x209a0000000000},           /* none */
    {0x40, 0x209a0000000000},        /* behind the table's end */
};

/* A handler that begins in another ring than 0 would have the portion's registers. */
START_TEST(segment_of_a_gate)
{
    begin();
    memcpy(&pages[TABLES / PAGE_SIZE][16 * 3 + 2], &segments[_i].selector, 2);
    set(TABLES + 0x800 + SEGMENT, segments[_i].descriptor);
    guest_memory_look(&memory, vcpu);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), -EFAULT);
    /* Where ring 3 does not get to run it nobody cares. */
    pages[TABLES / PAGE_SIZE][16 * 3 + 5] = 0;
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), 0);
    end();
}
END_TEST

/* Nothing is kept before the end, after kept_space_drop(), or of what has no room. */
START_TEST(not_kept)
{
    begin();
    kept_space_drop(kept);
    ck_assert(!is_same());
    read_it();
    ck_assert(is_same());
    kept_space_begin(kept, &memory, cr3, version);
    ck_assert(!is_same());
    /* More tables than are kept: one again and again. */
    for (unsigned int i = 0; i < 100; i++)
        set_entry(TABLE_2, 3 + i, TABLE_1 | P | U);
    read_it();
    ck_assert(!is_same());
    for (unsigned int i = 0; i < 100; i++)
        set_entry(TABLE_2, 3 + i, 0);
    read_it();
    ck_assert(is_same());
    end();
}
END_TEST

/* Without anything to note it in it comes to the same. */
START_TEST(without)
{
    begin();
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), 0);
    ck_assert_uint_eq(address_space_kinds(&space, PROGRAM), SPACE_CODE);
    ck_assert_uint_eq(address_space_kinds(&space, CALLED), SPACE_HANDLER);
    end();
}
END_TEST

RUN_CASES("kept_space", 30, EACH(memory_changes, ELEMENTS(words_of_memory)),
          ONCE(each_entry_counts), EACH(else_changes, ELSE), ONCE(limits_change), ONCE(read_again),
          ONCE(upper_half), EACH(segment_of_a_gate, ELEMENTS(segments)), ONCE(not_kept),
          ONCE(without))
