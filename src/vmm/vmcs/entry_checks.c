/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vmcs/entry_checks.h"

#include <stdbool.h>

#include "vmm/vmcs/x86.h"

#define PHYSICAL_ADDRESS_MASK ((1ULL << 52) - 1)

#define PIN_KNOWN             (MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING | MEZZ_PIN_PREEMPTION_TIMER)
#define CPU_KNOWN                                               \
    (MEZZ_CPU_INTERRUPT_WINDOW_EXITING | MEZZ_CPU_HLT_EXITING | \
     MEZZ_CPU_UNCONDITIONAL_IO_EXITING | MEZZ_CPU_USE_IO_BITMAPS | MEZZ_CPU_USE_MSR_BITMAPS)
#define VMEXIT_KNOWN (MEZZ_VMEXIT_SAVE_DEBUG | MEZZ_VMEXIT_SAVE_MSRS)

/* Segment types (SDM table 3-1 and 3-2). */
#define TYPE_ACCESSED   1U
#define TYPE_WRITABLE   2U
#define TYPE_CONFORMING 4U
#define TYPE_CODE       8U
#define TYPE_LDT        2U
#define TYPE_TSS16      3U
#define TYPE_TSS        11U

static bool canonical(uint64_t address)
{
    uint64_t high = address >> 47;

    return high == 0 || high == 0x1ffff;
}

static bool long_mode(const struct mezz_vmcs12_system *system)
{
    return system->guest_efer & EFER_LMA;
}

enum mezz_entry_check entry_check_regs(const struct mezz_vmcs12_regs *regs,
                                       const struct mezz_vmcs12_system *system)
{
    bool code64 = long_mode(system) && system->segment[MEZZ_CS].access_rights & RIGHTS_L;

    if (regs->guest_rflags & RFLAGS_RESERVED || !(regs->guest_rflags & RFLAGS_FIXED))
        return MEZZ_CHECK_RFLAGS;
    if (regs->guest_rflags & RFLAGS_VM && (long_mode(system) || !(system->guest_cr0 & CR0_PE)))
        return MEZZ_CHECK_RFLAGS;
    if (code64 ? !canonical(regs->guest_rip) : regs->guest_rip > UINT32_MAX)
        return MEZZ_CHECK_RIP;
    return MEZZ_CHECK_NONE;
}

static enum mezz_entry_check check_control_registers(const struct mezz_vmcs12_system *system)
{
    uint64_t cr0 = system->guest_cr0;
    uint64_t efer = system->guest_efer;
    bool long_paging = efer & EFER_LME && cr0 & CR0_PG;

    if (cr0 & CR0_RESERVED || (cr0 & CR0_PG && !(cr0 & CR0_PE)) ||
        (cr0 & CR0_NW && !(cr0 & CR0_CD)))
        return MEZZ_CHECK_CR0;
    if (system->guest_cr3 & ~PHYSICAL_ADDRESS_MASK)
        return MEZZ_CHECK_CR3;
    if (system->guest_cr4 & CR4_RESERVED)
        return MEZZ_CHECK_CR4;
    if (efer & EFER_RESERVED || !!(efer & EFER_LMA) != long_paging)
        return MEZZ_CHECK_EFER;
    if (long_paging && !(system->guest_cr4 & CR4_PAE))
        return MEZZ_CHECK_EFER;
    return MEZZ_CHECK_NONE;
}

/* SDM 27.3.1.2: granularity must agree with the limit; P and no reserved bits where it is usable.
 */
static bool rights_agree(const struct mezz_segment *segment)
{
    uint32_t rights = segment->access_rights;

    if (rights & RIGHTS_RESERVED || !(rights & RIGHTS_P))
        return false;
    if (segment->limit & 0xfff00000U && !(rights & RIGHTS_G))
        return false;
    return (segment->limit & 0xfffU) == 0xfffU || !(rights & RIGHTS_G);
}

static bool usable(const struct mezz_segment *segment)
{
    return !(segment->access_rights & RIGHTS_UNUSABLE);
}

