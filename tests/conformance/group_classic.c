/* SPDX-License-Identifier: Apache-2.0 */
/* The classic arm: VMCS12 fields by VMREAD and VMWRITE. */
#include "groups.h"
#include "kit.h"

KIT_CODE(classic_loop, "1: outb %al, $0x61\n jmp 1b");

static struct mezz_result vmread(const struct kit_guest *guest, uint64_t field)
{
    return mezz_call_value(MEZZ_CALL_VMREAD, guest->vcpu, field, 0x7777);
}

static int64_t vmwrite(const struct kit_guest *guest, uint64_t field, uint64_t value)
{
    return mezz_call(MEZZ_CALL_VMWRITE, guest->vcpu, field, value);
}

static void widths(const struct kit_guest *guest)
{
    static const struct {
        const char *label;
        uint64_t field;
        uint64_t value;
        uint64_t group;
    } cases[] = {
        {"16 bits", MEZZ_VMCS12_FIELD(system.segment[MEZZ_DS].selector), 0x1234,
         MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM)},
        {"32 bits", MEZZ_VMCS12_FIELD(system.segment[MEZZ_DS].limit), 0x12345678,
         MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM)},
        {"64 bits", MEZZ_VMCS12_FIELD(regs.gpr[MEZZ_R9]), 0x123456789abcdef0,
         MEZZ_GROUP_BIT(MEZZ_GROUP_REGS)},
        {"events", MEZZ_VMCS12_FIELD(events.interruptibility_state), 0,
         MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS)},
        {"msrs", MEZZ_VMCS12_FIELD(msrs.star), 5, MEZZ_GROUP_BIT(MEZZ_GROUP_MSRS)},
        {"debug", MEZZ_VMCS12_FIELD(debug.dr[2]), 6, MEZZ_GROUP_BIT(MEZZ_GROUP_DEBUG)},
        {"controls", MEZZ_VMCS12_FIELD(controls.preemption_timer), 7,
         MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS)},
        {"ept", MEZZ_VMCS12_FIELD(ept.eptp_index), 0, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT)},
        {"completion", MEZZ_VMCS12_FIELD(completion.value), 8, 0},
        {"changed", MEZZ_VMCS12_FIELD(changed), 0, 0},
    };

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mezz_result got;

        KIT_LABEL(cases[i].label);
        guest->vmcs->clean = MEZZ_GROUPS_LOADED;
        CHECK_EQ("VMWRITE", vmwrite(guest, cases[i].field, cases[i].value), 0);
        CHECK_EQ("the group is not clean any more", guest->vmcs->clean,
                 MEZZ_GROUPS_LOADED & ~cases[i].group);
        got = vmread(guest, cases[i].field);
        CHECK_EQ("VMREAD", got.status, 0);
        CHECK_EQ("its value", got.value, cases[i].value);
    }
    KIT_LABEL("a value wider than the field");
    vmwrite(guest, MEZZ_VMCS12_FIELD(system.segment[MEZZ_DS].selector), 0xabcd0018);
    CHECK_EQ("is cut", vmread(guest, MEZZ_VMCS12_FIELD(system.segment[MEZZ_DS].selector)).value,
             0x18);
    CHECK_EQ("its neighbour is kept", guest->vmcs->system.segment[MEZZ_DS].reserved[0], 0);
}

#define RAW(offset, width) ((uint64_t)(offset) | (uint64_t)(width) << 16)

static void bad_fields(const struct kit_guest *guest)
{
    static const struct {
        const char *label;
        uint64_t field;
    } cases[] = {
        {"width 0", RAW(160, 0)},
        {"width 1", RAW(160, 1)},
        {"width 3", RAW(160, 3)},
        {"width 15", RAW(160, 15)},
        {"not aligned", RAW(161, 8)},
        {"behind the last", RAW(1552, 8)},
        {"end of the page", RAW(4088, 8)},
        {"past the page", RAW(4096, 8)},
        {"the largest offset", RAW(0xfffe, 2)},
        {"bit 20", RAW(160, 8) | 1ULL << 20},
        {"bit 63", RAW(160, 8) | 1ULL << 63},
        {"half of revision", RAW(2, 2)},
        {"revision and abort", RAW(0, 8)},
        {"reserved behind changed", RAW(24, 8)},
        {"lower half of RIP", RAW(288, 4)},
        {"upper half of RIP", RAW(292, 4)},
        {"a selector with what is behind it", RAW(320, 8)},
        {"reserved behind a selector", RAW(322, 2)},
        {"reserved of SYSTEM", RAW(568, 8)},
        {"reserved of MSRS", RAW(656, 8)},
        {"reserved behind CONTROLS", RAW(784, 8)},
        {"reserved of the records", RAW(1032, 8)},
        {"reserved of a record", RAW(1044, 4)},
    };

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mezz_result got;

        KIT_LABEL(cases[i].label);
        got = vmread(guest, cases[i].field);
        CHECK_ERROR("VMREAD", got.status, MEZZ_E_FIELD);
        CHECK_EQ("RDX is kept", got.value, 0x7777);
        CHECK_ERROR("VMWRITE", vmwrite(guest, cases[i].field, 0), MEZZ_E_FIELD);
    }
    KIT_LABEL("no such vCPU");
    CHECK_ERROR("VMREAD", mezz_call(MEZZ_CALL_VMREAD, 60, RAW(160, 8), 0), MEZZ_E_ID);
    CHECK_ERROR("VMWRITE", mezz_call(MEZZ_CALL_VMWRITE, 0, RAW(160, 8), 0), MEZZ_E_ID);
}

