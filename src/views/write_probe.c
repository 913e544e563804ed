/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/memory.h"
#include "views/host_traits.h"
#include "views/probe_run.h"
#include "views/side.h"
#include "views/slot_set.h"
#include "views/step.h"
#include "views/table_log.h"
#include "views/tlb_page.h"

/*
 * A guest in ring 0 of long mode writes one byte again and again; each `out` is an exit. Whether
 * the second write is in the dirty ring, too, is the answer.
 */
/* 512 KiB a vCPU. KVM looks whether a ring is full only when it enters the guest; one that emulates
 * ring 0 does so for a millisecond before it looks, and an emulated REP writes thousands of times
 * in that. A ring that overflows is of no use ever after. */
#define RING_ENTRIES 32768U
#define DOORBELL     0x7e
#define WRITES       3
#define PAGE_FLAGS   0x63ULL /* present, writable, accessed, dirty */
#define LARGE_FLAGS  (PAGE_FLAGS | 0x80ULL)

enum {
    PAGE_ROOT = 1,
    PAGE_POINTERS,
    PAGE_DIRECTORY,
    PAGE_CODE,
    PAGE_TARGET,
    PAGES
};

static void fill_memory(const struct memory *memory)
{
    /* again: movb $1, (%rbx); out %al, $0x7e; jmp again */
    static const uint8_t code[] = {0xc6, 0x03, 0x01, 0xe6, DOORBELL, 0xeb, 0xf9};
    uint64_t *pages = (uint64_t *)(void *)memory->base;
    const size_t words = PAGE_SIZE / sizeof(*pages);

    pages[PAGE_ROOT * words] = PAGE_POINTERS * PAGE_SIZE | PAGE_FLAGS;
    pages[PAGE_POINTERS * words] = PAGE_DIRECTORY * PAGE_SIZE | PAGE_FLAGS;
    pages[PAGE_DIRECTORY * words] = LARGE_FLAGS;
    memcpy(memory->base + PAGE_CODE * PAGE_SIZE, code, sizeof(code));
}

static int set_registers(struct kvm_vcpu *vcpu)
{
    struct kvm_regs regs = {
        .rip = PAGE_CODE * PAGE_SIZE, .rbx = PAGE_TARGET * PAGE_SIZE, .rflags = 2};
    struct kvm_sregs sregs;
    int result = kvm_vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs);

    if (result < 0)
        return result;
    probe_run_flat(&sregs, true);
    sregs.cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
    sregs.cr4 = 0x20;       /* PAE */
    sregs.efer = 0x500;     /* LMA, LME */
    sregs.cr3 = PAGE_ROOT * PAGE_SIZE;
    result = kvm_vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs);
    return result < 0 ? result : kvm_vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* Writes of the target page that the ring has after WRITES of them. */
static unsigned int count_writes(const struct probe_run *run, struct kvm_vcpu *vcpu,
                                 const struct dirty_ring *ring)
{
    unsigned int count = 0;

    for (int i = 0; i < WRITES; i++)
        if (probe_run_once(run, vcpu) != 0 || vcpu->run->exit_reason != KVM_EXIT_IO)
            return 0;
    for (uint32_t i = 0; i < ring->size; i++)
        if (ring->entry[i].flags & KVM_DIRTY_GFN_F_DIRTY && ring->entry[i].offset == PAGE_TARGET)
            count++;
    return count;
}

/* A request that KVM takes back is one that it has heard. The guest is the one of count_writes. */
static bool try_flush(const struct probe_run *run, const struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
    const struct slot_set slots = {.vm = vm};
    struct tlb_page tlb = {0};
    bool heard = false;

    if (tlb_page_place(&tlb, &slots, 1) == 0 && tlb_page_attach(&tlb, vcpu, 1)) {
        tlb_page_ask(&tlb, 1);
        heard = probe_run_once(run, vcpu) == 0 && !tlb_page_is_asked(&tlb, 1);
    }
    tlb_page_leave(&tlb, &slots, 1);
    tlb_page_destroy(&tlb);
    return heard;
}

static int try_writes(const struct kvm *kvm, const struct probe_run *run,
                      const struct memory *memory, struct host_traits *traits, struct error *error)
{
    struct kvm_enable_cap enable = {.cap = KVM_CAP_DIRTY_LOG_RING,
                                    .args = {RING_ENTRIES * sizeof(struct kvm_dirty_gfn)}};
    struct dirty_ring ring = {0};
    struct kvm_vcpu vcpu;
    struct kvm_vm vm;
    bool has_ring;
    int code = kvm_vm_create(&vm, kvm, error);

    if (code != 0)
        return code;
    /* No ring is no failure. */
    has_ring = ioctl(vm.fd, KVM_ENABLE_CAP, &enable) == 0;
    code = kvm_vcpu_create(&vcpu, &vm, 0, kvm->cpuid, error);
    if (code != 0)
        goto destroy_vm;
    if (kvm_vm_set_slot(&vm, 0, 0, memory->size, memory->base,
                        has_ring ? KVM_MEM_LOG_DIRTY_PAGES : 0) == 0 &&
        set_registers(&vcpu) >= 0) {
        if (has_ring && dirty_ring_map(&ring, &vcpu, RING_ENTRIES) == 0) {
            const unsigned int writes = count_writes(run, &vcpu, &ring);

            traits->ring_entries = writes > 0 ? RING_ENTRIES : 0;
            traits->logs_each_write = writes >= WRITES;
        }
        traits->flushes_on_request = try_flush(run, &vm, &vcpu);
    }
    dirty_ring_unmap(&ring);
    kvm_vcpu_destroy(&vcpu);
destroy_vm:
    kvm_vm_destroy(&vm);
    return code;
}

int host_traits_probe(const struct kvm *kvm, struct host_traits *traits, struct error *error)
{
    struct probe_run run;
    struct memory memory;
    int code;

    *traits = (struct host_traits){0};
    code = host_paging_probe(kvm, &traits->paging, error);
    if (code != 0)
        return code;
    code = memory_create_unnamed(&memory, PAGES * PAGE_SIZE, error);
    if (code != 0)
        return code;
    fill_memory(&memory);
    code = probe_run_begin(&run, error);
    if (code == 0) {
        code = try_writes(kvm, &run, &memory, traits, error);
        if (code == 0 && traits->paging.kind == PAGING_HARDWARE)
            traits->two_sides = side_probe(kvm, &run);
        if (code == 0)
            traits->leaves_steps = step_probe(kvm, &run);
        probe_run_end(&run);
    }
    memory_destroy(&memory);
    return code;
}
