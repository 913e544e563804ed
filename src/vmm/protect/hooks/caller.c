/* SPDX-License-Identifier: Apache-2.0 */
/* Who called: the guest does not say which program an address space runs, its code does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/protect/hooks/policy_state.h"

#define COMPARED 256U /* bytes of code, within the page, on each side */

/* The program has its code here. */
static bool is_program(const struct hook_policy *guard, const struct program_image *image,
                       uint64_t cr3, uint64_t address)
{
    const uint64_t page = address & ~(PAGE_SIZE - 1);
    const uint64_t from = address - page > COMPARED ? address - COMPARED : page;
    const uint64_t to =
        page + PAGE_SIZE - address > COMPARED ? address + COMPARED : page + PAGE_SIZE;
    const struct program_segment *segment = program_segment_of(image, address, 1);
    uint8_t is[2 * COMPARED];
    uint8_t file[PAGE_SIZE];

    if (segment == NULL || !(segment->rights & MEZZ_EPT_EXECUTE) ||
        guest_memory_read_linear(&guard->memory, cr3, from, is, to - from) != 0)
        return false;
    program_page(image, page, file);
    return memcmp(is, file + (from - page), to - from) == 0;
}

void hook_caller_name(const struct hook_policy *guard, uint64_t cr3, uint64_t address, char *name,
                      size_t size)
{
    const struct guard_config *config = guard->config;

    name[0] = '\0';
    for (size_t i = 0; i < config->programs; i++) {
        const struct program_image *image = &config->program[i];
        const struct program_symbol *symbol;

        if (!is_program(guard, image, cr3, address))
            continue;
        symbol = program_symbol_at(image, address);
        if (symbol == NULL)
            snprintf(name, size, "%.*s", (int)size / 2, image->name);
        else
            snprintf(name, size, "%.*s:%.*s+%#" PRIx64, (int)size / 4, image->name, (int)size / 2,
                     symbol->name, address - symbol->address);
        return;
    }
}
