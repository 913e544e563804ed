/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/delivery.h"

#include <errno.h>
#include <string.h>

#include "host/memory.h"
#include "vmm/l2.h"
#include "vmm/protect/gate.h"
#include "vmm/vmcs/x86.h"

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

/* Both descriptor tables may have 64 KiB, the TSS and eight stacks may lie across two pages. */
#define PIECES_LIMIT (2 * 17U + 2 + 2 * (TSS_ISTS + 1))

/* What a range is to a delivery, together. */
enum part {
    PART_WITHIN = 0, /* of such a table */
    PART_READ = 1,
    PART_WRITTEN = 2,
    PART_GDT = PART_READ | PART_WRITTEN, /* that a segment was used is noted there */
};

struct range {
    enum part part;
    uint64_t linear;
    uint64_t length;
};

/* Of a range, within a page. */
struct piece {
    enum part part;
    uint64_t physical;
    uint64_t length;
};

/* A space that is being read. */
struct reading {
    const struct guest_memory *memory;
    struct address_space *space;
    struct kept_space *kept; /* or NULL */
    uint64_t cr3;
    int code; /* of the walk's tables */
    size_t pieces;
    struct piece piece[PIECES_LIMIT];
};

static int note_table(void *context, l2_address address, void *to, size_t length)
{
    struct reading *reading = context;
    uint64_t *entry = to;

    if (length != sizeof(*entry))
        return -EFAULT;
    if (reading->code == 0)
        reading->code = address_space_add(reading->space, address.value, SPACE_TABLE);
    return kept_space_read_entry(reading->kept, reading->memory, address.value, entry);
}

/* access: of ring 0, as guest_walk() has it. *frame: where it is. */
static int add_linear(struct reading *reading, uint64_t linear, unsigned int access, uint32_t kinds,
                      uint64_t *frame)
{
    const struct guest_reader reader = {note_table, reading};
    struct guest_paging paging = reading->memory->paging;
    struct guest_translation translation;
    struct guest_fault fault;

    paging.cr3 = reading->cr3;
    if (guest_walk(&translation, &paging, linear, access, &reader, &fault) != 0)
        return -EFAULT;
    *frame = translation.address.value & ~(PAGE_SIZE - 1);
    return reading->code != 0 ? reading->code : address_space_add(reading->space, *frame, kinds);
}

static int add_piece(struct reading *reading, enum part part, uint64_t physical, uint64_t length)
{
    if (part == PART_WITHIN)
        return 0;
    if (reading->pieces == PIECES_LIMIT)
        return -E2BIG;
    reading->piece[reading->pieces++] = (struct piece){part, physical, length};
    return 0;
}

/* Also the bytes, as far as there is a place for them. */
static int add_range(struct reading *reading, struct range range, void *bytes, size_t size)
{
    const uint64_t pages = guest_pages(range.linear, range.length);
    uint64_t left = range.length;
    uint8_t *next = bytes;
    uint64_t frame;
    int code = 0;

    for (uint64_t i = 0; i < pages && code == 0; i++) {
        const uint64_t offset = i == 0 ? range.linear % PAGE_SIZE : 0;
        const uint64_t here = left < PAGE_SIZE - offset ? left : PAGE_SIZE - offset;
        const size_t part = size < here ? size : (size_t)here;

        code = add_linear(reading, range.linear + i * PAGE_SIZE, GUEST_ANY, SPACE_EVENT, &frame);
        if (code == 0)
            code = add_piece(reading, range.part, frame + offset, here);
        left -= here;
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
    int code = add_range(reading, (struct range){PART_READ, at, TSS_SIZE}, tss, sizeof(tss));

    for (unsigned int i = 0; i <= TSS_ISTS && code == 0; i++) {
        memcpy(&top, tss + (i == 0 ? TSS_RSP0 : TSS_IST1 + 8 * (i - 1)), sizeof(top));
        code = add_range(reading,
                         (struct range){PART_WRITTEN, (top & ~15ULL) - FRAME_SIZE, FRAME_SIZE},
                         NULL, 0);
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
    code = add_range(reading, (struct range){PART_WITHIN, gdt->base + at, SEGMENT_SIZE}, segment,
                     sizeof(segment));
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

    code = add_range(reading, (struct range){PART_READ, table->base, table->limit + 1ULL}, idt,
                     count * sizeof(*idt));
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
        /* One that ring 0 cannot fetch would be a page fault on top of the frame that was pushed,
         * and so on: the first frame is then not found, and the stack goes down over whatever is
         * there. */
        code = add_linear(reading, handler, GUEST_FETCH, SPACE_HANDLER, &frame);
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
            code = add_linear(reading, target[i].address, GUEST_ANY, SPACE_HANDLER, &frame);
        if (code == -EFAULT)
            code = 0;
    }
    return code;
}

static bool spoils(const struct piece *written, const struct piece *read)
{
    return written->part & PART_WRITTEN && read->part & PART_READ &&
           written->physical < read->physical + read->length &&
           read->physical < written->physical + written->length;
}

/* A stack of ring 0 that lies in the IDT, for instance: the gate that an event came by would be
 * another one when it is looked for. */
static int find_mixed(const struct reading *reading)
{
    const struct piece *piece = reading->piece;
    int code = 0;

    for (size_t i = 0; i < reading->pieces; i++)
        for (size_t j = 0; j < reading->pieces && code == 0; j++)
            if (i != j && spoils(&piece[i], &piece[j]))
                code = address_space_add(reading->space, piece[i].physical, SPACE_MIXED);
    return code;
}

int delivery_read(struct address_space *space, const struct guest_memory *memory, uint64_t cr3,
                  struct kept_space *kept)
{
    const struct kvm_sregs *sregs = &memory->vcpu->kvm->run->s.regs.sregs;
    const struct range gdt = {PART_GDT, sregs->gdt.base, sregs->gdt.limit + 1ULL};
    struct reading reading = {.memory = memory, .space = space, .kept = kept, .cr3 = cr3};
    int code = add_handlers(&reading, sregs);

    if (code == 0)
        code = add_range(&reading, gdt, NULL, 0);
    if (code == 0)
        code = add_stacks(&reading, sregs->tr.base);
    if (code == 0)
        code = add_call_targets(&reading, sregs);
    return code != 0 ? code : find_mixed(&reading);
}
