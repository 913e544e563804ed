/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a VM entry: for each that an L1 can fail, states that fail it. */
#include "groups.h"
#include "kit.h"

KIT_CODE(entry_code, "movl $0x31, %edi\n hlt");
KIT_CODE(entry_code32, ".code32\n movl $0x31, %edi\n hlt");

#define AT(field) offsetof(struct mezz_vmcs12, field), sizeof(((struct mezz_vmcs12 *)0)->field)
#define CS        system.segment[MEZZ_CS]
#define SS        system.segment[MEZZ_SS]
#define DS        system.segment[MEZZ_DS]
#define GS        system.segment[MEZZ_GS]
#define TR        system.segment[MEZZ_TR]
#define LDTR      system.segment[MEZZ_LDTR]
#define EXTERNAL  (MEZZ_EVENT_VALID | MEZZ_EVENT_EXTERNAL | 0x30)
#define EXCEPTION (MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION)
#define HIGH      0x800000000000ULL /* the lowest address that is not canonical */

static const struct entry_case {
    const char *label;
    enum kit_mode mode;
    size_t offset, width;
    uint64_t value;
    uint64_t check; /* the exit's qualification */
} entry_cases[] = {
    {"CR0: PG without PE", KIT_LONG, AT(system.guest_cr0), 0x80010010, MEZZ_CHECK_CR0},
    {"CR0: NW without CD", KIT_LONG, AT(system.guest_cr0), 0xa0010011, MEZZ_CHECK_CR0},
    {"CR0: a reserved bit", KIT_LONG, AT(system.guest_cr0), 0x80010051, MEZZ_CHECK_CR0},
    {"CR0: bit 32", KIT_LONG, AT(system.guest_cr0), 0x180010011, MEZZ_CHECK_CR0},
    {"CR3: bit 52", KIT_LONG, AT(system.guest_cr3), 1ULL << 52, MEZZ_CHECK_CR3},
    {"CR3: bit 63", KIT_LONG, AT(system.guest_cr3), 1ULL << 63, MEZZ_CHECK_CR3},
    {"CR4: VMXE", KIT_LONG, AT(system.guest_cr4), 0x2020, MEZZ_CHECK_CR4},
    {"CR4: LA57", KIT_LONG, AT(system.guest_cr4), 0x1020, MEZZ_CHECK_CR4},
    {"CR4: bit 40", KIT_LONG, AT(system.guest_cr4), 1ULL << 40 | 0x20, MEZZ_CHECK_CR4},
    {"EFER: LMA without LME", KIT_LONG, AT(system.guest_efer), 0x400, MEZZ_CHECK_EFER},
    {"EFER: LME and paging without LMA", KIT_LONG, AT(system.guest_efer), 0x100, MEZZ_CHECK_EFER},
    {"EFER: LMA without paging", KIT_PROTECTED, AT(system.guest_efer), 0x500, MEZZ_CHECK_EFER},
    {"EFER: a reserved bit", KIT_LONG, AT(system.guest_efer), 0x502, MEZZ_CHECK_EFER},
    {"EFER: long mode without PAE", KIT_LONG, AT(system.guest_cr4), 0, MEZZ_CHECK_EFER},
    {"RFLAGS: bit 1 clear", KIT_LONG, AT(regs.guest_rflags), 0, MEZZ_CHECK_RFLAGS},
    {"RFLAGS: bit 3", KIT_LONG, AT(regs.guest_rflags), 0xa, MEZZ_CHECK_RFLAGS},
    {"RFLAGS: bit 32", KIT_LONG, AT(regs.guest_rflags), 1ULL << 32 | 2, MEZZ_CHECK_RFLAGS},
    {"RFLAGS: VM in long mode", KIT_LONG, AT(regs.guest_rflags), 0x20002, MEZZ_CHECK_RFLAGS},
    {"RFLAGS: VM in real mode", KIT_REAL, AT(regs.guest_rflags), 0x20002, MEZZ_CHECK_RFLAGS},
    {"RIP: not canonical", KIT_LONG, AT(regs.guest_rip), HIGH, MEZZ_CHECK_RIP},
    {"RIP: past 4 GiB in 32-bit mode", KIT_PROTECTED, AT(regs.guest_rip), 1ULL << 32,
     MEZZ_CHECK_RIP},
    {"CS: unusable", KIT_LONG, AT(CS.access_rights), 0x1a09b, MEZZ_CHECK_CS},
    {"CS: not present", KIT_LONG, AT(CS.access_rights), 0xa01b, MEZZ_CHECK_CS},
    {"CS: a data segment", KIT_LONG, AT(CS.access_rights), 0xc093, MEZZ_CHECK_CS},
    {"CS: a system segment", KIT_LONG, AT(CS.access_rights), 0xa08b, MEZZ_CHECK_CS},
    {"CS: not accessed", KIT_LONG, AT(CS.access_rights), 0xa09a, MEZZ_CHECK_CS},
    {"CS: L with D", KIT_LONG, AT(CS.access_rights), 0xe09b, MEZZ_CHECK_CS},
    {"CS: L without long mode", KIT_PROTECTED, AT(CS.access_rights), 0xa09b, MEZZ_CHECK_CS},
    {"CS: reserved bits", KIT_LONG, AT(CS.access_rights), 0xa19b, MEZZ_CHECK_CS},
    {"CS: limit without granularity", KIT_LONG, AT(CS.access_rights), 0x209b, MEZZ_CHECK_CS},
    {"CS: granularity without limit", KIT_LONG, AT(CS.limit), 0xfff0, MEZZ_CHECK_CS},
    {"CS: base past 4 GiB", KIT_LONG, AT(CS.base), 1ULL << 32, MEZZ_CHECK_CS},
    {"CS: DPL other than SS's", KIT_LONG, AT(CS.access_rights), 0xa0fb, MEZZ_CHECK_CS},
    {"SS: DPL other than CS's", KIT_LONG, AT(SS.access_rights), 0xc0f3, MEZZ_CHECK_CS},
    {"SS: a code segment", KIT_LONG, AT(SS.access_rights), 0xc09b, MEZZ_CHECK_SS},
    {"SS: not writable", KIT_LONG, AT(SS.access_rights), 0xc091, MEZZ_CHECK_SS},
    {"SS: unusable in 32-bit mode", KIT_PROTECTED, AT(SS.access_rights), 0x10000, MEZZ_CHECK_SS},
    {"SS: not present", KIT_LONG, AT(SS.access_rights), 0xc013, MEZZ_CHECK_SS},
    {"SS: base past 4 GiB", KIT_LONG, AT(SS.base), 1ULL << 32, MEZZ_CHECK_SS},
    {"DS: not accessed", KIT_LONG, AT(DS.access_rights), 0xc092, MEZZ_CHECK_DATA_SEGMENT},
    {"DS: a system segment", KIT_LONG, AT(DS.access_rights), 0xc083, MEZZ_CHECK_DATA_SEGMENT},
    {"DS: base past 4 GiB", KIT_LONG, AT(DS.base), 1ULL << 32, MEZZ_CHECK_DATA_SEGMENT},
    {"GS: base not canonical", KIT_LONG, AT(GS.base), HIGH, MEZZ_CHECK_DATA_SEGMENT},
    {"TR: unusable", KIT_LONG, AT(TR.access_rights), 0x1008b, MEZZ_CHECK_TR},
    {"TR: not busy", KIT_LONG, AT(TR.access_rights), 0x89, MEZZ_CHECK_TR},
    {"TR: 16-bit in long mode", KIT_LONG, AT(TR.access_rights), 0x83, MEZZ_CHECK_TR},
    {"TR: base not canonical", KIT_LONG, AT(TR.base), HIGH, MEZZ_CHECK_TR},
    {"LDTR: a TSS", KIT_LONG, AT(LDTR.access_rights), 0x8b, MEZZ_CHECK_LDTR},
    {"LDTR: not present", KIT_LONG, AT(LDTR.access_rights), 0x02, MEZZ_CHECK_LDTR},
    {"GDTR: limit", KIT_LONG, AT(system.gdtr.limit), 0x10000, MEZZ_CHECK_DESCRIPTOR_TABLE},
    {"GDTR: base not canonical", KIT_LONG, AT(system.gdtr.base), HIGH, MEZZ_CHECK_DESCRIPTOR_TABLE},
    {"IDTR: limit", KIT_LONG, AT(system.idtr.limit), 0x10000, MEZZ_CHECK_DESCRIPTOR_TABLE},
    {"IDTR: base not canonical", KIT_LONG, AT(system.idtr.base), HIGH, MEZZ_CHECK_DESCRIPTOR_TABLE},
    {"activity state 2", KIT_LONG, AT(events.activity_state), 2, MEZZ_CHECK_ACTIVITY},
    {"the largest activity state", KIT_LONG, AT(events.activity_state), UINT32_MAX,
     MEZZ_CHECK_ACTIVITY},
    {"interruptibility: STI and MOV SS", KIT_LONG, AT(events.interruptibility_state), 3,
     MEZZ_CHECK_INTERRUPTIBILITY},
    {"interruptibility: STI without IF", KIT_LONG, AT(events.interruptibility_state), 1,
     MEZZ_CHECK_INTERRUPTIBILITY},
    {"interruptibility: SMI", KIT_LONG, AT(events.interruptibility_state), 4,
     MEZZ_CHECK_INTERRUPTIBILITY},
    {"event: type", KIT_LONG, AT(events.entry_interruption_info),
     MEZZ_EVENT_VALID | 4U << MEZZ_EVENT_TYPE_SHIFT, MEZZ_CHECK_EVENT},
    {"event: reserved bits", KIT_LONG, AT(events.entry_interruption_info), EXCEPTION | 6 | 1 << 12,
     MEZZ_CHECK_EVENT},
    {"event: exception 32", KIT_LONG, AT(events.entry_interruption_info), EXCEPTION | 32,
     MEZZ_CHECK_EVENT},
    {"event: a code that is missing", KIT_LONG, AT(events.entry_interruption_info), EXCEPTION | 13,
     MEZZ_CHECK_EVENT},
    {"event: interrupt without IF", KIT_LONG, AT(events.entry_interruption_info), EXTERNAL,
     MEZZ_CHECK_RFLAGS},
    {"EPTP 0", KIT_LONG, AT(ept.eptp), 0, MEZZ_CHECK_EPT | (uint64_t)MEZZ_E_EPT_FORMAT << 32},
    {"EPTP: five levels", KIT_LONG, AT(ept.eptp), 0x100000 | 6 | 4 << 3,
     MEZZ_CHECK_EPT | (uint64_t)MEZZ_E_EPT_FORMAT << 32},
    {"EPTP: outside of L1's memory", KIT_LONG, AT(ept.eptp), 0xffffffff000 | 6 | 3 << 3,
     MEZZ_CHECK_EPT | (uint64_t)MEZZ_E_EPT_ADDRESS << 32},
    {"view 1 without a list", KIT_LONG, AT(ept.eptp_index), 1,
     MEZZ_CHECK_EPT | (uint64_t)MEZZ_E_VIEW << 32},
    {"MSR: LSTAR not canonical", KIT_LONG, AT(msrs.lstar), HIGH, MEZZ_CHECK_MSR},
    {"MSR: SYSENTER_EIP not canonical", KIT_LONG, AT(msrs.sysenter_eip), HIGH, MEZZ_CHECK_MSR},
    {"MSR: KERNEL_GS_BASE not canonical", KIT_LONG, AT(msrs.kernel_gs_base), HIGH, MEZZ_CHECK_MSR},
    {"MSR: PAT type 2", KIT_LONG, AT(msrs.pat), 2, MEZZ_CHECK_MSR},
    {"MSR: PAT type 8", KIT_LONG, AT(msrs.pat), 8ULL << 56, MEZZ_CHECK_MSR},
    {"DR6: bit 32", KIT_LONG, AT(debug.dr6), 1ULL << 32, MEZZ_CHECK_DEBUG},
    {"DR7: bit 63", KIT_LONG, AT(debug.dr7), 1ULL << 63, MEZZ_CHECK_DEBUG},
    {"an unknown pin-based control", KIT_LONG, AT(controls.pin_based), 1 << 1, MEZZ_CHECK_CONTROLS},
    {"RDTSC exiting, which KVM keeps", KIT_LONG, AT(controls.cpu_based), 1 << 12,
     MEZZ_CHECK_CONTROLS},
    {"secondary controls", KIT_LONG, AT(controls.cpu_based_secondary), 2, MEZZ_CHECK_CONTROLS},
    {"a TSC offset", KIT_LONG, AT(controls.tsc_offset), 1, MEZZ_CHECK_CONTROLS},
    {"an unknown exit control", KIT_LONG, AT(controls.exit_controls), 1, MEZZ_CHECK_CONTROLS},
    {"reserved controls", KIT_LONG, AT(controls.reserved), 1, MEZZ_CHECK_CONTROLS},
    {"I/O bitmap not aligned", KIT_LONG, AT(controls.io_bitmap_a), 0x100008,
     MEZZ_CHECK_BITMAP_ADDRESS},
    {"I/O bitmap outside of L1's memory", KIT_LONG, AT(controls.io_bitmap_b), 1ULL << 62,
     MEZZ_CHECK_BITMAP_ADDRESS},
    {"MSR bitmap outside of L1's memory", KIT_LONG, AT(controls.msr_bitmap), 0xfffffffffffff000,
     MEZZ_CHECK_BITMAP_ADDRESS},
};

