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
#include "vmm/protect/gate.h"
#include "vmm/protect/hooks/policy_state.h"
#include "vmm/vmcs/x86.h"

#define CR4_LA57       (1ULL << 12)
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

/* What is compared at each call stands side by side: each page of it counts. */
#define INLINE    static inline __attribute__((always_inline))
#define TABLES_AT offsetof(struct kvm_sregs, tr) /* TR, LDT, GDT, IDT */
#define TABLES    ((offsetof(struct kvm_sregs, cr0) - TABLES_AT) / sizeof(uint64_t))
#define CALLS_AT  offsetof(struct mezz_vmcs12_msrs, sysenter_cs) /* up to CSTAR */
#define CALLS     ((offsetof(struct mezz_vmcs12_msrs, sfmask) - CALLS_AT) / sizeof(uint64_t))
_Static_assert(offsetof(struct kvm_sregs, ldt) > TABLES_AT &&
                   offsetof(struct kvm_sregs, gdt) > TABLES_AT &&
                   offsetof(struct kvm_sregs, idt) > TABLES_AT && TABLES == 10,
               "side by side");
_Static_assert(offsetof(struct mezz_vmcs12_msrs, lstar) > CALLS_AT &&
                   offsetof(struct mezz_vmcs12_msrs, cstar) > CALLS_AT &&
                   offsetof(struct mezz_vmcs12_msrs, sysenter_eip) > CALLS_AT && CALLS == 7,
               "side by side");

typedef uint64_t words __attribute__((vector_size(32), may_alias, aligned(1)));

/* What an answer is for. */
struct structures_of {
    uint64_t view;
    uint64_t cr3;
    uint64_t version; /* of which frames are closed */
    uint64_t eptp;
    uint64_t changes;
    uint64_t efer;
};

struct structures_piece {
    const uint8_t *memory;
    const uint8_t *copy;
    size_t length;
};

struct hook_structures {
    bool kept;
    struct structures_of of;
    uint64_t tables[TABLES]; /* of the vCPU, as the next */
    uint64_t calls[CALLS];
    size_t entries;
    size_t pieces;
    struct structures_piece piece[PIECES];
    uint8_t tss[TSS_SIZE];
    struct hook_noted noted[ENTRIES];
    struct gate idt[GATES];
    uint64_t at[ENTRIES]; /* L2-physical, of each entry */
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

INLINE struct structures_of what_for(const struct hook_policy *guard, unsigned int number,
                                     uint64_t cr3)
{
    const struct l2_vcpu *vcpu = guard->memory.vcpu;

    return (struct structures_of){number,
                                  cr3,
                                  hook_version(guard->hooks, 0),
                                  vcpu->place.eptp,
                                  space_changes(guard->l2->space),
                                  vcpu->kvm->run->s.regs.sregs.efer};
}

INLINE const void *tables_of(const struct l2_vcpu *vcpu)
{
    return (const char *)&vcpu->kvm->run->s.regs.sregs + TABLES_AT;
}

INLINE const void *calls_of(const struct l2_vcpu *vcpu)
{
    return (const char *)&vcpu->msr_shadow + CALLS_AT;
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
            *entry = structures->noted[i].entry;
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
    structures->noted[structures->entries++] = (struct hook_noted){there, *entry};
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
    const uint64_t pages = guest_pages(linear, size);
    uint64_t frame;
    bool runs;

    for (uint64_t i = 0; i < pages && look->sound; i++) {
        const int code = find_page(look, first + i * PAGE_SIZE, &frame, &runs);

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
    const struct gate *idt = look->structures->idt;
    uint64_t last = UINT64_MAX;

    size = size < sizeof(look->structures->idt) ? size : sizeof(look->structures->idt);
    look_at_range(look, base, size);
    if (!look->sound)
        return;
    take(look, base, (uint8_t *)look->structures->idt, (size_t)size);
    for (const struct gate *gate = idt; gate < idt + size / sizeof(*gate) && look->sound; gate++) {
        const uint64_t handler = gate_handler(gate);

        if (!gate_is_present(gate))
            continue;
        if (handler / PAGE_SIZE != last)
            look_at_code(look, handler);
        last = handler / PAGE_SIZE;
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
    structures->of = what_for(guard, number, cr3);
    memcpy(structures->tables, tables_of(vcpu), sizeof(structures->tables));
    memcpy(structures->calls, calls_of(vcpu), sizeof(structures->calls));
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

/* What differs, without the library's pages; half a KiB at a time, as an IDT is 2 KiB or 4. */
#define STRIDE 16U

INLINE void add_difference(words *differ, const void *a, const void *b, size_t length)
{
    const words *mine = a;
    const words *theirs = b;
    const size_t count = length / sizeof(words);
    size_t i = 0;

    if (count == 0) {
        *differ |= (words){memcmp(a, b, length) != 0};
        return;
    }
    for (; i + STRIDE <= count; i += STRIDE)
#pragma GCC unroll 16
        for (size_t j = 0; j < STRIDE; j++)
            *differ |= mine[i + j] ^ theirs[i + j];
    for (; i < count; i++)
        *differ |= mine[i] ^ theirs[i];
    /* The rest, and some that has been compared. */
    mine = (const words *)((const char *)a + length - sizeof(words));
    theirs = (const words *)((const char *)b + length - sizeof(words));
    *differ |= *mine ^ *theirs;
}

INLINE bool is_same(const struct hook_structures *structures, const struct l2_vcpu *vcpu)
{
    words differ = {0};

    add_difference(&differ, tables_of(vcpu), structures->tables, sizeof(structures->tables));
    add_difference(&differ, calls_of(vcpu), structures->calls, sizeof(structures->calls));
    for (size_t i = 0; i < structures->pieces; i++)
        add_difference(&differ, structures->piece[i].memory, structures->piece[i].copy,
                       structures->piece[i].length);
    return (differ[0] | differ[1] | differ[2] | differ[3]) == 0 &&
           hook_noted_same(structures->noted, structures->entries);
}

/* With vectors of 32 bytes, and with those that every processor has. */
__attribute__((target("avx2"), noinline)) HOT static bool
is_same_wide(const struct hook_structures *structures, const struct l2_vcpu *vcpu)
{
    return is_same(structures, vcpu);
}

__attribute__((noinline)) HOT static bool is_same_plain(const struct hook_structures *structures,
                                                        const struct l2_vcpu *vcpu)
{
    return is_same(structures, vcpu);
}

HOT bool hook_structures_sound(struct hook_policy *guard, unsigned int number, uint64_t cr3)
{
    const struct l2_vcpu *vcpu = guard->memory.vcpu;
    struct hook_structures *structures = &guard->structures[vcpu->id - 1];
    const struct structures_of *was = &structures->of;
    const struct structures_of now = what_for(guard, number, cr3);

    if (structures->kept &&
        ((was->view ^ now.view) | (was->cr3 ^ now.cr3) | (was->version ^ now.version) |
         (was->eptp ^ now.eptp) | (was->changes ^ now.changes) | (was->efer ^ now.efer)) == 0 &&
        (__builtin_cpu_supports("avx2") ? is_same_wide(structures, vcpu)
                                        : is_same_plain(structures, vcpu)))
        return true;
    return look_at_all(guard, number, cr3, structures);
}
