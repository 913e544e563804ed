/* SPDX-License-Identifier: Apache-2.0 */
/* VMCS12 groups: an entry loads those that are not clean and no other, an exit says which it
 * changed. */
#include "groups.h"
#include "kit.h"

#define BIT(group) MEZZ_GROUP_BIT(MEZZ_GROUP_##group)

KIT_CODE(vmcs_outs, "1: outb %al, $0x61\n jmp 1b");
KIT_CODE(vmcs_other, "movl $0x1234, %edi\n 1: outb %al, $0x62\n jmp 1b");
KIT_CODE(vmcs_cr2, "1: movq %cr2, %rax\n outb %al, $0x61\n jmp 1b");
KIT_CODE(vmcs_gs, "1: movl $0xc0000102, %ecx\n rdmsr\n outb %al, $0x61\n jmp 1b");
KIT_CODE(vmcs_dr, "1: movq %dr1, %rax\n outb %al, $0x61\n jmp 1b");
KIT_CODE(vmcs_halts, "1: hlt\n outb %al, $0x61\n jmp 1b");
KIT_CODE(vmcs_writes, "movl $0xc0000102, %ecx\n movl $0x4321, %eax\n xorl %edx, %edx\n wrmsr\n"
                      "movl $0x8765, %eax\n movq %rax, %dr1\n outb %al, $0x61\n hlt");

static void after_creation(void)
{
    struct kit_guest guest;

    KIT_LABEL("after the creation");
    guest.data = kit_pages(2);
    guest.l2 = kit_l2();
    guest.vmcs = kit_pages(1);
    guest.pml4 = kit_ept(guest.data);
    kit_start_state(guest.vmcs, KIT_LONG, vmcs_outs);
    guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(guest.pml4));
    guest.vmcs->clean = UINT64_MAX;
    guest.vcpu = (uint32_t)mezz_call(MEZZ_CALL_VCPU_CREATE, guest.l2, kit_address(guest.vmcs), 0);
    CHECK_EQ("all groups count as written", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("then all are clean", guest.vmcs->clean, MEZZ_GROUPS_LOADED);
    CHECK("the exit group is changed", guest.vmcs->changed & BIT(EXIT));
    CHECK("the registers are", guest.vmcs->changed & BIT(REGS));
    kit_close(&guest);
}

static void changed_bits(void)
{
    struct kit_guest guest;

    KIT_LABEL("changed");
    kit_open(&guest, KIT_LONG, vmcs_outs);
    kit_enter(&guest);
    guest.vmcs->changed = 0;
    kit_enter(&guest);
    kit_enter(&guest);
    CHECK_EQ("what a loop with an OUT changes", guest.vmcs->changed & ~BIT(EXIT) & ~BIT(REGS), 0);
    CHECK("the exit group", guest.vmcs->changed & BIT(EXIT));
    guest.vmcs->changed = 1ULL << 62;
    kit_enter(&guest);
    CHECK("the root only sets bits", guest.vmcs->changed >> 62 & 1);
    kit_close(&guest);
}

/* A field of a group that is left clean has no effect; with the group's bit cleared it has. */
static const struct clean_case {
    const char *label;
    const char *code;
    uint64_t group;
    size_t offset;
    uint64_t value;
    enum mezz_register where; /* what L2 puts the field's value into */
} clean_cases[] = {
#define AT(field) offsetof(struct mezz_vmcs12, field)
    {"REGS", vmcs_outs, BIT(REGS), AT(regs.gpr[MEZZ_RBP]), 0x1234, MEZZ_RBP},
    {"SYSTEM", vmcs_cr2, BIT(SYSTEM), AT(system.guest_cr2), 0x1234, MEZZ_RAX},
    {"MSRS", vmcs_gs, BIT(MSRS), AT(msrs.kernel_gs_base), 0x1234, MEZZ_RAX},
    {"DEBUG", vmcs_dr, BIT(DEBUG), AT(debug.dr[1]), 0x1234, MEZZ_RAX},
};

static void clean_fields(void)
{
    for (unsigned int i = 0; i < sizeof(clean_cases) / sizeof(clean_cases[0]); i++) {
        const struct clean_case *c = &clean_cases[i];
        struct kit_guest guest;
        uint64_t *field;

        KIT_LABEL(c->label);
        kit_open(&guest, KIT_LONG, c->code);
        field = kit_at(kit_address(guest.vmcs) + c->offset);
        kit_enter(&guest);
        CHECK_EQ("what L2 sees at first", guest.vmcs->regs.gpr[c->where], 0);
        *field = c->value;
        kit_enter(&guest);
        CHECK_EQ("altered and left clean: the same", guest.vmcs->regs.gpr[c->where], 0);
        *field = c->value;
        kit_wrote(&guest, c->group);
        CHECK_EQ("altered and written: exit", kit_exit(&guest), MEZZ_EXIT_IO);
        CHECK_EQ("what L2 sees", guest.vmcs->regs.gpr[c->where], c->value);
        CHECK_EQ("clean again", guest.vmcs->clean, MEZZ_GROUPS_LOADED);
        kit_close(&guest);
    }
}