static bool code_agrees(const struct mezz_segment *cs, bool long_mode_active, bool real)
{
    uint32_t type = cs->access_rights & RIGHTS_TYPE_MASK;

    if (!usable(cs) || !rights_agree(cs) || !(cs->access_rights & RIGHTS_S))
        return false;
    if (!(type & TYPE_ACCESSED))
        return false;
    /* Real mode: a data segment that one may also run (SDM 27.3.1.2, unrestricted guest). */
    if (!(type & TYPE_CODE) && !(real && type == (TYPE_WRITABLE | TYPE_ACCESSED)))
        return false;
    if (cs->access_rights & RIGHTS_L && (cs->access_rights & RIGHTS_DB || !long_mode_active))
        return false;
    return cs->base >> 32 == 0;
}

/* The ring is SS's DPL, and code must fit it. */
static bool ring_agrees(const struct mezz_segment *cs, const struct mezz_segment *ss, bool real)
{
    uint32_t ring = RIGHTS_DPL(ss->access_rights);
    uint32_t dpl = RIGHTS_DPL(cs->access_rights);

    if (real)
        return ring == 0 && dpl == 0;
    return cs->access_rights & TYPE_CONFORMING ? dpl <= ring : dpl == ring;
}

static bool stack_agrees(const struct mezz_segment *ss, const struct mezz_segment *cs)
{
    uint32_t type = ss->access_rights & RIGHTS_TYPE_MASK;

    if (!usable(ss))
        return cs->access_rights & RIGHTS_L;
    if (!rights_agree(ss) || !(ss->access_rights & RIGHTS_S) || ss->base >> 32 != 0)
        return false;
    return type == (TYPE_WRITABLE | TYPE_ACCESSED) || type == (TYPE_WRITABLE | TYPE_ACCESSED | 4U);
}

static bool data_agrees(const struct mezz_segment *segment, bool base_is_64_bits)
{
    if (base_is_64_bits ? !canonical(segment->base) : segment->base >> 32 != 0 && usable(segment))
        return false;
    if (!usable(segment))
        return true;
    return rights_agree(segment) && segment->access_rights & RIGHTS_S &&
           segment->access_rights & TYPE_ACCESSED;
}

static bool system_agrees(const struct mezz_segment *segment, uint32_t type)
{
    return rights_agree(segment) && !(segment->access_rights & RIGHTS_S) &&
           (segment->access_rights & RIGHTS_TYPE_MASK) == type && canonical(segment->base);
}

static enum mezz_entry_check check_segments(const struct mezz_vmcs12_system *system,
                                            const struct mezz_vmcs12_regs *regs)
{
    static const int data[] = {MEZZ_DS, MEZZ_ES, MEZZ_FS, MEZZ_GS};
    const struct mezz_segment *cs = &system->segment[MEZZ_CS];
    const struct mezz_segment *tr = &system->segment[MEZZ_TR];
    const struct mezz_segment *ldtr = &system->segment[MEZZ_LDTR];

    if (!(regs->guest_rflags & RFLAGS_VM)) {
        bool real = !(system->guest_cr0 & CR0_PE);

        if (!code_agrees(cs, long_mode(system), real) ||
            !ring_agrees(cs, &system->segment[MEZZ_SS], real))
            return MEZZ_CHECK_CS;
        if (!stack_agrees(&system->segment[MEZZ_SS], cs))
            return MEZZ_CHECK_SS;
        for (unsigned int i = 0; i < sizeof(data) / sizeof(data[0]); i++)
            if (!data_agrees(&system->segment[data[i]], data[i] == MEZZ_FS || data[i] == MEZZ_GS))
                return MEZZ_CHECK_DATA_SEGMENT;
    }
    if (!usable(tr) ||
        !(system_agrees(tr, TYPE_TSS) || (!long_mode(system) && system_agrees(tr, TYPE_TSS16))))
        return MEZZ_CHECK_TR;
    if (usable(ldtr) && !system_agrees(ldtr, TYPE_LDT))
        return MEZZ_CHECK_LDTR;
    return MEZZ_CHECK_NONE;
}

