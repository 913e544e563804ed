/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of portions: what they resolve to, and what is wrong with the wrong ones. */
#include "hookguard/portions/portions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mezz/ept.h"
#include "runner.h"
#include "unit_portions_builder.h"

#define R     MEZZ_EPT_READ
#define W     MEZZ_EPT_WRITE
#define X     MEZZ_EPT_EXECUTE

#define NAMES 6

/* A declaration in few words. */
struct words {
    const char *symbols[NAMES];
    const char *sections[NAMES];
    struct address_range range; /* length 0: none */
    const char *entries[NAMES];
    uint64_t entry; /* 0: none */
    const char *shared[NAMES];
    const char *shared_sections[NAMES];
};

static struct portion_table table;
static struct error error;

static size_t count(const char *const *names)
{
    size_t n = 0;

    while (n < NAMES && names[n] != NULL)
        n++;
    return n;
}

static int add_named(const char *program, const char *name, const struct words *words)
{
    const struct portion_declaration declaration = {
        .program = program,
        .name = name,
        .parts = {words->symbols, count(words->symbols), words->sections, count(words->sections),
                  &words->range, words->range.length != 0 || words->range.address != 0},
        .entry = words->entries,
        .entries = count(words->entries),
        .entry_address = &words->entry,
        .entry_addresses = words->entry != 0,
        .shared = {words->shared, count(words->shared), words->shared_sections,
                   count(words->shared_sections), NULL, 0},
        .on_refusal = REFUSAL_KILL,
    };

    error = (struct error){"no error"};
    return portion_table_add(&table, &declaration, &error);
}

/* The program with other code. */
static int add_variant(const char *name, uint8_t variant)
{
    static uint8_t copy[1U << 20];
    Elf64_Ehdr header;
    Elf64_Phdr first;
    size_t size;
    const uint8_t *bytes = built_program(0, &size);

    ck_assert_uint_le(size, sizeof(copy));
    memcpy(copy, bytes, size);
    memcpy(&header, copy, sizeof(header));
    memcpy(&first, copy + header.e_phoff, sizeof(first));
    copy[first.p_offset + 0x80] = copy[first.p_offset + BUILT_CODE - first.p_vaddr + 0x80] =
        variant;
    return portion_table_add_program(&table, name, copy, size, &error);
}

static int add(const struct words *words)
{
    return add_named("vault", "crypto", words);
}

static void setup(int stripped)
{
    size_t size;
    const uint8_t *bytes = built_program(stripped, &size);

    portion_table_init(&table);
    ck_assert_msg(portion_table_add_program(&table, "vault", bytes, size, &error) == 0, "%s",
                  error.text);
}

static const struct words good = {.sections = {".vault", ".secret"},
                                  .entries = {"sign", "check"},
                                  .shared = {"buffer", "message"}};

START_TEST(resolved)
{
    static const struct portion_pages expected[] = {{0x402000, 0x2000, R | X, 0},
                                                    {0x406000, 0x1000, R | W, 0},
                                                    {0x404000, 0x1000, R, R},
                                                    {0x407000, 0x1000, R | W, R | W}};
    const struct portion *portion;

    setup(0);
    ck_assert_msg(add(&good) == 0, "%s", error.text);
    portion = portion_by_id(&table, 1);
    ck_assert_ptr_nonnull(portion);
    ck_assert_ptr_null(portion_by_id(&table, 0));
    ck_assert_ptr_null(portion_by_id(&table, 2));
    ck_assert_uint_eq(portion->own, 2);
    ck_assert_uint_eq(portion->shared, 2);
    ck_assert_uint_eq(portion->own_pages, 3);
    ck_assert_uint_eq(portion->code_pages, 2);
    for (size_t i = 0; i < ELEMENTS(expected); i++) {
        ck_assert_uint_eq(portion->pages[i].address, expected[i].address);
        ck_assert_uint_eq(portion->pages[i].length, expected[i].length);
        ck_assert_uint_eq(portion->pages[i].inside, expected[i].inside);
        ck_assert_uint_eq(portion->pages[i].outside, expected[i].outside);
    }
    ck_assert(portion_is_entry(portion, 0x402000));
    ck_assert(portion_is_entry(portion, 0x402040));
    ck_assert(!portion_is_entry(portion, 0x402001));
    ck_assert(!portion_is_entry(portion, 0x402080));
    ck_assert_ptr_eq(portion_at(&table, 0, 0x402000), portion);
    ck_assert_ptr_eq(portion_at(&table, 0, 0x403fff), portion);
    ck_assert_ptr_eq(portion_at(&table, 0, 0x406fff), portion);
    ck_assert_ptr_null(portion_at(&table, 0, 0x401fff));
    ck_assert_ptr_null(portion_at(&table, 0, 0x404000));
    ck_assert_ptr_null(portion_at(&table, 0, 0x407000)); /* shared is not owned */
    ck_assert_ptr_null(portion_at(&table, 1, 0x402000));
    ck_assert_uint_eq(portion_pages_at(portion, 0x407008)->outside, R | W);
    portion_table_destroy(&table);
}
END_TEST

