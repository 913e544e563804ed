/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_VIEW_GUEST_H
#define BENCH_VIEW_GUEST_H

#include "host/memory.h"
#include "views/space.h"

/*
 * An L2 of 16 MiB without an L1: a loop of three instructions that reads a word and stores it where
 * nothing is, which is an exit. Its views differ in the page that it reads, and in as many further
 * pages as is asked for, far from what it touches.
 */
#define VIEW_GUEST_VIEWS 64U

struct view_guest {
    struct memory memory;
    struct l1_memory l1;
    uint64_t next; /* L1 address of the next table of an EPT12 */
    struct space *space;
    struct view_vcpu vcpu;
    uint64_t eptp[VIEW_GUEST_VIEWS];
    uint32_t views;
};

/* 0, or a negative errno with a message; differing: at least 1. */
int view_guest_create(struct view_guest *guest, const struct kvm *kvm,
                      const struct host_traits *host, enum engine_kind engine, uint32_t views,
                      uint32_t differing, struct error *error);
void view_guest_destroy(struct view_guest *guest);

/* One more view, of 64 MiB, in that many extents. Not in the list. 0 or -ENOSPC. */
int view_guest_add_extents(struct view_guest *guest, uint32_t extents, uint64_t *eptp);

/* The loop begins, in the current view. */
void view_guest_start(struct view_guest *guest, unsigned int ring);

/* To another view (or none: negative), and one KVM_RUN. 0 or a negative errno. */
int view_guest_step(struct view_guest *guest, int64_t view, enum view_carry carry);

/* Reads all of its memory, in the current view. */
int view_guest_read_all(struct view_guest *guest);

/* For the bare costs: the same memory in a VM, and a vCPU of it that begins the loop. Negative
 * errno. */
int view_guest_map_bare(const struct view_guest *guest, const struct kvm_vm *vm);
int view_guest_start_bare(struct kvm_vcpu *vcpu, unsigned int ring);
/* What a view differs in: from now on that VM has a page of its own, in two slots more, from
 * VIEW_GUEST_SLOTS on. number: below VIEW_GUEST_VIEWS. */
#define VIEW_GUEST_SLOTS 2
int view_guest_differ_bare(const struct view_guest *guest, const struct kvm_vm *vm,
                           uint32_t number);

#endif
