/* SPDX-License-Identifier: Apache-2.0 */
/* `mezz info` where there is no KVM: what is known without one is told, and then what is missing.
 */
#include <stdio.h>
#include <string.h>

#include "cage/cage.h"
#include "mezz_process.h"
#include "runner.h"

#define REASON    "./none: No such file or directory: "
#define COMPLAINT "mezz: " REASON

static void run(struct mezz_process *mezz, const char *const *words)
{
    mezz_begin(mezz);
    mezz_run(mezz, words);
    ck_assert_int_eq(mezz->status, 3);
    ck_assert_msg(strncmp(mezz->err, COMPLAINT, strlen(COMPLAINT)) == 0, "%s", mezz->err);
    ck_assert_int_eq(mezz_lines(mezz->err), 1);
}

START_TEST(text_without_kvm)
{
    static const char *const words[] = {"info", "--kvm", "./none", NULL};
    const struct cage_offer offer = cage_offer();
    char landlock[64] = "no Landlock";
    struct mezz_process mezz;
    const char *cage;

    if (offer.landlock_abi != 0)
        snprintf(landlock, sizeof(landlock), "Landlock (ABI %u)\n", offer.landlock_abi);
    run(&mezz, words);
    ck_assert_msg(strstr(mezz.out, "\nKVM: none that can be used at ./none, Linux ") != NULL, "%s",
                  mezz.out);
    cage = strstr(mezz.out, "\ncage of a run: ");
    ck_assert_msg(cage != NULL && strstr(cage, landlock) != NULL, "%s", mezz.out);
    ck_assert_int_eq(strstr(cage, "NOT filtered") == NULL, offer.filters);
    /* Nothing that would have to be asked of it. */
    ck_assert_msg(strstr(mezz.out, "page tables") == NULL, "%s", mezz.out);
    ck_assert_int_eq(mezz_lines(mezz.out), 3);
    mezz_end(&mezz, 0);
}
END_TEST

START_TEST(json_without_kvm)
{
    static const char *const words[] = {"info", "--kvm", "./none", "--json", "out.json", NULL};
    const struct cage_offer offer = cage_offer();
    struct mezz_process mezz;
    const char *error;
    json_t *json;

    run(&mezz, words);
    ck_assert_str_eq(mezz.out, "");
    json = mezz_json(&mezz);
    ck_assert(json_is_null(mezz_at(json, "kvm")));
    ck_assert_int_eq(json_is_true(mezz_at(json, "cage.filters")), offer.filters);
    ck_assert_int_eq(mezz_count_at(json, "cage.landlock_abi"), offer.landlock_abi);
    error = json_string_value(mezz_at(json, "error"));
    ck_assert_msg(error != NULL && strncmp(error, REASON, strlen(REASON)) == 0, "%s", error);
    ck_assert_ptr_null(json_object_get(json, "capabilities"));
    json_decref(json);
    mezz_end(&mezz, 1);
}
END_TEST

RUN_CASES("info", 30, ONCE(text_without_kvm), ONCE(json_without_kvm))
