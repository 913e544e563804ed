/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_POLICY_H
#define VMM_L2_POLICY_H

#include "views/overlay.h"
#include "vmm/exits/drain.h"
#include "vmm/l2_view.h"

/*
 * Policies: who lays overlays over an L2's views and judges what they refuse. An L2 without one
 * pays a test of a pointer, and only where something was refused.
 *
 * All operations run on the thread of the vCPU, between two KVM_RUNs, and may be NULL. A policy may
 * alter the vCPU's state by the functions below and by nothing else. Policies are at work for one
 * vCPU of an L2 at a time: where one waits for a turn (l2_view.h), no other vCPU gets in between.
 */
struct l2_policy;

enum l2_verdict {
    L2_PASS,    /* not this policy's matter: the next one's, then L1's */
    L2_HANDLED, /* nothing is left to do: L2 runs on */
    L2_REFLECT  /* for L1: vcpu->exit, which the policy may have altered */
};

/* What the overlay refused although EPT12 allows it. */
struct l2_access {
    uint32_t right; /* the one that is missing: MEZZ_EPT_READ, _WRITE or _EXECUTE */
    l2_address address;
    uint64_t rip; /* of the instruction; of a write: of the one behind it, the write has retired */
    uint64_t linear; /* of a fetch, the first byte that cannot be had; otherwise 0: not known */
    uint64_t cr3;
    unsigned int cpl;
    uint32_t size;  /* bytes; 0: a fetch */
    uint64_t value; /* that was to be written. It has not been */
};

struct l2_policy_ops {
    /* A vCPU is about to run for the first time, in a view. Not 0: a mezz_error, with which the
     * entry fails; the next one tries again, also with policies that have started. */
    int (*start)(struct l2_policy *policy, struct l2_vcpu *vcpu);
    enum l2_verdict (*violation)(struct l2_policy *policy, struct l2_vcpu *vcpu,
                                 const struct l2_access *access);
    /* A write of `index` to the gate. rip: behind the instruction. */
    enum l2_verdict (*gate)(struct l2_policy *policy, struct l2_vcpu *vcpu, uint64_t index,
                            uint64_t rip);
    /* An interrupt is about to be injected into a vCPU that is not halted. L2_HANDLED: it is held
     * back until l2_release_interrupts(), as a local APIC would, once for each vector: to L1 it
     * counts as taken. */
    enum l2_verdict (*interrupt)(struct l2_policy *policy, struct l2_vcpu *vcpu, uint8_t vector);
    /* L1, to which an exit with reason MEZZ_EXIT_PORTION or MEZZ_EXIT_GUARD was left, lets L2 go
     * on, and this is the value that it completes the exit with. */
    void (*answered)(struct l2_policy *policy, struct l2_vcpu *vcpu, uint64_t value);
    /* The time of l2_policy_timer() is over. */
    void (*tick)(struct l2_policy *policy, struct l2_vcpu *vcpu);
    /* It ran for long without an exit, or has come out with one that no policy can do anything
     * about: an emulation failure, a triple fault. L2_REFLECT: it ends, vcpu->exit says by what. */
    enum l2_verdict (*stuck)(struct l2_policy *policy, struct l2_vcpu *vcpu);
    /* The vCPU, which does not run, is about to go; the L2 is, after all its vCPUs. */
    void (*vcpu_gone)(struct l2_policy *policy, struct l2_vcpu *vcpu);
    void (*destroy)(struct l2_policy *policy);
};

/* The beginning of a policy's own structure. */
struct l2_policy {
    const struct l2_policy_ops *ops;
    struct l2_policy *next;
};

/* Behind those that the L2 has; before it first runs. From then on it has an engine and a gate. 0
 * or a mezz_error. */
int l2_policy_add(struct l2 *l2, struct l2_policy *policy);

/* --- the root's side --- */

int l2_policies_start(struct l2_vcpu *vcpu);
/* vcpu->exit is a violation that EPT12 has nothing to do with. */
enum l2_verdict l2_policies_violation(struct l2_vcpu *vcpu, uint32_t right);
enum l2_verdict l2_policies_gate(struct l2_vcpu *vcpu, uint64_t index, uint64_t rip);
void l2_policies_answered(struct l2_vcpu *vcpu, uint64_t value);
void l2_policies_tick(struct l2_vcpu *vcpu);
/* Of an exit; false: it stays what it was. */
bool l2_policies_end(struct l2_vcpu *vcpu);
/* Of a KVM_RUN that something interrupted: only where there was no exit for long. */
bool l2_policies_end_quiet(struct l2_vcpu *vcpu);
void l2_policies_vcpu_gone(struct l2_vcpu *vcpu);
void l2_policies_destroy(struct l2 *l2);

/* Injects, or holds an interrupt back. KVM has no instruction pending. */
void l2_inject_event(struct l2_vcpu *vcpu, uint32_t info, uint32_t error_code);

/* Interrupt windows as L1's controls and interrupts that are held back want them. */
void l2_set_window(struct l2_vcpu *vcpu);

/* Whether all registers that were asked for so far came. Otherwise KVM failed to give some (struct
 * kvm_vcpu), nothing may be decided by them, and the machine has ended as a fault of the host. */
bool l2_has_registers(const struct l2_vcpu *vcpu);

/* --- for policies --- */

/* Ends the instruction that KVM has pending as if it had not begun: a read that was refused is
 * answered with zeros, its effect on general registers is taken back, its writes are dropped. What
 * it stored in memory or in XMM registers stays: zeros. 0, or a negative errno. */
int l2_abort_instruction(struct l2_vcpu *vcpu);

/* Its registers, for reading and writing; the pointer holds until the vCPU runs or is switched.
 * l2_regs_changed() after writing. KVM has no instruction pending, or an aborted one. */
struct kvm_regs *l2_regs(struct l2_vcpu *vcpu);
void l2_regs_changed(struct l2_vcpu *vcpu);
const struct kvm_sregs *l2_sregs(struct l2_vcpu *vcpu);

/* An exception at the instruction at RIP; code < 0: without an error code. 0, or a negative errno.
 */
int l2_raise(struct l2_vcpu *vcpu, uint8_t vector, int64_t code);

/* Puts the vCPU under another overlay, or none; CARRY_ALL everywhere but at a gate. 0, a positive
 * mezz_error, or a negative errno. */
int l2_switch_overlay(struct l2_vcpu *vcpu, struct space_overlay *overlay, enum view_carry carry);

/* Ends the KVM_RUNs of all other vCPUs of the L2, and waits for that. Until the policy returns, or
 * calls what may wait, none of them runs; when they do they see overlays as they are then. So what
 * the policy takes away, and what it looks at before it gives it to anybody, is nobody's. */
void l2_stop_others(struct l2_vcpu *vcpu);

/* Delivers the interrupts that were held back, one after another as the vCPU can take them. */
void l2_release_interrupts(struct l2_vcpu *vcpu);
bool l2_holds_interrupts(const struct l2_vcpu *vcpu);
/* Meanwhile nobody is told of interrupt windows: for as long as a policy holds all of them. */
void l2_hold_windows(struct l2_vcpu *vcpu, bool hold);

/* tick() at this machine time (ns); UINT64_MAX: never. The grain is a KVM_RUN's end. */
void l2_policy_timer(struct l2_vcpu *vcpu, uint64_t at);

#endif
