/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor itself goes by when an event takes it out of a security view: IDT, GDT, LDT
 * and TSS, the stacks that the TSS names, the page tables that lead to these, and where handlers
 * are. All of it is read and written with the view's rights, so none of it may be the agent's; and
 * what it leads to may not run there. An answer is kept as long as all that it was made of is the
 * same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/hot.h"
#include "vmm/l2.h"
#include "vmm/protect/hook_policy_state.h"
#include "vmm/vmcs/x86.h"

#define CR4_LA57       (1ULL << 12)
#define ENTRY_NOTES    (3ULL << 5) /* accessed, dirty: the processor's */
#define GATE_SIZE      16U
#define GATE_PRESENT   0x80U
#define IDT_SIZE       4096U /* 256 gates */
#define TABLE_LIMIT    0xffffU
#define TSS_SIZE       104U
#define TSS_LIMIT      (TSS_SIZE + 0x10000U + 0x2000U) /* the I/O bitmap as far away as it can be */
#define TSS_RSP0       4U
#define TSS_RSPS       3U
#define TSS_IST1       36U
#define TSS_ISTS       7U
#define TSS_STACKS_END (TSS_IST1 + 8 * TSS_ISTS)
#define PUSHED         64U     /* 48 bytes of an event, and more */
#define SELECTOR       0xfffcU /* but for its level */

#define ENTRIES        160U
#define PIECES         4U
#define WORDS          19U

struct structures_piece {
    const uint8_t *memory;
    const uint8_t *copy;
    size_t length;
};

struct hook_structures {
    uint64_t words[WORDS]; /* of the vCPU, and whatever else it is an answer for */
    bool kept;
    size_t entries;
    const uint64_t *entry[ENTRIES];
    uint64_t was[ENTRIES];
    uint64_t at[ENTRIES]; /* L2-physical */
    size_t pieces;
    struct structures_piece piece[PIECES];
    uint8_t idt[IDT_SIZE];
    uint8_t tss[TSS_SIZE];
};

/* One that is being made. */
struct structures_look {
    struct hook_policy *guard;
    struct hook_structures *structures;
    uint32_t view;
    uint64_t cr3;
    bool sound;
    bool keeps;
};

int hook_structures_create(struct hook_policy *guard)
{
    guard->structures = calloc(MEZZ_MAX_L2_VCPUS, sizeof(*guard->structures));
    return guard->structures == NULL ? -ENOMEM : 0;
}

void hook_structures_destroy(struct hook_policy *guard)
{
    free(guard->structures);
}

HOT static void fill_words(const struct hook_policy *guard, unsigned int number, uint64_t cr3,
                           uint64_t words[WORDS])
{
    const struct l2_vcpu *vcpu = guard->memory.vcpu;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct mezz_vmcs12_msrs *msrs = &vcpu->msr_shadow;
    const uint64_t now[WORDS] = {
        number,
        cr3,
        hook_version(guard->hooks, 0),
        vcpu->place.eptp,
        space_changes(guard->l2->space),
        sregs->idt.base,
        sregs->idt.limit,
        sregs->gdt.base,
        sregs->gdt.limit,
        sregs->tr.base,
        sregs->tr.limit,
        sregs->ldt.base,
        sregs->ldt.limit,
        sregs->ldt.unusable,
        sregs->efer,
        msrs->lstar,
        msrs->cstar,
        msrs->sysenter_cs,
        msrs->sysenter_eip,
    };

    memcpy(words, now, sizeof(now));
}

/* --- looking --- */

