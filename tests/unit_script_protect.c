/* SPDX-License-Identifier: Apache-2.0 */
/* l2:protect: what a declaration becomes, and what is said of one that is wrong. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hookguard/portions/decision.h"
#include "hookguard/portions/portions.h"
#include "runner.h"
#include "script_stub.h"
#include "unit_portions_builder.h"

#define BEFORE                                                   \
    "local s = mezz.stack {}\n"                                  \
    "local l1 = s:l1 { image = 'l1.elf', memory = '48M' }\n"     \
    "local l2 = l1:l2 { name = 'a', image = 'os.elf', memory = " \
    "'16M', programs = { 'vault.elf one', 'hello.elf' } }\n"     \
    "l2:protect {\n"

static const struct {
    const char *text;
    const char *message;
} mistakes[] = {
    {"", "l2:protect: program is missing"},
    {"program = 'vault.elf'", "l2:protect: portion is missing"},
    {"program = 'vault.elf', portion = 'p'", "l2:protect: entries is missing"},
    {"program = 'vault.elf', portion = 'p q', entries = {}",
     "l2:protect: portion: expected a name of letters, digits, '-', '_' and '.', got \"p q\""},
    {"program = 'vault', portion = 'p', entries = { 'sign' }",
     "l2:protect: program: L2 a has no program \"vault\""},
    {"program = 'hello.elf', portion = 'p', entries = { 'sign' }",
     "l2:protect: program: images/hello.elf: is empty"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = {}",
     "l2:protect: vault.elf: portion p: has no entry point"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'nosuch' }",
     "l2:protect: vault.elf: portion p: there is no symbol \"nosuch\""},
    {"program = 'vault.elf', portion = 'p', sections = { '.nosuch' }, entries = { 'sign' }",
     "l2:protect: vault.elf: portion p: there is no section \".nosuch\" in memory"},
    {"program = 'vault.elf', portion = 'p', sections = { 1 }, entries = { 'sign' }",
     "l2:protect: sections[1]: expected a string, got 1"},
    {"program = 'vault.elf', portion = 'p', sections = { x = 1 }, entries = { 'sign' }",
     "l2:protect: sections: expected a list in braces, without keys and holes"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault', '.vault' }, entries = { 'sign' "
     "}",
     "l2:protect: sections[2]: \".vault\" is there twice"},
    {"program = 'vault.elf', portion = 'p', ranges = { 7 }, entries = { 'sign' }",
     "l2:protect: ranges[1]: expected { address, length }, two whole numbers, got 7"},
    {"program = 'vault.elf', portion = 'p', ranges = { { 1, 2, x = 3 } }, entries = { 'sign' }",
     "l2:protect: ranges[1]: expected a list in braces, without keys and holes"},
    {"program = 'vault.elf', portion = 'p', ranges = { { 1 } }, entries = { 'sign' }",
     "l2:protect: ranges[1]: expected { address, length }, two whole numbers"},
    {"program = 'vault.elf', portion = 'p', ranges = { { 1, -4096 } }, entries = { 'sign' }",
     "l2:protect: ranges[1]: a length of -4096"},
    {"program = 'vault.elf', portion = 'p', ranges = { { 1, {} } }, entries = { 'sign' }",
     "l2:protect: ranges[1]: expected { address, length }, two whole numbers, got a table"},
    {"program = 'vault.elf', portion = 'p', ranges = { { 1.5, 2 } }, entries = { 'sign' }",
     "l2:protect: ranges[1]: expected { address, length }, two whole numbers, got 1.5"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { true }",
     "l2:protect: entries[1]: expected the name of a function or an address, got true"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "on_refusal = 'kil'",
     "l2:protect: on_refusal: expected \"log\", \"error\", \"kill\" or \"stop\", got \"kil\"; did "
     "you mean \"kill\"?"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "tolerate = { 'entry' }",
     "l2:protect: tolerate: there is no refusal \"entry\""},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "tolerate = { 'read-outsid' }",
     "l2:protect: tolerate: there is no refusal \"read-outsid\"; did you mean \"read-outside\"?"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "shared = { code = {} }",
     "l2:protect: shared: unknown key \"code\"; it knows symbols, sections, ranges"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "rules = 'broken.yar'",
     "l2:protect: rules: ./broken.yar:2: undefined identifier \"no\""},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' }, "
     "rules = 'none.yar'",
     "l2:protect: rules: no file \"none.yar\" in ., images"},
    {"program = 'vault.elf', portion = 'p', sections = { '.vault' }, entries = { 'sign' } }\n"
     "l2:protect { program = 'vault.elf', portion = 'q', symbols = { 'check' }, entries = { "
     "'check' }",
     NULL /* overlap: checked by its beginning below */},
};

static void write_text(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(name, "w");

    if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
        perror(name);
}

static void write_images(void)
{
    static const char broken[] = "rule a {\n  condition: no }\n";
    size_t size;
    const uint8_t *program = built_program(0, &size);

    write_text("images/vault.elf", program, size);
    mkdir("images/sub", 0777);
    write_text("images/sub/vault.elf", program, size - 1);
    write_text("broken.yar", broken, sizeof(broken) - 1);
}

