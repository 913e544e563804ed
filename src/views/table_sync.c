/* SPDX-License-Identifier: Apache-2.0 */
#include "views/table_log.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "host/memory.h"
#include "views/tlb_page.h"

#define PAGES_OFFSET  64U
#define PAGES_MOST    ((PAGE_SIZE - PAGES_OFFSET) / sizeof(uint32_t))
#define LAST_OF_4_GIB 0xfffffULL
#define DOORBELL_PORT 0x7e
#define RUNS_MOST     64

/*
 * again: lodsl; lock orb $0, 1(%eax); loop again; out %al, $0x7e
 * A write of one byte at an aligned address counts as aligned for KVM: hence the 1.
 */
static const uint8_t program[] = {0xad, 0xf0, 0x80, 0x48, 0x01, 0x00, 0xe2, 0xf8, 0xe6, 0x7e};

void table_sync_destroy(struct table_sync *sync)
{
    if (sync->has_helper) {
        dirty_ring_unmap(&sync->helper_ring);
        kvm_vcpu_destroy(&sync->helper);
    }
    if (sync->program_page != NULL)
        munmap(sync->program_page, PAGE_SIZE);
    *sync = (struct table_sync){0};
}

int table_sync_zap(const struct slot_set *slots, uint32_t slot)
{
    /* Far behind what any EPT12 can map: the page is never used. */
    static uint8_t spare[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    const uint64_t address = 1ULL << 51;
    uint64_t at = address;
    int code = kvm_vm_set_slot(slots->vm, slot, at, PAGE_SIZE, spare, KVM_MEM_READONLY);

    /* Hosts with narrow physical addresses. */
    for (int shift = 51; code == -EINVAL && shift > 32; shift--) {
        at = (1ULL << shift) - PAGE_SIZE;
        if (extent_table_find(&slots->built, l2_at(at)) == NULL)
            code = kvm_vm_set_slot(slots->vm, slot, at, PAGE_SIZE, spare, KVM_MEM_READONLY);
    }
    return code != 0 ? code : kvm_vm_set_slot(slots->vm, slot, at, 0, spare, 0);
}

/* Flat 32-bit ring 0 without paging: its addresses are guest-physical ones. */
static int set_up_registers(struct kvm_vcpu *helper)
{
    const struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
    const struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs *sregs = &helper->run->s.regs.sregs;
    int result = kvm_vcpu_ioctl(helper, KVM_GET_SREGS, sregs);

    if (result < 0)
        return result;
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = 24, .type = 11, .present = 1};
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    sregs->cr0 = 0x11; /* PE, ET */
    sregs->cr3 = sregs->cr4 = sregs->efer = 0;
    return kvm_vcpu_ioctl(helper, KVM_SET_SREGS, sregs);
}

static int make_helper(struct table_sync *sync, const struct slot_set *slots,
                       const struct host_traits *host)
{
    const struct kvm_vm *vm = slots->vm;
    const int most = kvm_extension(vm->kvm, KVM_CAP_MAX_VCPU_ID);
    struct error error;
    int code = kvm_vcpu_create(&sync->helper, vm, most > 0 ? (unsigned int)most - 1 : 255,
                               vm->kvm->cpuid, &error);

    if (code != 0)
        return code;
    sync->helper_ring = (struct dirty_ring){0};
    code = set_up_registers(&sync->helper);
    if (code >= 0 && slots->write_flags != 0)
        dirty_ring_map(&sync->helper_ring, &sync->helper, host->ring_entries);
    sync->helper.run->kvm_valid_regs = 0;
    sync->has_helper = true;
    return code < 0 ? code : 0;
}

static int make_page(struct table_sync *sync)
{
    void *page;

    if (sync->program_page != NULL)
        return 0;
    page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -errno;
    memcpy(page, program, sizeof(program));
    sync->program_page = page;
    return 0;
}

static int place_program(struct table_sync *sync, const struct slot_set *slots, uint32_t slot)
{
    uint64_t at;
    int code;

    if (sync->program != 0)
        return 0;
    at = tlb_page_free_address(&slots->built);
    if (at == 0)
        return -ENOSPC;
    code = kvm_vm_set_slot(slots->vm, slot, at, PAGE_SIZE, sync->program_page, KVM_MEM_READONLY);
    if (code == 0)
        sync->program = at;
    return code;
}