/* Other ways to say the same. */
static const struct words equal[] = {
    {.symbols = {"sign"}, .sections = {".vault"}, .entries = {"sign", "sign"}},
    {.range = {0x402000, 0x2000}, .entry = 0x402000},
    {.sections = {".vault"}, .entries = {"beyond"}, .entry = 0x402040},
};

START_TEST(said_otherwise)
{
    setup(0);
    ck_assert_msg(add(&equal[_i]) == 0, "%s", error.text);
    ck_assert_uint_eq(table.portion[0].pages[0].address, 0x402000);
    ck_assert_uint_eq(table.portion[0].pages[0].length, 0x2000);
    portion_table_destroy(&table);
}
END_TEST

static const struct {
    struct words words;
    const char *error;
} mistakes[] = {
    {{.symbols = {"sing"}, .entries = {"sing"}}, "there is no symbol \"sing\""},
    {{.symbols = {"twice"}, .entries = {"twice"}}, "there are 2 symbols \"twice\""},
    {{.symbols = {"nothing"}, .entries = {"nothing"}}, "symbol \"nothing\" has no length"},
    {{.symbols = {"api_open"}, .entries = {"api_open"}}, "there is no symbol \"api_open\""},
    {{.symbols = {"main"}, .entries = {"main"}},
     "page 0x401000 is shared with helper, label, twice, twice: a portion needs pages of its own"},
    /* A label without a length, or the begin of a function, is another's. */
    {{.symbols = {"sign", "check", "inner", "beyond"}, .entries = {"sign"}},
     "page 0x402000 is shared with nothing: a portion needs pages of its own"},
    {{.range = {0x402001, 0x1800}, .entry = 0x402040},
     "page 0x402000 is shared with sign: a portion needs pages of its own"},
    {{.symbols = {"key"}, .sections = {".vault"}, .entries = {"inner"}}, NULL},
    {{.symbols = {"buffer"}, .sections = {".vault"}, .entries = {"sign"}}, NULL},
    {{.symbols = {"jit"}, .entries = {"jit"}}, "symbol \"jit\" is both writable and executable"},
    {{.sections = {".volt"}, .entries = {"sign"}}, "there is no section \".volt\" in memory"},
    {{.sections = {".symtab"}, .entries = {"sign"}}, "there is no section \".symtab\" in memory"},
    {{.range = {0x400000, 0x1000}, .entries = {"sign"}},
     "range [0x400000, +0x1000) is outside of the program's segments"},
    {{.range = {0x403000, 0x1001}, .entries = {"sign"}},
     "range [0x403000, +0x1001) is outside of the program's segments"},
    {{.range = {0x402000, UINT64_MAX}, .entries = {"sign"}},
     "range [0x402000, +0xffffffffffffffff) is outside of the program's segments"},
    {{.range = {0x402000, 0}, .entries = {"sign"}}, "range has no length"},
    {{.sections = {".vault"}}, "has no entry point"},
    {{.sections = {".vault"}, .entries = {"main"}}, "entry \"main\" (0x401000) is not in its code"},
    {{.sections = {".vault", ".secret"}, .entries = {"key"}},
     "entry \"key\" (0x406000) is not in its code"},
    {{.sections = {".vault"}, .entries = {"nowhere"}}, "there is no symbol \"nowhere\""},
    {{.sections = {".vault"}, .entry = 0x403040}, "entry point (0x403040) is not in its code"},
    {{.sections = {".secret"}, .entries = {"sign"}}, "has no code"},
    {{.entries = {"sign"}}, "has no code"},
    {{.sections = {".vault"}, .entries = {"sign"}, .shared = {"helper"}},
     "shared: page 0x401000 is code; only data can be shared"},
    {{.sections = {".vault", ".secret"}, .entries = {"sign"}, .shared = {"key"}},
     "shared: page 0x406000 is of the portion itself"},
    {{.sections = {".vault"}, .entries = {"sign"}, .shared = {"nobody"}},
     "shared: there is no symbol \"nobody\""},
};

