/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points by address: where an instruction begins, as far as that can be told. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "hookguard/portions/portions.h"
#include "runner.h"
#include "unit_portions_builder.h"

/* Into the portion's code in the file, which is behind a page of other code. */
#define CODE_OFFSET 0x1000U

static const struct {
    uint64_t address;
    uint8_t bytes[24];
    size_t length;
} parts[] = {
    /* sign: mov $imm64, %rax; a long nop; a short one; mov %ecx, %eax; jmp *%rax; then a table,
     * whose first byte would be an instruction of two. */
    {0x402000,
     {0x48, 0xb8, 1, 2,    3,    4,    5,    6,    7,    8,    0x0f, 0x1f,
      0x44, 0,    0, 0x90, 0x89, 0xc8, 0xff, 0xe0, 0xb0, 0xc3, 0xc3},
     23},
    /* check: nothing in 64-bit mode, then mov $imm32, %eax. */
    {0x402040, {0x06, 0xb8, 1, 2, 3, 4, 0xc3}, 7},
    /* inner: jmp over mov $imm32, %eax; ret. */
    {0x402080, {0xeb, 5, 0xb8, 1, 2, 3, 4, 0xc3}, 8},
    /* nothing, a label: call; ret. */
    {0x4020c0, {0xe8, 1, 0, 0, 0, 0xc3}, 6},
};

static const struct {
    uint64_t entry;
    uint64_t begin;     /* of the instruction that it is in the middle of; 0: it is right */
    uint64_t begin_too; /* the same if only the section is known */
} rows[] = {
    {0x402000, 0, 0},
    {0x402001, 0x402000, 0x402000},
    {0x402009, 0x402000, 0x402000},
    {0x40200a, 0, 0},
    {0x40200e, 0x40200a, 0x40200a},
    {0x40200f, 0, 0},
    {0x402011, 0x402010, 0x402010},
    {0x402013, 0x402012, 0x402012},
    {0x402015, 0, 0}, /* behind the jump by a table */
    {0x402043, 0, 0}, /* behind what is no instruction */
    {0x402082, 0, 0},
    {0x402084, 0x402082, 0},
    {0x402087, 0, 0},
    {0x4020c2, 0x4020c0, 0},
    {0x4020c5, 0, 0},
};

static void declare(int stripped, uint64_t entry, uint64_t begin)
{
    static const char *const sections[] = {".vault"};
    const struct portion_declaration declaration = {.program = "vault",
                                                    .name = "crypto",
                                                    .parts.section = sections,
                                                    .parts.sections = 1,
                                                    .entry_address = &entry,
                                                    .entry_addresses = 1};
    static struct portion_table table;
    static uint8_t file[1 << 16];
    struct error error = {"no error"};
    Elf64_Phdr segment;
    char expected[160];
    size_t size;
    const uint8_t *built = built_program(stripped, &size);

    ck_assert_uint_le(size, sizeof(file));
    memcpy(file, built, size);
    memcpy(&segment, file + ((const Elf64_Ehdr *)file)->e_phoff, sizeof(segment));
    for (size_t i = 0; i < ELEMENTS(parts); i++)
        memcpy(file + segment.p_offset + CODE_OFFSET + (parts[i].address - BUILT_CODE),
               parts[i].bytes, parts[i].length);
    portion_table_init(&table);
    ck_assert_int_eq(portion_table_add_program(&table, "vault", file, size, &error), 0);
    snprintf(
        expected, sizeof(expected),
        "vault: portion crypto: entry point (%#llx) is in the middle of the instruction at %#llx",
        (unsigned long long)entry, (unsigned long long)begin);
    ck_assert_int_eq(portion_table_add(&table, &declaration, &error), begin != 0 ? -EINVAL : 0);
    ck_assert_str_eq(error.text, begin != 0 ? expected : "no error");
    portion_table_destroy(&table);
}

START_TEST(entry)
{
    declare(0, rows[_i].entry, rows[_i].begin);
    declare(1, rows[_i].entry, rows[_i].begin_too);
}
END_TEST

RUN_CASES("portions: entry points", 30, EACH(entry, ELEMENTS(rows)))