static int run_helper(struct table_sync *sync, const struct slot_set *slots, uint32_t pages)
{
    struct kvm_vcpu *helper = &sync->helper;
    struct kvm_run *run = helper->run;
    int code = 0;

    run->s.regs.regs = (struct kvm_regs){
        .rip = sync->program,
        .rsi = sync->program + PAGES_OFFSET,
        .rcx = pages,
        .rflags = 2,
    };
    run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    for (int tries = 0; tries < RUNS_MOST; tries++) {
        /* Kicks are for the vCPU that waits for the helper: they do not end this. */
        code = ioctl(helper->fd, KVM_RUN, 0) < 0 ? -errno : 0;
        if (code == 0 && run->exit_reason == KVM_EXIT_DIRTY_RING_FULL)
            dirty_ring_full(&sync->helper_ring, slots, NULL, NULL);
        else if (code != -EINTR)
            break;
    }
    if (code != 0)
        return code;
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != DOORBELL_PORT)
        return -EPROTO;
    return dirty_ring_harvest(&sync->helper_ring, slots, NULL, NULL, false);
}

/* Tells the VM of the pages. */
static int tell(struct table_sync *sync, const struct slot_set *slots,
                const struct host_traits *host, uint32_t slot_of_program, uint32_t pages)
{
    int code = 0;

    if (pages == 0)
        return 0;
    /* Where ring 0 runs natively a write may do no more than mark a shadow as out of date until the
     * guest empties its TLB. */
    if (!host->logs_each_write || sync->bare)
        return -EXFULL;
    if (!sync->has_helper)
        code = make_helper(sync, slots, host);
    if (code == 0)
        code = place_program(sync, slots, slot_of_program);
    return code == 0 ? run_helper(sync, slots, pages) : code;
}

void table_sync_leave(struct table_sync *sync, const struct slot_set *slots, uint32_t slot)
{
    if (sync->program != 0)
        kvm_vm_set_slot(slots->vm, slot, sync->program, 0, sync->program_page, 0);
    sync->program = 0;
}

/* The pages that the helper is to write. -EXFULL: they are too many, or one cannot be written. */
static int collect(const struct table_sync *sync, const struct slot_set *slots,
                   const struct table_log *log, const void *self, uint32_t *pages)
{
    uint32_t *to = (uint32_t *)(void *)(sync->program_page + PAGES_OFFSET);

    *pages = 0;
    if (log->head - sync->seen > TABLE_LOG_SIZE)
        return -EXFULL;
    for (uint64_t i = sync->seen; i < log->head; i++) {
        const uint64_t page = log->entry[i % TABLE_LOG_SIZE].page;
        const struct extent *extent;

        if (log->entry[i % TABLE_LOG_SIZE].writer == self)
            continue;
        extent = extent_table_find(&slots->built, l2_at(page * PAGE_SIZE));
        /* What has no slot is no page table that KVM could walk. */
        if (extent == NULL || !rights_have_slot(extent->rights))
            continue;
        if (!(extent->rights & MEZZ_EPT_WRITE) || page > LAST_OF_4_GIB || *pages == PAGES_MOST)
            return -EXFULL;
        to[(*pages)++] = (uint32_t)(page * PAGE_SIZE);
    }
    return 0;
}

int table_sync_run(struct table_sync *sync, const struct slot_set *slots, struct table_log *log,
                   const void *self, const struct host_traits *host, uint32_t slot_of_program,
                   struct table_sync_result *result)
{
    int code = sync->zap ? -EXFULL : 0;

    *result = (struct table_sync_result){0};
    if (code == 0)
        code = make_page(sync);
    if (code == 0)
        code = collect(sync, slots, log, self, &result->pages);
    if (code == 0)
        code = tell(sync, slots, host, slot_of_program, result->pages);
    if (code != 0) {
        code = table_sync_zap(slots, slot_of_program + 1);
        result->zapped = true;
    }
    if (code != 0)
        return code;
    sync->zap = false;
    sync->seen = log->head;
    if (log->read < log->head)
        log->read = log->head;
    return 0;
}
