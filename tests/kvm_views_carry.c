/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/kick.h"
#include "runner.h"
#include "views/carry.h"
#include "views_guest.h"

/* A switch that the root forces at any instruction: all state goes along. */

#define VIEWS        3U
#define SAVED        0x200000ULL /* where CODE_MIX leaves XMM1 and XMM15 */
#define KICK_NS      50000L
#define SECONDS_MOST 60
/* There are emulated hosts whose timers hardly ever end a KVM_RUN: no use to go on for long. */
#define SECONDS_SLOW 5
#define KICKS_SLOW   200
#define MIX_PART     2000000ULL

static void create(struct guest_views *guest, enum engine_kind engine)
{
    guest_create(guest, engine);
    for (uint32_t view = 1; view < VIEWS; view++) {
        guest_add_view(guest);
        guest_map(guest, view, GUEST_DATA, GUEST_SPARE_L1 + view * PAGE_SIZE, MEZZ_EPT_RWX);
    }
    guest_use_views(guest);
}

/* A timer that ends a KVM_RUN. */
static timer_t make_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL};
    timer_t timer;

    kicks_begin(NULL);
    event._sigev_un._tid = gettid();
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    return timer;
}

static void kick_later(timer_t timer)
{
    const struct itimerspec when = {.it_value = {.tv_nsec = KICK_NS + random() % KICK_NS}};

    ck_assert_int_eq(timer_settime(timer, 0, &when, NULL), 0);
}

/* Runs to the doorbell and goes to another view at each kick, of which there are `most`: where an
 * entry takes longer than the timer the guest would not get on. Returns the kicks. */
static unsigned int run_with_kicks(struct guest_views *guest, timer_t timer, unsigned int most)
{
    unsigned int kicks = 0;

    for (;;) {
        int code;

        ck_assert_int_eq(view_vcpu_prepare(&guest->vcpu, NULL), 0);
        if (kicks < most)
            kick_later(timer);
        code = kvm_vcpu_run(guest->vcpu.kvm);
        if (view_vcpu_after(&guest->vcpu) && code == 0)
            continue;
        if (code == 0)
            break;
        ck_assert_int_eq(code, -EINTR);
        kicks_take();
        kicks++;
        guest_switch(guest, kicks % VIEWS, CARRY_ALL);
    }
    ck_assert_uint_eq(guest->vcpu.kvm->run->exit_reason, KVM_EXIT_MMIO);
    ck_assert_uint_eq(guest->vcpu.kvm->run->mmio.phys_addr, GUEST_DOORBELL);
    return kicks;
}

static bool has_time(double seconds, unsigned int kicks)
{
    return seconds < (kicks < KICKS_SLOW ? SECONDS_SLOW : SECONDS_MOST);
}

/* Ring 3 computes with general and XMM registers, and is moved wherever it is. */
START_TEST(random_instructions)
{
    const enum engine_kind engine = (enum engine_kind)_i;
    const unsigned int wanted = engine == ENGINE_FLIP ? 10000 : 1000;
    struct guest_mix mix = {.rax = 0x9e3779b97f4a7c15ULL};
    struct guest_views guest;
    unsigned int kicks = 0;
    const double begin = guest_seconds();
    bool first = true;
    timer_t timer;

    create(&guest, engine);
    timer = make_timer();
    while (kicks < wanted && has_time(guest_seconds() - begin, kicks)) {
        const struct guest_run what = {
            .code = CODE_MIX, .ring = 3, .rax = mix.rax, .rbx = SAVED, .rdx = MIX_PART};
        struct guest_mix saved;

        guest_start(&guest.vcpu, &what);
        kicks += run_with_kicks(&guest, timer, wanted);
        saved.rax = guest.vcpu.kvm->run->s.regs.regs.rax;
        memcpy(saved.xmm1, guest_at(&guest, SAVED), 32);
        if (first) {
            /* Whatever the registers were at first. */
            struct guest_mix zero = mix;

            guest_mix(&zero, MIX_PART);
            mix = saved;
            ck_assert_uint_eq(saved.rax, zero.rax);
        } else {
            guest_mix(&mix, MIX_PART);
            ck_assert_mem_eq(&saved, &mix, sizeof(mix));
        }
        first = false;
    }
    timer_delete(timer);
    printf("%s: moved %u times\n", engine_name(engine), kicks);
    guest_destroy(&guest);
}
END_TEST

