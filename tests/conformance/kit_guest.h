/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_GUEST_H
#define KIT_GUEST_H

/*
 * L2s for tests. A group has one L2 (kit_l2); each case makes a vCPU of its own with its own VMCS12
 * and EPT12 (kit_open) and destroys it at its end (kit_close).
 */

#include "kit_machine.h"
#include "mezz/ept.h"
#include "mezz/exit.h"
#include "mezz/vmcs12.h"

enum kit_mode {
    KIT_REAL,      /* 16-bit, CS based at the code */
    KIT_PROTECTED, /* 32-bit, flat, no paging */
    KIT_LONG,      /* 64-bit, ring 0, the first GiB one to one, interrupts off */
    KIT_USER       /* the same in ring 3 */
};

struct kit_guest {
    uint32_t l2;
    uint32_t vcpu;
    struct mezz_vmcs12 *vmcs;
    uint64_t *pml4;
    uint64_t *data; /* L1's sight of KIT_L2_DATA: two pages */
};

extern const char kit_l2_pml4[], kit_l2_gdt[], kit_l2_idt[], kit_l2_stack[];

#define KIT_PAT    0x0007040600070406ULL
#define KIT_DR6    0xffff0ff0ULL
#define KIT_DR7    0x400ULL
#define KIT_LEAF   (MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK)
#define KIT_RFLAGS 2ULL
#define KIT_IF     (1ULL << 9)
#define KIT_TSS_SEG                                               \
    {                                                             \
        .limit = 0x67, .access_rights = 0x8b, .selector = KIT_TSS \
    }
#define KIT_FLAT(rights, number)                                              \
    {                                                                         \
        .limit = 0xffffffffU, .access_rights = (rights), .selector = (number) \
    }
#define KIT_DATA_SEGMENTS(segment)                                                      \
    [MEZZ_ES] = segment, [MEZZ_SS] = segment, [MEZZ_DS] = segment, [MEZZ_FS] = segment, \
    [MEZZ_GS] = segment

static inline void kit_system_state(struct mezz_vmcs12_system *to, enum kit_mode mode)
{
    static const struct mezz_vmcs12_system states[] = {
        [KIT_REAL] = {.segment = {KIT_DATA_SEGMENTS(((struct mezz_segment){.limit = 0xffff,
                                                                           .access_rights = 0x93})),
                                  [MEZZ_CS] = {.limit = 0xffff, .access_rights = 0x9b},
                                  [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE},
                                  [MEZZ_TR] = {.limit = 0xffff, .access_rights = 0x8b}},
                      .gdtr = {.limit = 0xffff},
                      .idtr = {.limit = 0xffff},
                      .guest_cr0 = 0x10},
        [KIT_PROTECTED] =
            {.segment =
                 {KIT_DATA_SEGMENTS(((struct mezz_segment)KIT_FLAT(0xc093, KIT_DATA))),
                  [MEZZ_CS] = KIT_FLAT(0xc09b, KIT_CODE32),
                  [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE}, [MEZZ_TR] = KIT_TSS_SEG},
             .guest_cr0 = 0x11},
        [KIT_LONG] =
            {.segment =
                 {KIT_DATA_SEGMENTS(((struct mezz_segment)KIT_FLAT(0xc093, KIT_DATA))),
                  [MEZZ_CS] =
                      KIT_FLAT(0xa09b, KIT_CODE64),
                  [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE}, [MEZZ_TR] = KIT_TSS_SEG},
             .guest_cr0 = 0x80010011,
             .guest_cr4 = 0x20,
             .guest_efer = 0x500},
        [KIT_USER] =
            {.segment =
                 {KIT_DATA_SEGMENTS(((struct mezz_segment)KIT_FLAT(0xc0f3, KIT_USER_DATA | 3))),
                  [MEZZ_CS] =
                      KIT_FLAT(0xa0fb, KIT_USER_CODE64 | 3),
                  [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE}, [MEZZ_TR] = KIT_TSS_SEG},
             .guest_cr0 = 0x80010011,
             .guest_cr4 = 0x20,
             .guest_efer = 0x500},
    };

    *to = states[mode];
    if (mode < KIT_LONG)
        return;
    to->guest_cr3 = kit_address(kit_l2_pml4);
    to->gdtr = (struct mezz_descriptor_table){.base = kit_address(kit_l2_gdt), .limit = 63};
    to->idtr = (struct mezz_descriptor_table){.base = kit_address(kit_l2_idt),
                                              .limit = 16 * KIT_VECTORS - 1};
}

/* A start state in all groups but EPT; code: where it begins. */
static inline void kit_start_state(struct mezz_vmcs12 *vmcs, enum kit_mode mode, const void *code)
{
    vmcs->revision = MEZZ_VMCS12_REVISION;
    kit_system_state(&vmcs->system, mode);
    vmcs->regs.guest_rip = kit_address(code);
    if (mode == KIT_REAL) {
        vmcs->system.segment[MEZZ_CS].base = kit_address(code);
        vmcs->system.segment[MEZZ_CS].selector = (uint16_t)(kit_address(code) >> 4);
        vmcs->regs.guest_rip = 0;
    }
    vmcs->regs.gpr[MEZZ_RSP] = mode == KIT_REAL ? 0x8000 : kit_address(kit_l2_stack);
    /* With interrupts off nothing ends a loop under Bochs, not even the host's timer. */
    vmcs->regs.guest_rflags = KIT_RFLAGS | KIT_IF;
    vmcs->msrs = (struct mezz_vmcs12_msrs){.pat = KIT_PAT};
    vmcs->debug = (struct mezz_vmcs12_debug){.dr6 = KIT_DR6, .dr7 = KIT_DR7};
    vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
}

