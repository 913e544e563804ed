/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>

/*
 * What a level sees of the processor: what KVM supports, less what this root does not give (VMX,
 * SVM, APIC timers, KVM's own leaves), and for L1 the leaves of mezz/abi.h. An L2 sees the
 * hypervisor bit and no hypervisor leaf: to it, there is no root to call. malloc'd; NULL: no
 * memory.
 */
struct kvm_cpuid2 *cpuid_for_l1(const struct kvm_cpuid2 *supported);
struct kvm_cpuid2 *cpuid_for_l2(const struct kvm_cpuid2 *supported);

#endif
