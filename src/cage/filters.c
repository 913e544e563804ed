/* SPDX-License-Identifier: Apache-2.0 */
#include "cage/filters.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What an argument of an allowed call has to be. */
enum rule {
    ANYTHING,
    KVM_REQUEST, /* ioctl: one of `requests` */
    TO_OUTPUT,   /* write: to a file of the configuration */
    NO_CODE,     /* mmap: nothing that can be executed */
    TO_SELF      /* tgkill: a thread of this process */
};

#define MAIN (1U << CAGE_MAIN)
#define VCPU (1U << CAGE_VCPU)

struct allowed {
    int number;
    const char *name;
    unsigned int threads; /* MAIN, VCPU */
    enum rule rule;
};

#define CALL(name, threads, rule)                \
    {                                            \
        SCMP_SYS(name), #name, (threads), (rule) \
    }

/*
 * All that is left of Linux to the process that runs a machine: at most 20 calls. The vCPUs' thread
 * also makes VMs (views, L2s), maps memory for them, and keeps time by its timer.
 */
static const struct allowed calls[] = {
    CALL(ioctl, VCPU, KVM_REQUEST),
    CALL(write, MAIN | VCPU, TO_OUTPUT),
    CALL(ppoll, MAIN | VCPU, ANYTHING), /* whether an output takes what is written; until a kick */
    CALL(restart_syscall, MAIN | VCPU, ANYTHING), /* goes on with a wait after SIGCONT: signal(7) */
    CALL(close, VCPU, ANYTHING),
    CALL(mmap, MAIN | VCPU, NO_CODE),
    CALL(munmap, MAIN | VCPU, ANYTHING),
    CALL(mremap, MAIN | VCPU, ANYTHING),
    CALL(madvise, MAIN | VCPU, ANYTHING),
    CALL(brk, MAIN | VCPU, ANYTHING),
    CALL(futex, MAIN | VCPU, ANYTHING),
    CALL(rt_sigreturn, MAIN | VCPU, ANYTHING),
    CALL(rt_sigprocmask, MAIN | VCPU, ANYTHING),
    CALL(timer_create, VCPU, ANYTHING),
    CALL(timer_settime, VCPU, ANYTHING),
    CALL(timer_delete, VCPU, ANYTHING),
    CALL(tgkill, MAIN | VCPU, TO_SELF),
    CALL(clock_gettime, MAIN | VCPU, ANYTHING), /* where the clock cannot be read without */
    CALL(exit, VCPU, ANYTHING),
    CALL(exit_group, MAIN | VCPU, ANYTHING),
};

#define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

_Static_assert(CALL_COUNT <= 20, "the cage promises at most 20 system calls");

/* What the sanitizers' run time needs on top. A build with it is for tests. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
static const int runtime_calls[] = {
    SCMP_SYS(sigaltstack), SCMP_SYS(gettid),       SCMP_SYS(sched_yield),
    SCMP_SYS(prlimit64),   SCMP_SYS(rt_sigaction), SCMP_SYS(getpid),
};
/* To name functions and files it looks around, and does without. */
static const int runtime_refusals[] = {
    SCMP_SYS(openat), SCMP_SYS(open),  SCMP_SYS(readlink),   SCMP_SYS(stat),
    SCMP_SYS(pipe),   SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek),
};
#endif

/* What may be asked of KVM: all 64 bits have to be these, where the kernel looks at 32. One that is
 * missing here is the last line of "strace -f mezz run". */
static const unsigned long requests[] = {
    /* of /dev/kvm */
    KVM_CHECK_EXTENSION,
    KVM_CREATE_VM,
    /* of a VM */
    KVM_CREATE_VCPU,
    KVM_ENABLE_CAP,
    KVM_RESET_DIRTY_RINGS,
    KVM_SET_IDENTITY_MAP_ADDR,
    KVM_SET_TSS_ADDR,
    KVM_SET_USER_MEMORY_REGION,
    KVM_X86_SET_MSR_FILTER,
    /* of a vCPU */
    KVM_GET_DEBUGREGS,
    KVM_GET_DEVICE_ATTR,
    KVM_GET_MSRS,
    KVM_GET_REGS,
    KVM_GET_SREGS,
    KVM_GET_VCPU_EVENTS,
    KVM_GET_XCRS,
    KVM_GET_XSAVE,
    KVM_RUN,
    KVM_SET_CPUID2,
    KVM_SET_DEBUGREGS,
    KVM_SET_DEVICE_ATTR,
    KVM_SET_GUEST_DEBUG,
    KVM_SET_MSRS,
    KVM_SET_REGS,
    KVM_SET_SREGS,
    KVM_SET_VCPU_EVENTS,
    KVM_SET_XCRS,
    KVM_SET_XSAVE,
};

#define REQUEST_COUNT (sizeof(requests) / sizeof(requests[0]))

const char *cage_call_name(enum cage_thread kind, size_t i)
{
    for (size_t at = 0; at < CALL_COUNT; at++)
        if (calls[at].threads & 1U << kind && i-- == 0)
            return calls[at].name;
    return NULL;
}

static int allow(scmp_filter_ctx filter, const struct allowed *call,
                 const struct cage_config *config)
{
    struct scmp_arg_cmp argument = {.arg = 0, .op = SCMP_CMP_EQ};
    int code = 0;

    switch (call->rule) {
    case ANYTHING:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call->number, 0);
    case KVM_REQUEST:
        argument.arg = 1;
        for (size_t i = 0; i < REQUEST_COUNT && code == 0; i++) {
            argument.datum_a = requests[i];
            code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call->number, 1, argument);
        }
        return code;
    case TO_OUTPUT:
        for (size_t i = 0; i < config->output_count && code == 0; i++) {
            argument.datum_a = (scmp_datum_t)config->outputs[i];
            code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call->number, 1, argument);
        }
        return code;
    case NO_CODE:
        argument = (struct scmp_arg_cmp){
            .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call->number, 1, argument);
    case TO_SELF:
        argument.datum_a = (scmp_datum_t)getpid();
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call->number, 1, argument);
    }
    return -EINVAL;
}

static int add_rules(scmp_filter_ctx filter, enum cage_thread kind,
                     const struct cage_config *config)
{
    int code = 0;

    for (size_t i = 0; i < CALL_COUNT && code == 0; i++)
        if (calls[i].threads & 1U << kind)
            code = allow(filter, &calls[i], config);
#ifdef SANITIZED
    for (size_t i = 0; i < sizeof(runtime_calls) / sizeof(runtime_calls[0]) && code == 0; i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, runtime_calls[i], 0);
    const struct scmp_arg_cmp is_terminal = {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = TCGETS};

    code = code != 0
               ? code
               : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1, is_terminal);
    for (size_t i = 0; i < sizeof(runtime_refusals) / sizeof(runtime_refusals[0]) && code == 0; i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), runtime_refusals[i], 0);
#endif
    return code;
}

scmp_filter_ctx filter_make(enum cage_thread kind, const struct cage_config *config)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int code;

    if (filter == NULL)
        return NULL;
    /* Calls of 32 bits, and of x32. */
    code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (code == 0) /* cage_close has done so */
        code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    /* KVM_RUN comes first. */
    if (code == 0 && kind == CAGE_VCPU)
        code = seccomp_syscall_priority(filter, SCMP_SYS(ioctl), UINT8_MAX);
    if (code == 0)
        code = add_rules(filter, kind, config);
    if (code == 0)
        return filter;
    seccomp_release(filter);
    return NULL;
}