/* The 4 KiB leaf of an L2 address, with the tables to it. */
static inline uint64_t *kit_ept_leaf(uint64_t *pml4, uint64_t l2)
{
    uint64_t *table = pml4;

    for (unsigned int shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = &table[l2 >> shift & (MEZZ_EPT_ENTRIES - 1)];

        if (!(*entry & MEZZ_EPT_RWX))
            *entry = kit_address(kit_pages(1)) | MEZZ_EPT_RWX;
        table = kit_at(*entry & MEZZ_EPT_ADDRESS);
    }
    return &table[l2 >> 12 & (MEZZ_EPT_ENTRIES - 1)];
}

static inline void kit_ept_map(uint64_t *pml4, uint64_t l2, const volatile void *l1,
                               uint64_t rights)
{
    *kit_ept_leaf(pml4, l2) = kit_address(l1) | MEZZ_EPT_WRITE_BACK | rights;
}

/* EPT12 with what each L2 has: the image's part for L2s, and the data pages. */
static inline uint64_t *kit_ept(const uint64_t *data)
{
    uint64_t *pml4 = kit_pages(1);

    for (const char *at = kit_l2_start; at < kit_l2_end; at += MEZZ_PAGE_SIZE)
        kit_ept_map(pml4, kit_address(at), at, MEZZ_EPT_RWX);
    for (unsigned int i = 0; i < 2; i++)
        kit_ept_map(pml4, KIT_L2_DATA + i * MEZZ_PAGE_SIZE, data + i * MEZZ_EPT_ENTRIES,
                    MEZZ_EPT_RWX);
    return pml4;
}

/* The number of a new L2, or what the root said. */
static inline int64_t kit_l2_create(const char *name)
{
    struct mezz_l2_parameters parameters = {.reserved = {0}};

    for (unsigned int i = 0; i < sizeof(parameters.name) - 1 && name[i] != '\0'; i++)
        parameters.name[i] = name[i];
    return mezz_call(MEZZ_CALL_L2_CREATE, kit_address(&parameters), 0, 0);
}

/* The group's L2, which has the group's name. */
static inline uint32_t kit_l2(void)
{
    if (kit.l2 == 0)
        kit.l2 = (uint32_t)kit_l2_create(kit.group);
    return kit.l2;
}

static inline void kit_l2_forget(void)
{
    if (kit.l2 != 0)
        mezz_call(MEZZ_CALL_L2_DESTROY, kit.l2, 0, 0);
    kit.l2 = 0;
}

static inline int64_t kit_open_in(struct kit_guest *guest, uint32_t l2, enum kit_mode mode,
                                  const void *code)
{
    int64_t vcpu;

    guest->l2 = l2;
    guest->vmcs = kit_pages(1);
    guest->data = kit_pages(2);
    guest->pml4 = kit_ept(guest->data);
    kit_start_state(guest->vmcs, mode, code);
    guest->vmcs->ept.eptp = MEZZ_EPTP(kit_address(guest->pml4));
    vcpu = mezz_call(MEZZ_CALL_VCPU_CREATE, l2, kit_address(guest->vmcs), 0);
    guest->vcpu = vcpu > 0 ? (uint32_t)vcpu : 0;
    return vcpu;
}

static inline int64_t kit_open(struct kit_guest *guest, enum kit_mode mode, const void *code)
{
    return kit_open_in(guest, kit_l2(), mode, code);
}

static inline void kit_close(const struct kit_guest *guest)
{
    mezz_call(MEZZ_CALL_VCPU_DESTROY, guest->vcpu, 0, 0);
}

static inline int64_t kit_enter(const struct kit_guest *guest)
{
    return mezz_call(MEZZ_CALL_ENTER, guest->vcpu, 0, 0);
}

/* L1 wrote fields of these groups (bits). */
static inline void kit_wrote(const struct kit_guest *guest, uint64_t groups)
{
    guest->vmcs->clean &= ~groups;
}

/* Enters; the exit reason, or a call's error as a negative number. */
static inline int64_t kit_exit(const struct kit_guest *guest)
{
    int64_t status = kit_enter(guest);

    return status < 0 ? status : (int64_t)guest->vmcs->exit.reason;
}

/*
 * L2 code that ends with KIT_SPIN, for ring 3, which has no HLT: the preemption timer ends it. A
 * timer that runs out before is no exit of the test's.
 */
#define KIT_SPIN    "movl $7, %ebp\n 77: jmp 77b"
#define KIT_AT_SPIN 7

static inline void kit_use_timer(const struct kit_guest *guest, uint32_t microseconds)
{
    guest->vmcs->controls.pin_based = MEZZ_PIN_PREEMPTION_TIMER;
    guest->vmcs->controls.preemption_timer = microseconds;
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
}

/* The next exit that is not the timer's: on a slow machine that may run out before L2 gets
 * anywhere. */
static inline int64_t kit_exit_past_timer(const struct kit_guest *guest)
{
    int64_t reason;

    do
        reason = kit_exit(guest);
    while (reason == MEZZ_EXIT_PREEMPTION_TIMER);
    return reason;
}

static inline int64_t kit_exit_or_spin(const struct kit_guest *guest)
{
    int64_t reason;

    do
        reason = kit_exit(guest);
    while (reason == MEZZ_EXIT_PREEMPTION_TIMER && guest->vmcs->regs.gpr[MEZZ_RBP] != KIT_AT_SPIN);
    return reason;
}

static inline int64_t kit_invept(const struct kit_guest *guest)
{
    return mezz_call(MEZZ_CALL_INVEPT, guest->l2, 1, guest->vmcs->ept.eptp);
}

#endif
