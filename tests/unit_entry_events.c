/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a VM entry beyond the registers: the event, controls, MSRs, debug registers. */
#include <stdbool.h>
#include <string.h>

#include "runner.h"
#include "vmm/vmcs/entry_checks.h"
#include "vmm/vmcs/vmcs12.h"
#include "vmm/vmcs/x86.h"

#define HIGH 0x800000000000ULL /* the lowest address that is not canonical */

static uint64_t event(uint32_t info, uint32_t code, uint64_t rflags, uint32_t state, uint64_t cr0)
{
    return entry_check_event(info, code, rflags, state, cr0);
}

/* Every type with every vector: with and without its error code. */
START_TEST(event_types)
{
    static const char coded[] = "\x08\x0a\x0b\x0c\x0d\x0e\x11\x15"; /* SDM table 6-1 */

    for (uint32_t type = 0; type < 8; type++) {
        for (uint32_t vector = 0; vector < 256; vector++) {
            uint32_t info = MEZZ_EVENT_VALID | type << MEZZ_EVENT_TYPE_SHIFT | vector;
            bool has_code = vector != 0 && strchr(coded, (int)vector) != NULL;
            bool plain = type == 0 || (type == 2 && vector == 2) ||
                         (type == 3 && vector < 32 && vector != 2 && !has_code);

            ck_assert_uint_eq(event(info, 0, RFLAGS_IF, 0, CR0_PE),
                              plain ? MEZZ_CHECK_NONE : MEZZ_CHECK_EVENT);
            ck_assert_uint_eq(event(info | MEZZ_EVENT_DELIVER_CODE, 0, RFLAGS_IF, 0, CR0_PE),
                              type == 3 && has_code ? MEZZ_CHECK_NONE : MEZZ_CHECK_EVENT);
            ck_assert_uint_eq(event(info & ~MEZZ_EVENT_VALID, 0, 0, 3, 0), MEZZ_CHECK_NONE);
        }
    }
}
END_TEST

START_TEST(events)
{
    const uint32_t external = MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | 0x30;
    const uint32_t nmi = MEZZ_EVENT_VALID | MEZZ_EVENT_NMI | 2;
    const uint32_t fault = MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | MEZZ_EVENT_DELIVER_CODE | 14;

    for (int bit = 12; bit < 31; bit++)
        ck_assert_uint_eq(event(nmi | 1U << bit, 0, 0, 0, CR0_PE), MEZZ_CHECK_EVENT);
    ck_assert_uint_eq(event(fault, 0xffff, 0, 0, CR0_PE), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(event(fault, 0x10000, 0, 0, CR0_PE), MEZZ_CHECK_EVENT);
    /* Real mode has no error codes. */
    ck_assert_uint_eq(event(fault, 0, 0, 0, 0), MEZZ_CHECK_EVENT);
    ck_assert_uint_eq(event(fault & ~MEZZ_EVENT_DELIVER_CODE, 0, 0, 0, 0), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(event(external, 0, 0, 0, CR0_PE), MEZZ_CHECK_RFLAGS);
    ck_assert_uint_eq(event(external, 0, RFLAGS_IF, 1, CR0_PE), MEZZ_CHECK_INTERRUPTIBILITY);
    ck_assert_uint_eq(event(external, 0, RFLAGS_IF, 2, CR0_PE), MEZZ_CHECK_INTERRUPTIBILITY);
    ck_assert_uint_eq(event(external, 0, RFLAGS_IF, 8, CR0_PE), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(event(nmi, 0, 0, 0, CR0_PE), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(event(nmi, 0, 0, 2, CR0_PE), MEZZ_CHECK_INTERRUPTIBILITY);
    ck_assert_uint_eq(event(nmi, 0, 0, 8, CR0_PE), MEZZ_CHECK_INTERRUPTIBILITY);
}
END_TEST

static struct l1_memory l1 = {.size = 1 << 20};

static uint64_t controls_of(struct mezz_vmcs12_controls controls)
{
    return entry_check_controls(&controls, &l1);
}

START_TEST(controls)
{
    const uint32_t pin = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING | MEZZ_PIN_PREEMPTION_TIMER;
    const uint32_t cpu = MEZZ_CPU_INTERRUPT_WINDOW_EXITING | MEZZ_CPU_HLT_EXITING |
                         MEZZ_CPU_UNCONDITIONAL_IO_EXITING | MEZZ_CPU_USE_IO_BITMAPS |
                         MEZZ_CPU_USE_MSR_BITMAPS;
    const uint32_t out = MEZZ_VMEXIT_SAVE_DEBUG | MEZZ_VMEXIT_SAVE_MSRS;

    ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){
                          .pin_based = pin, .cpu_based = cpu, .exit_controls = out}),
                      MEZZ_CHECK_NONE);
    for (int bit = 0; bit < 32; bit++) {
        uint32_t b = 1U << bit;

        ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.pin_based = b}),
                          b & pin ? MEZZ_CHECK_NONE : MEZZ_CHECK_CONTROLS);
        ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.cpu_based = b}),
                          b & cpu ? MEZZ_CHECK_NONE : MEZZ_CHECK_CONTROLS);
        ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.exit_controls = b}),
                          b & out ? MEZZ_CHECK_NONE : MEZZ_CHECK_CONTROLS);
        ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.cpu_based_secondary = b}),
                          MEZZ_CHECK_CONTROLS);
    }
    ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.tsc_offset = 1}),
                      MEZZ_CHECK_CONTROLS);
    ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.reserved = 1}),
                      MEZZ_CHECK_CONTROLS);
    ck_assert_uint_eq(controls_of((struct mezz_vmcs12_controls){.reserved2 = 1}),
                      MEZZ_CHECK_CONTROLS);
}
END_TEST

