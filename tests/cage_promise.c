/* SPDX-License-Identifier: Apache-2.0 */
#include "cage_promise.h"

#include <check.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cage_doors.h"

#define ELEMENTS(array)  (sizeof(array) / sizeof((array)[0]))
#define CALL_NUMBERS     1024
#define ARGUMENTS        6
#define CONSTANTS        512
#define FILES            64
#define ALL_REQUESTS     (1UL << 24) /* of one type: direction, size and number */
#define SIZE_OF(request) ((request)&0xffff0000UL)

/* With which arguments. */
enum promise {
    WITH_ANY,
    KVM_REQUESTS, /* ioctl */
    TO_OUTPUTS,   /* write */
    NOT_FOR_CODE, /* mmap */
    TO_OWN        /* tgkill */
};

#define MAIN (1U << CAGE_MAIN)
#define VCPU (1U << CAGE_VCPU)
#define BOTH (MAIN | VCPU)

static const struct promised {
    long number;
    unsigned int threads;
    enum promise promise;
} promises[] = {
    {SYS_write, BOTH, TO_OUTPUTS},
    {SYS_close, VCPU, WITH_ANY},
    {SYS_mmap, BOTH, NOT_FOR_CODE},
    {SYS_munmap, BOTH, WITH_ANY},
    {SYS_brk, BOTH, WITH_ANY},
    {SYS_rt_sigprocmask, BOTH, WITH_ANY},
    {SYS_rt_sigreturn, BOTH, WITH_ANY},
    {SYS_ioctl, VCPU, KVM_REQUESTS},
    {SYS_mremap, BOTH, WITH_ANY},
    {SYS_madvise, BOTH, WITH_ANY},
    {SYS_exit, VCPU, WITH_ANY},
    {SYS_futex, BOTH, WITH_ANY},
    {SYS_restart_syscall, BOTH, WITH_ANY},
    {SYS_timer_create, VCPU, WITH_ANY},
    {SYS_timer_settime, VCPU, WITH_ANY},
    {SYS_timer_delete, VCPU, WITH_ANY},
    {SYS_clock_gettime, BOTH, WITH_ANY},
    {SYS_exit_group, BOTH, WITH_ANY},
    {SYS_tgkill, BOTH, TO_OWN},
    {SYS_ppoll, BOTH, WITH_ANY},
};

_Static_assert(ELEMENTS(promises) == CAGE_PROMISED_CALLS, "docs/security.md says how many");

/* As KVM counts them. */
static const unsigned long requests[] = {
    KVM_CREATE_VM,
    KVM_CHECK_EXTENSION,
    KVM_CREATE_VCPU,
    KVM_SET_USER_MEMORY_REGION,
    KVM_SET_TSS_ADDR,
    KVM_SET_IDENTITY_MAP_ADDR,
    KVM_RUN,
    KVM_GET_REGS,
    KVM_SET_REGS,
    KVM_GET_SREGS,
    KVM_SET_SREGS,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_SET_CPUID2,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_VCPU_EVENTS,
    KVM_GET_DEBUGREGS,
    KVM_SET_DEBUGREGS,
    KVM_SET_GUEST_DEBUG,
    KVM_ENABLE_CAP,
    KVM_GET_XSAVE,
    KVM_SET_XSAVE,
    KVM_GET_XCRS,
    KVM_SET_XCRS,
    KVM_X86_SET_MSR_FILTER,
    KVM_SET_DEVICE_ATTR,
    KVM_GET_DEVICE_ATTR,
    KVM_RESET_DIRTY_RINGS,
};

