/* SPDX-License-Identifier: Apache-2.0 */
#include "views/table_log.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/memory.h"

/* A page that is in the log where nobody has read it yet need not be there twice. */
void table_log_add(struct table_log *log, uint64_t page, const void *writer)
{
    uint64_t *recent = &log->recent[page % RECENT_PAGES];

    if (*recent > log->read && *recent + TABLE_LOG_SIZE > log->head) {
        uint64_t at = (*recent - 1) % TABLE_LOG_SIZE;

        if (log->entry[at].page == page && log->entry[at].writer == writer)
            return;
    }
    log->entry[log->head % TABLE_LOG_SIZE].page = page;
    log->entry[log->head % TABLE_LOG_SIZE].writer = writer;
    log->head++;
    *recent = log->head;
}

int dirty_ring_map(struct dirty_ring *ring, const struct kvm_vcpu *vcpu, uint32_t entries)
{
    const long page = sysconf(_SC_PAGESIZE);
    void *mapping = mmap(NULL, entries * sizeof(*ring->entry), PROT_READ | PROT_WRITE, MAP_SHARED,
                         vcpu->fd, page * KVM_DIRTY_LOG_PAGE_OFFSET);

    if (mapping == MAP_FAILED)
        return -errno;
    *ring = (struct dirty_ring){.entry = mapping, .size = entries};
    return 0;
}

void dirty_ring_unmap(struct dirty_ring *ring)
{
    if (ring->entry != NULL)
        munmap(ring->entry, ring->size * sizeof(*ring->entry));
}

static int reset(struct dirty_ring *ring, const struct kvm_vm *vm)
{
    const struct kvm_dirty_gfn *last = &ring->entry[(ring->read - 1) % ring->size];

    if (ring->reset == ring->read)
        return 0;
    for (; ring->reset != ring->read; ring->reset++)
        __atomic_store_n(&ring->entry[ring->reset % ring->size].flags, KVM_DIRTY_GFN_F_RESET,
                         __ATOMIC_RELEASE);
    /* A kick ends it half way, since Linux 6.17, and then it says how many it has taken back. The
     * rest has to follow before the vCPU runs: to KVM a ring whose entries were not all taken back
     * stays full. It takes one at least unless the kick came before. */
    for (uint32_t tries = 0; tries < 2 * ring->size; tries++) {
        if (ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0 && errno != EINTR)
            return -errno;
        if (!(__atomic_load_n(&last->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_RESET))
            return 0;
    }
    return -EIO;
}

static bool is_written(const struct dirty_ring *ring, uint32_t ahead)
{
    return __atomic_load_n(&ring->entry[(ring->read + ahead) % ring->size].flags,
                           __ATOMIC_ACQUIRE) &
           KVM_DIRTY_GFN_F_DIRTY;
}

/* How many entries from there on are written, or are not. */
static uint32_t run_of(const struct dirty_ring *ring, uint32_t from, bool written)
{
    uint32_t at = from;

    while (at < ring->size && is_written(ring, at) == written)
        at++;
    return at - from;
}

/* Gives entries back that nobody can read any more. */
static int skip(struct dirty_ring *ring, const struct kvm_vm *vm, uint32_t count)
{
    ring->read += count;
    return reset(ring, vm);
}

static void lose(struct dirty_ring *ring, struct table_log *log)
{
    ring->lost = true;
    if (log != NULL)
        log->head += TABLE_LOG_SIZE + 1;
}

/* Between what KVM was given back and where it goes on there is less than a whole ring. */
static int find_again(struct dirty_ring *ring, const struct kvm_vm *vm, struct table_log *log,
                      bool full)
{
    const uint32_t gap = run_of(ring, 0, false);
    const uint32_t run = run_of(ring, gap, true);

    /* KVM keeps less than that for itself of any ring. */
    if (run == 0)
        return full ? skip(ring, vm, ring->size / 2) : 0;
    /* From further on to the end of the ring, and round. */
    if (gap == 0 && run + run_of(ring, run, false) < ring->size) {
        lose(ring, log);
        return skip(ring, vm, ring->size);
    }
    ring->lost = false;
    return gap > 0 ? skip(ring, vm, gap) : 0;
}

int dirty_ring_harvest(struct dirty_ring *ring, const struct slot_set *slots, struct table_log *log,
                       const void *writer, bool always)
{
    int code = ring->lost ? find_again(ring, slots->vm, log, false) : 0;

    if (code != 0 || ring->lost || ring->entry == NULL)
        return code;
    /* Entries that are read stay marked until they are reset: a full ring has no end. */
    while (ring->read - ring->reset < ring->size && is_written(ring, 0)) {
        const struct kvm_dirty_gfn *entry = &ring->entry[ring->read % ring->size];
        const uint32_t slot = entry->slot & 0xffff;

        if (log != NULL && slot < slots->used)
            table_log_add(log, slots->address[slot] / PAGE_SIZE + entry->offset, writer);
        ring->read++;
    }
    if (ring->read - ring->reset == ring->size)
        lose(ring, log);
    if (always || ring->read - ring->reset > ring->size / 2)
        return reset(ring, slots->vm);
    return 0;
}

int dirty_ring_full(struct dirty_ring *ring, const struct slot_set *slots, struct table_log *log,
                    const void *writer)
{
    if (ring->entry != NULL && !ring->lost && ring->read == ring->reset && !is_written(ring, 0))
        lose(ring, log);
    return ring->lost ? find_again(ring, slots->vm, log, true)
                      : dirty_ring_harvest(ring, slots, log, writer, true);
}
