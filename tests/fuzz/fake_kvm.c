/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host/memory.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

#define FIRST_FILE 1000000
#define FILES      1024
#define SLOTS      64
#define RUN_SIZE   8192

enum kind {
    FREE,
    DEVICE,
    VM,
    VCPU
};

struct file {
    enum kind kind;
    unsigned int vm; /* its number; of a vCPU, of its VM */
    struct fake_slot slot[SLOTS];
    struct kvm_run *run;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
};

static struct file files[FILES];
static int files_used; /* those behind are free */
static unsigned int vms;
static const uint8_t *allowed;
static size_t allowed_size;

void fake_kvm_allow(const uint8_t *base, size_t size)
{
    allowed = base;
    allowed_size = size;
}

void fake_kvm_check_closed(void)
{
    for (int i = 0; i < files_used; i++)
        if (files[i].kind != FREE || files[i].run != NULL) {
            fprintf(stderr, "fake KVM: a file of kind %d was left open\n", files[i].kind);
            abort();
        }
    vms = 0;
    files_used = 0;
}

__attribute__((no_sanitize("coverage"))) void
fake_kvm_each_slot(unsigned int vm, void (*function)(void *context, const struct fake_slot *slot),
                   void *context)
{
    for (int i = 0; i < files_used; i++)
        for (int n = 0; files[i].kind == VM && files[i].vm == vm && n < SLOTS; n++)
            if (files[i].slot[n].size != 0)
                function(context, &files[i].slot[n]);
}

static int make(enum kind kind, unsigned int vm)
{
    int i = 0;

    while (i < FILES && files[i].kind != FREE)
        i++;
    if (i == FILES) {
        errno = EMFILE;
        return -1;
    }
    if (i == files_used)
        files_used++;
    memset(&files[i], 0, sizeof(files[i]));
    files[i].kind = kind;
    files[i].vm = vm;
    return FIRST_FILE + i;
}

static struct file *file_of(int fd)
{
    if (fd < FIRST_FILE || fd >= FIRST_FILE + FILES)
        return NULL;
    if (files[fd - FIRST_FILE].kind == FREE)
        abort(); /* used after close */
    return &files[fd - FIRST_FILE];
}

static int fail(int code)
{
    errno = code;
    return -1;
}

/* As kvm_set_memory_region() checks it, and what the root promises. */
static int set_slot(struct file *vm, const struct kvm_userspace_memory_region *region)
{
    struct fake_slot *slot = &vm->slot[region->slot];
    uint64_t host = region->userspace_addr;
    uint64_t base = (uint64_t)(uintptr_t)allowed;

    if (region->slot >= SLOTS)
        abort();
    if (region->memory_size == 0) {
        if (slot->size == 0)
            return fail(EINVAL);
        slot->size = 0;
        return 0;
    }
    if (slot->size != 0 || (region->guest_phys_addr | region->memory_size | host) % PAGE_SIZE != 0)
        abort();
    if (region->guest_phys_addr + region->memory_size < region->guest_phys_addr)
        abort();
    /* Inside of L1's memory, or nowhere near it. */
    if (vm->vm != 0 && allowed != NULL && host < base + allowed_size + (64U << 10) &&
        host + region->memory_size > base &&
        (host < base || host + region->memory_size > base + allowed_size))
        abort();
    if (region->guest_phys_addr >> 52 != 0)
        return fail(EINVAL);
    for (int i = 0; i < SLOTS; i++)
        if (vm->slot[i].size != 0 &&
            region->guest_phys_addr < vm->slot[i].address + vm->slot[i].size &&
            region->guest_phys_addr + region->memory_size > vm->slot[i].address)
            abort(); /* EEXIST */
    *slot = (struct fake_slot){region->guest_phys_addr, region->memory_size, host, region->flags};
    return 0;
}

static int extension(unsigned long capability)
{
    switch (capability) {
    case KVM_CAP_NR_MEMSLOTS:
        return SLOTS;
    case KVM_CAP_MAX_VCPU_ID:
        return 1024;
    default:
        return 7;
    }
}

static int device_ioctl(unsigned long request, void *argument)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return KVM_API_VERSION;
    case KVM_CHECK_EXTENSION:
        return extension((unsigned long)argument);
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_SIZE;
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 1;
        return 0;
    case KVM_CREATE_VM:
        return make(VM, vms++);
    default:
        return fail(ENOTTY);
    }
}

static int vm_ioctl(struct file *vm, unsigned long request, const void *argument)
{
    switch (request) {
    case KVM_CREATE_VCPU:
        return make(VCPU, vm->vm);
    case KVM_SET_USER_MEMORY_REGION:
        return set_slot(vm, argument);
    default:
        return 0;
    }
}

static void put(struct file *vcpu, uint64_t groups)
{
    struct kvm_sync_regs *page = &vcpu->run->s.regs;

    if (groups & KVM_SYNC_X86_REGS)
        page->regs = vcpu->regs;
    if (groups & KVM_SYNC_X86_SREGS)
        page->sregs = vcpu->sregs;
    if (groups & KVM_SYNC_X86_EVENTS)
        page->events = vcpu->events;
}