/* Directions and sizes that requests of KVM have, most of which are not on the list. */
static const unsigned long others[] = {
    KVM_GET_API_VERSION,
    KVM_GET_MSR_INDEX_LIST,
    KVM_GET_SUPPORTED_CPUID,
    KVM_GET_DIRTY_LOG,
    KVM_CREATE_IRQCHIP,
    KVM_IRQ_LINE,
    KVM_GET_IRQCHIP,
    KVM_SET_IRQCHIP,
    KVM_CREATE_PIT2,
    KVM_IRQFD,
    KVM_IOEVENTFD,
    KVM_SET_GSI_ROUTING,
    KVM_SET_CLOCK,
    KVM_GET_CLOCK,
    KVM_TRANSLATE,
    KVM_INTERRUPT,
    KVM_SET_SIGNAL_MASK,
    KVM_GET_FPU,
    KVM_SET_FPU,
    KVM_GET_LAPIC,
    KVM_SET_LAPIC,
    KVM_SET_CPUID,
    KVM_TPR_ACCESS_REPORTING,
    KVM_SET_VAPIC_ADDR,
    KVM_X86_SET_MCE,
    KVM_NMI,
    KVM_GET_MP_STATE,
    KVM_SIGNAL_MSI,
    KVM_CREATE_DEVICE,
    KVM_GET_NESTED_STATE,
    KVM_SET_NESTED_STATE,
    KVM_SET_PMU_EVENT_FILTER,
    KVM_MEMORY_ENCRYPT_OP,
    KVM_REGISTER_COALESCED_MMIO,
};

static const struct promised *promised(enum cage_thread kind, long number)
{
    for (size_t i = 0; i < ELEMENTS(promises); i++)
        if (promises[i].number == number && promises[i].threads & 1U << kind)
            return &promises[i];
    return NULL;
}

bool cage_promised_call(enum cage_thread kind, long number)
{
    return promised(kind, number) != NULL;
}

bool cage_promised_request(unsigned long request)
{
    for (size_t i = 0; i < ELEMENTS(requests); i++)
        if (requests[i] == request)
            return true;
    return false;
}

static struct seccomp_data call_of(long number, uint64_t argument)
{
    struct seccomp_data call = {.nr = (int)number, .arch = AUDIT_ARCH_X86_64};

    for (size_t i = 0; i < ARGUMENTS; i++)
        call.args[i] = argument;
    return call;
}

/* Whether the kernel would carry it out, or ask somebody who might have it do so. A build for a
 * sanitizer has calls that fail. */
static bool is_open(const struct cage_program *program, const struct seccomp_data *call)
{
    uint32_t action = cage_program_run(program, call) & SECCOMP_RET_ACTION_FULL;

    return action != SECCOMP_RET_KILL_PROCESS && action != SECCOMP_RET_ERRNO;
}

static void expect(const struct cage_program *program, const struct seccomp_data *call, bool open)
{
    if (is_open(program, call) != open)
        ck_abort_msg("system call %d (0x%llx, 0x%llx, 0x%llx) is %s", call->nr,
                     (unsigned long long)call->args[0], (unsigned long long)call->args[1],
                     (unsigned long long)call->args[2], open ? "closed" : "open");
}

/* What the program compares with: an argument that makes a difference is one of those, or beside.
 */
static size_t find_constants(const struct cage_program *program, uint32_t *constants)
{
    size_t count = 0;

    for (size_t i = 0; i < program->length; i++) {
        uint32_t k = program->code[i].k;
        bool known = BPF_CLASS(program->code[i].code) != BPF_JMP;

        for (size_t j = 0; j < count && !known; j++)
            known = constants[j] == k;
        if (!known) {
            ck_assert_uint_lt(count, CONSTANTS);
            constants[count++] = k;
        }
    }
    return count;
}

/* A call that no argument opens. */
static void check_closed(const struct cage_program *program, long number, const uint32_t *constants,
                         size_t count)
{
    struct seccomp_data call = call_of(number, 0);

    expect(program, &call, false);
    for (size_t i = 0; i < count; i++) {
        call = call_of(number, constants[i]);
        expect(program, &call, false);
        for (size_t j = 0; j < ARGUMENTS; j++) {
            call = call_of(number, 0);
            call.args[j] = constants[i];
            expect(program, &call, false);
            call = call_of(number, UINT64_MAX);
            call.args[j] = constants[i];
            expect(program, &call, false);
        }
    }
}

