/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l1.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "host/hot.h"
#include "host/kick.h"
#include "mezz/calls.h"
#include "mezz/errors.h"
#include "vmm/calls.h"
#include "vmm/devices/ports.h"
#include "vmm/exits/fatal.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/protect/hooks/guard_event.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

/* How often a guest that does not exit is looked at: the grain of all time-outs but the preemption
 * timer's. */
#define TICK_NS 20000000ULL
#define NS      1000000000ULL

int l1_vcpu_create(struct machine *machine, unsigned int index, struct error *error)
{
    struct l1_vcpu *l1 = calloc(1, sizeof(*l1));
    int code;

    if (l1 == NULL)
        return error_set(error, ENOMEM, "out of memory");
    l1->machine = machine;
    l1->index = index;
    l1->mode = L1_RUNNING;
    l1->started = index == 0;
    code = kvm_vcpu_create(&l1->kvm, &machine->l1_vm, index, machine->l1_cpuid, error);
    if (code != 0) {
        free(l1);
        return code;
    }
    kvm_vcpu_be_lazy(&l1->kvm);
    machine->l1[index] = l1;
    machine->l1_count = index + 1;
    return 0;
}

void l1_vcpu_destroy(struct l1_vcpu *l1)
{
    kvm_vcpu_destroy(&l1->kvm);
    free(l1);
}

int l1_vcpu_begin(struct l1_vcpu *l1, struct error *error)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = KICK_SIGNAL,
    };

    l1->process = getpid();
    l1->thread = gettid();
    event._sigev_un._tid = l1->thread;
    if (timer_create(CLOCK_MONOTONIC, &event, &l1->timer) < 0)
        return error_set(error, errno, "timer_create: %s", strerror(errno));
    kicks_begin(&l1->signals_before);
    l1->timer_at = UINT64_MAX;
    atomic_store(&l1->running, true);
    l1_timer_not_after(l1, machine_time(l1->machine) + TICK_NS);
    l1_timer_not_after(l1, l1->machine->deadline);
    return 0;
}

void l1_vcpu_end(struct l1_vcpu *l1)
{
    atomic_store(&l1->running, false);
    timer_delete(l1->timer);
    kicks_end(&l1->signals_before);
}

void l1_vcpu_kick(struct l1_vcpu *l1)
{
    if (atomic_load(&l1->running))
        tgkill(l1->process, l1->thread, KICK_SIGNAL);
}

void l1_timer_not_after(struct l1_vcpu *l1, uint64_t at)
{
    uint64_t absolute = l1->machine->started_at + at;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(absolute / NS), .tv_nsec = (long)(absolute % NS)}};

    if (l1->timer_at <= at)
        return;
    l1->timer_at = at;
    timer_settime(l1->timer, TIMER_ABSTIME, &when, NULL);
}

static void check_handler(struct l1_vcpu *l1, uint64_t now)
{
    const struct machine *machine = l1->machine;

    if (l1->mode != L1_IN_HANDLER)
        return;
    if (l1->handler_seen != l1->handler_number) {
        l1->handler_seen = l1->handler_number;
        l1->handler_started = now;
    } else if (now - l1->handler_started > machine->callback_timeout) {
        const struct callback *asked = l1->entered->asked;

        fatal_l1(l1,
                 "L1's callback handler %u at 0x%llx (%s of L2 %s) has not returned for %llu ms",
                 asked->id, (unsigned long long)asked->registration.handler,
                 reason_name(asked->registration.reason), l1->entered->l2->name,
                 (unsigned long long)(machine->callback_timeout / 1000000));
    }
}

/* What is to happen at that time is due, or the timer has to be set for it: returns the new next.
 */
static uint64_t time_due(struct l1_vcpu *l1, uint64_t at, uint64_t now, uint64_t next,
                         unsigned int due)
{
    if (now >= at)
        l1->due |= due;
    return now < at && at < next ? at : next;
}

