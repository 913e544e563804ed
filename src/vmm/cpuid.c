/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cpuid.h"

#include <stdlib.h>

#include "mezz/abi.h"
#include "mezz/calls.h"

/* CPUID.1:ECX and CPUID.80000001H:ECX (SDM volume 2A; APM volume 3). */
#define ECX_MONITOR      (1U << 3)
#define ECX_VMX          (1U << 5)
#define ECX_X2APIC       (1U << 21)
#define ECX_TSC_DEADLINE (1U << 24)
#define ECX_HYPERVISOR   (1U << 31)
#define EXTENDED_ECX_SVM (1U << 2)

static const struct kvm_cpuid_entry2 l1_leaves[] = {
    {.function = MEZZ_CPUID_SIGNATURE,
     .eax = MEZZ_CPUID_INTERFACE,
     .ebx = MEZZ_SIGNATURE_EBX,
     .ecx = MEZZ_SIGNATURE_ECX,
     .edx = MEZZ_SIGNATURE_EDX},
    {.function = MEZZ_CPUID_INTERFACE,
     .eax = MEZZ_ABI_VERSION,
     .ebx = MEZZ_FEATURE_CALLBACKS | MEZZ_FEATURE_CLASSIC | MEZZ_FEATURE_VIEWS | MEZZ_FEATURE_SMP,
     .ecx = MEZZ_CALL_COUNT,
     .edx = MEZZ_CALL_PORT},
};
#define L1_LEAVES (sizeof(l1_leaves) / sizeof(l1_leaves[0]))

struct kvm_cpuid2 *cpuid_for_l2(const struct kvm_cpuid2 *supported)
{
    struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof(*cpuid) + (supported->nent + L1_LEAVES) * sizeof(cpuid->entries[0]));

    if (cpuid == NULL)
        return NULL;
    for (uint32_t i = 0; i < supported->nent; i++) {
        struct kvm_cpuid_entry2 entry = supported->entries[i];

        if (entry.function >> 28 == 4 || entry.function == 0x8000000aU)
            continue;
        if (entry.function == 1)
            entry.ecx = (entry.ecx & ~(ECX_MONITOR | ECX_VMX | ECX_X2APIC | ECX_TSC_DEADLINE)) |
                        ECX_HYPERVISOR;
        else if (entry.function == 0x80000001U)
            entry.ecx &= ~EXTENDED_ECX_SVM;
        cpuid->entries[cpuid->nent++] = entry;
    }
    return cpuid;
}

struct kvm_cpuid2 *cpuid_for_l1(const struct kvm_cpuid2 *supported)
{
    struct kvm_cpuid2 *cpuid = cpuid_for_l2(supported);

    for (uint32_t i = 0; cpuid != NULL && i < L1_LEAVES; i++)
        cpuid->entries[cpuid->nent++] = l1_leaves[i];
    return cpuid;
}