static void check_calls(const struct cage_program *program, enum cage_thread kind)
{
    static uint32_t constants[CONSTANTS];
    size_t count = find_constants(program, constants);

    for (long number = 0; number < CALL_NUMBERS; number++) {
        const struct promised *promise = promised(kind, number);
        struct seccomp_data call = call_of(number, 0);

        if (cage_runtime_call(number))
            continue;
        if (promise == NULL) {
            check_closed(program, number, constants, count);
        } else if (promise->promise == WITH_ANY) {
            expect(program, &call, true);
            call = call_of(number, UINT64_MAX);
            expect(program, &call, true);
        }
        call = call_of(number | 0x40000000, 0); /* of x32 */
        expect(program, &call, false);
        call = call_of(number, 0);
        call.arch = AUDIT_ARCH_I386;
        expect(program, &call, false);
    }
}

static void check_request(const struct cage_program *program, enum cage_thread kind, uint64_t file,
                          uint64_t request)
{
    struct seccomp_data call = call_of(SYS_ioctl, 0);
    bool open;

    call.args[0] = file;
    call.args[1] = request;
    open = is_open(program, &call);
    if (open != (kind == CAGE_VCPU && cage_promised_request(request)))
        ck_abort_msg("ioctl (%llu, 0x%llx) is %s", (unsigned long long)file,
                     (unsigned long long)request, open ? "open" : "closed");
}

static bool seen_before(const unsigned long *like, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (SIZE_OF(like[i]) == SIZE_OF(like[at]))
            return true;
    return false;
}

/* Those of every type that look like one of KVM's but for type and number; on several files; and
 * with bits that the kernel does not look at. */
static void check_alike(const struct cage_program *program, enum cage_thread kind,
                        const unsigned long *like, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (unsigned int bit = 32; bit < 64; bit++)
            check_request(program, kind, 8, like[i] | 1UL << bit);
        if (seen_before(like, i))
            continue;
        for (unsigned long low = 0; low < 0x10000; low++)
            check_request(program, kind, 8, SIZE_OF(like[i]) | low);
        for (unsigned long number = 0; number < 256; number++)
            for (uint64_t file = 0; file < FILES; file++)
                check_request(program, kind, file, SIZE_OF(like[i]) | KVMIO << 8 | number);
    }
}

/* Every other combination of direction, size and number. */
static void check_all_requests(const struct cage_program *program, enum cage_thread kind)
{
    for (unsigned long i = 0; i < ALL_REQUESTS; i++)
        check_request(program, kind, 8, (i >> 8) << 16 | KVMIO << 8 | (i & 0xff));
}

static bool is_output(const struct cage_inhabitant *who, uint64_t file)
{
    for (size_t i = 0; i < who->output_count; i++)
        if (file == (uint64_t)who->outputs[i])
            return true;
    return false;
}

void cage_promise_check_arguments(const struct cage_program *program,
                                  const struct cage_inhabitant *who)
{
    struct seccomp_data call = call_of(SYS_write, 0);

    for (uint64_t file = 0; file < 4096; file++) {
        call.args[0] = file;
        expect(program, &call, is_output(who, file));
        call.args[0] = file | 1UL << 32;
        expect(program, &call, false);
    }
    call = call_of(SYS_mmap, UINT64_MAX);
    for (uint64_t rights = 0; rights < 4096; rights++) {
        call.args[2] = rights;
        expect(program, &call, (rights & PROT_EXEC) == 0);
    }
    call = call_of(SYS_tgkill, 0);
    for (uint64_t process = 0; process < 1UL << 22; process++) {
        call.args[0] = process;
        expect(program, &call, process == (uint64_t)(unsigned int)who->process);
    }
    call.args[0] = (uint64_t)(unsigned int)who->process | 1UL << 32;
    expect(program, &call, false);
}

void cage_promise_check(const struct cage_program *program, enum cage_thread kind, bool brief)
{
    check_calls(program, kind);
    check_alike(program, kind, requests, ELEMENTS(requests));
    check_alike(program, kind, others, ELEMENTS(others));
    if (!brief)
        check_all_requests(program, kind);
}

enum cage_thread cage_promise_kind(const struct cage_program *program)
{
    struct seccomp_data call = call_of(SYS_ioctl, 0);

    call.args[1] = KVM_RUN;
    return is_open(program, &call) ? CAGE_VCPU : CAGE_MAIN;
}
