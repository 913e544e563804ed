/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PROTECT_GATE_H
#define VMM_PROTECT_GATE_H

#include <stdbool.h>
#include <stdint.h>

#define GATES 256U /* that an IDT has at most */

/* A gate of the IDT in long mode, SDM 7.14.1. */
struct gate {
    uint16_t offset_0;
    uint16_t selector;
    uint8_t ist;
    uint8_t rights;
    uint16_t offset_16;
    uint32_t offset_32;
    uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "as the processor has it");

static inline bool gate_is_present(const struct gate *gate)
{
    return (gate->rights & 0x80U) != 0;
}

/* The ring that may call it. */
static inline unsigned int gate_ring(const struct gate *gate)
{
    return gate->rights >> 5 & 3U;
}

static inline unsigned int gate_type(const struct gate *gate)
{
    return gate->rights & 0x1fU;
}

static inline uint64_t gate_handler(const struct gate *gate)
{
    return (uint64_t)gate->offset_0 | (uint64_t)gate->offset_16 << 16 |
           (uint64_t)gate->offset_32 << 32;
}

/* How many an IDT with this limit has. */
static inline unsigned int gates_within(uint16_t limit)
{
    const unsigned int count = (limit + 1U) / (unsigned int)sizeof(struct gate);

    return count < GATES ? count : GATES;
}

#endif
