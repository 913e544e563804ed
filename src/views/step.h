/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_STEP_H
#define VIEWS_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "views/probe_run.h"

/*
 * A single step (RFLAGS.TF) that does not come to its end: the instruction exits instead. On Intel
 * the processor may keep the step's debug exception with the vCPU all the same, in a field of the
 * VMCS (pending debug exceptions, SDM volume 3, 25.4.2) that KVM gives nobody: by the manual behind
 * a MOV SS, and Bochs 2.7 at each exit. The vCPU gets it before the next instruction that it runs.
 * That is right where it goes on with the same program, and is not where other state was loaded
 * meanwhile: a kernel would be given it at whatever instruction it has come to.
 */
enum step_left {
    STEP_NONE,
    STEP_HERE,     /* there may be one, of what the vCPU has run last */
    STEP_ELSEWHERE /* and what it ran has gone on in another vCPU */
};

#define STEP_FLAG 0x100ULL /* RFLAGS.TF */

/* Whether a small guest that is stepped leaves one behind, and step_take() finds it. */
bool step_probe(const struct kvm *kvm, const struct probe_run *run);

/* After each KVM_RUN of a host that leaves steps. True: one may be left. */
bool step_note(const struct kvm_run *run, uint8_t *step);

/* What has stepped there goes on in another vCPU, or not at all. */
static inline void step_elsewhere(uint8_t *step)
{
    if (*step == STEP_HERE)
        *step = STEP_ELSEWHERE;
}

/* Before the vCPU runs what its run page has, which stays as it is: what is left is for who runs on
 * there with single steps, and is taken from it for anybody else. The guest executes nothing. */
void step_settle(struct kvm_vcpu *vcpu, uint8_t *step);

#endif
