/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: switches from both rings, what is refused and how, sites. */
#include "groups.h"
#include "kit.h"
#include "kit_views.h"

#define READ_PAGE "movl $0x20002000, %ebx\n movq (%rbx), %rcx\n"
#define GATE      "movl $0xfbad0000, %edx\n"

KIT_CODE_AFTER(gate_4, GATE "movl %eax, (%rdx)\n" KIT_AFTER(gate_4) READ_PAGE KIT_SPIN);
KIT_CODE(gate_1, GATE "movb %al, (%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_2, GATE "movw %ax, (%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_8, GATE "movq %rax, (%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_behind, GATE "movl %eax, 4(%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_across, GATE "movq %rax, -4(%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_last, GATE "movq %rax, 0xffc(%rdx)\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_read, GATE "movq (%rdx), %rax\n" READ_PAGE KIT_SPIN);
KIT_CODE(gate_fetch, GATE "jmp *%rdx");

/* A hundred round trips between view 0 and view 1; RCX adds up what it sees. */
KIT_CODE(gate_loop, GATE "movl $0x20002000, %ebx\n xorl %ecx, %ecx\n movl $100, %esi\n"
                         "1: movl $1, %eax\n movl %eax, (%rdx)\n addq (%rbx), %rcx\n"
                         "movl $0, %eax\n movl %eax, (%rdx)\n addq (%rbx), %rcx\n"
                         "decl %esi\n jnz 1b\n" KIT_SPIN);

/* To view 1 and back, so that both have been there; then to view 1 between two SWAPGS. */
KIT_CODE(gate_swap, GATE "movl $1, %eax\n movl %eax, (%rdx)\n xorl %eax, %eax\n movl %eax, (%rdx)\n"
                         "swapgs\n movl $1, %eax\n movl %eax, (%rdx)\n swapgs\n"
                         "movq %gs:0, %rcx\n" KIT_SPIN);

/* The kernel's base is altered while it is in GS, and put away again: what is in GS is at each gate
 * what it was. In ring 0; by WRMSR, and by WRGSBASE, in a kernel whose ring 3 takes the gate. */
#define WRITE_MSR(msr, value) \
    "movl $" msr ", %ecx\n movl $" value ", %eax\n xorl %edx, %edx\n wrmsr\n"
#define READ_BASE       "movl $0xc0000101, %ecx\n rdmsr\n movl %eax, %ecx\n"
#define GO(view)        GATE "movl $" view ", %eax\n movl %eax, (%rdx)\n"
#define BASE            "0xc0000101"
#define BASE_PUT_AWAY   "0xc0000102"
#define BOTH_HAVE_BASES WRITE_MSR(BASE_PUT_AWAY, "0x1000") WRITE_MSR(BASE, "0") GO("1") GO("0")
#define TO_RING_3                                                               \
    "movq %rsp, %rbx\n pushq $0x23\n pushq %rbx\n pushq $0x202\n pushq $0x2b\n" \
    "leaq 3f(%rip), %rax\n pushq %rax\n iretq\n 3: " GO("1") KIT_SPIN
KIT_CODE(gate_base_0, BOTH_HAVE_BASES WRITE_MSR(BASE, "0x2000") "swapgs\n" WRITE_MSR(BASE, "0")
                          GO("1") "swapgs\n" READ_BASE KIT_SPIN);
KIT_CODE(gate_base_3, BOTH_HAVE_BASES "swapgs\n" WRITE_MSR(BASE, "0x2000") "swapgs\n" TO_RING_3);
KIT_CODE(gate_wrgsbase, BOTH_HAVE_BASES "swapgs\n movl $0x2000, %eax\n wrgsbase %rax\n"
                                        "swapgs\n" TO_RING_3);
KIT_CODE(gate_base_read, "swapgs\n" READ_BASE KIT_SPIN);

static struct kit_views views;

static void open_views(enum kit_mode mode, const void *code, uint64_t rax)
{
    kit_views_open(&views, mode, code, 3);
    kit_set_list(&views);
    kit_use_timer(&views.guest, 5000);
    views.guest.vmcs->regs.gpr[MEZZ_RAX] = rax;
}

static void again(const void *code, uint64_t rax)
{
    views.guest.vmcs->regs.guest_rip = kit_address(code);
    views.guest.vmcs->regs.gpr[MEZZ_RAX] = rax;
    views.guest.vmcs->regs.gpr[MEZZ_RBP] = 0;
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
}

static void goes(const char *name, const void *code, uint32_t index)
{
    again(code, index);
    CHECK_EQ(name, kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("sees", views.guest.vmcs->regs.gpr[MEZZ_RCX], 100 + index);
    CHECK_EQ("eptp_index", views.guest.vmcs->ept.eptp_index, index);
    CHECK_EQ("eptp", views.guest.vmcs->ept.eptp, views.list[index]);
}

static void switches(enum kit_mode mode, const char *label)
{
    KIT_LABEL(label);
    open_views(mode, gate_4, 0);
    for (uint32_t i = 1; i < 10; i++)
        goes("4 bytes", gate_4, i * 2 % 3);
    goes("1 byte", gate_1, 1);
    goes("2 bytes", gate_2, 2);
    goes("8 bytes", gate_8, 0);
    goes("the same view", gate_4, 0);
    again(gate_loop, 0);
    views.guest.vmcs->regs.gpr[MEZZ_RSI] = 0;
    CHECK_EQ("200 switches", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("each sees its view", views.guest.vmcs->regs.gpr[MEZZ_RCX], 100 * (100 + 101));
    again(gate_read, 0);
    kit_exit_or_spin(&views.guest);
    CHECK_EQ("a read gives ones", views.guest.vmcs->regs.gpr[MEZZ_RAX], UINT64_MAX);
    again(gate_fetch, 0);
    CHECK_EQ("a fetch is a violation", kit_exit_past_timer(&views.guest), MEZZ_EXIT_EPT_VIOLATION);
    kit_close(&views.guest);
}

static void refused(const char *label, const void *code, uint64_t rax, enum mezz_gate_refusal why)
{
    KIT_LABEL(label);
    again(code, rax);
    CHECK_EQ("exit", kit_exit_past_timer(&views.guest), MEZZ_EXIT_GATE);
    CHECK_EQ("why", views.guest.vmcs->exit.qualification, why);
    CHECK_EQ("flags", views.guest.vmcs->exit.flags, MEZZ_EXIT_RETIRED);
    CHECK_EQ("it goes on", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("in the same view", views.guest.vmcs->regs.gpr[MEZZ_RCX], 100);
    CHECK_EQ("eptp_index", views.guest.vmcs->ept.eptp_index, 0);
}

static void refusals(enum kit_mode mode)
{
    open_views(mode, gate_4, 0);
    views.list[1] = 0;
    kit_set_list(&views);
    refused("past the end", gate_4, 3, MEZZ_GATE_INDEX);
    CHECK_EQ("value", views.guest.vmcs->exit.reason, MEZZ_EXIT_PREEMPTION_TIMER);
    refused("no EPTP there", gate_4, 1, MEZZ_GATE_INDEX);
    refused("512", gate_4, 512, MEZZ_GATE_INDEX);
    refused("the largest of 4 bytes", gate_4, UINT32_MAX, MEZZ_GATE_INDEX);
    refused("the largest of 8 bytes", gate_8, UINT64_MAX, MEZZ_GATE_INDEX);
    refused("2 to the 32, and 2", gate_8, 1ULL << 32 | 2, MEZZ_GATE_INDEX);
    refused("behind the first bytes", gate_behind, 2, MEZZ_GATE_STORE);
    kit_close(&views.guest);
}

/* Stores of which only a part is in the page: the other one is EPT12's. */
static void parts(void)
{
    KIT_LABEL("into the page from before");
    open_views(KIT_LONG, gate_across, 2ULL << 32);
    CHECK_EQ("the first part", kit_exit_past_timer(&views.guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the second part goes", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("to its view", views.guest.vmcs->regs.gpr[MEZZ_RCX], 102);
    KIT_LABEL("out of the page");
    kit_go_to_view(&views, 0);
    again(gate_last, 2);
    CHECK_EQ("the first part", kit_exit_past_timer(&views.guest), MEZZ_EXIT_GATE);
    CHECK_EQ("the second part", kit_exit_past_timer(&views.guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the view stays", views.guest.vmcs->ept.eptp_index, 0);
    kit_close(&views.guest);
}

static int64_t set_sites(const struct mezz_gate_site *sites, uint64_t count)
{
    return mezz_call(MEZZ_CALL_GATE_SITES, views.guest.l2, kit_address(sites), count);
}

static void sites_refused(struct mezz_gate_site *site)
{
    const struct mezz_gate_site good = *site;

    KIT_LABEL("GATE_SITES");
    CHECK_ERROR("no L2", mezz_call(MEZZ_CALL_GATE_SITES, 60, kit_address(site), 1), MEZZ_E_ID);
    CHECK_ERROR("513", set_sites(site, 513), MEZZ_E_ARGUMENT);
    CHECK_ERROR("address", mezz_call(MEZZ_CALL_GATE_SITES, views.guest.l2, kit.memory_end - 8, 1),
                MEZZ_E_ADDRESS);
    site->from = 512;
    CHECK_ERROR("from", set_sites(site, 1), MEZZ_E_ARGUMENT);
    *site = good;
    site->to = 0xfffffffe;
    CHECK_ERROR("to", set_sites(site, 1), MEZZ_E_ARGUMENT);
    *site = good;
    site->cr3 = 8;
    CHECK_ERROR("cr3", set_sites(site, 1), MEZZ_E_ARGUMENT);
    *site = good;
    site->reserved = 1;
    CHECK_ERROR("reserved", set_sites(site, 1), MEZZ_E_ARGUMENT);
    *site = good;
}

static void sites(void)
{
    static struct mezz_gate_site site[3];

    open_views(KIT_USER, gate_4, 0);
    site[0] = (struct mezz_gate_site){kit_address(gate_4_after), 0, 0, 1, 0};
    sites_refused(site);
    CHECK_EQ("one site", set_sites(site, 1), 0);
    refused("another view", gate_4, 2, MEZZ_GATE_SITE);
    refused("another place", gate_2, 1, MEZZ_GATE_SITE);
    KIT_LABEL("a site");
    goes("that is allowed", gate_4, 1);
    again(gate_4, 1);
    CHECK_EQ("not from the other view", kit_exit_past_timer(&views.guest), MEZZ_EXIT_GATE);
    KIT_LABEL("several sites");
    site[1] = (struct mezz_gate_site){kit_address(gate_4_after), 0, MEZZ_GATE_ANY_VIEW, 0, 0};
    site[2] = (struct mezz_gate_site){8, 0, MEZZ_GATE_ANY_VIEW, MEZZ_GATE_ANY_VIEW, 0};
    CHECK_EQ("three", set_sites(site, 3), 0);
    goes("back", gate_4, 0);
    goes("and there", gate_4, 1);
    goes("and back", gate_4, 0);
    site[0].cr3 = kit_address(kit_l2_pml4);
    CHECK_EQ("with its CR3", set_sites(site, 3), 0);
    goes("goes", gate_4, 1);
    goes("back", gate_4, 0);
    site[0].cr3 = kit_address(kit_l2_pml4) + MEZZ_PAGE_SIZE;
    CHECK_EQ("with another CR3", set_sites(site, 3), 0);
    refused("with another CR3", gate_4, 1, MEZZ_GATE_SITE);
    KIT_LABEL("no sites");
    CHECK_EQ("any more", set_sites(NULL, 0), 0);
    goes("from everywhere", gate_2, 2);
    kit_close(&views.guest);
}

static void other_list(uint64_t first, uint64_t second, uint64_t third)
{
    views.list[0] = first;
    views.list[1] = second;
    views.list[2] = third;
    CHECK_EQ("list", kit_set_list(&views).status, 0);
}

static void other_site(uint32_t from, uint32_t to)
{
    static struct mezz_gate_site site;

    site = (struct mezz_gate_site){kit_address(gate_4_after), 0, from, to, 0};
    CHECK_EQ("site", set_sites(&site, 1), 0);
}

static void refused_from(const char *name, uint32_t to, uint32_t index)
{
    again(gate_4, to);
    CHECK_EQ(name, kit_exit_or_spin(&views.guest), MEZZ_EXIT_GATE);
    CHECK_EQ("why", views.guest.vmcs->exit.qualification, MEZZ_GATE_SITE);
    CHECK_EQ("the index that the view has", views.guest.vmcs->ept.eptp_index, index);
    CHECK("the EPT group changed", views.guest.vmcs->changed & MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
}

/* Sites are judged by where the view is now, not by where an earlier list had it. */
static void another_list(void)
{
    uint64_t eptp[3];

    KIT_LABEL("another list");
    open_views(KIT_USER, gate_4, 0);
    for (unsigned int i = 0; i < 3; i++)
        eptp[i] = views.list[i];
    goes("to view 1", gate_4, 1);
    other_list(eptp[1], eptp[0], eptp[2]);
    other_site(1, 2);
    refused_from("not from where it was", 2, 0);
    other_site(0, 2);
    goes("from where it is", gate_4, 2);
    KIT_LABEL("a list without the view");
    other_list(eptp[1], eptp[0], 0);
    other_site(2, 0);
    refused_from("not from where it was", 0, MEZZ_VIEW_NONE);
    other_site(0, 0);
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    again(gate_4, 0);
    CHECK_EQ("nor from the first", kit_exit_or_spin(&views.guest), MEZZ_EXIT_GATE);
    views.guest.vmcs->ept.eptp_index = 0;
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    again(gate_4, 0);
    CHECK_EQ("nor if L1 says so", kit_exit_or_spin(&views.guest), MEZZ_EXIT_GATE);
    CHECK_EQ("it is none", views.guest.vmcs->ept.eptp_index, MEZZ_VIEW_NONE);
    other_site(MEZZ_GATE_ANY_VIEW, 0);
    again(gate_4, 0);
    CHECK_EQ("from any", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("sees", views.guest.vmcs->regs.gpr[MEZZ_RCX], 101);
    CHECK_EQ("its index", views.guest.vmcs->ept.eptp_index, 0);
    kit_close(&views.guest);
}

/* The handler of a refusal sees what was wanted, and may do it. */
static void callback(void)
{
    struct kit_callback callback;

    KIT_LABEL("a callback");
    open_views(KIT_USER, gate_4, 7);
    kit_callback_init(&callback, &views.guest, MEZZ_EXIT_GATE);
    kit_condition(&callback, MEZZ_FIELD_VALUE, MEZZ_OP_EQ, 7, 0);
    kit_condition(&callback, MEZZ_FIELD_SIZE, MEZZ_OP_EQ, 4, 0);
    kit_condition(&callback, MEZZ_FIELD_QUALIFICATION, MEZZ_OP_EQ, MEZZ_GATE_INDEX, 0);
    callback.action = MEZZ_ACTION_SWITCH_VIEW;
    callback.value = 2;
    CHECK("registration", kit_register(&callback) > 0);
    CHECK_EQ("runs to its end", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("it was asked", callback.fired, 1);
    CHECK_EQ("what was written", callback.write_value, 7);
    CHECK_EQ("RIP is behind the store", callback.frame->regs.guest_rip, kit_address(gate_4_after));
    CHECK_EQ("in the view it chose", views.guest.vmcs->regs.gpr[MEZZ_RCX], 102);
    kit_unregister(&callback);
    kit_close(&views.guest);
}

/* An L2 without an EPTP list has no gate there, but what EPT12 says. */
static void no_gate(void)
{
    uint64_t *page = kit_pages(1);

    KIT_LABEL("without a list");
    kit_open(&views.guest, KIT_LONG, gate_4);
    kit_use_timer(&views.guest, 5000);
    views.guest.vmcs->regs.gpr[MEZZ_RAX] = 1;
    CHECK_EQ("nothing there", kit_exit_past_timer(&views.guest), MEZZ_EXIT_EPT_VIOLATION);
    kit_close(&views.guest);
    kit_open(&views.guest, KIT_LONG, gate_4);
    kit_ept_map(views.guest.pml4, MEZZ_GATE_ADDRESS, page, MEZZ_EPT_RWX);
    kit_ept_map(views.guest.pml4, KIT_L2_ABSENT, kit_pages(1), MEZZ_EPT_RWX);
    kit_use_timer(&views.guest, 5000);
    views.guest.vmcs->regs.gpr[MEZZ_RAX] = 1;
    kit_exit_or_spin(&views.guest);
    CHECK_EQ("memory there", page[0], 1);
    kit_close(&views.guest);
    KIT_LABEL("with a list, and memory there");
    open_views(KIT_LONG, gate_4, 0);
    kit_ept_map(views.pml4[0], MEZZ_GATE_ADDRESS, page, MEZZ_EPT_RWX);
    mezz_call(MEZZ_CALL_INVEPT, views.guest.l2, 2, 0);
    goes("it is the gate", gate_4, 1);
    CHECK_EQ("the memory is kept", page[0], 1);
    kit_close(&views.guest);
}

/* KERNEL_GS_BASE goes along although nobody sees SWAPGS. Where ring 0 is emulated, SWAPGS may be an
 * instruction that cannot be run. */
static void swapped_bases(void)
{
    int64_t reason;

    KIT_LABEL("SWAPGS");
    open_views(KIT_LONG, gate_swap, 0);
    views.guest.data[0] = 0x77;
    views.guest.data[512] = 0x55;
    views.guest.vmcs->system.segment[MEZZ_GS].base = KIT_L2_DATA;
    views.guest.vmcs->msrs.kernel_gs_base = KIT_L2_DATA + MEZZ_PAGE_SIZE;
    reason = kit_exit_or_spin(&views.guest);
    CHECK("runs, or cannot",
          reason == MEZZ_EXIT_PREEMPTION_TIMER || reason == MEZZ_EXIT_EMULATION_FAILURE);
    CHECK_EQ("the base is back",
             reason == MEZZ_EXIT_PREEMPTION_TIMER ? views.guest.vmcs->regs.gpr[MEZZ_RCX] : 0x77,
             0x77);
    if (reason == MEZZ_EXIT_EMULATION_FAILURE)
        kit_note("this KVM cannot run SWAPGS in ring 0");
    kit_close(&views.guest);
}

/* What the kernel has put away behind a gate of ring 3. */
static int64_t read_base(void)
{
    kit_system_state(&views.guest.vmcs->system, KIT_LONG);
    again(gate_base_read, 0);
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM));
    return kit_exit_or_spin(&views.guest);
}

static void altered_base(const char *label, const void *code, uint64_t cr4)
{
    const bool in_ring_3 = code != gate_base_0;
    uint64_t base = 0x2000;
    uint32_t leaf[4];
    int64_t reason = MEZZ_EXIT_EMULATION_FAILURE;

    KIT_LABEL(label);
    kit_cpuid(7, leaf);
    open_views(KIT_LONG, code, 0);
    views.guest.vmcs->system.guest_cr4 |= cr4;
    if (cr4 == 0 || leaf[1] & 1)
        reason = kit_exit_or_spin(&views.guest);
    if (reason == MEZZ_EXIT_PREEMPTION_TIMER && in_ring_3)
        reason = read_base();
    CHECK("runs, or cannot",
          reason == MEZZ_EXIT_PREEMPTION_TIMER || reason == MEZZ_EXIT_EMULATION_FAILURE);
    if (reason == MEZZ_EXIT_PREEMPTION_TIMER)
        base = views.guest.vmcs->regs.gpr[MEZZ_RCX];
    else
        kit_note("this machine has not the instructions");
    CHECK_EQ("the base is what the kernel made it", base, 0x2000);
    kit_close(&views.guest);
}

#define CR4_FSGSBASE (1ULL << 16)

void group_gate(void)
{
    no_gate();
    switches(KIT_LONG, "ring 0");
    switches(KIT_USER, "ring 3");
    refusals(KIT_LONG);
    refusals(KIT_USER);
    parts();
    swapped_bases();
    altered_base("WRMSR, ring 0", gate_base_0, 0);
    altered_base("WRMSR, ring 3", gate_base_3, 0);
    altered_base("WRGSBASE", gate_wrgsbase, CR4_FSGSBASE);
    sites();
    another_list();
    callback();
}
