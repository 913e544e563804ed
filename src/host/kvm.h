/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOST_KVM_H
#define HOST_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "host/error.h"
#include "host/kick.h"

/*
 * /dev/kvm by raw ioctls (Documentation/virt/kvm/api.rst). Nothing here knows of levels: an L1 and
 * an L2 are VMs alike.
 */
struct kvm {
    int fd;
    size_t run_size;
    struct kvm_cpuid2 *cpuid; /* KVM_GET_SUPPORTED_CPUID */
};

struct kvm_vm {
    const struct kvm *kvm;
    int fd;
};

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
    size_t run_size;
    uint64_t runs;         /* KVM_RUN */
    uint64_t other_ioctls; /* any other on this vCPU since it was created */

    /* Groups of registers, KVM_SYNC_X86_*: see kvm_vcpu_need. */
    uint32_t fresh; /* the run page has what the vCPU has, or is going to have */
    uint32_t asked; /* was needed in this window */
    bool lazy;
    int failure; /* of a fetch: a negative errno, which the next KVM_RUN returns */
};

/* What every machine needs, checked by kvm_open. */
#define KVM_SYNC_ALL       (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

#define KVM_DEFAULT_DEVICE "/dev/kvm"

/* device: a path, normally KVM_DEFAULT_DEVICE. -ENODEV and what to do about it when there is no
 * usable KVM or it lacks a capability. */
int kvm_open(struct kvm *kvm, const char *device, struct error *error);

/* Of a KVM_EXIT_... number, as it is called behind the prefix; "unknown". */
const char *kvm_exit_name(uint32_t exit_reason);
void kvm_close(struct kvm *kvm);

/* KVM_CHECK_EXTENSION; 0 when it is not there. */
int kvm_extension(const struct kvm *kvm, unsigned long capability);

/* A VM as the root wants it: no interrupt controller, emulation failures and unknown MSR accesses
 * exit to the root (KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_X86_USER_SPACE_MSR). -ENODEV when
 * KVM refuses, for whatever reason: it is not the input's fault. */
int kvm_vm_create(struct kvm_vm *vm, const struct kvm *kvm, struct error *error);
void kvm_vm_destroy(struct kvm_vm *vm);

/* KVM_SET_USER_MEMORY_REGION; size 0 deletes the slot. flags: 0 or KVM_MEM_READONLY. Negative
 * errno. */
int kvm_vm_set_slot(const struct kvm_vm *vm, uint32_t slot, uint64_t guest_physical, uint64_t size,
                    void *host, uint32_t flags);

/* cpuid: what the level sees. All registers come with each KVM_RUN through the run page, until
 * kvm_vcpu_be_lazy. -ENODEV when KVM refuses. */
int kvm_vcpu_create(struct kvm_vcpu *vcpu, const struct kvm_vm *vm, unsigned int index,
                    const struct kvm_cpuid2 *cpuid, struct error *error);
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu);

/* Any vCPU ioctl but KVM_RUN, counted. Returns what ioctl(2) returns, or a negative errno. */
int kvm_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned long request, void *argument);

/*
 * Registers that nobody looks at cost time, too: SREGS half a bare exit on kvm_intel. A lazy vCPU
 * brings along what was needed lately; what is needed beyond that is fetched by an ioctl, and comes
 * along from then on. So whoever reads run->s.regs, or alters a part of a group there, says so
 * first: kvm_vcpu_need(). Whoever replaces a group says that: kvm_vcpu_replaced().
 */
/* Runs, from the first on, after which a lazy vCPU stops to bring along what was not needed in any
 * of them. */
#define KVM_LAZY_WINDOW 64U
void kvm_vcpu_be_lazy(struct kvm_vcpu *vcpu);
void kvm_vcpu_fetch(struct kvm_vcpu *vcpu, uint32_t groups);

static inline void kvm_vcpu_need(struct kvm_vcpu *vcpu, uint32_t groups)
{
    vcpu->asked |= groups;
    if ((groups & ~vcpu->fresh) != 0)
        kvm_vcpu_fetch(vcpu, groups & ~vcpu->fresh);
}

/* The next KVM_RUN loads these groups from the run page. An interrupt that was being injected is
 * among the system registers, too, and loading them would inject it once more, long after: the
 * events alone tell of it. */
static inline void kvm_vcpu_replaced(struct kvm_vcpu *vcpu, uint32_t groups)
{
    if (groups & KVM_SYNC_X86_SREGS)
        memset(vcpu->run->s.regs.sregs.interrupt_bitmap, 0,
               sizeof(vcpu->run->s.regs.sregs.interrupt_bitmap));
    vcpu->run->kvm_dirty_regs |= groups;
    vcpu->fresh |= groups;
}

/* KVM_RUN: 0, or a negative errno: -EINTR for a kick (host/kick.h) or immediate_exit. */
static inline int kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
    int code;

    if (vcpu->failure != 0)
        return vcpu->failure;
    if (vcpu->runs++ % KVM_LAZY_WINDOW == 0 && vcpu->lazy) {
        vcpu->run->kvm_valid_regs = vcpu->asked;
        vcpu->asked = 0;
    }
    code = kicks_run(vcpu->fd, vcpu->run);
    vcpu->fresh = (uint32_t)vcpu->run->kvm_valid_regs;
    return code;
}

#endif
