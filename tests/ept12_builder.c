/* SPDX-License-Identifier: Apache-2.0 */
#include "ept12_builder.h"

#include <check.h>
#include <stddef.h>

#define L1_OFFSET 0x30000ULL

void builder_create(struct ept12_builder *builder)
{
    struct error error;

    ck_assert_int_eq(memory_create(&builder->memory, BUILDER_MEMORY + 2 * L1_OFFSET, &error), 0);
    builder->l1 = (struct l1_memory){&builder->memory, L1_OFFSET, BUILDER_MEMORY};
    builder->next = BUILDER_TOP + PAGE_SIZE;
    builder->eptp = MEZZ_EPTP(BUILDER_TOP);
}

void builder_destroy(struct ept12_builder *builder)
{
    memory_destroy(&builder->memory);
}

uint64_t builder_span(unsigned int level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

uint64_t *builder_entry(struct ept12_builder *builder, uint64_t l2, unsigned int level)
{
    uint64_t table = BUILDER_TOP;
    uint64_t *entry;

    for (unsigned int at = MEZZ_EPT_LEVELS;; at--) {
        entry = l1_pointer(&builder->l1, l1_at(table + l2 / builder_span(at) % 512 * 8), 8);
        ck_assert_ptr_nonnull(entry);
        if (at == level)
            return entry;
        if (*entry == 0) {
            *entry = builder->next | MEZZ_EPT_RWX;
            builder->next += PAGE_SIZE;
        }
        table = *entry & MEZZ_EPT_ADDRESS;
    }
}

void builder_map(struct ept12_builder *builder, uint64_t l2, uint64_t l1, uint64_t rights)
{
    *builder_entry(builder, l2, 1) = l1 | rights | MEZZ_EPT_WRITE_BACK;
}
