/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile kernel and program that turn KVM itself on a portion: on each engine. */
#include <stdio.h>
#include <string.h>

#include "portion_stack.h"
#include "runner.h"

static const char *const engines[] = {"flip", "remap", "slots"};

/* What KVM itself writes, by MSRs that it has for its guests and by a hypercall, which kvm_pvm does
 * not carry out. */
static const char *const host_writes[] = {" msr 4b564d03", " msr 12",       " msr 4b564d01",
                                          " msr 11",       " msr 4b564d00", " pairing"};

START_TEST(host_writes_nothing)
{
    const char *way = host_writes[(size_t)_i % ELEMENTS(host_writes)];
    const char *name = engines[(size_t)_i / ELEMENTS(host_writes)];
    const bool dies = portion_lane_is_host() && strcmp(way, " pairing") == 0;
    const struct portion_run wanted = {
        name, "-host", "entries = { 'vault_sign', 'vault_check', 'vault_digest' }", dies, NULL};
    struct mezz_process mezz;
    json_t *json;

    portion_run_way(&mezz, &wanted, way, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, "the attack succeeded"));
    ck_assert(dies || mezz_tiny_says(json, "asked: -14"));
    ck_assert(dies || mezz_tiny_says(json, "the attack failed"));
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

/* Instructions that KVM begins anew for ever, as it finds no slot for what they store or load. The
 * program's are one refusal; the kernel's are, too, and an exception, which is the kernel's end. */
static const struct {
    const char *way;
    const char *refusal;
    const char *said;
} endless[] = {
    {" sgdt", "write-outside", "general protection"},
    {" sidt", "write-outside", "general protection"},
    {" compat-sgdt", "write-outside", "general protection"},
    {" kernel-sgdt", "kernel-write", "invalid opcode"},
    {" kernel-sidt", "kernel-write", "invalid opcode"},
    {" kernel-lgdt", "kernel-read", "invalid opcode"},
    {" kernel-lidt", "kernel-read", "invalid opcode"},
};

START_TEST(endless_instruction)
{
    const size_t which = (size_t)_i % ELEMENTS(endless);
    const char *name = engines[(size_t)_i / ELEMENTS(endless)];
    const bool dies = strstr(endless[which].way, "kernel") != NULL;
    struct mezz_process mezz;
    char path[96];
    json_t *json;

    snprintf(path, sizeof(path), "levels.l2.tiny.portions.refusals.%s", endless[which].refusal);
    portion_run_way(&mezz, &(struct portion_run){name, "-strange", "", dies, NULL},
                    endless[which].way, NULL);
    mezz_expect(&mezz, 0, "");
    json = mezz_json(&mezz);
    ck_assert(!mezz_tiny_says(json, "the attack succeeded"));
    ck_assert_msg(mezz_tiny_says(json, endless[which].said), "%s", mezz.out);
    ck_assert(dies || mezz_tiny_says(json, "tiny-os: all programs ended"));
    /* One more if an interrupt takes the exception's place. */
    ck_assert_int_ge(mezz_count_at(json, path), 1);
    ck_assert_int_le(mezz_count_at(json, path), 8);
    json_decref(json);
    mezz_end(&mezz, 2);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "e2e_portion_host", 300,
             EACH(host_writes_nothing, ELEMENTS(engines) * ELEMENTS(host_writes)),
             EACH(endless_instruction, ELEMENTS(engines) * ELEMENTS(endless)))
