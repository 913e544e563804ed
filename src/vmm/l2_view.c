/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/l2_view.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "host/hot.h"
#include "mezz/errors.h"
#include "mezz/gate.h"
#include "vmm/exits/drain.h"
#include "vmm/exits/msrs.h"
#include "vmm/machine_state.h"

/* How long a vCPU runs, when it does not exit by itself, before another one takes its turn: long
 * beside what a turn costs. */
#define TURN_NS 1000000L
#define NS      1000000000L

/* What an attempt is to do. */
struct wish {
    uint64_t eptp;
    uint32_t index;
    struct space_overlay *overlay;
    enum view_carry carry;
};

typedef int attempt_function(struct l2_vcpu *vcpu, const struct wish *wish);

static void kick_others(const struct l2_vcpu *vcpu)
{
    const struct machine *machine = vcpu->l2->machine;

    for (unsigned int i = 0; i < machine->l1_count; i++) {
        const struct l2_vcpu *other = machine->l1[i]->entered;

        if (other != NULL && other != vcpu && other->l2 == vcpu->l2)
            l1_vcpu_kick(machine->l1[i]);
    }
}

static struct timespec turn_end(void)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += TURN_NS;
    end.tv_sec += end.tv_nsec / NS;
    end.tv_nsec %= NS;
    return end;
}

/* True: the time is over. */
static bool wait_for_change(struct machine *machine, const struct timespec *end)
{
    return pthread_cond_timedwait(&machine->changed, &machine->lock, end) == ETIMEDOUT;
}

static void begin_waiting(struct l2_vcpu *vcpu)
{
    vcpu->waits_since = ++vcpu->l2->waited;
}

/* Of those that wait, who has waited longest: nobody waits for more than a turn of each of the
 * others. */
COLD static bool has_claim(struct l2_vcpu *vcpu)
{
    struct l2 *l2 = vcpu->l2;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS && l2->claim == NULL; i++) {
        const struct l2_vcpu *other = l2->machine->vcpu[i];

        if (other != NULL && other->l2 == l2 && other->waits_since != 0 &&
            other->waits_since < vcpu->waits_since)
            return false;
    }
    if (l2->claim == NULL)
        l2->claim = vcpu;
    return l2->claim == vcpu;
}

/* What it goes on with before it releases machine->lock belongs to its turn: nobody has a claim. */
static void end_waiting(struct l2_vcpu *vcpu)
{
    vcpu->waits_since = 0;
    if (vcpu->l2->claim == vcpu)
        vcpu->l2->claim = NULL;
    pthread_cond_broadcast(&vcpu->l2->machine->changed);
}

COLD static bool others_run(const struct l2_vcpu *vcpu)
{
    const struct machine *machine = vcpu->l2->machine;

    for (unsigned int i = 0; i < machine->l1_count; i++) {
        const struct l2_vcpu *other = machine->l1[i]->entered;

        if (other != NULL && other != vcpu && other->l2 == vcpu->l2 && other->place.running)
            return true;
    }
    return false;
}

HOT bool l2_view_others_run(const struct l2_vcpu *vcpu)
{
    return vcpu->l2->machine->l1_count > 1 && others_run(vcpu);
}

/* Whoever has left KVM_RUN does not begin another one while there is a claim. */
COLD static void await_others(struct l2_vcpu *vcpu)
{
    struct machine *machine = vcpu->l2->machine;

    begin_waiting(vcpu);
    has_claim(vcpu);
    do {
        const struct timespec end = turn_end();

        kick_others(vcpu);
        wait_for_change(machine, &end);
    } while (!machine->ended && (l2_view_others_run(vcpu) || !has_claim(vcpu)));
    end_waiting(vcpu);
}

void l2_view_stop_others(struct l2_vcpu *vcpu)
{
    if (l2_view_others_run(vcpu))
        await_others(vcpu);
}

/* One vCPU at a time claims the next turn: the others do not run again before it had it. */
COLD static int take_turn(struct l2_vcpu *vcpu, attempt_function *attempt, const struct wish *wish)
{
    struct l2 *l2 = vcpu->l2;
    struct machine *machine = l2->machine;
    struct timespec end = turn_end();
    bool is_next = false;
    int code = -EBUSY;

    begin_waiting(vcpu);
    while (!machine->ended) {
        if (has_claim(vcpu))
            code = attempt(vcpu, wish);
        if (code != -EBUSY)
            break;
        /* The turn of the one before begins now. */
        if (l2->claim == vcpu && !is_next)
            end = turn_end();
        is_next = l2->claim == vcpu;
        if (!wait_for_change(machine, &end))
            continue;
        if (is_next)
            kick_others(vcpu);
        end = turn_end();
    }
    end_waiting(vcpu);
    return code == -EBUSY ? -EAGAIN : code;
}

HOT static int in_turn(struct l2_vcpu *vcpu, attempt_function *attempt, const struct wish *wish)
{
    int code = -EBUSY;

    if (vcpu->l2->claim == NULL)
        code = attempt(vcpu, wish);
    if (code == -EBUSY)
        code = take_turn(vcpu, attempt, wish);
    if (code < 0 && code != -EAGAIN && code != -EINTR)
        machine_note_trouble(vcpu->l2->machine, "a view of L2 %s: %s", vcpu->l2->name,
                             strerror(-code));
    vcpu->kvm = vcpu->place.kvm;
    return code;
}

