/* SPDX-License-Identifier: Apache-2.0 */
/* l2:guard: what is said of a declaration that is wrong. e2e_hookguard.c has more of these. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "script_stub.h"
#include "test_program.h"
#include "unit_portions_builder.h"

#define L2                                                                            \
    "local s = mezz.stack {}\n"                                                       \
    "local l1 = s:l1 { image = 'l1.elf', memory = '48M' }\n"                          \
    "local l2 = l1:l2 { name = 'a', image = 'os.elf', memory = '16M', programs = {\n" \
    "    'libapi.elf', 'agent.elf', 'hello.elf', 'stripped.elf', 'own.elf',\n"        \
    "    'own-agent.elf' } }\n"
#define DECLARATION L2 "l2:guard { library = 'libapi.elf', agent = %s, functions = { %s }, %s }\n"
#define START       FILE_NAME ":6: l2:guard: "

static const struct {
    const char *functions;
    const char *more;
    const char *message; /* behind "t.lua:6: l2:guard: " */
} mistakes[] = {
    /* lists of words */
    {"api_open = {}", "defences = { 1 }", "defences: expected a string, got 1"},
    {"api_open = {}", "without = { true }", "without: expected a string, got true"},
    {"api_open = {}", "defences = { 'padding', 'padding' }",
     "defences: \"padding\" is there twice"},
    {"api_open = {}", "defences = 'padding'",
     "defences: expected a list in braces, got \"padding\""},

    /* functions */
    {"'api_open'", "",
     "functions: expected names with what they take, such as { api_open = { args = { "
     "\"cstring\", \"value\" } } }"},
    {"[7] = {}", "",
     "functions: expected names with what they take, such as { api_open = { args = { "
     "\"cstring\", \"value\" } } }"},
    {"[''] = {}", "", "functions: one has an empty name"},
    {"['a\\n'] = {}", "", "functions: character 2 is not printable ASCII"},
    {"api_open = { arg = {} }", "",
     "functions: api_open: unknown key \"arg\"; did you mean \"args\"?"},
    {"api_open = { args = 'value' }", "",
     "functions: api_open: args: expected a list in braces, got \"value\""},
    {"api_open = { args = { 'value', 'value', 'value', 'value', 'value', 'value', 'value' } }", "",
     "functions: api_open: at most 6 arguments can be declared"},
    {"api_open = { args = { 7 } }", "", "functions: api_open: args[1]: expected a string, got 7"},
    {"api_open = { args = { {} } }", "",
     "functions: api_open: args[1]: expected a string, got nothing"},
    {"api_open = { args = { 'valeu' } }", "",
     "functions: api_open: args[1]: there is no \"valeu\"; did you mean \"value\"?"},

    {"api_open = { args = { { 'buffer' }, 'value' } }", "",
     "functions: api_open: args[1]: a length is missing: { \"buffer\", length = 3 } if that is the "
     "third argument"},
    {"api_open = { args = { { 'memory' } } }", "",
     "functions: api_open: args[1]: a length is missing: { \"memory\", length = 3 } if that is the "
     "third argument"},
    {"api_open = { args = { { 'cstring', length = 2 }, 'value' } }", "",
     "functions: api_open: args[1]: length is the number of the argument with a buffer's length"},

    /* numbers */
    {"api_write = { args = { 'value', { 'buffer', length = '3' }, 'value' } }", "",
     "functions: api_write: args[2]: length: expected a whole number from 1 to 6, got \"3\""},
    {"api_write = { args = { 'value', { 'buffer', length = 3.0 }, 'value' } }", "",
     "functions: api_write: args[2]: length: expected a whole number from 1 to 6, got 3.0"},
    {"api_write = { args = { 'value', { 'buffer', length = 7 }, 'value' } }", "",
     "functions: api_write: args[2]: length: expected a whole number from 1 to 6, got 7"},
    {"api_write = { args = { 'value', { 'buffer', length = -1 }, 'value' } }", "",
     "functions: api_write: args[2]: length: expected a whole number from 1 to 6, got -1"},
    {"api_open = { args = { { 'cstring', limit = 0 } } }", "",
     "functions: api_open: args[1]: limit: expected a whole number from 1 to 4096, got 0"},
    {"api_open = { args = { { 'cstring', limit = 4097 } } }", "",
     "functions: api_open: args[1]: limit: expected a whole number from 1 to 4096, got 4097"},
    {"api_open = { args = { { 'cstring', limit = 1e300 } } }", "",
     "functions: api_open: args[1]: limit: expected a whole number from 1 to 4096, got 1e+300"},
    {"api_open = { args = { { 'cstring', limit = {} } } }", "",
     "functions: api_open: args[1]: limit: expected a whole number from 1 to 4096, got a table"},
    {"api_open = {}", "gate = 1.5", "gate: expected a whole number, got 1.5"},
    {"api_open = {}", "gate = -4096", "gate: expected a number that is not negative, got -4096"},
    {"api_open = {}", "gate = '0x10900000'", "gate: expected a whole number, got \"0x10900000\""},
    {"api_open = {}", "budget = 10",
     "budget: expected a time such as \"10s\" or \"500ms\", got 10"},
    {"api_open = {}", "answer_within = '1h'",
     "answer_within: expected a time such as \"10s\" or \"500ms\", got \"1h\""},
    {"api_open = {}", "answer_within = '5s'", "answer_within is for decide = \"script\""},
    {"api_open = {}", "answer_within = '5s', decide = 'l1'",
     "answer_within is for decide = \"script\""},
    {"api_open = {}", "gate = 0x10000000", "libapi.elf: the gate is a page of it or of its agent"},
    {"api_open = {}", "gate = 0x10200000", "libapi.elf: the gate is a page of it or of its agent"},
    {"api_open = {}", "decide = 1", "decide: expected a string, got 1"},
    {"api_open = {}", "on_refusal = {}", "on_refusal: expected a string, got a table"},
    {"api_open = {}", "defense = {}", "unknown key \"defense\"; did you mean \"defences\"?"},
};

