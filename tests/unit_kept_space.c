/* SPDX-License-Identifier: Apache-2.0 */
/* An address space that was read, and what makes that it is read again. */
#include <string.h>

#include "runner.h"
#include "space_world.h"
#include "vmm/vmcs/x86.h"

#define ELSE 17U

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
            &guest_vcpu->place.eptp,
            view_changes,
            &sregs->cr0,
            &sregs->cr4,
            &sregs->cr4,
            &sregs->efer,
            &sregs->efer,
            &sregs->efer,
            &sregs->idt.base,
            &sregs->gdt.base,
            &sregs->tr.base,
            &guest_vcpu->msr_shadow.lstar,
            &guest_vcpu->msr_shadow.cstar,
            &guest_vcpu->msr_shadow.sysenter_cs,
            &guest_vcpu->msr_shadow.sysenter_eip,
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
    ck_assert_uint_eq(address_space_kinds(&space, STACK), SPACE_EVENT);
    ck_assert_uint_eq(address_space_kinds(&space, SPARE), 0);
    set_entry(TABLE_1, 1, SPARE | P | U | NX);
    set_entry(KERNEL_1, STACK / PAGE_SIZE, MORE | P);
    ck_assert(!is_same());
    read_it();
    ck_assert(is_same());
    ck_assert_uint_eq(address_space_kinds(&space, SPARE), SPACE_DATA);
    ck_assert_uint_eq(address_space_kinds(&space, MORE), SPACE_EVENT);
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
          ONCE(upper_half), ONCE(not_kept), ONCE(without))