START_TEST(bitmaps)
{
    static const uint64_t bad[] = {1, 0xff001, 1 << 20, UINT64_MAX, 0xfffffffffffff000};

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        struct mezz_vmcs12_controls tried = {.io_bitmap_a = bad[i]};

        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_NONE);
        tried.cpu_based = MEZZ_CPU_USE_IO_BITMAPS;
        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_BITMAP_ADDRESS);
        tried.io_bitmap_a = 0xff000;
        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_NONE);
        tried.io_bitmap_b = bad[i];
        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_BITMAP_ADDRESS);
        tried.cpu_based = MEZZ_CPU_USE_MSR_BITMAPS;
        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_NONE);
        tried.msr_bitmap = bad[i];
        ck_assert_uint_eq(controls_of(tried), MEZZ_CHECK_BITMAP_ADDRESS);
    }
}
END_TEST

START_TEST(msrs)
{
    const struct mezz_vmcs12_msrs none = {.pat = 0};
    const uint64_t *first = &none.sysenter_cs;

    /* The fields that hold addresses: their places in the group. */
    for (size_t i = 0; i < 10; i++) {
        struct mezz_vmcs12_msrs tried = none;
        bool address = i == 1 || i == 2 || i == 5 || i == 6 || i == 8;

        memcpy((uint8_t *)&tried + i * sizeof(*first), &(uint64_t){HIGH}, sizeof(*first));
        if (i != 3)
            ck_assert_uint_eq(entry_check_msrs(&tried), address ? MEZZ_CHECK_MSR : MEZZ_CHECK_NONE);
    }
    for (uint64_t type = 0; type < 256; type++) {
        for (int entry = 0; entry < 8; entry++) {
            struct mezz_vmcs12_msrs tried = {.pat = type << (8 * entry)};
            bool known = type == 0 || type == 1 || (type >= 4 && type <= 7);

            ck_assert_uint_eq(entry_check_msrs(&tried), known ? MEZZ_CHECK_NONE : MEZZ_CHECK_MSR);
        }
    }
}
END_TEST

START_TEST(debug)
{
    struct mezz_vmcs12_debug tried = {.dr = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
                                      .dr6 = UINT32_MAX,
                                      .dr7 = UINT32_MAX};

    ck_assert_uint_eq(entry_check_debug(&tried), MEZZ_CHECK_NONE);
    for (int bit = 32; bit < 64; bit++) {
        tried.dr6 = 1ULL << bit;
        ck_assert_uint_eq(entry_check_debug(&tried), MEZZ_CHECK_DEBUG);
        tried.dr6 = 0;
        tried.dr7 = 1ULL << bit;
        ck_assert_uint_eq(entry_check_debug(&tried), MEZZ_CHECK_DEBUG);
        tried.dr7 = 0;
    }
}
END_TEST

START_TEST(names)
{
    for (uint64_t check = 0; check < MEZZ_CHECK_COUNT; check++) {
        bool known = check == 0 ||
                     (check >= MEZZ_CHECK_PDPTE && check <= MEZZ_CHECK_LINK_POINTER) ||
                     check >= MEZZ_CHECK_CONTROLS;

        ck_assert_int_eq(strcmp(entry_check_name(check), "unknown") != 0, known);
    }
    ck_assert_str_eq(entry_check_name(MEZZ_CHECK_COUNT), "unknown");
    ck_assert_str_eq(entry_check_name(UINT32_MAX), "unknown");
    ck_assert_str_eq(entry_check_name(MEZZ_CHECK_EPT | 13ULL << 32), "ept");
}
END_TEST

/* What KVM reports of blocking may be entered with, also by a kvm_amd, which reports both kinds. */
START_TEST(blocking)
{
    static const struct {
        uint8_t shadow;
        uint32_t state;
    } kinds[] = {
        {0, 0},
        {KVM_X86_SHADOW_INT_STI, INTERRUPTIBILITY_STI},
        {KVM_X86_SHADOW_INT_MOV_SS, INTERRUPTIBILITY_MOV_SS},
        {KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS, INTERRUPTIBILITY_MOV_SS},
    };
    const struct mezz_vmcs12_regs regs = {.guest_rflags = 2}; /* IF is clear */
    const struct mezz_vmcs12_system system = {.guest_cr0 = CR0_PE};

    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        const struct kvm_vcpu_events from = {.interrupt.shadow = kinds[i].shadow};
        const struct mezz_vmcs12_events to = {.interruptibility_state =
                                                  vmcs12_interruptibility(&from)};

        ck_assert_uint_eq(to.interruptibility_state, kinds[i].state);
        if (kinds[i].state != INTERRUPTIBILITY_STI) /* which needs IF */
            ck_assert_int_eq(entry_check_events(&to, &regs, &system), MEZZ_CHECK_NONE);
    }
}
END_TEST

RUN_CASES("entry_events", 30, ONCE(event_types), ONCE(events), ONCE(controls), ONCE(bitmaps),
          ONCE(msrs), ONCE(debug), ONCE(names), ONCE(blocking))
