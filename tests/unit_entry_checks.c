/* SPDX-License-Identifier: Apache-2.0 */
/* Each check of a VM entry with states that it lets through and states that it does not. */
#include "vmm/vmcs/entry_checks.h"

#include <stdbool.h>

#include "runner.h"
#include "vmm/vmcs/x86.h"

#define CODE64 0xa09bU
#define CODE32 0xc09bU
#define DATA   0xc093U
#define TSS    0x8bU
#define HIGH   0x800000000000ULL /* the lowest address that is not canonical */

struct state {
    struct mezz_vmcs12_regs regs;
    struct mezz_vmcs12_system system;
    struct mezz_vmcs12_events events;
};

static void flat(struct mezz_segment *segment, uint32_t rights)
{
    *segment = (struct mezz_segment){.limit = UINT32_MAX, .access_rights = rights};
}

/* 64-bit, ring 0, paging on. */
static struct state good(void)
{
    struct state s = {.regs = {.guest_rflags = 2}};

    for (int i = MEZZ_ES; i <= MEZZ_GS; i++)
        flat(&s.system.segment[i], i == MEZZ_CS ? CODE64 : DATA);
    s.system.segment[MEZZ_TR] = (struct mezz_segment){.limit = 0x67, .access_rights = TSS};
    s.system.segment[MEZZ_LDTR].access_rights = MEZZ_SEGMENT_UNUSABLE;
    s.system.guest_cr0 = CR0_PG | CR0_ET | CR0_PE;
    s.system.guest_cr4 = CR4_PAE;
    s.system.guest_efer = EFER_LME | EFER_LMA;
    return s;
}

static struct state protected(void)
{
    struct state s = good();

    flat(&s.system.segment[MEZZ_CS], CODE32);
    s.system.guest_cr0 = CR0_ET | CR0_PE;
    s.system.guest_cr4 = 0;
    s.system.guest_efer = 0;
    return s;
}

static struct state real(void)
{
    struct state s = protected();

    for (int i = MEZZ_ES; i <= MEZZ_GS; i++)
        s.system.segment[i] = (struct mezz_segment){.limit = 0xffff, .access_rights = 0x93};
    s.system.guest_cr0 = CR0_ET;
    return s;
}

static uint64_t system_of(const struct state *s)
{
    return entry_check_system(&s->system, &s->regs);
}

static uint64_t regs_of(const struct state *s)
{
    return entry_check_regs(&s->regs, &s->system);
}

static uint64_t events_of(const struct state *s)
{
    return entry_check_events(&s->events, &s->regs, &s->system);
}