enum mezz_entry_check entry_check_system(const struct mezz_vmcs12_system *system,
                                         const struct mezz_vmcs12_regs *regs)
{
    enum mezz_entry_check check = check_control_registers(system);

    if (check == MEZZ_CHECK_NONE)
        check = check_segments(system, regs);
    if (check != MEZZ_CHECK_NONE)
        return check;
    if (!canonical(system->gdtr.base) || system->gdtr.limit > UINT16_MAX ||
        !canonical(system->idtr.base) || system->idtr.limit > UINT16_MAX)
        return MEZZ_CHECK_DESCRIPTOR_TABLE;
    return MEZZ_CHECK_NONE;
}

/* Exceptions that push an error code (SDM table 6-1). */
#define EXCEPTIONS_WITH_CODE 0x00227d00U

static bool event_agrees(uint32_t info, uint32_t error_code, bool protected_mode)
{
    uint32_t vector = info & MEZZ_EVENT_VECTOR_MASK;
    bool deliver = info & MEZZ_EVENT_DELIVER_CODE;

    if (info & 0x7ffff000U)
        return false;
    switch (info & MEZZ_EVENT_TYPE_MASK) {
    case MEZZ_EVENT_EXTERNAL:
        return !deliver;
    case MEZZ_EVENT_NMI:
        return vector == 2 && !deliver;
    case MEZZ_EVENT_EXCEPTION:
        if (vector > 31 || vector == 2)
            return false;
        if (deliver != (protected_mode && EXCEPTIONS_WITH_CODE >> vector & 1))
            return false;
        return !deliver || error_code <= UINT16_MAX;
    default:
        return false;
    }
}

