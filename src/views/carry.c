/* SPDX-License-Identifier: Apache-2.0 */
#include "views/carry.h"

#include <errno.h>
#include <string.h>

#include "views/step.h"

#define CR3_PWT     0x8ULL
#define XSAVE_BYTES 4096

void carry_seldom(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    struct kvm_sync_regs *there = &from->run->s.regs;
    struct kvm_sync_regs *here = &to->run->s.regs;

    /* MOV SS holds the exception of a step back, which Intel's processor then demands to find in a
     * field that nobody can carry (step.h): KVM_RUN would fail. It comes behind the next
     * instruction in any case. */
    if (there->regs.rflags & STEP_FLAG)
        there->events.interrupt.shadow = 0;
    if (!(to->fresh & KVM_SYNC_X86_SREGS) ||
        memcmp(&here->sregs, &there->sregs, sizeof(here->sregs)) != 0) {
        here->sregs = there->sregs;
        kvm_vcpu_replaced(to, KVM_SYNC_X86_SREGS);
    }
    if (!(to->fresh & KVM_SYNC_X86_EVENTS) ||
        memcmp(&here->events, &there->events, sizeof(here->events)) != 0) {
        here->events = there->events;
        kvm_vcpu_replaced(to, KVM_SYNC_X86_EVENTS);
    }
}

void carry_run_page(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    kvm_vcpu_need(from, KVM_SYNC_ALL);
    carry_seldom(to, from);
    to->run->s.regs.regs = from->run->s.regs.regs;
    carry_general(to, from);
}

void carry_tsc(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    uint64_t mine = 0;
    uint64_t theirs = 0;
    struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&theirs};

    if (kvm_vcpu_ioctl(from, KVM_GET_DEVICE_ATTR, &attribute) < 0)
        return;
    attribute.addr = (uintptr_t)&mine;
    if (kvm_vcpu_ioctl(to, KVM_GET_DEVICE_ATTR, &attribute) < 0 || mine == theirs)
        return;
    attribute.addr = (uintptr_t)&theirs;
    kvm_vcpu_ioctl(to, KVM_SET_DEVICE_ATTR, &attribute);
}

static int carry_xsave(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    /* More than 4 KiB only with AMX, which KVM gives to no guest that did not ask for it by
     * arch_prctl. */
    struct kvm_xsave area;
    struct kvm_xcrs xcrs;
    int code = kvm_vcpu_ioctl(from, KVM_GET_XCRS, &xcrs);

    _Static_assert(sizeof(area) == XSAVE_BYTES, "struct kvm_xsave");
    if (code >= 0)
        code = kvm_vcpu_ioctl(to, KVM_SET_XCRS, &xcrs);
    if (code < 0)
        return code;
    code = kvm_vcpu_ioctl(from, KVM_GET_XSAVE, &area);
    return code < 0 ? code : kvm_vcpu_ioctl(to, KVM_SET_XSAVE, &area);
}

int carry_rest(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    struct kvm_debugregs debug;
    int code = carry_xsave(to, from);

    if (code >= 0)
        code = kvm_vcpu_ioctl(from, KVM_GET_DEBUGREGS, &debug);
    if (code >= 0)
        code = kvm_vcpu_ioctl(to, KVM_SET_DEBUGREGS, &debug);
    if (code < 0)
        return code;
    carry_tsc(to, from);
    return 0;
}

int carry_clear(struct kvm_vcpu *vcpu)
{
    struct kvm_xsave initial = {.region = {0}};
    struct kvm_run *run = vcpu->run;
    int code = kvm_vcpu_ioctl(vcpu, KVM_SET_XSAVE, &initial);

    run->request_interrupt_window = 0;
    memset(&run->s.regs.events, 0, sizeof(run->s.regs.events));
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_EVENTS);
    vcpu->runs = 0;
    vcpu->other_ioctls = 0;
    return code < 0 ? code : 0;
}

int carry_flush(struct kvm_vcpu *to, struct kvm_vcpu *from)
{
    struct kvm_run *run = to->run;
    int code;

    kvm_vcpu_need(from, KVM_SYNC_X86_SREGS);
    run->s.regs.sregs = from->run->s.regs.sregs;
    run->s.regs.sregs.cr3 ^= CR3_PWT;
    run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
    run->immediate_exit = 1;
    code = kvm_vcpu_run(to);
    return code == -EINTR ? 0 : code;
}
