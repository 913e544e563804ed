/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second vCPU of an L2 at the moment at which a policy takes rights away because of what the
 * first one does: from then on it has them no more, wherever it was at that moment. On each engine.
 */
#include <time.h>

#include "l1/siblings.h"
#include "runner.h"
#include "test_machine.h"
#include "vmm/l2_policy.h"
#include "vmm/machine_state.h"

#define MIB        (1ULL << 20)
#define TIMEOUT_NS (60ULL * 1000000000)
#define LINGER_NS  1000000
#define TURNS      40

struct warden {
    struct l2_policy policy;
    enum engine_kind engine;
    struct space_overlay *closed; /* over the first vCPU: its writes are exits */
    struct space_overlay *cell;   /* over the second one: the page that it counts in, or not */
    uint64_t counted;             /* when the page was taken away last */
    unsigned int turns;           /* of the key: the page is taken, or given back */
    unsigned int running;         /* it was in KVM_RUN still */
    unsigned int late;            /* counts that came after it was taken */
    unsigned int inside;          /* nested judgements */
    unsigned int nested;
    unsigned int refused; /* writes of the second one */
};

static struct warden warden;

/* The page, and the next one that is always closed. */
static struct space_overlay *lay(struct l2_vcpu *vcpu, uint32_t rights)
{
    const struct view_patch patch[] = {{SIBLINGS_PAGE, rights, VIEW_PATCH_SAME},
                                       {SIBLINGS_PAGE + PAGE_SIZE, 0, VIEW_PATCH_SAME}};
    struct space_overlay *overlay;

    ck_assert_int_eq(space_overlay_create(&overlay, vcpu->l2->space, patch, 2, MEZZ_EPT_RWX), 0);
    return overlay;
}

static void set_rights(struct warden *mine, uint32_t rights)
{
    const struct view_patch patch[] = {{SIBLINGS_PAGE, rights, VIEW_PATCH_SAME},
                                       {SIBLINGS_PAGE + PAGE_SIZE, 0, VIEW_PATCH_SAME}};

    ck_assert_int_eq(space_overlay_replace(mine->cell, patch, 2, MEZZ_EPT_RWX), 0);
}

static bool is_second(const struct l2_vcpu *vcpu)
{
    return vcpu->id == 2;
}

static struct l2_vcpu *second_of(const struct l2_vcpu *vcpu)
{
    return vcpu->l2->machine->vcpu[1];
}

static int start(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    struct warden *mine = (struct warden *)policy;
    struct space_overlay **overlay = is_second(vcpu) ? &mine->cell : &mine->closed;

    *overlay = lay(vcpu, is_second(vcpu) ? MEZZ_EPT_RWX : 0);
    ck_assert_int_eq(l2_switch_overlay(vcpu, *overlay, CARRY_ALL), 0);
    return 0;
}

/* What the second vCPU has counted: in its own EPT12. */
static uint64_t count_of(const struct l2_vcpu *vcpu)
{
    const struct l2_vcpu *second = second_of(vcpu);
    struct ept12_translation now;
    uint64_t count = 0;

    ck_assert_int_eq(space_view_lookup_ept(second->place.view, l2_at(SIBLINGS_PAGE), &now), 0);
    ck_assert_int_eq(l1_read(&vcpu->l2->machine->l1_memory, now.l1, &count, sizeof(count)), 0);
    return count;
}

static void linger(void)
{
    const struct timespec time = {.tv_nsec = LINGER_NS};

    nanosleep(&time, NULL);
}

/* A write of the first vCPU: takes the page from the second one, which has counted there since it
 * has it, or gives it back. */
static void turn_key(struct warden *mine, struct l2_vcpu *vcpu)
{
    if (mine->turns % 2 == 0) {
        set_rights(mine, 0);
        l2_stop_others(vcpu);
        mine->running += second_of(vcpu)->place.running;
        mine->counted = count_of(vcpu);
        /* With the lock held: who still runs goes on counting. */
        linger();
        mine->late += count_of(vcpu) != mine->counted;
    } else {
        mine->late += count_of(vcpu) != mine->counted;
        set_rights(mine, MEZZ_EPT_RWX);
    }
    mine->turns++;
}

/* Where both vCPUs share a processor the second one may not have run since the last write: at a
 * later one, then. */
static void first_writes(struct warden *mine, struct l2_vcpu *vcpu)
{
    if (mine->cell == NULL || mine->turns == TURNS)
        return;
    if (mine->turns % 2 == 0 && count_of(vcpu) == mine->counted)
        linger();
    else
        turn_key(mine, vcpu);
}

static enum l2_verdict violation(struct l2_policy *policy, struct l2_vcpu *vcpu,
                                 const struct l2_access *access)
{
    struct warden *mine = (struct warden *)policy;

    if (access->right == MEZZ_EPT_EXECUTE)
        return L2_PASS;
    mine->nested += mine->inside++ != 0;
    if (is_second(vcpu))
        mine->refused++;
    else
        first_writes(mine, vcpu);
    mine->inside--;
    return L2_HANDLED;
}

static void vcpu_gone(struct l2_policy *policy, struct l2_vcpu *vcpu)
{
    (void)policy;
    ck_assert_int_eq(l2_switch_overlay(vcpu, NULL, CARRY_ALL), 0);
}

static void destroy(struct l2_policy *policy)
{
    struct warden *mine = (struct warden *)policy;

    ck_assert_int_eq(space_overlay_destroy(mine->closed), 0);
    ck_assert_int_eq(space_overlay_destroy(mine->cell), 0);
}

static const struct l2_policy_ops ops = {
    .start = start, .violation = violation, .vcpu_gone = vcpu_gone, .destroy = destroy};

/* Before the L2 first runs. */
static void add_policy(struct machine *machine)
{
    machine->l2[0]->engine = warden.engine;
    ck_assert_int_eq(l2_policy_add(machine->l2[0], &warden.policy), 0);
}

START_TEST(rights_are_gone_at_once)
{
    struct machine_config config = {.l1_memory = 32 * MIB, .l1_vcpus = 2, .timeout_ns = TIMEOUT_NS};
    struct machine *machine = test_machine_create(&config, "siblings_l1.elf");

    warden = (struct warden){.policy = {.ops = &ops}, .engine = (enum engine_kind)_i};
    test_machine_run(machine, add_policy);
    test_machine_ended_well(&machine->report, "siblings_l1.elf");
    ck_assert_uint_eq(warden.turns, TURNS);
    ck_assert_uint_eq(warden.running, 0);
    ck_assert_uint_eq(warden.late, 0);
    ck_assert_uint_eq(warden.nested, 0);
    ck_assert_uint_gt(warden.refused, 0);
    machine_destroy(machine);
}
END_TEST

RUN_CASES_IF(test_machine_obstacle, "policy: siblings", 120,
             EACH(rights_are_gone_at_once, ENGINE_KINDS))