/* Of those that go along always, when they were written, and unheard: MTRRs, machine checks,
 * TSC_ADJUST. */
static const struct kvm_msr_entry filled[] = {
    {.index = 0x174, .data = 0x1000},      {.index = 0x175, .data = 0x1010},
    {.index = 0x176, .data = 0x1020},      {.index = 0xc0000082, .data = 0x1030},
    {.index = 0xc0000083, .data = 0x1040}, {.index = 0xc0000084, .data = 0x1050},
    {.index = 0xc0000102, .data = 0x1060}, {.index = 0x200, .data = 0x10000006},
    {.index = 0x201, .data = 0xfff00800},  {.index = 0x250, .data = 0x0606060606060606},
    {.index = 0x26f, .data = 0x0505},      {.index = 0x2ff, .data = 0xc06},
    {.index = 0x17a, .data = 1},           {.index = 0x402, .data = 0x123456},
    {.index = 0x47f, .data = 0x654321},    {.index = 0x3b, .data = 0x123456789},
};
#define MSRS        ELEMENTS(filled)
#define KERNEL_BASE 0xc0000102
#define MTRR_BASE   0x200
#define MC0_ADDR    0x402

struct state {
    uint32_t xsave[1024]; /* struct kvm_xsave */
    struct kvm_debugregs debug;
    uint64_t msr[MSRS];
};

union one_msr {
    struct kvm_msrs header;
    uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

static int access_msr(struct kvm_vcpu *vcpu, unsigned long request, uint32_t index, uint64_t *value)
{
    union one_msr list = {.header = {.nmsrs = 1}};
    int done;

    list.header.entries[0] = (struct kvm_msr_entry){.index = index, .data = *value};
    done = kvm_vcpu_ioctl(vcpu, request, &list);
    *value = list.header.entries[0].data;
    return done;
}

static void get_state(struct kvm_vcpu *vcpu, struct state *state)
{
    memset(state, 0, sizeof(*state));
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_GET_XSAVE, state->xsave), 0);
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_GET_DEBUGREGS, &state->debug), 0);
    for (size_t i = 0; i < MSRS; i++)
        ck_assert_int_eq(access_msr(vcpu, KVM_GET_MSRS, filled[i].index, &state->msr[i]), 1);
}

static void set_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t value)
{
    ck_assert_int_eq(access_msr(vcpu, KVM_SET_MSRS, index, &value), 1);
}

static uint64_t get_msr(struct kvm_vcpu *vcpu, uint32_t index)
{
    uint64_t value = 0;

    ck_assert_int_eq(access_msr(vcpu, KVM_GET_MSRS, index, &value), 1);
    return value;
}

/* As the root does, which hears of most of them. */
static void write_msr(struct view_vcpu *vcpu, uint32_t index, uint64_t value)
{
    const enum view_msr_kind kind = view_msr_kind(index);

    ck_assert_int_ne(kind, VIEW_MSR_OTHER);
    set_msr(vcpu->kvm, index, value);
    if (kind != VIEW_MSR_UNHEARD)
        view_vcpu_msr_changed(vcpu, index);
}

