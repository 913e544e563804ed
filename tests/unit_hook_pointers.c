/* SPDX-License-Identifier: Apache-2.0 */
/* Code that goes where a pointer says: in a guarded function, in what else a library has, and what
 * is a switch's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hookguard/hooks/plan.h"
#include "host/memory.h"
#include "mezz/ept.h"
#include "runner.h"
#include "test_program.h"

#define PREAMBLE 16U
#define TABLE    "\x00\x00\x00\x30" /* in a segment of its own */

static struct program_image library, agent;
static struct hook_plan plan;
static struct error error;

static int make(const char *name, bool own)
{
    const struct hook_function_declaration function = {name, NULL, 0};
    const struct hook_declaration declaration = {
        .function = &function, .functions = 1, .defences = HOOK_ALL_DEFENCES, .own = own};

    error = (struct error){"no error"};
    return hook_plan_make(&plan, &library, &agent, &declaration, &error);
}

/* The function's code behind its preamble is this one, and nothing else. Its address. */
static uint64_t put_code(const char *name, const char *code, size_t length)
{
    const struct program_symbol *symbol;
    const struct program_segment *segment;
    uint8_t *to;

    ck_assert_uint_eq(program_find_symbol(&library, name, &symbol), 1);
    ck_assert_uint_ge(symbol->length, PREAMBLE + length);
    segment = program_segment_of(&library, symbol->address, symbol->length);
    to = library.file + (segment->bytes - library.file) + (symbol->address - segment->address);
    memset(to + PREAMBLE, 0x90, symbol->length - PREAMBLE);
    memcpy(to + PREAMBLE, code, length);
    return symbol->address + PREAMBLE;
}

#define CODE(text) text, sizeof(text) - 1

static const struct {
    const char *code;
    size_t length;
    int64_t at; /* offset of what is refused, or -1 */
    uint32_t rights;
} codes[] = {
    {CODE("\xff\xd0"), 0, 0},                           /* call *%rax */
    {CODE("\x90\x41\xff\xd4"), 1, 0},                   /* call *%r12 */
    {CODE("\x3e\xff\xd0"), 0, 0},                       /* notrack */
    {CODE("\xf2\xff\xd0"), 0, 0},                       /* bnd */
    {CODE("\xff\x17"), 0, 0},                           /* call *(%rdi) */
    {CODE("\xff\x15\x00\x00\x00\x00"), 0, 0},           /* call *0(%rip) */
    {CODE("\xff\x14\xc5" TABLE), 0, 0},                 /* call *table(,%rax,8) */
    {CODE("\xff\x1f"), 0, 0},                           /* lcall *(%rdi) */
    {CODE("\xff\x2f"), 0, 0},                           /* ljmp *(%rdi) */
    {CODE("\xff\x2c\xc5" TABLE), 0, 0},                 /* ljmp *table(,%rax,8) */
    {CODE("\xff\xe7"), 0, 0},                           /* jmp *%rdi */
    {CODE("\xff\x27"), 0, 0},                           /* jmp *(%rdi) */
    {CODE("\xff\x24\xc7"), 0, 0},                       /* jmp *(%rdi,%rax,8) */
    {CODE("\xff\x24\x25" TABLE), 0, 0},                 /* jmp *table */
    {CODE("\x31\xc0\x06\xff\xe7"), 3, 0},               /* behind what is no instruction */
    {CODE("\x48\x01\xd0\x90\xff\xe0"), 4, 0},           /* add; nop; jmp *%rax */
    {CODE("\x48\x01\xd0\xff\xe2"), 3, 0},               /* add %rdx,%rax; jmp *%rdx */
    {CODE("\x48\x83\xc0\x08\xff\xe0"), 4, 0},           /* add $8,%rax; jmp *%rax */
    {CODE("\x48\x8b\x07\xff\xe0"), 3, 0},               /* mov (%rdi),%rax; jmp *%rax */
    {CODE("\x48\x01\xd0\xff\xd0"), 3, 0},               /* add; call *%rax */
    {CODE("\x57\xc3"), 1, 0},                           /* push %rdi; ret */
    {CODE("\x48\x89\x3c\x24\xc3"), 4, 0},               /* mov %rdi,(%rsp); ret */
    {CODE("\xff\x24\xc5" TABLE), -1, 0},                /* jmp *table(,%rax,8) */
    {CODE("\x3e\xff\x24\xc5" TABLE), -1, 0},            /* notrack */
    {CODE("\xff\x24\xc5" TABLE), 0, MEZZ_EPT_WRITE},    /* which somebody writes to */
    {CODE("\xff\x24\xc5\x00\x00\x00\x40"), 0, 0},       /* which is nowhere */
    {CODE("\xff\x24\x85" TABLE), 0, 0},                 /* jmp *table(,%rax,4) */
    {CODE("\x64\xff\x24\xc5" TABLE), 0, 0},             /* jmp *%fs:table(,%rax,8) */
    {CODE("\x48\x01\xd0\xff\xe0"), -1, 0},              /* add %rdx,%rax; jmp *%rax */
    {CODE("\x48\x01\xd0\x3e\xff\xe0"), -1, 0},          /* notrack */
    {CODE("\x48\x8b\x04\xc5" TABLE "\xff\xe0"), -1, 0}, /* mov table(,%rax,8),%rax; jmp *%rax */
    {CODE("\x48\x89\x7c\x24\x08\xc3"), -1, 0},          /* mov %rdi,8(%rsp); ret */
    {CODE("\x5d\xc3"), -1, 0},                          /* pop %rbp; ret */
};

