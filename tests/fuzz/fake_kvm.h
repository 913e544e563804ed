/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FAKE_KVM_H
#define TESTS_FUZZ_FAKE_KVM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A KVM without a processor, for fuzzing: /dev/kvm, its VMs and vCPUs are numbers that no file has,
 * by the linker's --wrap on ioctl, open, close, mmap and munmap. What a KVM_RUN does comes from
 * fake_kvm_run(). It is strict: a memory slot that KVM would refuse, or that shows anything but
 * what it may, ends the program.
 */

struct fake_slot {
    uint64_t address;
    uint64_t size; /* 0: none */
    uint64_t host;
    uint32_t flags; /* KVM_MEM_READONLY */
};

/* The memory that slots may show: L1's. Others are single pages of the root's, and what the remap
 * engine maps. */
void fake_kvm_allow(const uint8_t *base, size_t size);

/* Who has called KVM_RUN: the number of the vCPU's VM, in the order in which they were made, from 0
 * on. run: what it had, and what comes of it. 0 or an errno. */
int fake_kvm_run(unsigned int vm, struct kvm_run *run);

/* The memory slots of a VM. */
void fake_kvm_each_slot(unsigned int vm,
                        void (*function)(void *context, const struct fake_slot *slot),
                        void *context);

/* What a machine's memory has from its address `at` on, in place of zeros. Whole pages. */
void fake_kvm_begin_with(const uint8_t *bytes, uint64_t at, uint64_t size);

/* The clock has gone on by so much. */
void fake_kvm_pass(uint64_t ns);

/* All files are closed and nothing is mapped; the next VM is number 0 again. */
void fake_kvm_check_closed(void);

#endif