static int try_prepare(struct l2_vcpu *vcpu, const struct wish *unused)
{
    (void)unused;
    return view_vcpu_prepare(&vcpu->place, NULL);
}

static int try_hold(struct l2_vcpu *vcpu, const struct wish *unused)
{
    (void)unused;
    return view_vcpu_hold(&vcpu->place);
}

static int try_use(struct l2_vcpu *vcpu, const struct wish *wish)
{
    return view_vcpu_use(&vcpu->place, wish->eptp, CARRY_ALL, NULL);
}

static int try_switch(struct l2_vcpu *vcpu, const struct wish *wish)
{
    return view_vcpu_switch(&vcpu->place, wish->index, wish->carry, NULL);
}

HOT static int try_overlay(struct l2_vcpu *vcpu, const struct wish *wish)
{
    return view_vcpu_overlay(&vcpu->place, wish->overlay, wish->carry, NULL);
}

int l2_view_wait(struct l2_vcpu *vcpu)
{
    return in_turn(vcpu, try_prepare, NULL);
}

int l2_view_hold(struct l2_vcpu *vcpu)
{
    int code = try_hold(vcpu, NULL);

    /* It is over soon: nobody's claim is in its way. */
    if (code == -EBUSY)
        code = take_turn(vcpu, try_hold, NULL);
    vcpu->kvm = vcpu->place.kvm;
    return code;
}

void l2_view_turn_is_over(struct l2_vcpu *vcpu)
{
    pthread_cond_broadcast(&vcpu->l2->machine->changed);
}

int l2_view_use(struct l2_vcpu *vcpu, uint64_t eptp)
{
    const struct space_view *before = vcpu->place.view;
    const uint64_t builds = before == NULL ? 0 : space_view_builds(before);
    const struct wish wish = {.eptp = eptp};
    int code = in_turn(vcpu, try_use, &wish);

    if (code == 0 && (vcpu->place.view != before || space_view_builds(before) != builds))
        vcpu->l2->protection_round++;
    return code;
}

/* KVM has nothing pending in another KVM vCPU; and what was opened for writing is another view's.
 */
HOT static int moved(struct l2_vcpu *vcpu, const struct kvm_vcpu *before, int code)
{
    if (vcpu->kvm != before)
        vcpu->kvm_pending = false;
    vcpu->tables_cr3 = UINT64_MAX;
    return code;
}

int l2_view_switch(struct l2_vcpu *vcpu, uint32_t index, enum view_carry carry)
{
    const struct wish wish = {.index = index, .carry = carry};
    const struct kvm_vcpu *before = vcpu->kvm;

    return moved(vcpu, before, in_turn(vcpu, try_switch, &wish));
}

HOT int l2_view_overlay(struct l2_vcpu *vcpu, struct space_overlay *overlay, enum view_carry carry)
{
    const struct wish wish = {.overlay = overlay, .carry = carry};
    const struct kvm_vcpu *before = vcpu->kvm;

    return moved(vcpu, before, in_turn(vcpu, try_overlay, &wish));
}

HOT struct guest_view l2_view_memory(const struct l2_vcpu *vcpu)
{
    return (struct guest_view){space_view_memory(vcpu->place.view),
                               space_view_extents(vcpu->place.view)};
}

int l2_view_look_at_host(struct machine *machine)
{
    struct error error;

    if (machine->host_is_known)
        return 0;
    if (host_traits_probe(&machine->kvm, &machine->host, &error) != 0)
        return MEZZ_E_HOST;
    machine->host_is_known = true;
    return 0;
}

/* What KVM has pending is ended in the VM that it belongs to. */
static int drain_all(struct l2 *l2)
{
    struct machine *machine = l2->machine;
    int code = 0;

    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS && code == 0; i++) {
        struct l2_vcpu *vcpu = machine->vcpu[i];

        if (vcpu == NULL || vcpu->l2 != l2)
            continue;
        code = vcpu->place.running ? MEZZ_E_BUSY : -l2_drain(vcpu);
    }
    return code == 0 || code == MEZZ_E_BUSY ? code : MEZZ_E_HOST;
}

int l2_view_need_engine(struct l2 *l2)
{
    struct machine *machine = l2->machine;
    enum engine_kind engine = l2->engine;
    struct error error;
    int code;

    if (space_has_engine(l2->space))
        return 0;
    code = l2_view_look_at_host(machine);
    if (code == 0)
        code = drain_all(l2);
    if (code != 0)
        return code;
    if (engine == ENGINE_KINDS)
        engine = engine_choose(&machine->host, NULL);
    if (space_set_engine(l2->space, engine, &machine->host, &error) != 0) {
        machine_end(machine, MACHINE_HOST, "views of L2 %s: %s", l2->name, error.text);
        return MEZZ_E_HOST;
    }
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS; i++)
        if (machine->vcpu[i] != NULL && machine->vcpu[i]->l2 == l2)
            machine->vcpu[i]->kvm = machine->vcpu[i]->place.kvm;
    if (space_set_hole(l2->space, l2_at(MEZZ_GATE_ADDRESS)) != 0 || msrs_update_filter(l2) != 0)
        return MEZZ_E_HOST;
    l2->has_gate = true;
    return 0;
}