static void read_only(const struct kit_guest *guest)
{
    static const uint64_t fields[] = {
        MEZZ_VMCS12_FIELD(exit.reason),
        MEZZ_VMCS12_FIELD(exit.flags),
        MEZZ_VMCS12_FIELD(exit.qualification),
        MEZZ_VMCS12_FIELD(exit.guest_physical_address),
        MEZZ_VMCS12_FIELD(exit.value),
        MEZZ_VMCS12_FIELD(exit.size),
        MEZZ_VMCS12_FIELD(exit.msr),
        MEZZ_VMCS12_FIELD(exit.interruption_info),
        MEZZ_VMCS12_FIELD(exit.idt_vectoring_info),
        MEZZ_VMCS12_FIELD(exit.instruction_length),
        MEZZ_VMCS12_FIELD(exit.vm_instruction_error),
        MEZZ_VMCS12_FIELD(exit.count),
        MEZZ_VMCS12_FIELD(abort),
        MEZZ_VMCS12_FIELD(sync.count),
        MEZZ_VMCS12_FIELD(sync.more),
        MEZZ_VMCS12_FIELD(sync.record[0].object),
        MEZZ_VMCS12_FIELD(sync.record[15].to),
    };

    KIT_LABEL("what the root writes");
    for (unsigned int i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        CHECK_ERROR("is read-only", vmwrite(guest, fields[i], 0), MEZZ_E_FIELD);
        CHECK_EQ("can be read", vmread(guest, fields[i]).status, 0);
    }
}

/* 4 in no group, exit 14, completion 2, events 4, ept 2, regs 18, system 41, msrs 10, debug 6,
 * controls 9, sync 66. */
#define FIELD_COUNT 176

static void each_once(const struct kit_guest *guest)
{
    unsigned int found = 0;

    for (uint64_t offset = 0; offset < offsetof(struct mezz_vmcs12, reserved4); offset += 2)
        for (uint64_t width = 2; width <= 8; width *= 2)
            found += vmread(guest, RAW(offset, width)).status == 0;
    KIT_LABEL("all offsets and widths");
    CHECK_EQ("fields", found, FIELD_COUNT);
}

/* An exit dealt with by calls alone. */
static void by_calls(void)
{
    struct kit_guest guest;
    uint64_t rip;

    KIT_LABEL("an exit by calls");
    kit_open(&guest, KIT_LONG, classic_loop);
    kit_enter(&guest);
    CHECK_EQ("reason", vmread(&guest, MEZZ_VMCS12_FIELD(exit.reason)).value, MEZZ_EXIT_IO);
    CHECK_EQ("qualification", vmread(&guest, MEZZ_VMCS12_FIELD(exit.qualification)).value,
             0x61ULL << MEZZ_IO_PORT_SHIFT);
    rip = vmread(&guest, MEZZ_VMCS12_FIELD(regs.guest_rip)).value;
    CHECK_EQ("guest_rip", rip, kit_address(classic_loop) + 2);
    CHECK_EQ("write of guest_rip", vmwrite(&guest, MEZZ_VMCS12_FIELD(regs.guest_rip), rip - 2), 0);
    CHECK_EQ("write of RAX", vmwrite(&guest, MEZZ_VMCS12_FIELD(regs.gpr[MEZZ_RAX]), 0x99), 0);
    CHECK_EQ("the next exit", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("has what was written", guest.vmcs->exit.value, 0x99);
    kit_close(&guest);
}

void group_classic(void)
{
    struct kit_guest guest;

    kit_open(&guest, KIT_LONG, classic_loop);
    kit_enter(&guest);
    widths(&guest);
    bad_fields(&guest);
    read_only(&guest);
    each_once(&guest);
    kit_close(&guest);
    by_calls();
}