static void fill_state(struct view_vcpu *whole)
{
    struct kvm_vcpu *vcpu = whole->kvm;
    struct state state;
    uint8_t *legacy = (uint8_t *)state.xsave;

    get_state(vcpu, &state);
    for (unsigned int i = 32; i < 416; i++)
        legacy[i] = (uint8_t)(i * 7 + 3);
    for (unsigned int i = 576; i < 832; i++)
        legacy[i] = (uint8_t)(i * 5 + 1);
    /* x87 registers have 10 bytes in 16. */
    for (unsigned int i = 0; i < 8; i++)
        memset(legacy + 32 + i * 16 + 10, 0, 6);
    legacy[512] |= 3; /* XSTATE_BV: x87, SSE */
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_SET_XSAVE, state.xsave), 0);
    for (unsigned int i = 0; i < 4; i++)
        state.debug.db[i] = 0x12345000ULL + i * 0x1010;
    state.debug.dr7 = 0x400;
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &state.debug), 0);
    for (size_t i = 0; i < MSRS; i++)
        write_msr(whole, filled[i].index, filled[i].data);
}

static void fill_run_page(struct kvm_run *run)
{
    uint64_t *gpr = (uint64_t *)(void *)&run->s.regs.regs;

    for (uint64_t i = 0; i < 16; i++)
        gpr[i] = 0x0101010101010101ULL * (i + 1);
    run->s.regs.sregs.cr2 = 0xabcdef000ULL;
    run->s.regs.sregs.fs.base = 0x111000;
    run->s.regs.sregs.gs.base = 0x222000;
    run->s.regs.sregs.gdt.base = 0x333000;
    run->s.regs.sregs.idt.limit = 0xfff;
    run->s.regs.events.nmi.masked = 1;
    run->s.regs.events.exception.injected = 1;
    run->s.regs.events.exception.nr = 13;
    run->s.regs.events.exception.has_error_code = 1;
    run->s.regs.events.exception.error_code = 0x18;
    run->kvm_dirty_regs = KVM_SYNC_ALL;
}

/* KVM has taken what is in the run page, and gives it back, without the guest having run. */
static void exchange(struct kvm_vcpu *vcpu)
{
    vcpu->run->immediate_exit = 1;
    ck_assert_int_eq(kvm_vcpu_run(vcpu), -EINTR);
}

START_TEST(every_register)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = GUEST_DATA};
    struct kvm_sync_regs before;
    struct guest_views guest;
    struct state expected;
    struct state state;

    create(&guest, (enum engine_kind)_i);
    for (uint32_t view = 0; view < VIEWS; view++) {
        guest_switch(&guest, view, CARRY_GATE);
        guest_run(&guest, &read);
    }
    fill_state(&guest.vcpu);
    get_state(guest.vcpu.kvm, &expected);
    fill_run_page(guest.vcpu.kvm->run);
    exchange(guest.vcpu.kvm);
    before = guest.vcpu.kvm->run->s.regs;
    for (uint32_t i = 0; i < 300; i++) {
        guest_switch(&guest, i % VIEWS, CARRY_ALL);
        exchange(guest.vcpu.kvm);
        get_state(guest.vcpu.kvm, &state);
        ck_assert_mem_eq(&state, &expected, sizeof(state));
        ck_assert_mem_eq(&guest.vcpu.kvm->run->s.regs, &before, sizeof(before));
    }
    ck_assert_uint_eq(before.events.exception.nr, 13);
    ck_assert_uint_eq(before.events.nmi.masked, 1);
    guest_destroy(&guest);
}
END_TEST

/* A sibling is only given system registers and events that it has not: one of them differs, and
 * then the next. */