static int note_entry(void *context, uint64_t at, uint64_t *entry)
{
    struct structures_look *look = context;
    const struct guest_memory *memory = &look->guard->memory;
    struct hook_structures *structures = look->structures;
    const uint64_t *there;

    for (size_t i = 0; i < structures->entries; i++)
        if (structures->at[i] == at) {
            *entry = structures->was[i];
            return 0;
        }
    if (hook_is_closed(look->guard->hooks, at & ~(PAGE_SIZE - 1)))
        return -EACCES;
    there = guest_memory_at(memory, at);
    if (there == NULL) {
        look->keeps = false;
        return -EFAULT;
    }
    *entry = __atomic_load_n(there, __ATOMIC_RELAXED);
    if (structures->entries == ENTRIES) {
        look->keeps = false;
        return 0;
    }
    structures->at[structures->entries] = at;
    structures->entry[structures->entries] = there;
    structures->was[structures->entries++] = *entry;
    return 0;
}

/* Where the page is, whoever may use it: 0, -EFAULT if it is nowhere, -EACCES if a table on the way
 * is an agent's. */
static int find_page(struct structures_look *look, uint64_t linear, uint64_t *frame, bool *runs)
{
    const struct hook_way way = {note_entry, look, look->cr3, false};
    const int code = hook_tables_walk(&way, linear, frame, runs);

    return code == 0 && *frame == HOOK_NOWHERE ? -EFAULT : code;
}

/* What is not mapped makes a fault, wherever that leads. */
static void look_at_range(struct structures_look *look, uint64_t linear, uint64_t size)
{
    const uint64_t first = linear & ~(PAGE_SIZE - 1);
    const uint64_t span = linear - first + size;
    uint64_t frame;
    bool runs;

    for (uint64_t at = 0; at < span && look->sound; at += PAGE_SIZE) {
        const int code = find_page(look, first + at, &frame, &runs);

        look->sound = code == -EFAULT || (code == 0 && !hook_is_closed(look->guard->hooks, frame));
    }
}

/* Bytes of a range that has been looked at; what is not there is 0. */
static void take(struct structures_look *look, uint64_t linear, uint8_t *to, size_t size)
{
    struct hook_structures *structures = look->structures;
    uint64_t frame;
    bool runs;

    memset(to, 0, size);
    while (size > 0) {
        const size_t left = (size_t)(PAGE_SIZE - linear % PAGE_SIZE);
        const size_t part = left < size ? left : size;
        const uint8_t *there = find_page(look, linear, &frame, &runs) != 0
                                   ? NULL
                                   : guest_memory_at(&look->guard->memory, frame);

        if (there == NULL || structures->pieces == PIECES) {
            look->keeps = false;
        } else {
            there += linear % PAGE_SIZE;
            memcpy(to, there, part);
            structures->piece[structures->pieces++] = (struct structures_piece){there, to, part};
        }
        linear += part;
        to += part;
        size -= part;
    }
}

static void look_at_stacks(struct structures_look *look, uint64_t base, uint64_t size)
{
    uint8_t *tss = look->structures->tss;
    uint64_t top;

    look_at_range(look, base, size < TSS_LIMIT ? size : TSS_LIMIT);
    if (!look->sound)
        return;
    take(look, base + TSS_RSP0, tss + TSS_RSP0, TSS_STACKS_END - TSS_RSP0);
    for (unsigned int at = TSS_RSP0; at < TSS_STACKS_END && look->sound; at += sizeof(top)) {
        if (at == TSS_RSP0 + 8 * TSS_RSPS)
            continue; /* reserved */
        memcpy(&top, tss + at, sizeof(top));
        if (top != 0)
            look_at_range(look, (top & ~15ULL) - PUSHED, PUSHED);
    }
}

/* Code that this view does not have executable, or that is nowhere. */
static void look_at_code(struct structures_look *look, uint64_t address)
{
    uint64_t frame;
    bool runs;
    const int code = find_page(look, address, &frame, &runs);

    look->sound = code == -EFAULT ||
                  (code == 0 && (!runs || !(look->guard->config->plan->defences & HOOK_KERNEL_NX) ||
                                 !hook_runs(look->guard->hooks, look->view, frame)));
}

