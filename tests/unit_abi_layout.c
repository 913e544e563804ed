/* SPDX-License-Identifier: Apache-2.0 */
/* That the table of the ABI's layouts (mezz/layout.h) has all of each structure. */
#include <stdint.h>
#include <string.h>

#include "mezz/layout.h"
#include "runner.h"

#define FIELD(in, name, at, length) \
    {.structure = #in, .field = #name, .whole = sizeof(struct in), .offset = at, .size = length},

static const struct {
    const char *structure, *field;
    size_t whole, offset, size;
} fields[] = {MEZZ_LAYOUT(FIELD)};

/* Every byte of a structure belongs to a field: a compiler has nothing to pad. */
START_TEST(no_padding)
{
    for (size_t i = 0; i < ELEMENTS(fields); i++) {
        const size_t end = fields[i].offset + fields[i].size;
        const int last =
            i + 1 == ELEMENTS(fields) || strcmp(fields[i + 1].structure, fields[i].structure) != 0;

        ck_assert_msg(end == (last ? fields[i].whole : fields[i + 1].offset),
                      "%s has a hole behind %s", fields[i].structure, fields[i].field);
    }
}
END_TEST

/* The name of a VMCS12 field: its offset, and its width in bits 16 to 19. */
START_TEST(vmcs12_field_names)
{
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(regs.guest_rip), 0x80120);
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(exit.reason), 0x40020);
    ck_assert_uint_eq(MEZZ_VMCS12_FIELD(system.segment[MEZZ_CS].selector), 0x20158);
    ck_assert_uint_eq(MEZZ_FIELD_OFFSET(MEZZ_VMCS12_FIELD(controls.tsc_offset)), 760);
    ck_assert_uint_eq(MEZZ_FIELD_WIDTH(MEZZ_VMCS12_FIELD(controls.tsc_offset)), 8);
    ck_assert_uint_eq(MEZZ_FIELD_WIDTH(MEZZ_VMCS12_FIELD(exit.msr)), 4);
}
END_TEST

RUN_CASES("abi layout", 10, ONCE(no_padding), ONCE(vmcs12_field_names))
