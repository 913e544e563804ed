/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/housing.h"

#include <string.h>

#include "host/memory.h"
#include "vmm/l2.h"
#include "vmm/vmcs/x86.h"

#define ENTRIES       512U
#define LEVELS        4U
#define ENTRY_PRESENT (1ULL << 0)
#define ENTRY_LARGE   (1ULL << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL
#define CR4_LA57      (1ULL << 12)
#define TSS_SIZE      104U
#define TSS_RSP0      4U
#define TSS_IST1      36U
#define TSS_ISTS      7U
#define PUSHED        64U /* of an interrupt: what is pushed, aligned, and more */

struct search {
    const struct guest_memory *memory;
    bool (*closed)(const void *context, uint64_t frame);
    const void *context;
    uint64_t *frame;
    uint64_t cr3;
    unsigned int tables;
};

static bool look_at(const struct search *search, uint64_t physical)
{
    *search->frame = physical & ~(PAGE_SIZE - 1);
    return search->closed(search->context, *search->frame);
}

/* What a table that cannot be read leads to, nobody gets at. */
static bool look_at_table(struct search *search, uint64_t table, unsigned int level)
{
    uint64_t entries[ENTRIES];
    bool found = look_at(search, table);

    if (found || level == 1 || search->tables++ == HOUSING_TABLES_LIMIT ||
        guest_memory_read(search->memory, table, entries, sizeof(entries)) != 0)
        return found;
    for (unsigned int i = 0; i < ENTRIES && !found && search->tables < HOUSING_TABLES_LIMIT; i++)
        if (entries[i] & ENTRY_PRESENT && (level == LEVELS || !(entries[i] & ENTRY_LARGE)))
            found = look_at_table(search, entries[i] & ENTRY_ADDRESS, level - 1);
    return found;
}

static bool look_at_range(const struct search *search, uint64_t linear, uint64_t length)
{
    const uint64_t pages = guest_pages(linear, length);
    uint64_t physical;

    for (uint64_t i = 0; i < pages; i++)
        if (guest_memory_translate(search->memory, search->cr3, linear + i * PAGE_SIZE, GUEST_ANY,
                                   &physical) == 0 &&
            look_at(search, physical))
            return true;
    return false;
}

static bool look_at_stacks(const struct search *search, const struct kvm_sync_regs *now)
{
    uint8_t tss[TSS_SIZE];
    bool found = now->sregs.ss.dpl == 0 && look_at_range(search, now->regs.rsp - PUSHED, PUSHED);
    uint64_t top;

    if (found || guest_memory_read_linear(search->memory, search->cr3, now->sregs.tr.base, tss,
                                          sizeof(tss)) != 0)
        return found;
    for (unsigned int i = 0; i <= TSS_ISTS && !found; i++) {
        memcpy(&top, tss + (i == 0 ? TSS_RSP0 : TSS_IST1 + 8 * (i - 1)), sizeof(top));
        found = look_at_range(search, (top & ~15ULL) - PUSHED, PUSHED);
    }
    return found;
}

bool housing_find(const struct guest_memory *memory,
                  bool (*closed)(const void *context, uint64_t frame), const void *context,
                  uint64_t *frame)
{
    const struct kvm_sync_regs *now = &memory->vcpu->kvm->run->s.regs;
    const uint64_t cr3 = guest_space(now->sregs.cr3);
    struct search search = {memory, closed, context, frame, cr3, 0};

    /* Portions are of programs of 64 bits: of other modes the first table will do. */
    if (!(memory->paging.efer & EFER_LMA) || memory->paging.cr4 & CR4_LA57)
        return look_at(&search, cr3);
    return look_at_table(&search, cr3, LEVELS) ||
           look_at_range(&search, now->sregs.idt.base, now->sregs.idt.limit + 1ULL) ||
           look_at_range(&search, now->sregs.gdt.base, now->sregs.gdt.limit + 1ULL) ||
           look_at_range(&search, now->sregs.tr.base, TSS_SIZE) || look_at_stacks(&search, now);
}