static void look_at_handlers(struct structures_look *look, uint64_t base, uint64_t size)
{
    const uint8_t *idt = look->structures->idt;
    uint64_t last = UINT64_MAX;

    size = size < IDT_SIZE ? size : IDT_SIZE;
    look_at_range(look, base, size);
    if (!look->sound)
        return;
    take(look, base, look->structures->idt, (size_t)size);
    for (const uint8_t *gate = idt; gate + GATE_SIZE <= idt + size && look->sound;
         gate += GATE_SIZE) {
        uint64_t handler = (uint64_t)gate[0] | (uint64_t)gate[1] << 8 | (uint64_t)gate[6] << 16 |
                           (uint64_t)gate[7] << 24;
        uint32_t high;

        memcpy(&high, gate + 8, sizeof(high));
        handler |= (uint64_t)high << 32;
        if (gate[5] & GATE_PRESENT && handler / PAGE_SIZE != last)
            look_at_code(look, handler);
        last = gate[5] & GATE_PRESENT ? handler / PAGE_SIZE : last;
    }
}

/* The shadow is true, as in address_space.c. */
static void look_at_calls(struct structures_look *look, const struct l2_vcpu *vcpu, uint64_t efer)
{
    const struct mezz_vmcs12_msrs *msrs = &vcpu->msr_shadow;

    if (look->sound && efer & EFER_SCE)
        look_at_code(look, msrs->lstar);
    if (look->sound && efer & EFER_SCE)
        look_at_code(look, msrs->cstar);
    if (look->sound && msrs->sysenter_cs & SELECTOR)
        look_at_code(look, msrs->sysenter_eip);
}

COLD static bool look_at_all(struct hook_policy *guard, unsigned int number, uint64_t cr3,
                             struct hook_structures *structures)
{
    const struct l2_vcpu *vcpu = guard->memory.vcpu;
    const struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;
    const struct guest_paging *paging = &guard->memory.paging;
    struct structures_look look = {guard, structures, number + 1, guest_space(cr3), true, true};

    structures->entries = structures->pieces = 0;
    structures->kept = false;
    fill_words(guard, number, cr3, structures->words);
    if (!(paging->efer & EFER_LMA) || !(paging->cr0 & CR0_PG) || paging->cr4 & CR4_LA57)
        return false;
    look_at_handlers(&look, sregs->idt.base, sregs->idt.limit + 1ULL);
    if (look.sound)
        look_at_range(&look, sregs->gdt.base, (sregs->gdt.limit & TABLE_LIMIT) + 1ULL);
    if (look.sound && !sregs->ldt.unusable)
        look_at_range(&look, sregs->ldt.base, (sregs->ldt.limit & TABLE_LIMIT) + 1ULL);
    if (look.sound)
        look_at_stacks(&look, sregs->tr.base, sregs->tr.limit + 1ULL);
    if (look.sound)
        look_at_calls(&look, vcpu, sregs->efer);
    structures->kept = look.sound && look.keeps;
    return look.sound;
}

/* --- what was kept --- */

HOT static bool is_same(const struct hook_structures *structures, const uint64_t words[WORDS])
{
    uint64_t differ = 0;

    for (size_t i = 0; i < WORDS; i++)
        differ |= structures->words[i] ^ words[i];
    if (differ != 0)
        return false;
    for (size_t i = 0; i < structures->entries; i++)
        differ |= __atomic_load_n(structures->entry[i], __ATOMIC_RELAXED) ^ structures->was[i];
    if ((differ & ~ENTRY_NOTES) != 0)
        return false;
    for (size_t i = 0; i < structures->pieces; i++)
        if (memcmp(structures->piece[i].memory, structures->piece[i].copy,
                   structures->piece[i].length) != 0)
            return false;
    return true;
}

HOT bool hook_structures_sound(struct hook_policy *guard, unsigned int number, uint64_t cr3)
{
    struct hook_structures *structures = &guard->structures[guard->memory.vcpu->id - 1];
    uint64_t words[WORDS];

    fill_words(guard, number, cr3, words);
    return (structures->kept && is_same(structures, words)) ||
           look_at_all(guard, number, cr3, structures);
}
