/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/portions/call_site.h"

#include <string.h>

#define CALL_NEAR     0xe8
#define CALL_INDIRECT 0xff
#define NEAR_LENGTH   5U
#define INDIRECT_REG  2U /* /2 */
#define MOD(modrm)    ((modrm) >> 6)
#define REG(modrm)    ((modrm) >> 3 & 7U)
#define RM(modrm)     ((modrm)&7U)

/* Of FF /2 with this ModRM and what follows it (SDM volume 2, table 2-2). */
static unsigned int indirect_length(uint8_t modrm, uint8_t sib)
{
    unsigned int length = 2;

    if (MOD(modrm) == 3)
        return length;
    if (RM(modrm) == 4)
        length++;
    if (MOD(modrm) == 1)
        return length + 1;
    if (MOD(modrm) == 2 || RM(modrm) == 5 || (RM(modrm) == 4 && (sib & 7U) == 5))
        return length + 4;
    return length;
}

bool call_site_ends_here(const uint8_t bytes[CALL_SITE_BYTES])
{
    if (bytes[CALL_SITE_BYTES - NEAR_LENGTH] == CALL_NEAR)
        return true;
    for (unsigned int length = 2; length < CALL_SITE_BYTES; length++) {
        const uint8_t *at = bytes + CALL_SITE_BYTES - length;

        if (at[0] == CALL_INDIRECT && REG(at[1]) == INDIRECT_REG &&
            indirect_length(at[1], length > 2 ? at[2] : 0) == length)
            return true;
    }
    return false;
}

bool call_site_is_before(const struct guest_memory *memory, uint64_t cr3, uint64_t address)
{
    const size_t here = (size_t)(address % PAGE_SIZE);
    uint8_t bytes[CALL_SITE_BYTES];

    if (guest_memory_read_linear(memory, cr3, address - sizeof(bytes), bytes, sizeof(bytes)) == 0)
        return call_site_ends_here(bytes);
    memset(bytes, 0, sizeof(bytes));
    return here < sizeof(bytes) &&
           guest_memory_read_linear(memory, cr3, address - here, bytes + sizeof(bytes) - here,
                                    here) == 0 &&
           call_site_ends_here(bytes);
}