enum mezz_entry_check entry_check_event(uint32_t info, uint32_t error_code, uint64_t rflags,
                                        uint32_t interruptibility, uint64_t cr0)
{
    if (!(info & MEZZ_EVENT_VALID))
        return MEZZ_CHECK_NONE;
    if (!event_agrees(info, error_code, cr0 & CR0_PE))
        return MEZZ_CHECK_EVENT;
    if ((info & MEZZ_EVENT_TYPE_MASK) == MEZZ_EVENT_EXTERNAL) {
        if (!(rflags & RFLAGS_IF))
            return MEZZ_CHECK_RFLAGS;
        if (interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
            return MEZZ_CHECK_INTERRUPTIBILITY;
    }
    if ((info & MEZZ_EVENT_TYPE_MASK) == MEZZ_EVENT_NMI &&
        interruptibility & (INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI))
        return MEZZ_CHECK_INTERRUPTIBILITY;
    return MEZZ_CHECK_NONE;
}

enum mezz_entry_check entry_check_events(const struct mezz_vmcs12_events *events,
                                         const struct mezz_vmcs12_regs *regs,
                                         const struct mezz_vmcs12_system *system)
{
    uint32_t state = events->interruptibility_state;

    if (events->activity_state > 1)
        return MEZZ_CHECK_ACTIVITY;
    if (state & ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI) ||
        (state & INTERRUPTIBILITY_STI && state & INTERRUPTIBILITY_MOV_SS) ||
        (state & INTERRUPTIBILITY_STI && !(regs->guest_rflags & RFLAGS_IF)))
        return MEZZ_CHECK_INTERRUPTIBILITY;
    if (events->activity_state == 1 && state & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
        return MEZZ_CHECK_INTERRUPTIBILITY;
    return entry_check_event(events->entry_interruption_info, events->entry_exception_error_code,
                             regs->guest_rflags, state, system->guest_cr0);
}

enum mezz_entry_check entry_check_controls(const struct mezz_vmcs12_controls *controls,
                                           const struct l1_memory *l1)
{
    const struct {
        uint32_t control;
        uint64_t address;
    } bitmaps[] = {
        {MEZZ_CPU_USE_IO_BITMAPS, controls->io_bitmap_a},
        {MEZZ_CPU_USE_IO_BITMAPS, controls->io_bitmap_b},
        {MEZZ_CPU_USE_MSR_BITMAPS, controls->msr_bitmap},
    };

    if (controls->pin_based & ~PIN_KNOWN || controls->cpu_based & ~CPU_KNOWN ||
        controls->cpu_based_secondary != 0 || controls->tsc_offset != 0 ||
        controls->exit_controls & ~VMEXIT_KNOWN || controls->reserved != 0 ||
        controls->reserved2 != 0)
        return MEZZ_CHECK_CONTROLS;
    for (unsigned int i = 0; i < sizeof(bitmaps) / sizeof(bitmaps[0]); i++)
        if (controls->cpu_based & bitmaps[i].control &&
            (bitmaps[i].address % PAGE_SIZE != 0 ||
             !l1_contains(l1, l1_at(bitmaps[i].address), PAGE_SIZE)))
            return MEZZ_CHECK_BITMAP_ADDRESS;
    return MEZZ_CHECK_NONE;
}

enum mezz_entry_check entry_check_msrs(const struct mezz_vmcs12_msrs *msrs)
{
    if (!canonical(msrs->sysenter_esp) || !canonical(msrs->sysenter_eip) ||
        !canonical(msrs->lstar) || !canonical(msrs->cstar) || !canonical(msrs->kernel_gs_base))
        return MEZZ_CHECK_MSR;
    for (int i = 0; i < 8; i++) {
        uint64_t type = msrs->pat >> (8 * i) & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return MEZZ_CHECK_MSR;
    }
    return MEZZ_CHECK_NONE;
}

enum mezz_entry_check entry_check_debug(const struct mezz_vmcs12_debug *debug)
{
    return debug->dr6 >> 32 || debug->dr7 >> 32 ? MEZZ_CHECK_DEBUG : MEZZ_CHECK_NONE;
}

static const char *const check_names[MEZZ_CHECK_COUNT] = {
    [MEZZ_CHECK_NONE] = "none",
    [MEZZ_CHECK_PDPTE] = "pdpte",
    [MEZZ_CHECK_NMI] = "nmi",
    [MEZZ_CHECK_LINK_POINTER] = "link pointer",
    [MEZZ_CHECK_CONTROLS] = "controls",
    [MEZZ_CHECK_BITMAP_ADDRESS] = "bitmap address",
    [MEZZ_CHECK_CR0] = "cr0",
    [MEZZ_CHECK_CR3] = "cr3",
    [MEZZ_CHECK_CR4] = "cr4",
    [MEZZ_CHECK_EFER] = "efer",
    [MEZZ_CHECK_RFLAGS] = "rflags",
    [MEZZ_CHECK_RIP] = "rip",
    [MEZZ_CHECK_CS] = "cs",
    [MEZZ_CHECK_SS] = "ss",
    [MEZZ_CHECK_DATA_SEGMENT] = "data segment",
    [MEZZ_CHECK_TR] = "tr",
    [MEZZ_CHECK_LDTR] = "ldtr",
    [MEZZ_CHECK_DESCRIPTOR_TABLE] = "gdtr or idtr",
    [MEZZ_CHECK_ACTIVITY] = "activity state",
    [MEZZ_CHECK_INTERRUPTIBILITY] = "interruptibility state",
    [MEZZ_CHECK_EVENT] = "event to inject",
    [MEZZ_CHECK_EPT] = "ept",
    [MEZZ_CHECK_MSR] = "msr",
    [MEZZ_CHECK_DEBUG] = "debug registers",
    [MEZZ_CHECK_HOST] = "refused by the host's KVM",
};

const char *entry_check_name(uint64_t check)
{
    uint32_t number = (uint32_t)check;

    if (number >= MEZZ_CHECK_COUNT || check_names[number] == NULL)
        return "unknown";
    return check_names[number];
}
