/* SPDX-License-Identifier: Apache-2.0 */
#include "instructions.h"

#include <errno.h>
#include <string.h>

#include "host/kick.h"
#include "mezz/calls.h"
#include "vmm/machine_state.h"

#define LIMIT          10000U
#define OUT_IMMEDIATE  0xe6U
#define CALL_LENGTH    2U
#define CYCLES_TO_FIND 16U

/* Whether L1 is about to make a call. It maps its memory one to one. */
static bool at_call(const struct subject *subject)
{
    uint8_t code[CALL_LENGTH];
    uint64_t rip;

    kvm_vcpu_need(&subject->l1->kvm, KVM_SYNC_X86_REGS);
    rip = subject->l1->kvm.run->s.regs.regs.rip;
    return l1_read(&subject->machine->l1_memory, l1_at(rip), code, sizeof(code)) == 0 &&
           code[0] == OUT_IMMEDIATE && code[1] == MEZZ_CALL_PORT;
}

/* KVM arms the step for the instruction that it has loaded: the handler's registers go there first,
 * by a KVM_RUN that runs nothing. */
static int load_registers(struct kvm_vcpu *vcpu)
{
    int code;

    vcpu->run->immediate_exit = 1;
    code = kvm_vcpu_run(vcpu);
    return code == -EINTR ? 0 : code;
}

static int set_stepping(struct kvm_vcpu *vcpu, bool on)
{
    struct kvm_guest_debug debug = {.control =
                                        on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0};

    return kvm_vcpu_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

static int step(struct kvm_vcpu *vcpu)
{
    int code;

    do {
        kicks_take();
        code = kvm_vcpu_run(vcpu);
    } while (code == -EINTR);
    if (code == 0 && vcpu->run->exit_reason != KVM_EXIT_DEBUG)
        code = -ENOTSUP;
    return code;
}

static int step_to_call(struct subject *subject, unsigned int *count, struct error *error)
{
    struct kvm_vcpu *vcpu = &subject->l1->kvm;
    int code = load_registers(vcpu);

    if (code == 0)
        code = set_stepping(vcpu, true);
    if (code < 0)
        return error_set(error, ENOTSUP, "KVM_SET_GUEST_DEBUG: %s", strerror(-code));
    for (*count = 1; !at_call(subject) && *count < LIMIT; ++*count) {
        code = step(vcpu);
        if (code != 0)
            return error_set(error, ENOTSUP, "a single step of L1 gave KVM exit %u (%s)",
                             vcpu->run->exit_reason, strerror(-code));
    }
    set_stepping(vcpu, false);
    return at_call(subject) ? 0 : error_set(error, ENOTSUP, "L1's handler made no call");
}

int instructions_per_callback(struct subject *subject, unsigned int *count, struct error *error)
{
    uint64_t ticks;
    int code = subject_begin(subject, error);

    if (code != 0)
        return code;
    for (unsigned int i = 0;
         i < CYCLES_TO_FIND && code == 0 && subject_mode(subject) != L1_IN_HANDLER; i++)
        code = subject_cycle(subject, &ticks, error);
    if (code == 0 && subject_mode(subject) != L1_IN_HANDLER)
        code = error_set(error, ENOTSUP, "no callback fired");
    if (code == 0)
        code = step_to_call(subject, count, error);
    /* L1 must be able to go on from there. */
    if (code == 0)
        code = subject_cycle(subject, &ticks, error);
    subject_end(subject);
    return code;
}