static void all_good(const struct state *s)
{
    ck_assert_uint_eq(system_of(s), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(regs_of(s), MEZZ_CHECK_NONE);
    ck_assert_uint_eq(events_of(s), MEZZ_CHECK_NONE);
}

START_TEST(start_states)
{
    struct state s = good();

    all_good(&s);
    s = protected();
    all_good(&s);
    s = real();
    all_good(&s);
}
END_TEST

/* A field of the good state is replaced. */
#define WITH(field, value)                            \
    __extension__({                                   \
        struct state with = good();                   \
        with.field = (__typeof__(with.field))(value); \
        with;                                         \
    })
#define SYSTEM(field, value, check)                               \
    do {                                                          \
        struct state tried = WITH(system.field, value);           \
        ck_assert_uint_eq(system_of(&tried), MEZZ_CHECK_##check); \
    } while (0)
#define SEGMENT(number, part, value, check) SYSTEM(segment[number].part, value, check)

START_TEST(control_registers)
{
    SYSTEM(guest_cr0, CR0_PG | CR0_ET | CR0_PE | CR0_WP, NONE);
    SYSTEM(guest_cr0, CR0_PG | CR0_PE | CR0_CD, NONE);
    SYSTEM(guest_cr0, CR0_PG | CR0_PE | CR0_CD | CR0_NW, NONE);
    SYSTEM(guest_cr0, CR0_PG | CR0_ET, CR0);
    SYSTEM(guest_cr0, CR0_PG | CR0_PE | CR0_NW, CR0);
    for (int bit = 6; bit < 64; bit++)
        if (bit != 16 && bit != 18 && bit < 29)
            SYSTEM(guest_cr0, CR0_PG | CR0_PE | 1ULL << bit, CR0);
    SYSTEM(guest_cr0, CR0_PG | CR0_PE | 1ULL << 32, CR0);
    SYSTEM(guest_cr3, 0xffffffffff000, NONE);
    for (int bit = 52; bit < 64; bit++)
        SYSTEM(guest_cr3, 1ULL << bit, CR3);
    SYSTEM(guest_cr4, CR4_PAE | 0x600, NONE);
    SYSTEM(guest_cr4, CR4_PAE | 1 << 12, CR4);
    SYSTEM(guest_cr4, CR4_PAE | 1 << 13, CR4);
    SYSTEM(guest_cr4, CR4_PAE | 1 << 14, CR4);
    for (int bit = 22; bit < 64; bit++)
        SYSTEM(guest_cr4, CR4_PAE | 1ULL << bit, CR4);
}
END_TEST

START_TEST(efer)
{
    struct state s = protected();

    SYSTEM(guest_efer, EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE, NONE);
    SYSTEM(guest_efer, EFER_LMA, EFER);
    SYSTEM(guest_efer, EFER_LME, EFER);
    SYSTEM(guest_efer, 0, CS); /* paging without long mode: a 64-bit CS does not fit */
    for (int bit = 1; bit < 64; bit++)
        if (bit != 8 && bit != 10 && bit != 11)
            SYSTEM(guest_efer, EFER_LME | EFER_LMA | 1ULL << bit, EFER);
    SYSTEM(guest_cr4, 0, EFER);
    s.system.guest_efer = EFER_LME;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_NONE);
    s.system.guest_efer = EFER_LME | EFER_LMA;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_EFER);
}
END_TEST

START_TEST(code_segment)
{
    struct state s = protected();

    SEGMENT(MEZZ_CS, access_rights, 0xa09f, NONE); /* conforming */
    SEGMENT(MEZZ_CS, access_rights, 0xa099, NONE); /* not readable */
    SEGMENT(MEZZ_CS, access_rights, 0xb09b, NONE); /* AVL */
    SEGMENT(MEZZ_CS, access_rights, CODE64 | MEZZ_SEGMENT_UNUSABLE, CS);
    SEGMENT(MEZZ_CS, access_rights, CODE64 & ~RIGHTS_P, CS);
    SEGMENT(MEZZ_CS, access_rights, CODE64 & ~RIGHTS_S, CS);
    SEGMENT(MEZZ_CS, access_rights, CODE64 & ~1U, CS);
    SEGMENT(MEZZ_CS, access_rights, DATA, CS);
    SEGMENT(MEZZ_CS, access_rights, CODE64 | RIGHTS_DB, CS);
    for (int bit = 8; bit < 12; bit++)
        SEGMENT(MEZZ_CS, access_rights, CODE64 | 1U << bit, CS);
    for (int bit = 17; bit < 32; bit++)
        SEGMENT(MEZZ_CS, access_rights, CODE64 | 1U << bit, CS);
    SEGMENT(MEZZ_CS, access_rights, CODE64 & ~RIGHTS_G, CS);
    SEGMENT(MEZZ_CS, limit, 0x12fff, NONE);
    SEGMENT(MEZZ_CS, limit, 0x12ffe, CS);
    SEGMENT(MEZZ_CS, base, UINT32_MAX, NONE);
    SEGMENT(MEZZ_CS, base, 1ULL << 32, CS);
    s.system.segment[MEZZ_CS].access_rights = CODE64;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_CS);
}
END_TEST

