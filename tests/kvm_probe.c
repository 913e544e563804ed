/* SPDX-License-Identifier: Apache-2.0 */
/* The probe of who walks the guests' page tables, on lanes where the answer is known. */
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "views/probe.h"

static struct kvm kvm;

static const char *obstacle(void)
{
    static struct error error;

    return kvm_open(&kvm, KVM_DEFAULT_DEVICE, &error) == 0 ? NULL : error.text;
}

static enum paging_kind known_answer(void)
{
    static const struct {
        const char *lane;
        enum paging_kind kind;
    } lanes[] = {
        {"svm", PAGING_HARDWARE},
        {"svm-npt0", PAGING_SHADOW},
        {"vmx", PAGING_HARDWARE},
        {"vmx-ept0", PAGING_SHADOW},
    };
    const char *lane = getenv("MEZZ_LANE");

    for (size_t i = 0; i < ELEMENTS(lanes); i++)
        if (lane != NULL && strcmp(lane, lanes[i].lane) == 0)
            return lanes[i].kind;
    return PAGING_UNKNOWN;
}

START_TEST(same_answer_each_time)
{
    enum paging_kind known = known_answer();
    struct host_paging first;

    for (int i = 0; i < 5; i++) {
        struct host_paging paging;
        struct error error = {""};

        ck_assert_int_eq(host_paging_probe(&kvm, &paging, &error), 0);
        ck_assert_msg(paging.kind != PAGING_UNKNOWN, "%s", error.text);
        if (known != PAGING_UNKNOWN)
            ck_assert_str_eq(paging_name(paging.kind), paging_name(known));
        if (i == 0)
            first = paging;
        ck_assert_int_eq(paging.kind, first.kind);
        ck_assert_int_eq(paging.slot_cures, first.slot_cures);
        ck_assert_int_eq(paging.remap_cures, first.remap_cures);
    }
}
END_TEST

/* A view engine for shadow paging needs one of the two. */
START_TEST(shadow_has_a_cure)
{
    struct host_paging paging;
    struct error error = {""};

    ck_assert_int_eq(host_paging_probe(&kvm, &paging, &error), 0);
    ck_assert(paging.kind != PAGING_SHADOW || paging.slot_cures || paging.remap_cures);
}
END_TEST

RUN_CASES_IF(obstacle, "probe", 30, ONCE(same_answer_each_time), ONCE(shadow_has_a_cure))
