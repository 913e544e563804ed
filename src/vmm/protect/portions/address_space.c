/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/address_space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "host/sort.h"
#include "vmm/l2.h"
#include "vmm/protect/gate.h"
#include "vmm/vmcs/x86.h"

#define ENTRIES       512U
#define LEVELS        4U
#define HALF          256U /* of the top table: from there on addresses are the upper ones */
#define UPPER         0xffff000000000000ULL
#define ENTRY_PRESENT (1ULL << 0)
#define ENTRY_USER    (1ULL << 2)
#define ENTRY_LARGE   (1ULL << 7)
#define ENTRY_NX      (1ULL << 63)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

/* What a visitor of the tables sees: a table (length 0) or a run of pages of ring 3. */
struct visit {
    const struct guest_memory *memory;
    struct kept_space *kept; /* or NULL */
    int (*found)(void *context, uint64_t linear, uint64_t frame, uint64_t length, bool executable);
    void *context;
    size_t tables;
};

static uint64_t span(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static int visit_table(struct visit *visit, uint64_t table, unsigned int level, uint64_t linear,
                       bool executable)
{
    uint64_t entries[ENTRIES];
    int code;

    if (++visit->tables > SPACE_TABLES_LIMIT)
        return -E2BIG;
    code = kept_space_read_table(visit->kept, visit->memory, table, entries, ENTRIES);
    if (code == 0)
        code = visit->found(visit->context, linear, table, 0, false);
    for (unsigned int i = 0; i < ENTRIES && code == 0; i++, linear += span(level)) {
        uint64_t entry = entries[i];
        bool runs = executable && !(entry & ENTRY_NX);
        uint64_t address = entry & ENTRY_ADDRESS;

        if (!(entry & ENTRY_PRESENT) || !(entry & ENTRY_USER))
            continue;
        if (level == LEVELS && i >= HALF)
            linear |= UPPER;
        if (level > 1 && !(entry & ENTRY_LARGE))
            code = visit_table(visit, address, level - 1, linear, runs);
        else
            code = visit->found(visit->context, linear, address & ~(span(level) - 1), span(level),
                                runs);
    }
    return code;
}

static int visit_all(struct visit *visit, uint64_t cr3)
{
    const struct guest_paging *paging = &visit->memory->paging;

    if (!(paging->efer & EFER_LMA) || !(paging->cr0 & CR0_PG) || paging->cr4 & (1ULL << 12))
        return -EOPNOTSUPP;
    return visit_table(visit, guest_space(cr3), LEVELS, 0, true);
}

static int add(struct address_space *space, uint64_t frame, uint32_t kinds)
{
    if (space->count == SPACE_PAGES_LIMIT)
        return -E2BIG;
    if (space->count == space->capacity) {
        size_t capacity = space->capacity == 0 ? 256 : 2 * space->capacity;
        struct space_page *page = realloc(space->page, capacity * sizeof(*page));

        if (page == NULL)
            return -ENOMEM;
        space->page = page;
        space->capacity = capacity;
    }
    space->page[space->count++] = (struct space_page){frame & ~(PAGE_SIZE - 1), kinds};
    return 0;
}

static int add_found(void *context, uint64_t linear, uint64_t frame, uint64_t length,
                     bool executable)
{
    struct address_space *space = context;
    int code = 0;

    (void)linear;
    if (length == 0)
        return add(space, frame, SPACE_TABLE);
    for (uint64_t i = 0; i < length && code == 0; i += PAGE_SIZE)
        code = add(space, frame + i, executable ? SPACE_CODE : SPACE_DATA);
    return code;
}

static int by_frame(const void *a, const void *b)
{
    uint64_t left = ((const struct space_page *)a)->frame;
    uint64_t right = ((const struct space_page *)b)->frame;

    return (left > right) - (left < right);
}

#define SPACE_USER (SPACE_DATA | SPACE_CODE)

/* Sorts, and makes one of each frame's entries. */
static void merge(struct address_space *space)
{
    size_t kept = 0;

    sort_by_key(space->page, space->count, sizeof(*space->page));
    for (size_t i = 0; i < space->count; i++) {
        struct space_page *last = kept > 0 ? &space->page[kept - 1] : NULL;

        if (last == NULL || last->frame != space->page[i].frame)
            space->page[kept++] = space->page[i];
        else if (last->kinds & SPACE_USER && space->page[i].kinds & SPACE_USER)
            last->kinds |= space->page[i].kinds | SPACE_TWICE;
        else
            last->kinds |= space->page[i].kinds;
    }
    space->count = kept;
}

/* --- what an event needs --- */

#define TSS_RSP0     4U
#define TSS_IST1     36U
#define TSS_SIZE     104U
#define TSS_ISTS     7U
#define SEGMENT_SIZE 8U
#define FRAME_SIZE   64U /* of what is pushed, aligned, and more */
#define EXCEPTIONS   32U
#define SELECTOR     0xfffcU /* but for its level */
#define SELECTOR_LDT 4U

/* Of a segment descriptor, SDM 3.4.5: byte 5 without A and R, byte 6. */
#define SEGMENT_KIND   0xfcU
#define SEGMENT_CODE_0 0x98U /* P, S, code that does not conform, DPL 0 */
#define SEGMENT_64     0x20U

/* A space that is being read. */
struct reading {
    const struct guest_memory *memory;
    struct address_space *space;
    struct kept_space *kept; /* or NULL */
    uint64_t cr3;
    int code; /* of the walk's tables */
};

static int note_table(void *context, l2_address address, void *to, size_t length)
{
    struct reading *reading = context;
    uint64_t *entry = to;

    if (length != sizeof(*entry))
        return -EFAULT;
    if (reading->code == 0)
        reading->code = add(reading->space, address.value, SPACE_TABLE);
    return kept_space_read_entry(reading->kept, reading->memory, address.value, entry);
}

/* *frame: where it is. */
static int add_linear(struct reading *reading, uint64_t linear, uint32_t kinds, uint64_t *frame)
{
    const struct guest_reader reader = {note_table, reading};
    struct guest_paging paging = reading->memory->paging;
    struct guest_translation translation;
    struct guest_fault fault;

    paging.cr3 = reading->cr3;
    if (guest_walk(&translation, &paging, linear, GUEST_ANY, &reader, &fault) != 0)
        return -EFAULT;
    *frame = translation.address.value & ~(PAGE_SIZE - 1);
    return reading->code != 0 ? reading->code : add(reading->space, *frame, kinds);
}

/* Also the bytes, as far as there is a place for them. */
static int add_range(struct reading *reading, uint64_t linear, uint64_t length, void *bytes,
                     size_t size)
{
    const uint64_t pages = guest_pages(linear, length);
    uint8_t *next = bytes;
    uint64_t frame;
    int code = 0;

    for (uint64_t i = 0; i < pages && code == 0; i++) {
        const uint64_t offset = i == 0 ? linear % PAGE_SIZE : 0;
        const size_t part = size < PAGE_SIZE - offset ? size : (size_t)(PAGE_SIZE - offset);

        code = add_linear(reading, linear + i * PAGE_SIZE, SPACE_TABLE, &frame);
        if (code != 0 || part == 0)
            continue;
        code = kept_space_read_bytes(reading->kept, reading->memory, frame + offset, next, part);
        next += part;
        size -= part;
    }
    return code;
}

static int add_stacks(struct reading *reading, uint64_t at)
{
    uint8_t tss[TSS_SIZE];
    uint64_t top;
    int code = add_range(reading, at, TSS_SIZE, tss, sizeof(tss));

    for (unsigned int i = 0; i <= TSS_ISTS && code == 0; i++) {
        memcpy(&top, tss + (i == 0 ? TSS_RSP0 : TSS_IST1 + 8 * (i - 1)), sizeof(top));
        code = add_range(reading, (top & ~15ULL) - FRAME_SIZE, FRAME_SIZE, NULL, 0);
        /* Most of the IST's are 0 and nobody's, which is the end of the last page all the same. */
        if (code == -EFAULT && top == 0)
            code = 0;
    }
    return code;
}

/* A gate's segment has to be one of ring 0: to another ring a handler would run with the portion's
 * registers, and without an exit. */
static int add_segment(struct reading *reading, const struct kvm_dtable *gdt, uint16_t selector)
{
    const uint64_t at = selector & ~(SEGMENT_SIZE - 1);
    uint8_t segment[SEGMENT_SIZE];
    int code;

    if (selector & SELECTOR_LDT || at == 0 || at + SEGMENT_SIZE - 1 > gdt->limit)
        return -EFAULT;
    code = add_range(reading, gdt->base + at, SEGMENT_SIZE, segment, sizeof(segment));
    if (code == 0 && ((segment[5] & SEGMENT_KIND) != SEGMENT_CODE_0 || !(segment[6] & SEGMENT_64)))
        code = -EFAULT;
    return code;
}

/* The descriptor table, and the first pages of the handlers that ring 3 can get to run. */
static int add_handlers(struct reading *reading, const struct kvm_sregs *sregs)
{
    const struct kvm_dtable *table = &sregs->idt;
    const unsigned int count = gates_within(table->limit);
    struct gate idt[GATES];
    uint16_t segment = 0;
    uint64_t last = UINT64_MAX;
    uint64_t frame;
    int code;

    code = add_range(reading, table->base, table->limit + 1ULL, idt, count * sizeof(*idt));
    for (unsigned int vector = 0; vector < count && code == 0; vector++) {
        const struct gate *gate = &idt[vector];
        const uint64_t handler = gate_handler(gate);

        if (!gate_is_present(gate) || (vector >= EXCEPTIONS && gate_ring(gate) != 3))
            continue;
        if (gate->selector != segment || segment == 0)
            code = add_segment(reading, &sregs->gdt, gate->selector);
        segment = gate->selector;
        if (code != 0 || handler / PAGE_SIZE == last)
            continue;
        last = handler / PAGE_SIZE;
        /* One that is not mapped is the kernel's misfortune. */
        code = add_linear(reading, handler, SPACE_HANDLER, &frame);
        if (code == -EFAULT)
            code = 0;
    }
    return code;
}

/* Where `syscall` and `sysenter` lead. The shadow is true: an L2 with an engine writes these MSRs
 * by way of the root. */
static int add_call_targets(struct reading *reading, const struct kvm_sregs *sregs)
{
    const struct mezz_vmcs12_msrs *msrs = &reading->memory->vcpu->msr_shadow;
    const bool syscalls = sregs->efer & EFER_SCE;
    const struct {
        bool used;
        uint64_t address;
    } target[] = {
        {syscalls, msrs->lstar},
        {syscalls, msrs->cstar},
        {(msrs->sysenter_cs & SELECTOR) != 0, msrs->sysenter_eip},
    };
    uint64_t frame;
    int code = 0;

    for (size_t i = 0; i < sizeof(target) / sizeof(target[0]) && code == 0; i++) {
        if (target[i].used)
            code = add_linear(reading, target[i].address, SPACE_HANDLER, &frame);
        if (code == -EFAULT)
            code = 0;
    }
    return code;
}

int address_space_read(struct address_space *space, const struct guest_memory *memory, uint64_t cr3,
                       struct kept_space *kept)
{
    const struct kvm_sregs *sregs = &memory->vcpu->kvm->run->s.regs.sregs;
    struct visit visit = {.memory = memory, .kept = kept, .found = add_found, .context = space};
    struct reading reading = {memory, space, kept, cr3, 0};
    int code;

    space->count = 0;
    code = visit_all(&visit, cr3);
    space->tables = visit.tables;
    if (code == 0)
        code = add_handlers(&reading, sregs);
    if (code == 0)
        code = add_range(&reading, sregs->gdt.base, sregs->gdt.limit + 1ULL, NULL, 0);
    if (code == 0)
        code = add_stacks(&reading, sregs->tr.base);
    if (code == 0)
        code = add_call_targets(&reading, sregs);
    merge(space);
    return code;
}

void address_space_destroy(struct address_space *space)
{
    free(space->page);
    *space = (struct address_space){.page = NULL};
}

uint32_t address_space_kinds(const struct address_space *space, uint64_t frame)
{
    const struct space_page key = {frame, 0};
    const struct space_page *page =
        space->count == 0 ? NULL : bsearch(&key, space->page, space->count, sizeof(key), by_frame);

    return page == NULL ? 0 : page->kinds;
}

/* --- where a frame is --- */

struct search {
    uint64_t frame;
    uint64_t at;
    struct space_mappings *mappings;
};

static int note_mapping(void *context, uint64_t linear, uint64_t frame, uint64_t length,
                        bool executable)
{
    struct search *search = context;

    (void)executable;
    if (search->frame - frame >= length)
        return 0;
    linear += search->frame - frame;
    if (search->mappings->count++ == 0)
        search->mappings->first = linear;
    search->mappings->at = search->mappings->at || linear == search->at;
    return 0;
}

int address_space_find(const struct guest_memory *memory, uint64_t cr3, uint64_t frame, uint64_t at,
                       struct space_mappings *mappings)
{
    struct search search = {frame, at, mappings};
    struct visit visit = {.memory = memory, .found = note_mapping, .context = &search};

    *mappings = (struct space_mappings){.count = 0};
    return visit_all(&visit, cr3);
}