/* Which DPL of CS fits which DPL of SS. */
START_TEST(rings)
{
    struct state s;

    for (uint32_t cs = 0; cs < 4; cs++) {
        for (uint32_t ss = 0; ss < 4; ss++) {
            s = good();
            s.system.segment[MEZZ_SS].access_rights |= ss << RIGHTS_DPL_SHIFT;
            s.system.segment[MEZZ_CS].access_rights |= cs << RIGHTS_DPL_SHIFT;
            ck_assert_uint_eq(system_of(&s), cs == ss ? MEZZ_CHECK_NONE : MEZZ_CHECK_CS);
            s.system.segment[MEZZ_CS].access_rights |= 4; /* conforming */
            ck_assert_uint_eq(system_of(&s), cs <= ss ? MEZZ_CHECK_NONE : MEZZ_CHECK_CS);
            s = real();
            s.system.segment[MEZZ_SS].access_rights |= ss << RIGHTS_DPL_SHIFT;
            s.system.segment[MEZZ_CS].access_rights |= cs << RIGHTS_DPL_SHIFT;
            ck_assert_uint_eq(system_of(&s), cs + ss == 0 ? MEZZ_CHECK_NONE : MEZZ_CHECK_CS);
        }
    }
    s = real();
    s.system.segment[MEZZ_CS].access_rights = 0x91;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_CS);
}
END_TEST

START_TEST(stack_segment)
{
    struct state s = protected();

    SEGMENT(MEZZ_SS, access_rights, MEZZ_SEGMENT_UNUSABLE, NONE);
    SEGMENT(MEZZ_SS, access_rights, 0xc097, NONE); /* expands down */
    SEGMENT(MEZZ_SS, access_rights, 0xc091, SS);
    SEGMENT(MEZZ_SS, access_rights, 0xc092, SS);
    SEGMENT(MEZZ_SS, access_rights, CODE32, SS);
    SEGMENT(MEZZ_SS, access_rights, DATA & ~RIGHTS_P, SS);
    SEGMENT(MEZZ_SS, access_rights, DATA & ~RIGHTS_S, SS);
    SEGMENT(MEZZ_SS, base, 1ULL << 32, SS);
    s.system.segment[MEZZ_SS].access_rights = MEZZ_SEGMENT_UNUSABLE;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_SS);
}
END_TEST

START_TEST(data_segments)
{
    static const int number[] = {MEZZ_DS, MEZZ_ES, MEZZ_FS, MEZZ_GS};

    for (size_t i = 0; i < ELEMENTS(number); i++) {
        bool wide = number[i] == MEZZ_FS || number[i] == MEZZ_GS;

        SEGMENT(number[i], access_rights, MEZZ_SEGMENT_UNUSABLE, NONE);
        SEGMENT(number[i], access_rights, CODE64, NONE);
        SEGMENT(number[i], access_rights, 0xc092, DATA_SEGMENT);
        SEGMENT(number[i], access_rights, DATA & ~RIGHTS_P, DATA_SEGMENT);
        SEGMENT(number[i], access_rights, DATA & ~RIGHTS_S, DATA_SEGMENT);
        SEGMENT(number[i], access_rights, DATA & ~RIGHTS_G, DATA_SEGMENT);
        SEGMENT(number[i], base, UINT32_MAX, NONE);
        if (wide) {
            SEGMENT(number[i], base, 0xffff800000000000, NONE);
            SEGMENT(number[i], base, HIGH, DATA_SEGMENT);
        } else {
            SEGMENT(number[i], base, 1ULL << 32, DATA_SEGMENT);
        }
    }
}
END_TEST

