/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's dirty ring and what is read from it, with KVM's part of it played here. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "host/memory.h"
#include "runner.h"
#include "views/table_log.h"

#define ENTRIES  64U
#define AT_ONCE  5U /* entries that KVM takes back before a signal stops it */
#define SLOT     2U
#define ADDRESS  0x400000ULL /* of the slot */
#define DISTANCE 3U

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct kvm_dirty_gfn entry[ENTRIES];
static uint32_t taken_back; /* entries so far: KVM's index */
static uint32_t written;    /* the same of what is written */
static unsigned int calls;
static unsigned int interrupted; /* calls that a signal stops */
static bool says_so;             /* with an error, and not with the number of entries */
static bool takes_none;

/* Takes back what was read, in its order. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    const uint32_t most = takes_none ? 0 : interrupted > 0 ? AT_ONCE : ENTRIES;
    const uint32_t before = taken_back;

    (void)fd;
    ck_assert_uint_eq(request, KVM_RESET_DIRTY_RINGS);
    calls++;
    for (uint32_t i = 0; i < most && entry[taken_back % ENTRIES].flags & KVM_DIRTY_GFN_F_RESET; i++)
        entry[taken_back++ % ENTRIES].flags = 0;
    if (interrupted == 0 || !says_so) {
        interrupted -= interrupted > 0;
        return (int)(taken_back - before);
    }
    interrupted--;
    errno = EINTR;
    return -1;
}

/* What a vCPU wrote. */
static void fill(uint32_t from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        entry[(from + i) % ENTRIES] = (struct kvm_dirty_gfn){
            .flags = KVM_DIRTY_GFN_F_DIRTY, .slot = SLOT, .offset = DISTANCE * (from + i)};
    written = from + count;
}

struct world {
    struct dirty_ring ring;
    struct kvm_vm vm;
    struct slot_set slots;
    struct table_log log;
    uint64_t address[SLOT + 1];
};

static void begin(struct world *world)
{
    memset(world, 0, sizeof(*world));
    memset(entry, 0, sizeof(entry));
    taken_back = written = calls = interrupted = 0;
    says_so = takes_none = false;
    world->ring = (struct dirty_ring){.entry = entry, .size = ENTRIES};
    world->address[SLOT] = ADDRESS;
    world->slots.vm = &world->vm;
    world->slots.used = SLOT + 1;
    world->slots.address = world->address;
}

static int harvest(struct world *world, bool always)
{
    return dirty_ring_harvest(&world->ring, &world->slots, &world->log, NULL, always);
}

START_TEST(what_was_written)
{
    struct world world;

    begin(&world);
    fill(0, 10);
    ck_assert(dirty_ring_has(&world.ring));
    ck_assert_int_eq(harvest(&world, true), 0);
    ck_assert(!dirty_ring_has(&world.ring));
    ck_assert_uint_eq(world.log.head, 10);
    for (uint32_t i = 0; i < 10; i++)
        ck_assert_uint_eq(world.log.entry[i].page, ADDRESS / PAGE_SIZE + DISTANCE * i);
    ck_assert_uint_eq(taken_back, 10);
    ck_assert_uint_eq(calls, 1);
}
END_TEST

/* Otherwise only when half of it is read. */
START_TEST(not_always)
{
    struct world world;

    begin(&world);
    fill(0, ENTRIES / 2);
    ck_assert_int_eq(harvest(&world, false), 0);
    ck_assert_uint_eq(calls, 0);
    fill(ENTRIES / 2, 1);
    ck_assert_int_eq(harvest(&world, false), 0);
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(taken_back, ENTRIES / 2 + 1);
}
END_TEST

/* A ring of which KVM has not taken back all is full to it, and nobody would come by again. */
START_TEST(signals)
{
    struct world world;

    begin(&world);
    says_so = _i == 1;
    for (uint32_t round = 0; round < 3; round++) {
        fill(round * ENTRIES, ENTRIES);
        interrupted = 4;
        ck_assert_int_eq(harvest(&world, true), 0);
        ck_assert_uint_eq(taken_back, (round + 1) * ENTRIES);
        for (uint32_t i = 0; i < ENTRIES; i++)
            ck_assert_uint_eq(entry[i].flags, 0);
    }
}
END_TEST

/* KVM goes on where it was, whoever reads: what it cannot be asked is where that is. */
static const struct {
    uint32_t first; /* written at once */
    uint32_t then;
} rounds[] = {
    {ENTRIES, 5},
    {ENTRIES + 1, 5},
    {ENTRIES + 10, 5},
    {ENTRIES + 10, ENTRIES - 10}, /* to the ring's end */
    {ENTRIES + 10, ENTRIES - 5},  /* and round */
    {ENTRIES + 10, ENTRIES + 7},  /* over all of it */
    {2 * ENTRIES - 1, 1},
    {5 * ENTRIES + 30, 3},
};

START_TEST(gone_round)
{
    const uint32_t reserved = 4;
    struct world world;
    uint64_t head;

    begin(&world);
    fill(0, rounds[_i].first);
    ck_assert_int_eq(dirty_ring_full(&world.ring, &world.slots, &world.log, NULL), 0);
    ck_assert_uint_gt(world.log.head, TABLE_LOG_SIZE); /* whoever saw less has to do with all */
    ck_assert(dirty_ring_has(&world.ring));
    for (unsigned int i = 0; written - taken_back >= ENTRIES - reserved; i++) {
        ck_assert_uint_lt(i, 100);
        ck_assert_int_eq(dirty_ring_full(&world.ring, &world.slots, &world.log, NULL), 0);
    }
    ck_assert_uint_le(taken_back, written);
    /* It is not full now, and nothing is there: so it stays. */
    ck_assert_int_eq(harvest(&world, true), 0);
    head = world.log.head;
    fill(written, rounds[_i].then);
    ck_assert_int_eq(harvest(&world, true), 0);
    ck_assert_uint_le(taken_back, written);
    if (world.ring.lost) {
        ck_assert_uint_gt(world.log.head, head + TABLE_LOG_SIZE);
        head = world.log.head;
        fill(written, 2);
        ck_assert_int_eq(harvest(&world, true), 0);
        ck_assert_uint_eq(world.log.head, head + 2);
    } else {
        ck_assert_uint_eq(world.log.head, head + rounds[_i].then);
    }
    ck_assert_uint_eq(taken_back, written);
    ck_assert(!dirty_ring_has(&world.ring));
}
END_TEST

/* A vCPU whose ring could not be mapped. */
START_TEST(no_ring)
{
    struct world world;

    begin(&world);
    world.ring = (struct dirty_ring){0};
    ck_assert(!dirty_ring_has(&world.ring));
    ck_assert_int_eq(harvest(&world, true), 0);
    ck_assert_int_eq(dirty_ring_full(&world.ring, &world.slots, &world.log, NULL), 0);
    ck_assert_uint_eq(world.log.head, 0);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(never_taken_back)
{
    struct world world;

    begin(&world);
    takes_none = true;
    fill(0, ENTRIES);
    ck_assert_int_eq(harvest(&world, true), -EIO);
    ck_assert_uint_eq(calls, 2 * ENTRIES);
}
END_TEST

RUN_CASES("dirty_ring", 10, ONCE(what_was_written), ONCE(not_always), EACH(signals, 2),
          EACH(gone_round, sizeof(rounds) / sizeof(rounds[0])), ONCE(no_ring),
          ONCE(never_taken_back))