START_TEST(what_seldom_changes)
{
    static const size_t places[] = {
        offsetof(struct kvm_sync_regs, sregs.ds.base),
        offsetof(struct kvm_sync_regs, sregs.es.base),
        offsetof(struct kvm_sync_regs, sregs.fs.base),
        offsetof(struct kvm_sync_regs, sregs.gs.base),
        offsetof(struct kvm_sync_regs, sregs.tr.base),
        offsetof(struct kvm_sync_regs, sregs.ldt.base),
        offsetof(struct kvm_sync_regs, sregs.gdt.base),
        offsetof(struct kvm_sync_regs, sregs.idt.base),
        offsetof(struct kvm_sync_regs, sregs.cr2),
        offsetof(struct kvm_sync_regs, sregs.cr8),
        offsetof(struct kvm_sync_regs, events.exception.error_code),
        offsetof(struct kvm_sync_regs, events.nmi.masked),
    };
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = GUEST_DATA};
    struct guest_views guest;

    create(&guest, ENGINE_FLIP);
    for (uint32_t i = 0; i < 2 * VIEWS; i++) {
        guest_switch(&guest, i % VIEWS, CARRY_GATE);
        guest_run(&guest, &read);
    }
    fill_run_page(guest.vcpu.kvm->run);
    for (uint32_t i = 0; i < 4 * ELEMENTS(places); i++) {
        struct kvm_sync_regs *regs = &guest.vcpu.kvm->run->s.regs;
        struct kvm_sync_regs before;

        ((uint8_t *)regs)[places[i / 4]] ^= 1;
        regs->regs.rax = i;
        kvm_vcpu_replaced(guest.vcpu.kvm, KVM_SYNC_ALL);
        exchange(guest.vcpu.kvm);
        before = *regs;
        /* Of two: with three in turn each would find what it had left. */
        guest_switch(&guest, i % 2, CARRY_GATE);
        exchange(guest.vcpu.kvm);
        ck_assert_msg(memcmp(&guest.vcpu.kvm->run->s.regs, &before, sizeof(before)) == 0,
                      "place %u", i / 4);
    }
    guest_destroy(&guest);
}
END_TEST

/* At a gate MSRs go along only when somebody said that they changed. */
START_TEST(msrs_at_a_gate)
{
    struct guest_views guest;

    create(&guest, (enum engine_kind)_i);
    guest_switch(&guest, 1, CARRY_GATE);
    write_msr(&guest.vcpu, KERNEL_BASE, 0x5000);
    for (uint32_t i = 0; i < 2 * VIEWS; i++) {
        guest_switch(&guest, i % VIEWS, CARRY_GATE);
        ck_assert_uint_eq(get_msr(guest.vcpu.kvm, KERNEL_BASE), 0x5000);
    }
    for (uint64_t value = 0x1006; value < 0x5006; value += 0x1000) {
        write_msr(&guest.vcpu, MTRR_BASE, value);
        for (uint32_t i = 0; i < 2 * VIEWS; i++) {
            guest_switch(&guest, i % VIEWS, CARRY_GATE);
            ck_assert_uint_eq(get_msr(guest.vcpu.kvm, MTRR_BASE), value);
        }
    }
    guest_destroy(&guest);
}
END_TEST

/* SWAPGS, about which nobody tells: where the base of GS has another value than the sibling's, ring
 * 0 has one, or WRGSBASE may have altered the one that is put away. */
START_TEST(swapped_base)
{
    const struct guest_run read = {.code = CODE_READ, .ring = 3, .rbx = GUEST_DATA};
    struct kvm_sregs *sregs;
    struct guest_views guest;

    create(&guest, ENGINE_FLIP);
    for (uint32_t i = 0; i < 2 * VIEWS; i++) {
        guest_switch(&guest, i % VIEWS, CARRY_GATE);
        guest_run(&guest, &read);
    }
    sregs = &guest.vcpu.kvm->run->s.regs.sregs;
    sregs->cr4 |= CR4_FSGSBASE;
    for (uint32_t i = 0; i < 2 * VIEWS; i++) {
        set_msr(guest.vcpu.kvm, KERNEL_BASE, 0x7000 + i * 0x1000);
        guest_switch(&guest, i % VIEWS, CARRY_GATE);
        ck_assert_uint_eq(get_msr(guest.vcpu.kvm, KERNEL_BASE), 0x7000 + i * 0x1000);
        kvm_vcpu_need(guest.vcpu.kvm, KVM_SYNC_ALL);
    }
    guest_destroy(&guest);
}
END_TEST

/* What an earlier vCPU left behind in the KVM vCPUs: the types of memory, a base, the address of an
 * error, XCR0, CR8. */
