/* SPDX-License-Identifier: Apache-2.0 */
/* Portions under attack: stacks/portions.lua, each engine, each answer to a refusal, and the log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/program_image.h"
#include "portion_stack.h"
#include "runner.h"

#define SUCCEEDED "the attack succeeded"
#define FAILED    "the attack failed"

START_TEST(stack)
{
    struct mezz_process mezz;
    const json_t *expectations;
    const json_t *one;
    char path[512];
    const char *argv[] = {"run", path, "--json", "out.json", NULL};
    json_t *json;
    size_t i;

    snprintf(path, sizeof(path), "%s/portions.lua", getenv("MEZZ_STACKS"));
    mezz_begin(&mezz);
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    expectations = mezz_at(json, "expectations");
    /* Two of each attack, if this host has what it needs. */
    ck_assert_uint_ge(json_array_size(expectations), portion_lane_is_host() ? 246 : 258);
    json_array_foreach(expectations, i, one)
    {
        ck_assert(json_is_true(mezz_at(one, "passed")));
    }
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

static const char *const engines[] = {"flip", "remap", "slots"};

static const struct {
    const char *attack;
    const char *refusal;
} attacks[] = {
    {"-middle", "not-an-entry-point"}, {"-read", "read-outside"},
    {"-write", "write-outside"},       {"-alias", "alias"},
    {"-stack", "resume-point-moved"},  {"-early", "data-differs"},
};

