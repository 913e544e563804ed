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
static unsigned int calls;
static unsigned int interrupted; /* calls that a signal stops */

/* Takes back what was read, in its order. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    const uint32_t most = interrupted > 0 ? AT_ONCE : ENTRIES;

    (void)fd;
    ck_assert_uint_eq(request, KVM_RESET_DIRTY_RINGS);
    calls++;
    for (uint32_t i = 0; i < most && entry[taken_back % ENTRIES].flags & KVM_DIRTY_GFN_F_RESET; i++)
        entry[taken_back++ % ENTRIES].flags = 0;
    if (interrupted == 0)
        return 0;
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
    taken_back = calls = interrupted = 0;
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

RUN_CASES("dirty_ring", 10, ONCE(what_was_written), ONCE(not_always), ONCE(signals))
