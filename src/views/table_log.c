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
    if (ring->reset == ring->read)
        return 0;
    for (; ring->reset != ring->read; ring->reset++)
        __atomic_store_n(&ring->entry[ring->reset % ring->size].flags, KVM_DIRTY_GFN_F_RESET,
                         __ATOMIC_RELEASE);
    /* A kick ends it half way, since Linux 6.17. The rest has to follow before the vCPU runs: to
     * KVM a ring whose entries were not all taken back stays full. */
    while (ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int dirty_ring_harvest(struct dirty_ring *ring, const struct slot_set *slots, struct table_log *log,
                       const void *writer, bool always)
{
    /* Entries that are read stay marked until they are reset: a full ring has no end. */
    while (ring->read - ring->reset < ring->size && dirty_ring_has(ring)) {
        const struct kvm_dirty_gfn *entry = &ring->entry[ring->read % ring->size];
        const uint32_t slot = entry->slot & 0xffff;

        if (log != NULL && slot < slots->used)
            table_log_add(log, slots->address[slot] / PAGE_SIZE + entry->offset, writer);
        ring->read++;
    }
    if (always || ring->read - ring->reset > ring->size / 2)
        return reset(ring, slots->vm);
    return 0;
}