START_TEST(mistake)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;
    char text[1024];
    const char *behind;

    snprintf(text, sizeof(text), BEFORE "%s }", mistakes[_i].text);
    ck_assert_int_eq(run_text(&stub, NULL, text, &error), -EINVAL);
    ck_assert_int_eq(strncmp(error.text, FILE_NAME ":", 5), 0);
    behind = strchr(error.text + 6, ' ');
    ck_assert_msg(behind != NULL, "%s", error.text);
    if (mistakes[_i].message != NULL)
        ck_assert_str_eq(behind + 1, mistakes[_i].message);
    else
        ck_assert_msg(strstr(error.text, "is of portion p already") != NULL ||
                          strstr(error.text, "is shared with") != NULL,
                      "%s", error.text);
    ck_assert_int_eq(stub.calls, 0);
}
END_TEST

static const struct portion_table *table_of(struct script **script, struct stub *stub,
                                            const char *declaration)
{
    struct error error;
    char text[1024];

    snprintf(text, sizeof(text), BEFORE "%s }\ns:run()", declaration);
    ck_assert_msg(run_bytes(script, stub, NULL, text, strlen(text), &error) == 0, "%s", error.text);
    ck_assert_int_eq(stub->calls, 1);
    return stub->config.l2[0].portions;
}

START_TEST(declaration)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct script *script;
    const struct portion_table *table =
        table_of(&script, &stub,
                 "program = 'vault.elf', portion = 'p', sections = { '.vault', '.secret' }, "
                 "entries = { 'sign', 0x402000 }, shared = { 'counter' }, on_refusal = 'error', "
                 "strict = true, tolerate = { 'alias', 'pattern' }");

    ck_assert_ptr_nonnull(table);
    ck_assert_uint_eq(table->portions, 1);
    ck_assert_str_eq(table->portion[0].name, "p");
    ck_assert_uint_eq(table->portion[0].own_pages, 3);
    ck_assert_uint_eq(table->portion[0].shared, 1);
    ck_assert(portion_is_entry(&table->portion[0], 0x402000));
    ck_assert_int_eq(table->portion[0].on_refusal, REFUSAL_ERROR);
    ck_assert(table->portion[0].strict);
    ck_assert_uint_eq(table->portion[0].tolerated, 1ULL << REASON_ALIAS | 1ULL << REASON_PATTERN);
    script_destroy(script);
}
END_TEST

START_TEST(default_is_to_kill)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct script *script;
    const struct portion_table *table =
        table_of(&script, &stub,
                 "program = 'vault.elf', portion = 'p', sections = { '.vault' }, "
                 "entries = { 'sign' }");

    ck_assert_int_eq(table->portion[0].on_refusal, REFUSAL_KILL);
    ck_assert(!table->portion[0].strict);
    ck_assert_uint_eq(table->portion[0].tolerated, 0);
    script_destroy(script);
}
END_TEST

START_TEST(none)
{
    static const char text[] = "local s = mezz.stack {}\n"
                               "local l1 = s:l1 { image = 'l1.elf', memory = '48M' }\n"
                               "l1:l2 { name = 'a', image = 'os.elf', memory = '16M' }\n"
                               "s:run()";
    struct stub stub = {.report = {.last_words = ""}};
    struct script *script;
    struct error error;

    ck_assert_int_eq(run_bytes(&script, &stub, NULL, text, strlen(text), &error), 0);
    ck_assert_ptr_null(stub.config.l2[0].portions);
    script_destroy(script);
}
END_TEST

#define TWO_OF_A_NAME                                                               \
    "local s = mezz.stack {}\n"                                                     \
    "local l1 = s:l1 { image = 'l1.elf', memory = '48M' }\n"                        \
    "local l2 = l1:l2 { name = 'a', image = 'os.elf', memory = '16M',\n"            \
    "    programs = { 'vault.elf one', 'vault.elf two', %s } }\n"                   \
    "l2:protect { program = 'vault.elf', portion = 'p', sections = { '.vault' },\n" \
    "    entries = { 'sign' } }\n"

/* One is meant, and there are two of its name. The same file twice is one. */
START_TEST(two_of_a_name)
{
    struct stub stub = {.report = {.last_words = ""}};
    struct error error;
    char whole[1024];

    snprintf(whole, sizeof(whole), TWO_OF_A_NAME, "'hello.elf'");
    ck_assert_msg(run_text(&stub, NULL, whole, &error) == 0, "%s", error.text);
    snprintf(whole, sizeof(whole), TWO_OF_A_NAME, "'sub/vault.elf'");
    ck_assert_int_eq(run_text(&stub, NULL, whole, &error), -EINVAL);
    ck_assert_str_eq(error.text,
                     FILE_NAME ":5: l2:protect: program: L2 a has two programs "
                               "\"vault.elf\": images/vault.elf and images/sub/vault.elf");
}
END_TEST

int main(void)
{
    const struct runner_case cases[] = {
        EACH(mistake, ELEMENTS(mistakes)),
        ONCE(declaration),
        ONCE(default_is_to_kill),
        ONCE(none),
        ONCE(two_of_a_name),
    };
    int status;

    enter_directory();
    write_images();
    status = run_cases("script_protect", 30, cases, ELEMENTS(cases));
    leave_directory();
    return status;
}
