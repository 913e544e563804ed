/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor needs of an address space to deliver an event, and what must not be there. */
#include <errno.h>
#include <string.h>

#include "runner.h"
#include "space_world.h"
#include "vmm/protect/portions/call_site.h"
#include "vmm/vmcs/x86.h"

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
    guest_memory_look(&memory, guest_vcpu);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), -EFAULT);
    /* Where ring 3 does not get to run it nobody cares. */
    pages[TABLES / PAGE_SIZE][16 * 3 + 5] = 0;
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), 0);
    end();
}
END_TEST

/* A handler that ring 0 cannot fetch: frame upon frame would be pushed. */
static const uint64_t no_handlers[] = {0, HANDLER | W, HANDLER | P | W | NX};

START_TEST(handler_that_cannot_run)
{
    begin();
    run.s.regs.sregs.efer |= EFER_NXE;
    set_entry(KERNEL_1, HANDLER / PAGE_SIZE, no_handlers[_i]);
    guest_memory_look(&memory, guest_vcpu);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), -EFAULT);
    set_entry(KERNEL_1, HANDLER / PAGE_SIZE, HANDLER | P | W);
    ck_assert_int_eq(address_space_read(&space, &memory, cr3, NULL), 0);
    end();
}
END_TEST

/* What an event writes, and where that is more: the same byte as what it is judged by. In one page
 * they may lie, as all of them do here. */
static const struct {
    uint64_t stack;
    uint64_t idt;
    uint64_t gdt;
    uint64_t tss;
    uint64_t mixed; /* page; 0: none */
} places[] = {
    {TABLES + 0x800, TABLES, TABLES + 0x800, TABLES + 0x900, 0}, /* between IDT and GDT */
    {TABLES + 0x130, TABLES, TABLES + 0x800, TABLES + 0x900, TABLES},
    {TABLES + 0x140, TABLES, TABLES + 0x800, TABLES + 0x900, 0},
    {TABLES + 0x40, TABLES, TABLES + 0x800, TABLES + 0x900, TABLES},
    {TABLES + 0x810, TABLES, TABLES + 0x800, TABLES + 0x900, TABLES},
    {TABLES + 0x900, TABLES, TABLES + 0x800, TABLES + 0x900, 0},
    {TABLES + 0x910, TABLES, TABLES + 0x800, TABLES + 0x900, TABLES},
    {TABLES + 0x9a0, TABLES, TABLES + 0x800, TABLES + 0x900, TABLES},
    {TABLES + 0x9b0, TABLES, TABLES + 0x800, TABLES + 0x900, 0},
    {STACK + 0x800, TABLES + 0x710, TABLES + 0x800, TABLES + 0x900, TABLES}, /* IDT and GDT */
    {STACK + 0x800, TABLES, TABLES + 0x800, TABLES + 0x83f, TABLES},
    {STACK + 0x800, TABLES, TABLES + 0x800, TABLES + 0x98, 0}, /* nothing writes IDT or TSS */
};

START_TEST(what_an_event_writes)
{
    struct kvm_sregs *sregs = &run.s.regs.sregs;
    const uint64_t rsp0 = kernel(places[_i].stack);

    begin();
    memset(pages[TABLES / PAGE_SIZE], 0, PAGE_SIZE);
    memset(pages[STACK / PAGE_SIZE], 0, PAGE_SIZE);
    sregs->idt.base = kernel(places[_i].idt);
    sregs->gdt.base = kernel(places[_i].gdt);
    sregs->tr.base = kernel(places[_i].tss);
    set(places[_i].tss + 4, rsp0);
    read_it();
    for (uint64_t page = TABLES; page <= STACK; page += PAGE_SIZE)
        ck_assert_uint_eq(address_space_kinds(&space, page) & SPACE_MIXED,
                          page == places[_i].mixed ? SPACE_MIXED : 0);
    end();
}
END_TEST

/* A call in the first bytes of the program, before which no page is. */
static const struct {
    uint64_t at; /* in the program's page */
    uint8_t bytes[5];
    bool call;
} first_calls[] = {
    {2, {0xff, 0xd0}, true},  {5, {0xe8}, true},   {3, {0xff, 0x50, 0x08}, true},
    {2, {0xff, 0xe0}, false}, {0, {0}, false},     {1, {0xd0}, false},
    {4, {0, 0, 0, 0}, false}, {0x802, {0}, false},
};

START_TEST(first_call)
{
    begin();
    guest_memory_look(&memory, guest_vcpu);
    memory.paging.cr3 = cr3;
    memcpy(pages[PROGRAM / PAGE_SIZE], first_calls[_i].bytes, sizeof(first_calls[_i].bytes));
    ck_assert(call_site_is_before(&memory, cr3, LINEAR + first_calls[_i].at) ==
              first_calls[_i].call);
    end();
}
END_TEST

RUN_CASES("delivery", 30, EACH(handler_that_cannot_run, ELEMENTS(no_handlers)),
          EACH(segment_of_a_gate, ELEMENTS(segments)), EACH(what_an_event_writes, ELEMENTS(places)),
          EACH(first_call, ELEMENTS(first_calls)))