static void one(const struct entry_case *c)
{
    const void *code = c->mode == KIT_LONG ? entry_code : entry_code32;
    struct kit_guest guest;
    uint64_t *page, eptp;

    KIT_LABEL(c->label);
    kit_open(&guest, c->mode, code);
    guest.vmcs->regs.guest_rflags = KIT_RFLAGS;
    eptp = guest.vmcs->ept.eptp;
    if (c->check == MEZZ_CHECK_BITMAP_ADDRESS) {
        guest.vmcs->controls.cpu_based |= MEZZ_CPU_USE_IO_BITMAPS | MEZZ_CPU_USE_MSR_BITMAPS;
        page = kit_pages(1);
        guest.vmcs->controls.io_bitmap_a = kit_address(page);
        guest.vmcs->controls.io_bitmap_b = kit_address(page);
        guest.vmcs->controls.msr_bitmap = kit_address(page);
    }
    kit_copy((uint8_t *)guest.vmcs + c->offset, &c->value, c->width);
    CHECK_EQ("exit reason", kit_exit(&guest),
             MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    CHECK_EQ("the check that failed", guest.vmcs->exit.qualification, c->check);
    CHECK_EQ("flags", guest.vmcs->exit.flags, 0);
    CHECK_EQ("RDI: L2 did not run", guest.vmcs->regs.gpr[MEZZ_RDI], 0);
    kit_start_state(guest.vmcs, KIT_LONG, entry_code);
    kit_fill(&guest.vmcs->events, sizeof(guest.vmcs->events) / 8, 0);
    guest.vmcs->controls = (struct mezz_vmcs12_controls){.cpu_based = MEZZ_CPU_HLT_EXITING};
    guest.vmcs->ept = (struct mezz_vmcs12_ept){.eptp = eptp};
    CHECK_EQ("mended, it runs", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
}

/* States of the SDM that differ just a little from those refused above. */
static const struct good_case {
    const char *label;
    enum kit_mode mode;
    size_t offset, width;
    uint64_t value;
} good_cases[] = {
    {"CR0: CD and NW", KIT_LONG, AT(system.guest_cr0), 0xe0010011},
    {"EFER: SCE and NXE", KIT_LONG, AT(system.guest_efer), 0xd01},
    {"RFLAGS: all arithmetic flags", KIT_LONG, AT(regs.guest_rflags), 0x8d7},
    {"CS: conforming", KIT_LONG, AT(CS.access_rights), 0xa09f},
    {"SS: unusable in 64-bit mode", KIT_LONG, AT(SS.access_rights), 0x10000},
    {"DS: unusable", KIT_LONG, AT(DS.access_rights), 0x10000},
    {"GS: a high base", KIT_LONG, AT(GS.base), 0xffff800000000000},
    {"GDTR: a high base", KIT_LONG, AT(system.gdtr.base), 0xffff800000000000},
    {"LSTAR: a high address", KIT_LONG, AT(msrs.lstar), 0xffffffff80000000},
    {"interruptibility: NMI blocked", KIT_LONG, AT(events.interruptibility_state), 8},
    {"interruptibility: MOV SS", KIT_LONG, AT(events.interruptibility_state), 2},
    {"bitmaps that are not used lie anywhere", KIT_LONG, AT(controls.io_bitmap_a), 3},
};

static void good(const struct good_case *c)
{
    struct kit_guest guest;

    KIT_LABEL(c->label);
    kit_open(&guest, c->mode, entry_code);
    kit_copy((uint8_t *)guest.vmcs + c->offset, &c->value, c->width);
    CHECK_EQ("it runs", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("all of it", guest.vmcs->regs.gpr[MEZZ_RDI], 0x31);
    kit_close(&guest);
}

void group_entry(void)
{
    for (unsigned int i = 0; i < sizeof(entry_cases) / sizeof(entry_cases[0]); i++)
        one(&entry_cases[i]);
    for (unsigned int i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++)
        good(&good_cases[i]);
}
