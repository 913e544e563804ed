/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli/info.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

/* Newer than the headers that this may be built with. */
#define CAP_DIRTY_LOG_RING_ACQ_REL 223
#define CAP_MEMORY_FAULT_INFO      232
#define QUIRK_SLOT_ZAP_ALL         (1 << 7)

const struct info_capability info_capabilities[] = {
    {"sync_regs", KVM_CAP_SYNC_REGS, KVM_SYNC_ALL, true,
     "registers through the run page: an exit is one ioctl"},
    {"immediate_exit", KVM_CAP_IMMEDIATE_EXIT, 1, true,
     "ends an instruction without running on: before registers are replaced"},
    {"readonly_mem", KVM_CAP_READONLY_MEM, 1, true, "pages that an L2 may read and run, not write"},
    {"user_space_msr", KVM_CAP_X86_USER_SPACE_MSR, 1, true, "MSR accesses reach L1"},
    {"exit_on_emulation_failure", KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, true,
     "a fetch that is not allowed is an exit and not the guest's end"},
    {"msr_filter", KVM_CAP_X86_MSR_FILTER, 1, false, "MSRs that KVM knows can reach L1, too"},
    {"max_vcpus", KVM_CAP_MAX_VCPUS, 0, false, "vCPUs in one VM"},
    {"max_slots", KVM_CAP_NR_MEMSLOTS, 0, false, "memory slots in one VM: extents of a view"},
    {"dirty_ring", KVM_CAP_DIRTY_LOG_RING, 0, false,
     "bytes of the ring that tells of written pages without an ioctl"},
    {"dirty_ring_acq_rel", CAP_DIRTY_LOG_RING_ACQ_REL, 0, false, "the same, in newer kernels"},
    {"slot_zap_quirk_off", KVM_CAP_DISABLE_QUIRKS2, QUIRK_SLOT_ZAP_ALL, false,
     "deleting a memory slot can leave the others' translations alone"},
    {"disabled_quirks", KVM_CAP_DISABLE_QUIRKS2, 0, false,
     "a mask of the quirks that can be switched off"},
    {"guest_debug", KVM_CAP_SET_GUEST_DEBUG, 1, false, "breakpoints and single steps in a guest"},
    {"memory_fault_info", CAP_MEMORY_FAULT_INFO, 1, false,
     "an access that fails on the host tells its address"},
    {"split_irqchip", KVM_CAP_SPLIT_IRQCHIP, 1, false, "a local APIC inside the kernel"},
    {"tsc_control", KVM_CAP_TSC_CONTROL, 1, false, "the guest's TSC frequency can be set"},
    {"nested_state", KVM_CAP_NESTED_STATE, 0, false,
     "guests may get VMX or SVM of their own; mezz does without"},
    {.name = NULL},
};

const char *info_kvm_name(void)
{
    /* Only one of them can be in use; a module that is built in shows here, too. */
    static const struct {
        const char *path;
        const char *name;
    } modules[] = {
        {"/sys/module/kvm_pvm", "kvm_pvm"},
        {"/sys/module/kvm_amd", "kvm_amd"},
        {"/sys/module/kvm_intel", "kvm_intel"},
    };
    struct stat status;

    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (stat(modules[i].path, &status) == 0)
            return modules[i].name;
    return "unknown";
}

int info_capability_value(const struct kvm *kvm, const struct info_capability *capability)
{
    int value = kvm_extension(kvm, capability->capability);

    if (capability->bits == 0)
        return value;
    return (value & capability->bits) == capability->bits;
}

void info_collect(struct info *info, const char *device)
{
    struct utsname system;

    *info = (struct info){.device = device != NULL ? device : KVM_DEFAULT_DEVICE};
    if (uname(&system) == 0)
        snprintf(info->kernel, sizeof(info->kernel), "%s", system.release);
    info->cage = cage_offer();
    info->has_kvm = kvm_open(&info->kvm, info->device, &info->kvm_error) == 0;
    if (!info->has_kvm)
        return;
    info->api_version = ioctl(info->kvm.fd, KVM_GET_API_VERSION, 0);
    host_traits_probe(&info->kvm, &info->host, &info->probe_error);
}

void info_release(struct info *info)
{
    if (info->has_kvm)
        kvm_close(&info->kvm);
}