static void leave_behind(struct kvm_vcpu *vcpu)
{
    struct kvm_xcrs xcrs;

    set_msr(vcpu, 0x2ff, 0xc06);
    set_msr(vcpu, KERNEL_BASE, 0x7000);
    set_msr(vcpu, MC0_ADDR, 0x8000);
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_GET_XCRS, &xcrs), 0);
    xcrs.xcrs[0].value = 3;
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs), 0);
    kvm_vcpu_need(vcpu, KVM_SYNC_ALL);
    vcpu->run->cr8 = vcpu->run->s.regs.sregs.cr8 = 9;
    kvm_vcpu_replaced(vcpu, KVM_SYNC_X86_SREGS);
    exchange(vcpu);
    ck_assert_uint_eq(vcpu->run->s.regs.sregs.cr8, 9);
}

static void check_fresh(struct kvm_vcpu *vcpu, uint64_t types)
{
    struct kvm_xcrs xcrs;

    ck_assert_uint_eq(get_msr(vcpu, 0x2ff), types);
    ck_assert_uint_eq(get_msr(vcpu, KERNEL_BASE), 0);
    ck_assert_uint_eq(get_msr(vcpu, MC0_ADDR), 0);
    ck_assert_int_ge(kvm_vcpu_ioctl(vcpu, KVM_GET_XCRS, &xcrs), 0);
    ck_assert_uint_eq(xcrs.xcrs[0].value, 1);
    exchange(vcpu);
    ck_assert_uint_eq(vcpu->run->s.regs.sregs.cr8, 0);
}

START_TEST(a_new_vcpu_inherits_nothing)
{
    struct guest_views guest;
    struct error error;
    uint64_t types;

    create(&guest, (enum engine_kind)_i);
    types = get_msr(guest.vcpu.kvm, 0x2ff);
    ck_assert_uint_ne(types, 0xc06);
    for (uint32_t view = 0; view < VIEWS; view++) {
        guest_switch(&guest, view, CARRY_GATE);
        leave_behind(guest.vcpu.kvm);
    }
    view_vcpu_destroy(&guest.vcpu);
    ck_assert_int_eq(view_vcpu_create(&guest.vcpu, guest.space, &error), 0);
    check_fresh(guest.vcpu.kvm, types);
    for (uint32_t view = 0; view < VIEWS; view++) {
        guest_switch(&guest, view, CARRY_GATE);
        check_fresh(guest.vcpu.kvm, types);
    }
    guest_destroy(&guest);
}
END_TEST

/* Where the kernel has given up the time stamp counter, KVM lets a vCPU's stand still while the
 * vCPU does not run, and its siblings' with it (docs/views.md). */
static bool host_counts_on_tsc(void)
{
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    char name[32] = "";

    if (file != NULL) {
        if (fgets(name, sizeof(name), file) == NULL)
            name[0] = '\0';
        fclose(file);
    }
    return strcmp(name, "tsc\n") == 0 || strcmp(name, "kvm-clock\n") == 0;
}

START_TEST(time_goes_on)
{
    const struct guest_run tsc = {.code = CODE_TSC, .ring = 3};
    struct guest_views guest;
    uint64_t before = 0;

    create(&guest, (enum engine_kind)_i);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t now;

        guest_switch(&guest, i % VIEWS, i % 2 ? CARRY_GATE : CARRY_ALL);
        now = guest_run(&guest, &tsc).value;
        if (now <= before && !host_counts_on_tsc()) {
            printf("the host's clock is not the time stamp counter: views' differ\n");
            break;
        }
        ck_assert_uint_gt(now, before);
        before = now;
    }
    guest_destroy(&guest);
}
END_TEST

RUN_CASES_IF(guest_obstacle, "views: carry", 120, EACH(every_register, ENGINE_KINDS),
             ONCE(what_seldom_changes), EACH(msrs_at_a_gate, ENGINE_KINDS), ONCE(swapped_base),
             EACH(a_new_vcpu_inherits_nothing, ENGINE_KINDS), EACH(time_goes_on, ENGINE_KINDS),
             EACH(random_instructions, ENGINE_KINDS))