static void write_text(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(name, "w");

    if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
        perror(name);
}

static void copy_image(const char *name, const char *to)
{
    static unsigned char bytes[1 << 20];
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_IMAGES"), name);
    file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return;
    }
    snprintf(path, sizeof(path), "images/%s", to);
    write_text(path, bytes, fread(bytes, 1, sizeof(bytes), file));
    fclose(file);
}

static void write_images(void)
{
    size_t size;
    const uint8_t *stripped = built_program(1, &size);

    enter_directory();
    copy_image("libapi.elf", "libapi.elf");
    copy_image("agent.elf", "agent.elf");
    copy_image("own.elf", "own.elf");
    copy_image("own.elf", "twin.elf");
    copy_image("own-agent.elf", "own-agent.elf");
    write_text("images/stripped.elf", stripped, size);
}

static void text_must_say(const char *text, const char *message)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;

    ck_assert_int_eq(run_text(&stub, NULL, text, &error), -EINVAL);
    ck_assert_msg(strncmp(error.text, START, strlen(START)) == 0, "%s", error.text);
    ck_assert_str_eq(error.text + strlen(START), message);
    ck_assert_int_eq(stub.calls, 0);
}

static void must_say(const char *agent, const char *functions, const char *more,
                     const char *message)
{
    char text[2048];

    snprintf(text, sizeof(text), DECLARATION, agent, functions, more);
    text_must_say(text, message);
}

/* Whose the functions are. */
static const struct {
    const char *owner;
    const char *message;
} owners[] = {
    {"", "library is missing, or program, for functions of its own"},
    {"library = 'own.elf', program = 'own.elf',",
     "library and program: the functions are of one of them"},
    {"program = 7,", "program: expected a string, got 7"},
    {"program = 'own.elf greedy',",
     "program: L2 a has no program \"own.elf greedy\": arguments are no part of a name"},
    {"program = 'none.elf',", "program: L2 a has no program \"none.elf\""},
    {"program = 'libapi.elf',",
     "libapi.elf: guard of own_pay_twice: the program has no such symbol"},
    {"library = 'libapi.elf',",
     "libapi.elf: guard of own_pay_twice: the library has no such symbol"},
    {"program = 'stripped.elf',",
     "stripped.elf: guard of own_pay_twice: the program is stripped: it has no symbols"},
    {"program = 'own.elf',",
     "own.elf: guard of own_pay_twice: it calls own_pay of the program, which is not guarded and, "
     "with app-nx, does not run there"},
    {"library = 'own.elf',", "own.elf: has writable data, which a guarded library cannot have"},
};

START_TEST(owner)
{
    char text[2048];

    snprintf(text, sizeof(text),
             L2 "l2:guard { %s agent = 'own-agent.elf', functions = { own_pay_twice = {} } }\n",
             owners[_i].owner);
    text_must_say(text, owners[_i].message);
}
END_TEST

START_TEST(mistake)
{
    must_say("'agent.elf'", mistakes[_i].functions, mistakes[_i].more, mistakes[_i].message);
}
END_TEST

/* Of two programs with the same page nobody could tell which one has it. */
START_TEST(twin)
{
    static const char text[] =
        "local s = mezz.stack {}\n"
        "local l1 = s:l1 { image = 'l1.elf', memory = '48M' }\n"
        "local l2 = l1:l2 { name = 'a', image = 'os.elf', memory = '16M', programs = {\n"
        "    'own.elf 1', 'own.elf 2', 'own-agent.elf', 'twin.elf' } }\n"
        "\nl2:guard { program = 'own.elf', agent = 'own-agent.elf', functions = { own_sum = {} } "
        "}\n";
    struct program_image image;
    const struct program_symbol *each;
    char why[256];

    test_program_open(&image, "own.elf");
    ck_assert_uint_eq(program_find_symbol(&image, "own_sum", &each), 1);
    snprintf(
        why, sizeof(why),
        "twin.elf: the page %#llx has the bytes of the guarded page %#llx of own.elf and would "
        "be taken for it: make them differ",
        (unsigned long long)each->address, (unsigned long long)each->address);
    text_must_say(text, why);
    program_image_close(&image);
}
END_TEST

START_TEST(stripped_agent)
{
    must_say(
        "'stripped.elf'", "api_open = {}", "",
        "stripped.elf: the agent is stripped: it has no symbols, by which callbacks are found");
}
END_TEST

int main(void)
{
    const struct runner_case cases[] = {EACH(mistake, ELEMENTS(mistakes)), ONCE(stripped_agent),
                                        EACH(owner, ELEMENTS(owners)), ONCE(twin)};
    int status;

    write_images();
    status = run_cases("script_guard", 60, cases, ELEMENTS(cases));
    leave_directory();
    return status;
}