START_TEST(system_segments)
{
    struct state s = protected();

    SEGMENT(MEZZ_TR, access_rights, TSS | MEZZ_SEGMENT_UNUSABLE, TR);
    SEGMENT(MEZZ_TR, access_rights, 0x89, TR);
    SEGMENT(MEZZ_TR, access_rights, 0x83, TR);
    SEGMENT(MEZZ_TR, access_rights, 0x9b, TR);
    SEGMENT(MEZZ_TR, access_rights, 0x0b, TR);
    SEGMENT(MEZZ_TR, base, 0xffff800000000000, NONE);
    SEGMENT(MEZZ_TR, base, HIGH, TR);
    s.system.segment[MEZZ_TR].access_rights = 0x83;
    ck_assert_uint_eq(system_of(&s), MEZZ_CHECK_NONE);
    SEGMENT(MEZZ_LDTR, access_rights, 0x82, NONE);
    SEGMENT(MEZZ_LDTR, access_rights, 0x8b, LDTR);
    SEGMENT(MEZZ_LDTR, access_rights, 0x92, LDTR);
    SEGMENT(MEZZ_LDTR, access_rights, 0x02, LDTR);
    SYSTEM(gdtr.limit, 0xffff, NONE);
    SYSTEM(gdtr.limit, 0x10000, DESCRIPTOR_TABLE);
    SYSTEM(idtr.limit, 0x10000, DESCRIPTOR_TABLE);
    SYSTEM(gdtr.base, 0xffff800000000000, NONE);
    SYSTEM(gdtr.base, HIGH, DESCRIPTOR_TABLE);
    SYSTEM(idtr.base, HIGH, DESCRIPTOR_TABLE);
}
END_TEST

#define REGS(field, value, check)                               \
    do {                                                        \
        struct state tried = WITH(regs.field, value);           \
        ck_assert_uint_eq(regs_of(&tried), MEZZ_CHECK_##check); \
    } while (0)

START_TEST(registers)
{
    struct state s = protected();

    REGS(guest_rflags, 0x244fd7, NONE);
    REGS(guest_rflags, 0, RFLAGS);
    REGS(guest_rflags, 0xa, RFLAGS);
    REGS(guest_rflags, 0x22, RFLAGS);
    REGS(guest_rflags, 0x8002, RFLAGS);
    for (int bit = 22; bit < 64; bit++)
        REGS(guest_rflags, 2 | 1ULL << bit, RFLAGS);
    REGS(guest_rflags, 2 | RFLAGS_VM, RFLAGS);
    REGS(guest_rip, HIGH - 1, NONE);
    REGS(guest_rip, HIGH, RIP);
    REGS(guest_rip, 0xffff7fffffffffff, RIP);
    REGS(guest_rip, 0xffff800000000000, NONE);
    s.regs.guest_rip = UINT32_MAX;
    ck_assert_uint_eq(regs_of(&s), MEZZ_CHECK_NONE);
    s.regs.guest_rip = 1ULL << 32;
    ck_assert_uint_eq(regs_of(&s), MEZZ_CHECK_RIP);
    s = real();
    s.regs.guest_rflags |= RFLAGS_VM;
    ck_assert_uint_eq(regs_of(&s), MEZZ_CHECK_RFLAGS);
}
END_TEST

/* Interruptibility and activity, with interrupts on or off: bits as the SDM has them. */
START_TEST(interruptibility)
{
    for (uint32_t state = 0; state < 64; state++) {
        for (int on = 0; on < 2; on++) {
            for (uint32_t activity = 0; activity < 4; activity++) {
                struct state s = good();
                uint64_t expected = MEZZ_CHECK_NONE;

                s.regs.guest_rflags |= on ? RFLAGS_IF : 0;
                s.events.interruptibility_state = state;
                s.events.activity_state = activity;
                if (activity > 1)
                    expected = MEZZ_CHECK_ACTIVITY;
                else if (state & ~0xbU || (state & 3) == 3 || (state & 1 && !on) ||
                         (activity == 1 && state & 3))
                    expected = MEZZ_CHECK_INTERRUPTIBILITY;
                ck_assert_uint_eq(events_of(&s), expected);
            }
        }
    }
}
END_TEST

RUN_CASES("entry_checks", 30, ONCE(start_states), ONCE(control_registers), ONCE(efer),
          ONCE(code_segment), ONCE(rings), ONCE(stack_segment), ONCE(data_segments),
          ONCE(system_segments), ONCE(registers), ONCE(interruptibility))