static int run(struct file *vcpu)
{
    struct kvm_run *page = vcpu->run;
    const uint64_t valid = page->kvm_valid_regs;
    int code;

    if (page->kvm_dirty_regs & KVM_SYNC_X86_REGS)
        vcpu->regs = page->s.regs.regs;
    if (page->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
        vcpu->sregs = page->s.regs.sregs;
    if (page->kvm_dirty_regs & KVM_SYNC_X86_EVENTS)
        vcpu->events = page->s.regs.events;
    page->kvm_dirty_regs = 0;
    put(vcpu, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
    code = fake_kvm_run(vcpu->vm, page);
    vcpu->regs = page->s.regs.regs;
    vcpu->sregs = page->s.regs.sregs;
    vcpu->events = page->s.regs.events;
    /* What was not asked for is not to be relied on. */
    memset(&page->s.regs, 0xa5, sizeof(page->s.regs));
    put(vcpu, valid);
    return code != 0 ? fail(code) : 0;
}

static int vcpu_ioctl(struct file *vcpu, unsigned long request, void *argument)
{
    struct kvm_msrs *msrs = argument;

    switch (request) {
    case KVM_RUN:
        return run(vcpu);
    case KVM_GET_REGS:
        memcpy(argument, &vcpu->regs, sizeof(vcpu->regs));
        return 0;
    case KVM_SET_REGS:
        memcpy(&vcpu->regs, argument, sizeof(vcpu->regs));
        return 0;
    case KVM_GET_SREGS:
        memcpy(argument, &vcpu->sregs, sizeof(vcpu->sregs));
        return 0;
    case KVM_SET_SREGS:
        memcpy(&vcpu->sregs, argument, sizeof(vcpu->sregs));
        return 0;
    case KVM_GET_VCPU_EVENTS:
        memcpy(argument, &vcpu->events, sizeof(vcpu->events));
        return 0;
    case KVM_SET_VCPU_EVENTS:
        memcpy(&vcpu->events, argument, sizeof(vcpu->events));
        return 0;
    case KVM_GET_MSRS:
        for (unsigned int i = 0; i < msrs->nmsrs; i++)
            msrs->entries[i].data = msrs->entries[i].index;
        return (int)msrs->nmsrs;
    case KVM_SET_MSRS:
        return (int)msrs->nmsrs;
    case KVM_GET_DEVICE_ATTR:
        return fail(ENXIO);
    case KVM_GET_DEBUGREGS:
        memset(argument, 0, sizeof(struct kvm_debugregs));
        return 0;
    case KVM_GET_XSAVE:
        memset(argument, 0, sizeof(struct kvm_xsave));
        return 0;
    case KVM_GET_XCRS:
        memset(argument, 0, sizeof(struct kvm_xcrs));
        return 0;
    default:
        return 0;
    }
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    struct file *file = file_of(fd);
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (file == NULL)
        abort();
    if (file->kind == DEVICE)
        return device_ioctl(request, argument);
    return file->kind == VM ? vm_ioctl(file, request, argument)
                            : vcpu_ioctl(file, request, argument);
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...)
{
    return strcmp(path, "/dev/kvm") == 0 ? make(DEVICE, 0) : __real_open64(path, flags, 0);
}

int __real_close(int fd);
int __wrap_close(int fd)
{
    struct file *file = file_of(fd);

    if (file == NULL)
        return __real_close(fd);
    file->kind = FREE;
    return 0;
}

void *__real_mmap64(void *at, size_t length, int rights, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t length, int rights, int flags, int fd, off_t offset)
{
    struct file *file = file_of(fd);

    if (file == NULL)
        return __real_mmap64(at, length, rights, flags, fd, offset);
    if (file->kind != VCPU || length != RUN_SIZE || file->run != NULL)
        abort();
    file->run = calloc(1, RUN_SIZE);
    return file->run;
}

int __real_munmap(void *at, size_t length);
int __wrap_munmap(void *at, size_t length)
{
    for (int i = 0; i < files_used; i++) {
        if (files[i].run == at) {
            free(at);
            files[i].run = NULL;
            return 0;
        }
    }
    return __real_munmap(at, length);
}

/* Time goes on by itself, the same in each run; nobody waits. */
static uint64_t clock_now = 1000000000ULL;

void fake_kvm_pass(uint64_t ns)
{
    clock_now += ns;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    clock_now += 1000;
    *now =
        (struct timespec){(time_t)(clock_now / 1000000000ULL), (long)(clock_now % 1000000000ULL)};
    return 0;
}

int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *when,
                         struct itimerspec *before)
{
    (void)timer;
    (void)flags;
    (void)when;
    (void)before;
    return 0;
}

void __wrap_kicks_wait(void)
{
}
