/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/vmcs/x86.h"

#define MEMORY_SIZE 0x10000U
#define PML4        0x1000U
#define PDPT        0x2000U
#define DIRECTORIES 0x3000U /* of the first 4 GiB */
#define CODE        0x8000U

#define PORT        0x80U
#define NOTHING     0x80000000U

#define TABLE       0x63U /* present, writable, accessed, dirty */
#define LARGE       0xe3U
#define LARGE_SIZE  0x200000ULL
#define GIGABYTES   4U

static const uint8_t port_loop[] = {0xee, 0xeb, 0xfd};         /* out %al, (%dx); jmp */
static const uint8_t memory_loop[] = {0x88, 0x03, 0xeb, 0xfc}; /* mov %al, (%rbx); jmp */

static void fill_memory(struct bare *bare, bool memory)
{
    uint64_t *pml4 = (void *)(bare->memory + PML4);
    uint64_t *pdpt = (void *)(bare->memory + PDPT);
    uint64_t *directories = (void *)(bare->memory + DIRECTORIES);

    pml4[0] = PDPT | TABLE;
    for (uint64_t i = 0; i < GIGABYTES; i++)
        pdpt[i] = (DIRECTORIES + i * 0x1000U) | TABLE;
    for (uint64_t i = 0; i < GIGABYTES * 512U; i++)
        directories[i] = i * LARGE_SIZE | LARGE;
    if (memory)
        memcpy(bare->memory + CODE, memory_loop, sizeof(memory_loop));
    else
        memcpy(bare->memory + CODE, port_loop, sizeof(port_loop));
}

static int set_registers(const struct bare *bare, struct error *error)
{
    struct kvm_regs regs = {
        .rip = CODE, .rflags = RFLAGS_FIXED, .rax = 0x5a, .rdx = PORT, .rbx = NOTHING};
    struct kvm_segment data = {
        .limit = UINT32_MAX, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs sregs;

    if (ioctl(bare->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return error_set(error, errno, "KVM_GET_SREGS: %s", strerror(errno));
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cs = data;
    sregs.cs.selector = 0x10;
    sregs.cs.type = 11;
    sregs.cs.db = 0;
    sregs.cs.l = 1;
    sregs.tr = (struct kvm_segment){.limit = 0x67, .selector = 0x20, .type = 11, .present = 1};
    sregs.cr0 = CR0_PG | CR0_WP | CR0_ET | CR0_PE;
    sregs.cr3 = PML4;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME | EFER_LMA;
    if (ioctl(bare->vcpu, KVM_SET_SREGS, &sregs) < 0)
        return error_set(error, errno, "KVM_SET_SREGS: %s", strerror(errno));
    if (ioctl(bare->vcpu, KVM_SET_REGS, &regs) < 0)
        return error_set(error, errno, "KVM_SET_REGS: %s", strerror(errno));
    return 0;
}

static int create_vcpu(struct bare *bare, const struct kvm *kvm, struct error *error)
{
    int code;

    bare->run_size = kvm->run_size;
    bare->vcpu = ioctl(bare->vm.fd, KVM_CREATE_VCPU, 0);
    if (bare->vcpu < 0)
        return error_set(error, errno, "KVM_CREATE_VCPU: %s", strerror(errno));
    bare->run = mmap(NULL, bare->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, bare->vcpu, 0);
    if (bare->run == MAP_FAILED) {
        code = error_set(error, errno, "mmap of a vCPU: %s", strerror(errno));
        goto close_vcpu;
    }
    code = 0;
    if (ioctl(bare->vcpu, KVM_SET_CPUID2, kvm->cpuid) < 0)
        code = error_set(error, errno, "KVM_SET_CPUID2: %s", strerror(errno));
    if (code == 0)
        code = set_registers(bare, error);
    if (code == 0)
        return 0;
    munmap(bare->run, bare->run_size);
close_vcpu:
    close(bare->vcpu);
    return code;
}

int bare_create(struct bare *bare, const struct kvm *kvm, bool memory, struct error *error)
{
    int code;

    bare->memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bare->memory == MAP_FAILED)
        return error_set(error, errno, "mmap: %s", strerror(errno));
    fill_memory(bare, memory);
    code = kvm_vm_create(&bare->vm, kvm, error);
    if (code != 0)
        goto unmap;
    code = kvm_vm_set_slot(&bare->vm, 0, 0, MEMORY_SIZE, bare->memory, 0);
    if (code != 0)
        error_set(error, -code, "memory slot: %s", strerror(-code));
    else
        code = create_vcpu(bare, kvm, error);
    if (code == 0)
        return 0;
    kvm_vm_destroy(&bare->vm);
unmap:
    munmap(bare->memory, MEMORY_SIZE);
    return code;
}

void bare_destroy(struct bare *bare)
{
    munmap(bare->run, bare->run_size);
    close(bare->vcpu);
    kvm_vm_destroy(&bare->vm);
    munmap(bare->memory, MEMORY_SIZE);
}

int bare_cycle(struct bare *bare)
{
    if (ioctl(bare->vcpu, KVM_RUN, 0) < 0)
        return errno == EINTR ? 0 : -errno;
    return bare->run->exit_reason == KVM_EXIT_IO || bare->run->exit_reason == KVM_EXIT_MMIO ? 0
                                                                                            : -EIO;
}
