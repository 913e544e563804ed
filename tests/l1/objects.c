/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 whose L2 makes the root alter VMCS and EPT, and which brings its own up to date by the
 * library of nested_l1. tests/kvm_virtual_objects.c looks at both from outside.
 *
 * Command line: group=NAME, and behind a space the letters o (observe by callbacks;
 * otherwise the next reflected exit brings the records) and u (leave them unapplied).
 */
#include "objects.h"
#include "lib/sync.h"

#define REFLECTIONS 4
#define FRAMES      (OBJECTS_PAGES + 4)

static struct kit_guest guest;
static struct ept ept;
static struct kit_callback callbacks[OBJECTS_CALLBACKS];
static uint64_t records;
static bool unapplied;

static void apply(const struct mezz_sync_record *record, uint32_t count)
{
    records += count;
    if (unapplied)
        return;
    if (!sync_apply(guest.vmcs, &ept, record, count))
        CHECK("each record is one", false);
}

static void observed(struct kit_callback *callback)
{
    apply(callback->frame->sync, callback->frame->sync_count);
}

static void observe(const struct scenario *scenario)
{
    for (unsigned int i = 0; i < OBJECTS_CALLBACKS && scenario->observed[i]; i++) {
        kit_callback_init(&callbacks[i], &guest, scenario->observed[i]);
        callbacks[i].registration.mode = MEZZ_MODE_OBSERVE;
        callbacks[i].hook = observed;
        CHECK("the callback is registered", kit_register(&callbacks[i]) > 0);
    }
}

static void give_frames(void)
{
    uint64_t *list = kit_pages(1);

    for (unsigned int i = 0; i < FRAMES; i++)
        list[i] = kit_address(kit_pages(1));
    CHECK_EQ("the root takes the frames",
             mezz_call(MEZZ_CALL_FRAME_POOL, guest.l2, kit_address(list), FRAMES), 0);
}

/* Page tables and stacks are not what is looked at, and belong into ordinary slots. */
static void mark_image_dirty(void)
{
    for (const char *at = kit_l2_start; at < kit_l2_end; at += MEZZ_PAGE_SIZE)
        *kit_ept_leaf(guest.pml4, kit_address(at)) |= MEZZ_EPT_DIRTY | MEZZ_EPT_ACCESSED;
}

static void set_up(const struct scenario *scenario, uint8_t *pages)
{
    for (uint64_t i = 0; pages && i < OBJECTS_PAGES; i++)
        *kit_ept_leaf(guest.pml4, OBJECTS_PAGES_AT + i * MEZZ_PAGE_SIZE) =
            kit_address(pages + i * MEZZ_PAGE_SIZE) | scenario->page_flags;
    if (scenario->page_flags & MEZZ_EPT_COPY_ON_WRITE)
        give_frames();
    mark_image_dirty();
    guest.vmcs->ept.eptp |= scenario->eptp_flags;
    guest.vmcs->controls.cpu_based = scenario->cpu_based;
    guest.vmcs->controls.exit_controls = scenario->exit_controls;
    guest.vmcs->controls.preemption_timer = scenario->preemption_timer;
    guest.vmcs->controls.pin_based = scenario->preemption_timer ? MEZZ_PIN_PREEMPTION_TIMER : 0;
    ept.root = kit_address(guest.pml4);
}

/* What L2 wrote is there, by L1's own EPT12, and nowhere else. */
static void check_pages(const uint8_t *pages, bool copied)
{
    bool there = true, untouched = true;

    for (uint64_t i = 0; i < OBJECTS_PAGES; i++) {
        uint64_t address = OBJECTS_PAGES_AT + i * MEZZ_PAGE_SIZE;
        uint64_t leaf = *ept_leaf(&ept, address);
        const uint64_t *words = kit_at(leaf & MEZZ_EPT_ADDRESS);

        there &= words[0] == address && words[1] == address;
        untouched &= *(const uint64_t *)(const void *)(pages + i * MEZZ_PAGE_SIZE) == 0;
    }
    CHECK("EPT12 leads to what L2 wrote", there);
    if (copied)
        CHECK("the pages that were copied are as they were", untouched);
}

static void run_scenario(const struct scenario *scenario, bool observes)
{
    uint8_t *pages = scenario->page_flags ? kit_pages(OBJECTS_PAGES) : NULL;

    CHECK("the vCPU exists", kit_open(&guest, scenario->mode, scenario->code) > 0);
    set_up(scenario, pages);
    if (observes)
        observe(scenario);
    for (unsigned int i = 0; i < REFLECTIONS; i++) {
        CHECK("L2 exits", kit_exit(&guest) > 0);
        apply(guest.vmcs->sync.record, guest.vmcs->sync.count);
    }
    CHECK("the root told of what it did", records > 0 || !observes);
    if (pages && !unapplied)
        check_pages(pages, scenario->page_flags & MEZZ_EPT_COPY_ON_WRITE);
    kit_close(&guest);
}

static void run(void)
{
    static char name[MEZZ_NAME_SIZE];
    const char *word = kit.group;
    bool observes = false;

    for (unsigned int i = 0; *word && *word != ' '; i++)
        name[i] = *word++;
    for (; *word; word++) {
        observes |= *word == 'o';
        unapplied |= *word == 'u';
    }
    kit.group = name;
    if (CHECK("there is such a scenario", scenario_find(name)))
        run_scenario(scenario_find(name), observes);
}

#define WAYS(name)                                                     \
    {name, run, true}, {name " o", run, true}, {name " u", run, true}, \
    {                                                                  \
        name " ou", run, true                                          \
    }

const struct kit_group kit_groups[] = {
    WAYS("copy"),       WAYS("copy-user"),   WAYS("dirty"),
    WAYS("dirty-user"), WAYS("copy-dirty"),  WAYS("msrs"),
    WAYS("msrs-later"), WAYS("ports"),       WAYS("interruptibility"),
    WAYS("activity"),   {NULL, NULL, false},
};

KIT_PROGRAM