void l1_check_time(struct l1_vcpu *l1)
{
    struct machine *machine = l1->machine;
    uint64_t now = machine_time(machine);
    uint64_t next = now + TICK_NS;
    int signal_number = atomic_load(&machine->stop_signal);

    kicks_take();
    if (signal_number != 0) {
        machine->report.signal_number = signal_number;
        machine_end(machine, MACHINE_STOPPED, "stopped by signal %d (%s)", signal_number,
                    strsignal(signal_number));
        return;
    }
    if (machine->listener != NULL && machine->listener->over(machine->listener->context)) {
        machine_end(machine, MACHINE_SCRIPT, "ended by the stack file");
        return;
    }
    if (now >= machine->deadline) {
        fatal_timeout(l1);
        return;
    }
    check_handler(l1, now);
    if (machine->deadline < next)
        next = machine->deadline;
    if (l1->entered != NULL) {
        next = time_due(l1, l1->entered->preempt_at, now, next, DUE_TIMER);
        next = time_due(l1, l1->entered->policy_at, now, next, DUE_POLICY);
    }
    l1->timer_at = UINT64_MAX;
    l1_timer_not_after(l1, next);
}

HOT int l1_run(struct l1_vcpu *l1, struct kvm_vcpu *kvm, uint64_t *ticks)
{
    struct machine *machine = l1->machine;
    uint64_t before;
    int result;

    machine_leave_root(machine);
    before = __rdtsc();
    result = kvm_vcpu_run(kvm);
    *ticks += __rdtsc() - before;
    machine_enter_root(machine);
    return result;
}

void l1_wait(struct l1_vcpu *l1)
{
    struct machine *machine = l1->machine;

    machine_leave_root(machine);
    /* The timer is armed: this ends at the next tick at the latest. */
    kicks_wait();
    machine_enter_root(machine);
}

void l1_start(struct l1_vcpu *l1, struct l1_vcpu *caller, uint64_t rip, uint64_t rsp, uint64_t rdi)
{
    struct kvm_run *run = l1->kvm.run;
    uint64_t apic_base = run->s.regs.sregs.apic_base;

    kvm_vcpu_need(&caller->kvm, KVM_SYNC_X86_SREGS);
    run->s.regs.sregs = caller->kvm.run->s.regs.sregs;
    run->s.regs.sregs.apic_base = apic_base;
    run->s.regs.regs =
        (struct kvm_regs){.rip = rip, .rsp = rsp, .rdi = rdi, .rflags = RFLAGS_FIXED};
    kvm_vcpu_replaced(&l1->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    l1->started = true;
    pthread_cond_broadcast(&l1->machine->changed);
}

int l1_interrupt(struct l1_vcpu *l1, uint32_t vector)
{
    if (!l1->started)
        return MEZZ_E_STATE;
    if (l1->interrupt != 0)
        return MEZZ_E_BUSY;
    l1->interrupt = MEZZ_EVENT_VALID | vector;
    l1_vcpu_kick(l1);
    return 0;
}

/* Only behind exits that leave no instruction half done: an event may then be put in its place. */
static bool at_boundary(const struct kvm_run *run)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return run->io.direction == KVM_EXIT_IO_OUT && run->io.port == MEZZ_CALL_PORT;
    case KVM_EXIT_HLT:
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return true;
    default:
        return false;
    }
}

/* Delivers the interrupt that waits, or asks KVM to tell when it can be. */
COLD static void deliver_interrupt(struct l1_vcpu *l1)
{
    struct kvm_run *run = l1->kvm.run;
    bool open;

    kvm_vcpu_need(&l1->kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS);
    open = run->s.regs.regs.rflags & RFLAGS_IF && run->s.regs.events.interrupt.shadow == 0 &&
           !run->s.regs.events.interrupt.injected;
    if (!open || !at_boundary(run)) {
        run->request_interrupt_window = 1;
        return;
    }
    vmcs12_inject(&l1->kvm, l1->interrupt, 0);
    l1->interrupt = 0;
    l1->halted = false;
}