START_TEST(mistake)
{
    char expected[256];

    setup(0);
    if (mistakes[_i].error == NULL) {
        ck_assert_msg(add(&mistakes[_i].words) == 0, "%s", error.text);
    } else {
        snprintf(expected, sizeof(expected), "vault: portion crypto: %s", mistakes[_i].error);
        ck_assert_int_eq(add(&mistakes[_i].words), -EINVAL);
        ck_assert_str_eq(error.text, expected);
        ck_assert_uint_eq(table.portions, 0);
        /* Nothing is left of it. */
        ck_assert_msg(add(&good) == 0, "%s", error.text);
    }
    portion_table_destroy(&table);
}
END_TEST

/* A second portion of the program. */
static const struct {
    const char *name;
    struct words words;
    const char *error;
} seconds[] = {
    {"other", {.sections = {".text"}, .entries = {"main"}, .shared = {"buffer"}}, NULL},
    {"crypto",
     {.sections = {".text"}, .entries = {"main"}},
     "vault: portion crypto: there is a portion of this name already"},
    {"other",
     {.sections = {".text", ".vault"}, .entries = {"main"}},
     "vault: portion other: page 0x402000 is of portion crypto already"},
    {"other",
     {.range = {0x403000, 0x1000}, .entry = 0x403000},
     "vault: portion other: page 0x403000 is of portion crypto already"},
    {"other",
     {.sections = {".text"}, .entries = {"main"}, .shared = {"key"}},
     "vault: portion other: page 0x406000 is of portion crypto already"},
    {"other",
     {.sections = {".text", ".bss"}, .entries = {"main"}},
     "vault: portion other: page 0x407000 is of portion crypto already"},
};

START_TEST(two_portions)
{
    setup(0);
    ck_assert_int_eq(add(&good), 0);
    if (seconds[_i].error == NULL) {
        ck_assert_msg(add_named("vault", seconds[_i].name, &seconds[_i].words) == 0, "%s",
                      error.text);
        ck_assert_uint_eq(table.portion[1].id, 2);
    } else {
        ck_assert_int_eq(add_named("vault", seconds[_i].name, &seconds[_i].words), -EINVAL);
        ck_assert_str_eq(error.text, seconds[_i].error);
    }
    portion_table_destroy(&table);
}
END_TEST

START_TEST(two_programs)
{
    static const struct words larger = {.sections = {".vault", ".text", ".secret"},
                                        .entries = {"sign"}};
    size_t size;
    const uint8_t *bytes = built_program(0, &size);

    setup(0);
    ck_assert_int_eq(portion_table_add_program(&table, "vault", bytes, size, &error), -EINVAL);
    ck_assert_str_eq(error.text, "vault: there is a program of this name already");
    ck_assert_int_eq(portion_table_add_program(&table, "copy", bytes, size, &error), 0);
    ck_assert_int_eq(add_variant("safe", 1), 0);
    ck_assert_int_eq(add(&good), 0);
    ck_assert_int_eq(add_named("copy", "crypto", &good), -EINVAL);
    ck_assert_str_eq(error.text, "copy: portion crypto: has the code of portion crypto of vault, "
                                 "which is the same portion then: no process could be told to "
                                 "have the one or the other");
    /* More than that portion, or less, can be told from it. */
    ck_assert_int_eq(add_named("copy", "larger", &larger), 0);
    ck_assert_int_eq(add_named("safe", "crypto", &good), 0);
    ck_assert_ptr_eq(portion_at(&table, 2, 0x402000), &table.portion[2]);
    ck_assert_int_eq(add_named("sofa", "crypto", &good), -EINVAL);
    ck_assert_str_eq(error.text, "portion crypto: there is no program \"sofa\"");
    portion_table_destroy(&table);
}
END_TEST

START_TEST(stripped)
{
    const struct words by_section = {.sections = {".vault"}, .entry = 0x402000};

    setup(1);
    ck_assert_int_eq(add(&good), -EINVAL);
    ck_assert_str_eq(error.text, "vault: portion crypto: symbol \"sign\": the program has no "
                                 "symbols (it was stripped)");
    ck_assert_msg(add(&by_section) == 0, "%s", error.text);
    portion_table_destroy(&table);
}
END_TEST

