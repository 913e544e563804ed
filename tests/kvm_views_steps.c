/* SPDX-License-Identifier: Apache-2.0 */
/* Single steps (RFLAGS.TF) that an exit cuts short, in one view, and what goes on in another one.
 * Where KVM leaves the step's exception with the vCPU (views/step.h) nobody else gets it. */
#include <stdio.h>

#include "runner.h"
#include "views/step.h"
#include "views_guest.h"

#define ROUNDS 6
#define HERE   GUEST_DATA /* both views have it */
#define AWAY   (GUEST_DATA + PAGE_SIZE)
#define VALUE  0x5e1fULL

/* View 1 has no AWAY. */
static void create(struct guest_views *guest, enum engine_kind engine)
{
    guest_create(guest, engine);
    guest_map(guest, guest_add_view(guest), AWAY, 0, 0);
    *guest_at(guest, HERE) = *guest_at(guest, AWAY) = VALUE;
    guest_use_views(guest);
}

/* KVM has no page of it the first time, which is an exit of its own. */
static void touch(struct guest_views *guest)
{
    const struct guest_run what = {.code = CODE_SS_READ, .rbx = HERE};

    for (uint32_t view = 0; view < 2; view++) {
        guest_switch(guest, view, CARRY_ALL);
        ck_assert_uint_eq(guest_run(guest, &what).value, VALUE);
    }
}

static const struct kvm_run *step(struct guest_views *guest, const struct guest_run *what)
{
    guest_start(&guest->vcpu, what);
    guest->vcpu.kvm->run->s.regs.regs.rflags |= STEP_FLAG;
    guest_step(&guest->vcpu);
    return guest->vcpu.kvm->run;
}

static const struct kvm_run *step_read(struct guest_views *guest, enum guest_code code)
{
    const struct guest_run what = {.code = code, .rbx = AWAY};

    return step(guest, &what);
}

/* There are KVMs that run ring 0 by their emulator, for which MOV SS is an instruction as others
 * are: the step ends behind it, and this guest has no handler. */
static bool ends_at_mov_ss(const struct kvm_run *run)
{
    static bool told;

    if (run->exit_reason != KVM_EXIT_SHUTDOWN)
        return false;
    if (!told)
        printf("this KVM ends a step at MOV SS\n");
    told = true;
    return true;
}

static void end_instruction(struct kvm_vcpu *vcpu)
{
    do
        vcpu->run->immediate_exit = 1;
    while (kvm_vcpu_run(vcpu) == 0);
}

/* The step's exception, which KVM has now, is nobody's. */
static void forget(struct kvm_vcpu *vcpu)
{
    end_instruction(vcpu);
    vcpu->run->s.regs.events.exception.injected = 0;
    vcpu->run->s.regs.events.exception.pending = 0;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_EVENTS);
}

/* A step reads what its view has not; who runs then, in the other view and in this one, does not
 * step. */
START_TEST(nobody_elses)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i);
    for (int i = 0; i < ROUNDS; i++) {
        const enum view_carry carry = i % 2 == 0 ? CARRY_GATE : CARRY_ALL;
        const struct kvm_run *run;

        touch(&guest);
        run = step_read(&guest, CODE_SS_READ);
        if (ends_at_mov_ss(run))
            run = step_read(&guest, CODE_READ);
        ck_assert_uint_eq(run->exit_reason, KVM_EXIT_MMIO);
        ck_assert_uint_eq(run->mmio.phys_addr, AWAY);
        forget(guest.vcpu.kvm);
        if (i < ROUNDS / 2) {
            guest_switch(&guest, 0, carry);
            ck_assert_uint_eq(guest_load(&guest, 0, AWAY), VALUE);
            guest_switch(&guest, 1, carry);
        }
        ck_assert_uint_eq(guest_load(&guest, 0, HERE), VALUE);
    }
    guest_destroy(&guest);
}
END_TEST

/* KVM cannot do the exchange for a view without the page; it is done in the other one. The MOV SS
 * in front of it holds debug exceptions back, which is nothing to load along with a step. */
START_TEST(behind_mov_ss)
{
    const struct guest_run swap = {.code = CODE_SS_SWAP, .rax = VALUE, .rbx = AWAY};
    struct guest_views guest;
    const struct kvm_run *run;

    create(&guest, ENGINE_FLIP);
    ck_assert_uint_eq(guest_load(&guest, 0, AWAY), VALUE);
    touch(&guest);
    run = step(&guest, &swap);
    if (!ends_at_mov_ss(run)) {
        ck_assert_uint_eq(run->exit_reason, KVM_EXIT_MMIO);
        end_instruction(guest.vcpu.kvm);
        if (run->s.regs.events.interrupt.shadow == 0)
            printf("this KVM holds nothing back after the read\n");
        guest_switch(&guest, 0, CARRY_ALL);
        run = guest.vcpu.kvm->run;
        ck_assert_uint_eq(run->s.regs.events.interrupt.shadow, 0);
        guest_step(&guest.vcpu);
        /* For the step, whose handler there is none of. */
        ck_assert_uint_eq(run->exit_reason, KVM_EXIT_SHUTDOWN);
        ck_assert_uint_eq(*guest_at(&guest, AWAY), AWAY);
    }
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: steps", 60, EACH(nobody_elses, ENGINE_KINDS),
             ONCE(behind_mov_ss))
