/* SPDX-License-Identifier: Apache-2.0 */
#include "views/side.h"

#include <errno.h>
#include <string.h>

#include "host/hot.h"
#include "host/memory.h"

#define MSR_SMBASE  0x9eU
#define SMBASE      (1ULL << 51) /* L2-physical addresses have 48 bits */
#define DOORBELL    0x7e
#define TURNS       6
#define MMIO_ANSWER 0x5a5a5a5aU

int side_prepare(struct kvm_vcpu *vcpu)
{
    union {
        struct kvm_msrs header;
        uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } one = {.header = {.nmsrs = 1}};
    int done;

    one.header.entries[0] = (struct kvm_msr_entry){.index = MSR_SMBASE, .data = SMBASE};
    done = kvm_vcpu_ioctl(vcpu, KVM_SET_MSRS, &one);
    return done == 1 ? 0 : done < 0 ? done : -EIO;
}

HOT void side_take(struct kvm_vcpu *vcpu, unsigned int side)
{
    struct kvm_vcpu_events *events = &vcpu->run->s.regs.events;

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_EVENTS);
    events->flags |= KVM_VCPUEVENT_VALID_SMM;
    events->smi.smm = (uint8_t)side;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_EVENTS);
}

/*
 * The probe's guest, in flat 32-bit ring 0:
 * again: mov WORD, %eax; mov EXTRA, %ecx; out %al, $0x7e; jmp again; rsm: rsm
 * Side 0 has no EXTRA, and another WORD.
 */
enum {
    PAGE_CODE = 1,
    PAGE_WORD,
    PAGE_EXTRA,
    PAGE_OTHER_WORD,
    PAGES
};

#define RSM_OFFSET 15U

struct sides {
    struct memory memory;
    struct kvm_vm vm;
    struct kvm_vcpu vcpu;
    const struct probe_run *run;
};

static uint32_t *page(const struct sides *sides, unsigned int number)
{
    return (uint32_t *)(void *)(sides->memory.base + number * PAGE_SIZE);
}

static int fill(const struct sides *sides)
{
    static const uint8_t code[] = {0xa1, 0x00, 0x20, 0x00, 0x00, 0x8b, 0x0d, 0x00, 0x30,
                                   0x00, 0x00, 0xe6, 0x7e, 0xeb, 0xf1, 0x0f, 0xaa};
    const struct kvm_vm *vm = &sides->vm;
    int result;

    _Static_assert(sizeof(code) == RSM_OFFSET + 2, "RSM is last");
    memcpy(page(sides, PAGE_CODE), code, sizeof(code));
    page(sides, PAGE_WORD)[0] = PAGE_WORD;
    page(sides, PAGE_OTHER_WORD)[0] = PAGE_OTHER_WORD;
    page(sides, PAGE_EXTRA)[0] = PAGE_EXTRA;
    result = kvm_vm_set_slot(vm, 0, PAGE_SIZE, 2 * PAGE_SIZE, page(sides, PAGE_CODE), 0);
    if (result == 0)
        result = kvm_vm_set_slot(vm, SIDE_SLOTS, PAGE_CODE * PAGE_SIZE, PAGE_SIZE,
                                 page(sides, PAGE_CODE), KVM_MEM_READONLY);
    if (result == 0)
        result = kvm_vm_set_slot(vm, SIDE_SLOTS + 1, PAGE_WORD * PAGE_SIZE, PAGE_SIZE,
                                 page(sides, PAGE_OTHER_WORD), 0);
    if (result == 0)
        result = kvm_vm_set_slot(vm, SIDE_SLOTS + 2, PAGE_EXTRA * PAGE_SIZE, PAGE_SIZE,
                                 page(sides, PAGE_EXTRA), KVM_MEM_READONLY);
    return result;
}

static int set_registers(struct kvm_vcpu *vcpu)
{
    struct kvm_regs regs = {.rip = PAGE_CODE * PAGE_SIZE, .rflags = 2};
    struct kvm_sregs sregs;
    int result = kvm_vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs);

    if (result < 0)
        return result;
    probe_run_flat(&sregs, false);
    sregs.cr0 = 0x11; /* PE, ET */
    sregs.cr3 = sregs.cr4 = sregs.efer = 0;
    result = kvm_vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs);
    return result < 0 ? result : kvm_vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* On to the next `out`: what the guest has read then. */
static bool reads(struct sides *sides, uint32_t word, uint32_t extra)
{
    struct kvm_run *run = sides->vcpu.run;
    const uint32_t answer = MMIO_ANSWER;

    if (probe_run_once(sides->run, &sides->vcpu) != 0)
        return false;
    if (extra == answer) {
        if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.is_write ||
            run->mmio.phys_addr != PAGE_EXTRA * PAGE_SIZE || run->mmio.len != sizeof(answer))
            return false;
        memcpy(run->mmio.data, &answer, sizeof(answer));
        if (probe_run_once(sides->run, &sides->vcpu) != 0)
            return false;
    }
    return run->exit_reason == KVM_EXIT_IO && run->s.regs.regs.rax == word &&
           run->s.regs.regs.rcx == extra;
}

/* No state is loaded: it is where it was, on its side. */
static bool refuses_rsm(struct sides *sides)
{
    const struct kvm_run *run = sides->vcpu.run;
    struct kvm_regs *regs = &sides->vcpu.run->s.regs.regs;
    const uint64_t at = PAGE_CODE * PAGE_SIZE + RSM_OFFSET;

    regs->rip = at;
    kvm_vcpu_replaced(&sides->vcpu, KVM_SYNC_X86_REGS);
    return probe_run_once(sides->run, &sides->vcpu) == 0 &&
           run->exit_reason == KVM_EXIT_INTERNAL_ERROR && regs->rip == at &&
           run->s.regs.events.smi.smm == 1;
}

static bool ask(struct sides *sides)
{
    if (fill(sides) != 0 || set_registers(&sides->vcpu) < 0 || side_prepare(&sides->vcpu) != 0)
        return false;
    for (unsigned int i = 0; i < TURNS; i++) {
        const unsigned int side = i % 2;

        if (i > 0)
            side_take(&sides->vcpu, side);
        if (!reads(sides, side == 0 ? PAGE_WORD : PAGE_OTHER_WORD,
                   side == 0 ? MMIO_ANSWER : PAGE_EXTRA))
            return false;
    }
    return refuses_rsm(sides);
}

bool side_probe(const struct kvm *kvm, const struct probe_run *run)
{
    struct sides sides = {.run = run};
    struct error ignored;
    bool has = false;

    if (kvm_extension(kvm, KVM_CAP_MULTI_ADDRESS_SPACE) < 2 ||
        kvm_extension(kvm, KVM_CAP_X86_SMM) <= 0 ||
        memory_create_unnamed(&sides.memory, PAGES * PAGE_SIZE, &ignored) != 0)
        return false;
    if (kvm_vm_create(&sides.vm, kvm, &ignored) == 0) {
        if (kvm_vcpu_create(&sides.vcpu, &sides.vm, 0, kvm->cpuid, &ignored) == 0) {
            has = ask(&sides);
            kvm_vcpu_destroy(&sides.vcpu);
        }
        kvm_vm_destroy(&sides.vm);
    }
    memory_destroy(&sides.memory);
    return has;
}