static void clean_controls(void)
{
    struct kit_guest guest;

    KIT_LABEL("CONTROLS");
    kit_open(&guest, KIT_LONG, vmcs_outs);
    kit_enter(&guest);
    guest.vmcs->controls.cpu_based = UINT32_MAX;
    CHECK_EQ("rubbish that is left clean", kit_exit(&guest), MEZZ_EXIT_IO);
    kit_wrote(&guest, BIT(CONTROLS));
    CHECK_EQ("the same, written", kit_exit(&guest),
             MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    CHECK("a failed entry cleans nothing", !(guest.vmcs->clean & BIT(CONTROLS)));
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    CHECK_EQ("mended", kit_exit(&guest), MEZZ_EXIT_IO);
    kit_close(&guest);
    KIT_LABEL("EPT");
    kit_open(&guest, KIT_LONG, vmcs_outs);
    kit_enter(&guest);
    guest.vmcs->ept.eptp = 0;
    CHECK_EQ("an EPTP that is left clean", kit_exit(&guest), MEZZ_EXIT_IO);
    guest.vmcs->ept.eptp = 0;
    kit_wrote(&guest, BIT(EPT));
    CHECK_EQ("the same, written", kit_exit(&guest),
             MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    kit_close(&guest);
    KIT_LABEL("EVENTS");
    kit_open(&guest, KIT_LONG, vmcs_halts);
    kit_enter(&guest);
    guest.vmcs->events.activity_state = 7;
    CHECK_EQ("rubbish that is left clean", kit_exit(&guest), MEZZ_EXIT_IO);
    guest.vmcs->events.activity_state = 7;
    kit_wrote(&guest, BIT(EVENTS));
    CHECK_EQ("the same, written", kit_exit(&guest),
             MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    kit_close(&guest);
}

static void other_code(void)
{
    struct kit_guest guest;

    KIT_LABEL("a RIP of L1's");
    kit_open(&guest, KIT_LONG, vmcs_outs);
    kit_enter(&guest);
    guest.vmcs->regs.guest_rip = kit_address(vmcs_other);
    kit_wrote(&guest, BIT(REGS));
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("of the other code", guest.vmcs->exit.qualification >> MEZZ_IO_PORT_SHIFT, 0x62);
    CHECK_EQ("which ran", guest.vmcs->regs.gpr[MEZZ_RDI], 0x1234);
    kit_close(&guest);
}

/* MSRs and debug registers are stored at a reflected exit if the exit controls say so. */
static void saved_groups(void)
{
    struct kit_guest guest;

    KIT_LABEL("exit controls");
    kit_open(&guest, KIT_LONG, vmcs_writes);
    kit_enter(&guest);
    CHECK_EQ("MSRS are not stored without", guest.vmcs->msrs.kernel_gs_base, 0);
    CHECK_EQ("DEBUG is not stored without", guest.vmcs->debug.dr[1], 0);
    kit_close(&guest);
    kit_open(&guest, KIT_LONG, vmcs_writes);
    guest.vmcs->controls.exit_controls = MEZZ_VMEXIT_SAVE_MSRS | MEZZ_VMEXIT_SAVE_DEBUG;
    kit_enter(&guest);
    CHECK_EQ("SAVE_MSRS", guest.vmcs->msrs.kernel_gs_base, 0x4321);
    CHECK("marked as changed", guest.vmcs->changed & BIT(MSRS));
    CHECK_EQ("SAVE_DEBUG", guest.vmcs->debug.dr[1], 0x8765);
    CHECK("marked as changed", guest.vmcs->changed & BIT(DEBUG));
    CHECK_EQ("other MSRs are as L1 put them", guest.vmcs->msrs.pat, KIT_PAT);
    kit_close(&guest);
}

/* What lies in the page beyond the fields is L1's own. */
static void reserved_parts(void)
{
    struct kit_guest guest;

    KIT_LABEL("reserved parts");
    kit_open(&guest, KIT_LONG, vmcs_outs);
    kit_fill(guest.vmcs->reserved4, sizeof(guest.vmcs->reserved4) / 8, 0x5555);
    CHECK_EQ("exit", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("the page's end is kept",
             *(uint64_t *)kit_at(kit_address(guest.vmcs) + MEZZ_PAGE_SIZE - 8), 0x5555);
    kit_close(&guest);
}

void group_vmcs(void)
{
    after_creation();
    changed_bits();
    clean_fields();
    clean_controls();
    other_code();
    saved_groups();
    reserved_parts();
}
