/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/hostile.h"

#include "abi/calls.h"
#include "abi/tables.h"
#include "kernel/cpu.h"
#include "kernel/layout.h"
#include "kernel/memory.h"
#include "kernel/process.h"

#include <stddef.h>

#define PTE_USER     0x065 /* present, user, accessed, dirty */
#define PTE_TABLE    0x067
#define PTE_WRITABLE 0x002
#define PTE_LARGE    0x080
#define PTE_NX       0x8000000000000000ul
#define PTE_PRESENT  0x001
#define PTE_ADDRESS  0x000ffffffffff000ul
#define LARGE_PAGE   0x200000ul

#define GATE_IST     4 /* bytes into the gate */
#define TSS_SIZE     104
#define TSS_RSP0     4
#define TSS_IST2     44
#define TSS_FREE     0x89 /* type of one that is not in use */
#define TSS_TYPE     5    /* bytes into the descriptor */

extern uint8_t kernel_gdt[], kernel_tss[];
extern const struct table_pointer idt_pointer, gdt_pointer;

static bool allowed;
static uint64_t landing;

void hostile_allow(void)
{
    allowed = true;
}

bool hostile_allowed(void)
{
    return allowed;
}

static bool is_page_of_user(uint64_t vaddr)
{
    return vaddr >= TINY_USER_START && vaddr < TINY_USER_END && !(vaddr & (PAGE_SIZE - 1));
}

/* Also of a process that has ended: nothing takes its memory. */
static const struct process *process_of(uint64_t pid)
{
    return pid ? process_of_number(pid) : process_current();
}

int64_t hostile_frame(uint64_t pid, uint64_t vaddr)
{
    const struct process *p = allowed ? process_of(pid) : NULL;
    const uint64_t *pte;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    if (!p || !is_page_of_user(vaddr)) {
        return -TINY_EINVAL;
    }
    pte = space_entry(p->cr3, vaddr);
    return pte && *pte & PTE_PRESENT ? (int64_t)(*pte & PTE_ADDRESS) : -TINY_EFAULT;
}

int64_t hostile_map(uint64_t vaddr, uint64_t paddr, uint64_t rights)
{
    uint64_t *pte;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    bool large = rights & TINY_MAP_LARGE;
    if (!is_page_of_user(vaddr) || paddr & ~PTE_ADDRESS || rights >= 2 * TINY_MAP_LARGE ||
        (large && (vaddr | paddr) % LARGE_PAGE)) {
        return -TINY_EINVAL;
    }
    pte = large ? space_large_entry(process_current()->cr3, vaddr)
                : space_entry(process_current()->cr3, vaddr);
    if (!pte) {
        return -TINY_ENOMEM;
    }
    *pte = !rights ? 0
                   : paddr | PTE_USER | (large ? PTE_LARGE : 0) |
                         (rights & TINY_MAP_WRITE ? PTE_WRITABLE : 0) |
                         (rights & TINY_MAP_EXECUTE ? 0 : PTE_NX);
    write_cr3(read_cr3());
    return 0;
}

int64_t hostile_write_msr(uint64_t msr, uint64_t value)
{
    if (!allowed) {
        return -TINY_ENOSYS;
    }
    return try_write_msr((uint32_t)msr, value);
}

int64_t hostile_ask(uint64_t number, uint64_t a, uint64_t b)
{
    int64_t result;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    if (is_of_amd()) {
        __asm__ volatile("vmmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b) : "memory");
    } else {
        __asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b) : "memory");
    }
    return result;
}

int64_t hostile_use(uint64_t way, uint64_t where)
{
    uint64_t at = DIRECT_BASE + where;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    switch (way) {
    case TINY_USE_SGDT:
        __asm__ volatile("sgdt (%0)" : : "r"(at) : "memory");
        return 0;
    case TINY_USE_LGDT:
        __asm__ volatile("lgdt (%0)" : : "r"(at) : "memory");
        load_gdt(&gdt_pointer);
        return 0;
    case TINY_USE_SIDT:
        __asm__ volatile("sidt (%0)" : : "r"(at) : "memory");
        return 0;
    case TINY_USE_LIDT:
        __asm__ volatile("lidt (%0)" : : "r"(at) : "memory");
        load_idt(&idt_pointer);
        return 0;
    default:
        return -TINY_EINVAL;
    }
}

/* Selectors of a ring's code and data: those of rings 1 and 2 are the last of the GDT. */
int64_t hostile_ring(uint64_t ring)
{
    struct frame *frame = &process_current()->frame;
    const uint64_t first = SELECTOR_RING_1 + (ring - 1) * 16;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    if (ring < 1 || ring > 3) {
        return -TINY_EINVAL;
    }
    frame->cs = ring == 3 ? SELECTOR_USER_CODE : first | ring;
    frame->ss = ring == 3 ? SELECTOR_USER_DATA : (first + 8) | ring;
    return 0;
}

