/* SPDX-License-Identifier: Apache-2.0 */
/* A call from ring 3 of L1 has no effect. KVMs that do not honour IOPL give #GP at the instruction,
 * where the root never sees it; on the others RAX is -MEZZ_E_STATE. */
#include "groups.h"
#include "kit.h"
#include "kit_program.h"

#define IOPL_3       (3ULL << 12)
#define VECTOR_UD    6
#define VECTOR_GP    13
#define CALLS_TO_TRY 6

__asm__(".pushsection .text\nring3_call:\n outb %al, $0x7e\nring3_after: ud2\n.popsection");
extern const char ring3_call[], ring3_after[];

/* What a call of this number does in ring 3: the result in RAX, or 0 when it faulted. */
static bool refused(uint64_t number, uint8_t *stack)
{
    struct kit_trap end = {.rax = number};

    kit_user(ring3_call, stack, KIT_RFLAGS | IOPL_3, &end);
    if (end.vector == VECTOR_GP)
        return end.rip == kit_address(ring3_call) && end.rax == number;
    return end.vector == VECTOR_UD && end.rip == kit_address(ring3_after) &&
           end.rax == (uint64_t)-MEZZ_E_STATE;
}

void group_ring3(void)
{
    static const uint64_t number[CALLS_TO_TRY] = {
        MEZZ_CALL_VERSION, MEZZ_CALL_EXIT, MEZZ_CALL_ENTER, MEZZ_CALL_CALLBACK_RETURN, 255,
        UINT64_MAX,
    };
    static const char *const name[CALLS_TO_TRY] = {
        "VERSION", "EXIT", "ENTER", "CALLBACK_RETURN", "number 255", "the largest number"};
    uint8_t *stack = (uint8_t *)kit_pages(1) + MEZZ_PAGE_SIZE;

    for (unsigned int i = 0; i < CALLS_TO_TRY; i++)
        CHECK(name[i], refused(number[i], stack));
    CHECK_EQ("ring 0 can still call", mezz_call(MEZZ_CALL_VERSION, 0, 0, 0), MEZZ_ABI_VERSION);
}