static const struct {
    const char *guarded;
    const char *has; /* the code */
    bool own;
    const char *says;
} places[] = {
    {"api_open", "api_open", false, "libapi.elf: guard of api_open"},
    {"api_open", "api_send", false, "libapi.elf: api_send"},
    {"own_pay", "own_pay", true, "own.elf: guard of own_pay"},
};

START_TEST(code)
{
    const size_t i = (size_t)_i % ELEMENTS(codes);
    const size_t place = (size_t)_i / ELEMENTS(codes);
    const bool own = places[place].own;
    static const uint8_t table[] = {1};
    char why[256];
    uint64_t at;
    int result;

    test_program_open(&library, own ? "own.elf" : "libapi.elf");
    test_program_open(&agent, own ? "own-agent.elf" : "agent.elf");
    at = put_code(places[place].has, codes[i].code, codes[i].length);
    library.segment[library.segments++] = (struct program_segment){
        0x30000000, PAGE_SIZE, 1, table, MEZZ_EPT_READ | (own ? codes[i].rights : 0)};
    result = make(places[place].guarded, own);
    if (codes[i].at < 0 || (!own && codes[i].rights != 0)) {
        ck_assert_msg(result == 0, "%s", error.text);
        return;
    }
    snprintf(why, sizeof(why),
             "%s: at %#llx it goes where a pointer says: one of a caller's could lead past "
             "another function's hook",
             places[place].says, (unsigned long long)at + (unsigned long long)codes[i].at);
    ck_assert_int_eq(result, -EINVAL);
    ck_assert_str_eq(error.text, why);
}
END_TEST

/* A label of assembly has no length: it reaches to the next one. */
START_TEST(a_label)
{
    test_program_open(&library, "libapi.elf");
    test_program_open(&agent, "agent.elf");
    put_code("api_send", CODE("\xff\xd0"));
    for (size_t i = 0; i < library.symbols; i++)
        if (strcmp(library.symbol[i].name, "api_send") == 0)
            library.symbol[i].length = 0;
    ck_assert_int_eq(make("api_open", false), -EINVAL);
    ck_assert_msg(strstr(error.text, "libapi.elf: api_send: at ") != NULL, "%s", error.text);
}
END_TEST

/* What else a program has does not run in the security view. */
START_TEST(the_rest_of_a_program)
{
    test_program_open(&library, "own.elf");
    test_program_open(&agent, "own-agent.elf");
    put_code("main", CODE("\xff\xd0"));
    ck_assert_msg(make("own_pay", true) == 0, "%s", error.text);
}
END_TEST

RUN_CASES("hook_pointers", 60, EACH(code, ELEMENTS(places) * ELEMENTS(codes)), ONCE(a_label),
          ONCE(the_rest_of_a_program))