/* Whether some L1 vCPU runs, or is about to for an interrupt: it can wake the others. */
static bool somebody_runs(const struct machine *machine)
{
    for (unsigned int i = 0; i < machine->l1_count; i++) {
        const struct l1_vcpu *l1 = machine->l1[i];

        if (l1->started && (!l1->halted || l1->interrupt != 0))
            return true;
    }
    return false;
}

static void halt(struct l1_vcpu *l1)
{
    l1->halted = true;
    if (!somebody_runs(l1->machine))
        fatal_l1(l1, "L1 halted, and nothing can wake it");
}

static bool is_call(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
           run->io.port == MEZZ_CALL_PORT && run->io.size == 1 && run->io.count == 1;
}

static void port_exit(struct l1_vcpu *l1)
{
    struct kvm_run *run = l1->kvm.run;
    bool in = run->io.direction == KVM_EXIT_IO_IN;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    l1->machine->report.l1.port_exits++;
    for (uint32_t i = 0; i < run->io.count && !l1->machine->ended; i++) {
        uint64_t value = 0;

        if (in) {
            value = ports_read(l1->machine, run->io.port, run->io.size);
            memcpy(data, &value, run->io.size);
        } else {
            memcpy(&value, data, run->io.size);
            ports_write(l1->machine, run->io.port, run->io.size, value);
        }
        data += run->io.size;
    }
}

/* A PC without a device there: reads give ones, writes are dropped. */
static void memory_exit(struct l1_vcpu *l1)
{
    l1->machine->report.l1.other_exits++;
    if (!l1->kvm.run->mmio.is_write)
        memset(l1->kvm.run->mmio.data, 0xff, sizeof(l1->kvm.run->mmio.data));
}

COLD static void other_exit(struct l1_vcpu *l1)
{
    struct kvm_run *run = l1->kvm.run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        port_exit(l1);
        break;
    case KVM_EXIT_MMIO:
        memory_exit(l1);
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        l1->machine->report.l1.other_exits++;
        run->msr.error = 1;
        break;
    case KVM_EXIT_HLT:
        halt(l1);
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        break;
    case KVM_EXIT_SHUTDOWN:
        fatal_l1(l1, "L1 died of a triple fault");
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        kvm_vcpu_need(&l1->kvm, KVM_SYNC_X86_REGS);
        fatal_l1(l1, "L1 ran an instruction at 0x%llx that KVM cannot run, or ran into nothing",
                 (unsigned long long)run->s.regs.regs.rip);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        fatal_l1(l1, "L1 cannot be entered: hardware reason 0x%llx",
                 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        fatal_l1(l1, "L1 exited for reason %u, which this root does not know", run->exit_reason);
        break;
    }
}

HOT __attribute__((noinline)) static void l1_step(struct l1_vcpu *l1)
{
    struct machine *machine = l1->machine;
    int result;

    l1->kvm.run->request_interrupt_window = 0;
    if (l1->interrupt != 0 && l1->mode == L1_RUNNING)
        deliver_interrupt(l1);
    if (l1->halted) {
        l1_wait(l1);
        if (!machine->ended)
            l1_check_time(l1);
        return;
    }
    result = l1_run(l1, &l1->kvm, &l1->run_tsc);
    if (machine->ended)
        return;
    if (result == 0 && is_call(l1->kvm.run))
        calls_dispatch(l1);
    else if (result == 0)
        other_exit(l1);
    else if (result == -EINTR)
        l1_check_time(l1);
    else
        machine_end(machine, MACHINE_HOST, "KVM_RUN of L1: %s", strerror(-result));
}

HOT void l1_vcpu_step(struct l1_vcpu *l1)
{
    if (l1->mode == L1_ENTERED)
        l2_step(l1);
    else
        l1_step(l1);
}