/* --- the processor's tables --- */

static uint64_t direct(uint64_t paddr, const void *otherwise)
{
    return paddr ? DIRECT_BASE + paddr : (uint64_t)otherwise;
}

/* The descriptor's base: bytes 2 to 4, and 7 to 11. */
static void move_tss(uint64_t base)
{
    uint8_t *descriptor = kernel_gdt + SELECTOR_TSS;

    for (unsigned i = 0; i < 8; i++) {
        descriptor[i < 3 ? 2 + i : 4 + i] = (uint8_t)(base >> 8 * i);
    }
    descriptor[TSS_TYPE] = TSS_FREE;
    load_tss(SELECTOR_TSS);
}

/* The gate's offset: bytes 0 and 1, and 6 to 11. */
void hostile_set_handler(unsigned vector, uint64_t handler)
{
    uint8_t *gate = kernel_idt + vector * GATE_SIZE;

    for (unsigned i = 0; i < 8; i++) {
        gate[i < 2 ? i : 4 + i] = (uint8_t)(handler >> 8 * i);
    }
}

static void name_stack(unsigned at, uint64_t top)
{
    for (unsigned i = 0; i < 8; i++) {
        kernel_tss[at + i] = (uint8_t)(top >> 8 * i);
    }
}

/* The second one of the IST's, which is free. */
static void set_stack(uint64_t top)
{
    name_stack(TSS_IST2, top);
    kernel_idt[VECTOR_PAGE_FAULT * GATE_SIZE + GATE_IST] = top ? 2 : 0;
}

bool hostile_lands(const struct frame *frame)
{
    if (!landing || frame->vector != VECTOR_PAGE_FAULT) {
        return false;
    }
    load_idt(&idt_pointer);
    set_stack(0);
    process_current()->frame = *frame;
    process_current()->frame.rip = landing;
    landing = 0;
    return true;
}

static int64_t copy_table(uint64_t kind, uint64_t to)
{
    switch (kind - TINY_TABLE_COPY) {
    case TINY_TABLE_IDT:
        return copy_to_user(to, kernel_idt, idt_pointer.limit + 1ul);
    case TINY_TABLE_GDT:
        return copy_to_user(to, kernel_gdt, gdt_pointer.limit + 1ul);
    case TINY_TABLE_TSS:
        return copy_to_user(to, kernel_tss, TSS_SIZE);
    default:
        return -TINY_EINVAL;
    }
}

int64_t hostile_table(uint64_t kind, uint64_t where, uint64_t vaddr)
{
    struct table_pointer idt = {idt_pointer.limit, direct(where, kernel_idt)};
    struct table_pointer gdt = {gdt_pointer.limit, direct(where, kernel_gdt)};
    uint64_t *top;

    if (!allowed) {
        return -TINY_ENOSYS;
    }
    switch (kind) {
    case TINY_TABLE_IDT:
        load_idt(&idt);
        return 0;
    case TINY_TABLE_GDT:
        load_gdt(&gdt);
        return 0;
    case TINY_TABLE_TSS:
        move_tss(direct(where, kernel_tss));
        return 0;
    case TINY_TABLE_STACK:
        set_stack(where ? DIRECT_BASE + where : 0);
        return 0;
    case TINY_TABLE_HANDLER:
        hostile_set_handler(VECTOR_PAGE_FAULT, where ? where : HANDLER(VECTOR_PAGE_FAULT));
        return 0;
    case TINY_TABLE_PAGES:
        if (!is_page_of_user(vaddr)) {
            return -TINY_EINVAL;
        }
        *space_large_entry(process_current()->cr3, vaddr) = where | PTE_TABLE;
        write_cr3(read_cr3());
        return 0;
    case TINY_TABLE_UPPER:
        if (!is_page_of_user(vaddr)) {
            return -TINY_EINVAL;
        }
        *space_large_entry(process_current()->cr3, vaddr) = where | PTE_TABLE;
        top = physical(process_current()->cr3, PAGE_SIZE);
        top[TINY_UPPER_SLOT] = process_current()->cr3 | PTE_TABLE;
        write_cr3(read_cr3());
        return 0;
    case TINY_TABLE_FIRST:
        write_cr3(where);
        return 0;
    case TINY_TABLE_TRAPS:
        name_stack(TSS_RSP0, DIRECT_BASE + where);
        return 0;
    case TINY_TABLE_LANDING:
        landing = where;
        return 0;
    default:
        return copy_table(kind, where);
    }
}
