/* SPDX-License-Identifier: Apache-2.0 */
#include "views/probe_run.h"

#include <errno.h>
#include <string.h>

#include "host/clock.h"
#include "host/kick.h"

#define LIMIT_NS 1000000000L
#define AGAIN_NS 10000000L

int probe_run_begin(struct probe_run *run, struct error *error)
{
    const struct itimerspec limit = {
        .it_value = {.tv_sec = LIMIT_NS / (long)SECOND_NS, .tv_nsec = LIMIT_NS % (long)SECOND_NS},
        .it_interval = {.tv_nsec = AGAIN_NS}};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL};

    kicks_begin(&run->before);
    event._sigev_un._tid = kicks_thread();
    if (timer_create(CLOCK_MONOTONIC, &event, &run->timer) < 0) {
        const int code = errno;

        kicks_end(&run->before);
        return error_set(error, code, "timer_create: %s", strerror(code));
    }
    run->deadline = clock_now_ns() + LIMIT_NS;
    timer_settime(run->timer, 0, &limit, NULL);
    return 0;
}

void probe_run_end(struct probe_run *run)
{
    timer_delete(run->timer);
    kicks_end(&run->before);
}

void probe_run_flat(struct kvm_sregs *sregs, bool long_mode)
{
    const struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};

    sregs->cs = (struct kvm_segment){
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1};
    sregs->cs.l = long_mode;
    sregs->cs.db = !long_mode;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = 24, .type = 11, .present = 1};
    sregs->ldt = (struct kvm_segment){.unusable = 1};
}

int probe_run_once(const struct probe_run *run, struct kvm_vcpu *vcpu)
{
    int code;

    do {
        kicks_take();
        code = kvm_vcpu_run(vcpu);
    } while (code == -EINTR && clock_now_ns() < run->deadline);
    return code;
}