START_TEST(too_many)
{
    char name[16];
    int code = 0;

    setup(0);
    for (unsigned int i = 0; i <= PORTIONS_LIMIT && code == 0; i++) {
        /* Each program has room for two that do not touch each other. */
        snprintf(name, sizeof(name), "p%u", i / 2);
        if (i % 2 == 0 && i / 2 < PORTION_PROGRAMS - 1)
            ck_assert_int_eq(add_variant(name, (uint8_t)(i / 2)), 0);
        if (i / 2 >= PORTION_PROGRAMS - 1)
            snprintf(name, sizeof(name), "vault");
        code = i % 2 == 0 ? add_named(name, "a", &good) : add_named(name, "b", &seconds[0].words);
    }
    ck_assert_int_eq(code, -EINVAL);
    ck_assert_str_eq(error.text, "vault: portion a: is one more than 64 portions");
    portion_table_destroy(&table);
}
END_TEST

START_TEST(symbol_names)
{
    static const struct {
        uint64_t address;
        const char *name;
    } rows[] = {{0x401000, "main"},  {0x4010ff, "main"},  {0x401100, "helper"}, {0x401180, NULL},
                {0x401210, "label"}, {0x402081, "inner"}, {0x406010, "key"},    {0x10000000, NULL},
                {0, NULL},           {UINT64_MAX, NULL},  {0x400fff, NULL}};

    setup(0);
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        const struct program_symbol *symbol = program_symbol_at(&table.program[0], rows[i].address);

        if (rows[i].name == NULL)
            ck_assert_msg(symbol == NULL, "%#lx", (unsigned long)rows[i].address);
        else
            ck_assert_str_eq(symbol->name, rows[i].name);
    }
    portion_table_destroy(&table);
}
END_TEST

START_TEST(initial_page)
{
    uint8_t page[4096];

    setup(0);
    program_page(&table.program[0], 0x404000, page);
    for (size_t i = 0; i < sizeof(page); i++)
        ck_assert_uint_eq(page[i], i < BUILT_FILE ? built_byte(1, i) : 0);
    program_page(&table.program[0], 0x402000, page);
    ck_assert_uint_eq(page[0], built_byte(0, 0x1000));
    program_page(&table.program[0], 0x900000, page);
    ck_assert_uint_eq(page[0], 0);
    portion_table_destroy(&table);
}
END_TEST

START_TEST(refusals)
{
    static const char *const names[] = {"log", "error", "kill", "stop"};

    for (unsigned int i = 0; i < ELEMENTS(names); i++) {
        ck_assert_int_eq(portion_refusal_by_name(names[i]), i);
        ck_assert_str_eq(portion_refusal_name((enum portion_refusal)i), names[i]);
    }
    ck_assert_int_eq(portion_refusal_by_name("forgive"), REFUSAL_KINDS);
}
END_TEST

/* Whatever the file is, a line or a program that can be asked. */
static void try_bytes(const uint8_t *bytes, size_t size)
{
    portion_table_init(&table);
    error.text[0] = '\0';
    if (portion_table_add_program(&table, "vault", bytes, size, &error) == 0) {
        uint8_t page[4096];

        add(&good);
        program_symbol_at(&table.program[0], 0x402010);
        program_page(&table.program[0], 0x402000, page);
    } else {
        ck_assert_msg(strncmp(error.text, "vault: ", 7) == 0, "%s", error.text);
    }
    portion_table_destroy(&table);
}

START_TEST(hostile_bytes)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t size;
    const uint8_t *bytes = built_program(0, &size);
    uint8_t *copy = malloc(size);

    memcpy(copy, bytes, size);
    for (size_t i = 0; i < size - BUILT_BYTES; i++) {
        uint8_t byte = copy[i];

        copy[i] = values[_i];
        try_bytes(copy, size);
        copy[i] = byte;
    }
    free(copy);
}
END_TEST

START_TEST(cut_off)
{
    size_t size;
    const uint8_t *bytes = built_program(0, &size);

    for (size_t i = 0; i < size; i += i < size - BUILT_BYTES ? 3 : 97) {
        uint8_t *copy = malloc(i + 1);

        memcpy(copy, bytes, i);
        try_bytes(copy, i);
        free(copy);
    }
}
END_TEST

RUN_CASES("portions", 120, ONCE(resolved), EACH(said_otherwise, ELEMENTS(equal)),
          EACH(mistake, ELEMENTS(mistakes)), EACH(two_portions, ELEMENTS(seconds)),
          ONCE(two_programs), ONCE(stripped), ONCE(too_many), ONCE(symbol_names),
          ONCE(initial_page), ONCE(refusals), EACH(hostile_bytes, 5), ONCE(cut_off))