/* Each attack on each engine. */
START_TEST(engine)
{
    const char *attack = attacks[(size_t)_i % ELEMENTS(attacks)].attack;
    const char *refusal = attacks[(size_t)_i % ELEMENTS(attacks)].refusal;
    const char *name = engines[(size_t)_i / ELEMENTS(attacks)];
    struct mezz_process mezz;
    char tolerate[64];
    char path[96];
    json_t *json;

    snprintf(path, sizeof(path), "levels.l2.tiny.portions.refusals.%s", refusal);
    portion_run(&mezz, &(struct portion_run){name, attack, "", false, NULL}, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, SUCCEEDED));
    ck_assert(mezz_tiny_says(json, "general protection"));
    ck_assert_int_eq(mezz_count_at(json, path), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
    snprintf(tolerate, sizeof(tolerate), "tolerate = { '%s' }", refusal);
    portion_run(&mezz, &(struct portion_run){name, attack, tolerate, false, NULL}, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(mezz_tiny_says(json, SUCCEEDED));
    ck_assert_int_ge(mezz_count_at(json, path), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* A call that fails returns to where the stack says, but never to a word of the portion. */
START_TEST(error_with_stack_inside)
{
    struct mezz_process mezz;
    json_t *json;

    portion_run(&mezz, &(struct portion_run){NULL, "-pivot", "on_refusal = 'error'", false, NULL},
                NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, SUCCEEDED));
    ck_assert(mezz_tiny_says(json, "general protection"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refusals.stack-inside"), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* What it would return to cannot be looked at: it is not come back to. */
START_TEST(return_address_in_no_memory)
{
    struct mezz_process mezz;
    json_t *json;

    portion_run(&mezz, &(struct portion_run){engines[_i], "-absent", "", false, NULL}, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, "the attack"));
    ck_assert(mezz_tiny_says(json, "general protection"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.allowed.call-out"), 1);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refusals.return-address"), 1);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* An honest program on each engine, with data served access by access, too. */
START_TEST(honest)
{
    const struct portion_run wanted = {engines[_i / 2], "", _i % 2 ? "strict = true" : "", false,
                                       NULL};
    struct mezz_process mezz;
    json_t *json;

    portion_run(&mezz, &wanted, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(mezz_tiny_says(json, "vault.elf: 80 of 80 answers are right"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.entries"), 100);
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refused"), 0);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* Among programs that are none of the portion's business. So many pages are to be put in order
 * that C libraries' ways of doing so would ask the kernel for more than the cage allows; and what
 * the guest writes to load the large one goes round a dirty ring where KVM looks up late. */
START_TEST(beside_others)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    struct mezz_process mezz;
    char declaration[512];
    char text[2048];
    json_t *json;

    snprintf(declaration, sizeof(declaration), PORTION_PROTECT, "", "");
    snprintf(text, sizeof(text), PORTION_STACK, "", "", "", "",
             "'libapi.elf', 'agent.elf', 'vault.elf', 'hello.elf', 'bulk.elf'", declaration,
             "false");
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(mezz_tiny_says(json, "vault.elf: 80 of 80 answers are right"));
    ck_assert(mezz_tiny_says(json, "bulk.elf: 300 of 300 pages are right"));
    ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.portions.refused"), 0);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* The time is over most likely while slots are changed, of which many processes need many. */
START_TEST(out_of_time)
{
    static const char *const argv[] = {"run", "t.lua", "--json", "out.json", NULL};
    static const char vaults[] =
        "'vault.elf 1000000', 'vault.elf 1000000', 'vault.elf 1000000', 'vault.elf 1000000'";
    struct mezz_process mezz;
    char declaration[512];
    char text[2048];

    snprintf(declaration, sizeof(declaration), PORTION_PROTECT, "", "");
    snprintf(text, sizeof(text), PORTION_STACK_FOR("500ms"), "", ", engine = '", "slots", "'",
             vaults, declaration, "false");
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 4, "mezz: t.lua:8: the run's time of 500 ms is over\n");
    mezz_end(&mezz, 2);
}
END_TEST

/* A guard lays another overlay. */
START_TEST(no_guard_beside)
{
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;
    char declaration[512];
    char text[2048];

    snprintf(declaration, sizeof(declaration),
             PORTION_PROTECT " tiny:guard { library = 'libapi.elf', agent = 'agent.elf',"
                             " functions = { api_close = {} } }",
             "", "");
    snprintf(text, sizeof(text), PORTION_STACK, "", "", "", "",
             "'libapi.elf', 'agent.elf', 'vault.elf'", declaration, "false");
    mezz_begin(&mezz);
    mezz_write(&mezz, "t.lua", text, strlen(text));
    mezz_run(&mezz, argv);
    mezz_expect(&mezz, 2,
                "mezz: t.lua:7: l2:guard: L2 tiny has portions: a guard goes into an L2 without\n");
    mezz_end(&mezz, 1);
}
END_TEST

/* Without a declaration nothing is protected, and nothing is counted. */
START_TEST(undeclared)
{
    struct mezz_process mezz;
    json_t *json;

    portion_run(&mezz, &(struct portion_run){NULL, "-read", NULL, false, NULL}, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(mezz_tiny_says(json, SUCCEEDED));
    ck_assert_ptr_null(json_object_get(mezz_at(json, "levels.l2.tiny"), "portions"));
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* What a refusal leads to, by on_refusal. */
static const struct {
    const char *attack;
    const char *more;
    const char *console; /* NULL: the L2 dies */
    const char *symbol;  /* not NULL: a page fault there, of this kind */
} answers[] = {
    {"-read", "on_refusal = 'log'", SUCCEEDED, NULL},
    {"-middle", "on_refusal = 'log'", SUCCEEDED, NULL},
    {"-early", "on_refusal = 'log'", SUCCEEDED, NULL},
    {"-read", "on_refusal = 'error'", "read", "vault_key"},
    {"-write", "on_refusal = 'error'", "write", "vault_check"},
    {"-middle", "on_refusal = 'error'", FAILED, NULL},
    {"-early", "on_refusal = 'error'", FAILED, NULL},
    {"-read", "on_refusal = 'kill'", "general protection rip", NULL},
    {"-kernel", "on_refusal = 'kill'", FAILED, NULL},
    {"-read", "on_refusal = 'stop'", NULL, NULL},
    {"-middle", "on_refusal = 'stop'", NULL, NULL},
    {"-early", "on_refusal = 'stop'", NULL, NULL},
};

/* Where a compiler has put what the program is after. */
static unsigned long long address_of(const char *attack, const char *name)
{
    static uint8_t bytes[1 << 20];
    const struct program_symbol *symbol;
    struct program_image image;
    unsigned long long address;
    struct error error;
    char path[512];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "%s/vault%s.elf", getenv("MEZZ_IMAGES"), attack);
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    ck_assert_msg(program_image_open(&image, path, bytes, size, &error) == 0, "%s", error.text);
    ck_assert_uint_eq(program_find_symbol(&image, name, &symbol), 1);
    address = symbol->address;
    program_image_close(&image);
    return address;
}

START_TEST(answer)
{
    const char *symbol = answers[_i].symbol;
    const bool dies = answers[_i].console == NULL;
    struct mezz_process mezz;
    char said[96];
    json_t *json;

    portion_run(
        &mezz, &(struct portion_run){NULL, answers[_i].attack, answers[_i].more, dies, NULL}, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.portions.refused"), 1);
    if (dies) {
        ck_assert_str_eq(json_string_value(mezz_at(json, "levels.l2.tiny.status")), "died");
        ck_assert_int_eq(mezz_count_at(json, "levels.l2.tiny.exits.portion.reflect"), 1);
        ck_assert(!mezz_tiny_says(json, "the attack"));
    } else {
        if (symbol == NULL)
            snprintf(said, sizeof(said), "%s", answers[_i].console);
        else
            snprintf(said, sizeof(said), "page fault (%s) at 0x%llx rip", answers[_i].console,
                     address_of(answers[_i].attack, symbol));
        ck_assert_msg(mezz_tiny_says(json, said), "%s", mezz.out);
        ck_assert(mezz_tiny_says(json, "tiny-os: all programs ended"));
    }
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

static char *log_of(const struct mezz_process *mezz, size_t *length)
{
    char path[128];
    FILE *file;
    char *text = calloc(1, 1 << 20);

    snprintf(path, sizeof(path), "%s/events.log", mezz->directory);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    *length = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

/* L1 decides by a callback. */
static const struct {
    const char *attack;
    const char *l1;
    const char *said; /* by L1 */
    const char *console;
} asked[] = {
    {"-read", " portions=allow", "portion 1, reason 22: allowed", SUCCEEDED},
    {"-read", " portions=refuse", "portion 1, reason 22: refused", "general protection"},
    {"-write", " portions=allow", "portion 1, reason 23: allowed", SUCCEEDED},
    {"-write", " portions=refuse", "portion 1, reason 23: refused", "general protection"},
    {"-middle", " portions=allow", "portion 1, reason 10: allowed", SUCCEEDED},
    {"-middle", " portions=refuse", "portion 1, reason 10: refused", "general protection"},
};

START_TEST(l1_decides)
{
    struct mezz_process mezz;
    size_t length;
    json_t *json;
    char *text;

    portion_run(&mezz, &(struct portion_run){NULL, asked[_i].attack, "", false, asked[_i].l1},
                "events.log");
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    text = log_of(&mezz, &length);
    ck_assert_uint_ge(mezz_occurrences(text, "\"by\":\"l1\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"by\":\"stack\""), 0);
    free(text);
    ck_assert_msg(mezz_tiny_says(json, asked[_i].console), "%s", mezz.out);
    ck_assert_msg(strstr(mezz.out, asked[_i].said) != NULL, "%s", mezz.out);
    ck_assert_int_ge(mezz_count_at(json, "levels.l2.tiny.exits.portion.callback"), 1);
    json_decref(json);
    mezz_end(&mezz, 3);
}
END_TEST

/* --- the log --- */

static int verify(struct mezz_process *mezz, const char *log)
{
    const char *argv[] = {"log", "verify", log, NULL};

    mezz_run(mezz, argv);
    return mezz->status;
}

START_TEST(log_is_whole)
{
    struct mezz_process mezz;
    size_t length;
    json_t *json;
    char *text;
    char *rip;

    portion_run(&mezz, &(struct portion_run){NULL, "-read", "", false, NULL}, "events.log");
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    text = log_of(&mezz, &length);
    ck_assert_uint_eq(mezz_occurrences(text, "\"verdict\":\"switch\""),
                      (size_t)mezz_count_at(json, "levels.l2.tiny.portions.switches"));
    ck_assert_uint_eq(mezz_occurrences(text, "\"reason\":\"entry\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"reason\":\"return\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"symbol\":\"vault_sign\",\"reason\":\"entry\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"symbol\":\"main\",\"reason\":\"read-outside\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"verdict\":\"kill\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"by\":\"stack\""), 1);
    ck_assert_uint_eq(mezz_occurrences(text, "\"run\":1,"),
                      mezz_occurrences(text, "\"type\":\"event\""));
    ck_assert_int_eq(verify(&mezz, "events.log"), 0);

    rip = strstr(text, "\"rip\":\"0x5");
    ck_assert_ptr_nonnull(rip);
    rip[9] = '6';
    mezz_write(&mezz, "edited.log", text, length);
    ck_assert_int_eq(verify(&mezz, "edited.log"), 1);
    rip[9] = '5';
    mezz_write(&mezz, "edited.log", text, (size_t)(strrchr(text, '{') - text));
    ck_assert_int_eq(verify(&mezz, "edited.log"), 1);
    free(text);
    json_decref(json);
    mezz_end(&mezz, 4);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "e2e_portions", 300, ONCE(stack),
             EACH(engine, ELEMENTS(engines) * ELEMENTS(attacks)), ONCE(error_with_stack_inside),
             EACH(return_address_in_no_memory, ELEMENTS(engines)),
             EACH(honest, 2 * ELEMENTS(engines)), ONCE(beside_others), ONCE(out_of_time),
             ONCE(no_guard_beside), ONCE(undeclared), EACH(answer, ELEMENTS(answers)),
             EACH(l1_decides, ELEMENTS(asked)), ONCE(log_is_whole))
