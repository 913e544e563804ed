/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/hot.h"

/* Where KVM on Intel without unrestricted guest keeps a TSS and an identity map: below the
 * firmware. */
#define TSS_ADDRESS          0xfffbd000UL
#define IDENTITY_MAP_ADDRESS 0xfffbc000UL
#define CPUID_ENTRIES        256

static const struct {
    unsigned long capability;
    int bits;
    const char *name;
    const char *since;
} required[] = {
    {KVM_CAP_SYNC_REGS, KVM_SYNC_ALL, "KVM_CAP_SYNC_REGS", "4.17"},
    {KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT", "4.11"},
    {KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM", "3.7"},
    {KVM_CAP_X86_USER_SPACE_MSR, 1, "KVM_CAP_X86_USER_SPACE_MSR", "5.10"},
    {KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", "5.14"},
};

static const char *const exit_names[] = {
    [KVM_EXIT_UNKNOWN] = "UNKNOWN",
    [KVM_EXIT_EXCEPTION] = "EXCEPTION",
    [KVM_EXIT_IO] = "IO",
    [KVM_EXIT_HYPERCALL] = "HYPERCALL",
    [KVM_EXIT_DEBUG] = "DEBUG",
    [KVM_EXIT_HLT] = "HLT",
    [KVM_EXIT_MMIO] = "MMIO",
    [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
    [KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
    [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
    [KVM_EXIT_INTR] = "INTR",
    [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
    [KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
    [KVM_EXIT_X86_WRMSR] = "X86_WRMSR",
    [KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
};

const char *kvm_exit_name(uint32_t exit_reason)
{
    if (exit_reason >= sizeof(exit_names) / sizeof(exit_names[0]) ||
        exit_names[exit_reason] == NULL)
        return "unknown";
    return exit_names[exit_reason];
}

int kvm_extension(const struct kvm *kvm, unsigned long capability)
{
    int value = ioctl(kvm->fd, KVM_CHECK_EXTENSION, capability);

    return value < 0 ? 0 : value;
}

static int explain_open(const char *device, int code, struct error *error)
{
    const char *advice = "is this a file of the KVM module?";

    if (code == ENOENT || code == ENXIO || code == ENODEV)
        advice =
            "load kvm_amd or kvm_intel, switch virtualization on in the BIOS, or, in a virtual "
            "machine, enable nested virtualization or use a PVM host; ./bootstrap run --lane svm "
            "works without";
    else if (code == EACCES || code == EPERM)
        advice = "add yourself to its group (usually: usermod -aG kvm $USER, then log in again); "
                 "./bootstrap run --lane svm works without";
    return error_set(error, ENODEV, "%s: %s: %s", device, strerror(code), advice);
}

static int check_host(struct kvm *kvm, const char *device, struct error *error)
{
    int version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
    int size;

    if (version < 0)
        return error_set(error, ENODEV, "%s: is not a KVM device", device);
    if (version != KVM_API_VERSION)
        return error_set(error, ENODEV, "%s: KVM API version %d, this program needs %d", device,
                         version, KVM_API_VERSION);
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if ((kvm_extension(kvm, required[i].capability) & required[i].bits) != required[i].bits)
            return error_set(error, ENODEV, "%s: this KVM lacks %s: Linux %s or newer has it",
                             device, required[i].name, required[i].since);
    size = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return error_set(error, ENODEV, "%s: KVM_GET_VCPU_MMAP_SIZE: %d bytes", device, size);
    kvm->run_size = (size_t)size;
    return 0;
}

static int read_cpuid(struct kvm *kvm, const char *device, struct error *error)
{
    kvm->cpuid = calloc(1, sizeof(*kvm->cpuid) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
    if (kvm->cpuid == NULL)
        return error_set(error, ENOMEM, "out of memory");
    kvm->cpuid->nent = CPUID_ENTRIES;
    if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid) < 0) {
        int code = errno;

        free(kvm->cpuid);
        return error_set(error, ENODEV, "%s: KVM_GET_SUPPORTED_CPUID: %s", device, strerror(code));
    }
    return 0;
}

int kvm_open(struct kvm *kvm, const char *device, struct error *error)
{
    int code;

    kvm->fd = open(device, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (kvm->fd < 0)
        return explain_open(device, errno, error);
    code = check_host(kvm, device, error);
    if (code == 0)
        code = read_cpuid(kvm, device, error);
    if (code != 0)
        close(kvm->fd);
    return code;
}

void kvm_close(struct kvm *kvm)
{
    free(kvm->cpuid);
    close(kvm->fd);
}

/* KVM refused what every machine needs: whatever errno says, the host cannot. */
static int refused(const char *what, struct error *error)
{
    return error_set(error, ENODEV, "%s: %s", what, strerror(errno));
}

static int vm_enable(const struct kvm_vm *vm, uint32_t capability, uint64_t argument,
                     const char *name, struct error *error)
{
    struct kvm_enable_cap enable = {.cap = capability, .args = {argument}};

    if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0)
        return error_set(error, ENODEV, "KVM_ENABLE_CAP %s: %s", name, strerror(errno));
    return 0;
}

int kvm_vm_create(struct kvm_vm *vm, const struct kvm *kvm, struct error *error)
{
    uint64_t identity_map = IDENTITY_MAP_ADDRESS;
    int code;

    vm->kvm = kvm;
    do
        vm->fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
    while (vm->fd < 0 && errno == EINTR);
    if (vm->fd < 0)
        return refused("KVM_CREATE_VM", error);
    code = vm_enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "EXIT_ON_EMULATION_FAILURE", error);
    if (code == 0)
        code = vm_enable(vm, KVM_CAP_X86_USER_SPACE_MSR,
                         KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER |
                             KVM_MSR_EXIT_REASON_INVAL,
                         "X86_USER_SPACE_MSR", error);
    /* Only Intel's KVM wants these two; elsewhere they may be refused. */
    if (code == 0 && kvm_extension(kvm, KVM_CAP_SET_TSS_ADDR))
        ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
    if (code == 0 && kvm_extension(kvm, KVM_CAP_SET_IDENTITY_MAP_ADDR))
        ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    if (code != 0)
        close(vm->fd);
    return code;
}

void kvm_vm_destroy(struct kvm_vm *vm)
{
    close(vm->fd);
}

int kvm_vm_set_slot(const struct kvm_vm *vm, uint32_t slot, uint64_t guest_physical, uint64_t size,
                    void *host, uint32_t flags)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = flags,
        .guest_phys_addr = guest_physical,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
    };

    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int kvm_vcpu_create(struct kvm_vcpu *vcpu, const struct kvm_vm *vm, unsigned int index,
                    const struct kvm_cpuid2 *cpuid, struct error *error)
{
    int code;

    *vcpu = (struct kvm_vcpu){.run_size = vm->kvm->run_size};
    vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
    if (vcpu->fd < 0)
        return refused("KVM_CREATE_VCPU", error);
    vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (vcpu->run == MAP_FAILED) {
        code = refused("mmap of a vCPU", error);
        goto close_fd;
    }
    if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0) {
        code = refused("KVM_SET_CPUID2", error);
        goto unmap;
    }
    vcpu->run->kvm_valid_regs = KVM_SYNC_ALL;
    vcpu->fresh = KVM_SYNC_ALL;
    return 0;

unmap:
    munmap(vcpu->run, vcpu->run_size);
close_fd:
    close(vcpu->fd);
    return code;
}

void kvm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
    munmap(vcpu->run, vcpu->run_size);
    close(vcpu->fd);
}

int kvm_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned long request, void *argument)
{
    int result = ioctl(vcpu->fd, request, argument);

    vcpu->other_ioctls++;
    return result < 0 ? -errno : result;
}

void kvm_vcpu_be_lazy(struct kvm_vcpu *vcpu)
{
    vcpu->run->kvm_valid_regs = 0;
    vcpu->lazy = true;
}

COLD void kvm_vcpu_fetch(struct kvm_vcpu *vcpu, uint32_t groups)
{
    static const struct {
        uint32_t group;
        unsigned long request;
        size_t offset;
    } fetches[] = {
        {KVM_SYNC_X86_REGS, KVM_GET_REGS, offsetof(struct kvm_sync_regs, regs)},
        {KVM_SYNC_X86_SREGS, KVM_GET_SREGS, offsetof(struct kvm_sync_regs, sregs)},
        {KVM_SYNC_X86_EVENTS, KVM_GET_VCPU_EVENTS, offsetof(struct kvm_sync_regs, events)},
    };

    for (size_t i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++) {
        int code;

        if (!(groups & fetches[i].group))
            continue;
        code = kvm_vcpu_ioctl(vcpu, fetches[i].request,
                              (uint8_t *)&vcpu->run->s.regs + fetches[i].offset);
        if (code < 0)
            vcpu->failure = code;
    }
    vcpu->fresh |= groups;
    vcpu->run->kvm_valid_regs |= groups;
}
