/* SPDX-License-Identifier: Apache-2.0 */
/* EPTP lists: what they may hold; views by their index; what L1 hears of the current one; views
 * that a callback's handler chooses. */
#include "groups.h"
#include "kit.h"
#include "kit_views.h"

#define R MEZZ_EPT_READ
#define W MEZZ_EPT_WRITE
#define X MEZZ_EPT_EXECUTE

KIT_CODE(views_read, "movl $0x20002000, %ebx\n movq (%rbx), %rax\n" KIT_SPIN);
KIT_CODE(views_write, "movl $0x20002000, %ebx\n movl $55, %eax\n movq %rax, 8(%rbx)\n" KIT_SPIN);
KIT_CODE(views_fetch, "movl $0x20002010, %ebx\n jmp *%rbx");
KIT_CODE(views_in, "inb $0x60, %al\n movl $0x20002000, %ebx\n movq (%rbx), %rcx\n" KIT_SPIN);
KIT_CODE(views_push, "movl $0x20002000, %ebx\n pushq (%rbx)\n popq %rax\n" KIT_SPIN);
KIT_CODE(views_loop, "1: movl $0x20002000, %ebx\n movq (%rbx), %rax\n outb %al, $0x60\n jmp 1b");

static const uint8_t spin_code[] = {0xbd, 7, 0, 0, 0, 0xeb, 0xfe}; /* KIT_SPIN */

static struct kit_views views;

static void list_arguments(void)
{
    const uint32_t l2 = kit_l2();
    const uint64_t list = kit_address(kit_pages(1));

    KIT_LABEL("EPTP_LIST");
    CHECK_ERROR("no L2", mezz_call(MEZZ_CALL_EPTP_LIST, 60, list, 1), MEZZ_E_ID);
    CHECK_ERROR("count 0", mezz_call(MEZZ_CALL_EPTP_LIST, l2, list, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("count 513", mezz_call(MEZZ_CALL_EPTP_LIST, l2, list, 513), MEZZ_E_ARGUMENT);
    CHECK_ERROR("alignment", mezz_call(MEZZ_CALL_EPTP_LIST, l2, list + 8, 1), MEZZ_E_ALIGNMENT);
    CHECK_ERROR("address", mezz_call(MEZZ_CALL_EPTP_LIST, l2, kit.memory_end, 1), MEZZ_E_ADDRESS);
    CHECK_ERROR("the last address", mezz_call(MEZZ_CALL_EPTP_LIST, l2, UINT64_MAX & ~0xfffULL, 512),
                MEZZ_E_ADDRESS);
    CHECK_EQ("512 indices without a view", mezz_call(MEZZ_CALL_EPTP_LIST, l2, list, 512), 0);
}

static void refused_list(const char *name, uint32_t index, enum mezz_error error)
{
    struct mezz_result result;

    mezz_call(MEZZ_CALL_INVEPT, views.guest.l2, 2, 0);
    result = kit_set_list(&views);
    CHECK_ERROR(name, result.status, error);
    CHECK_EQ("RDX: its index", result.value, index);
}

/* Each mistake in turn at index 2; what was the list before stays. */
static void list_contents(void)
{
    uint64_t *loop = kit_pages(1);
    uint64_t *many = kit_pages(3);
    uint64_t good, *leaf;

    KIT_LABEL("a list with");
    kit_views_open(&views, KIT_LONG, views_read, 4);
    CHECK_EQ("four views", kit_set_list(&views).status, 0);
    good = views.list[2];
    views.list[2] = 0xdeadbeef;
    refused_list("rubbish", 2, MEZZ_E_EPT_FORMAT);
    views.list[2] = good | 1ULL << 11;
    refused_list("reserved bits", 2, MEZZ_E_EPT_FORMAT);
    views.list[2] = MEZZ_EPTP(kit.memory_end);
    refused_list("tables outside of L1's memory", 2, MEZZ_E_EPT_ADDRESS);
    kit_fill(loop, 512, kit_address(loop) | MEZZ_EPT_RWX);
    views.list[2] = MEZZ_EPTP(kit_address(loop));
    refused_list("a table that is its own", 2, MEZZ_E_EPT_FORMAT);
    for (unsigned int i = 0; i < 2; i++)
        kit_fill(many + 512 * i, 512, kit_address(many + 512 * (i + 1)) | MEZZ_EPT_RWX);
    views.list[2] = MEZZ_EPTP(kit_address(many));
    refused_list("tables that are met again and again", 2, MEZZ_E_EPT_LIMIT);
    views.list[2] = good;
    leaf = kit_ept_leaf(views.pml4[2], KIT_L2_ABSENT);
    *leaf = kit.memory_end | KIT_LEAF;
    refused_list("a page outside of L1's memory", 2, MEZZ_E_EPT_ADDRESS);
    *leaf = kit_address(views.page[2]) | MEZZ_EPT_WRITE_BACK | W;
    refused_list("-W-", 2, MEZZ_E_EPT_ACCESS);
    *leaf = kit_address(views.page[2]) | MEZZ_EPT_WRITE_BACK | W | X;
    refused_list("-WX", 2, MEZZ_E_EPT_ACCESS);
    *leaf = kit_address(views.page[2]) | MEZZ_EPT_WRITE_BACK | X;
    refused_list("--X", 2, MEZZ_E_UNSUPPORTED);
    *leaf = kit_address(views.page[2]) | KIT_LEAF;
    mezz_call(MEZZ_CALL_INVEPT, views.guest.l2, 2, 0);
    kit_use_timer(&views.guest, 2000);
    kit_go_to_view(&views, 2);
    CHECK_EQ("the former list holds", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("its view", views.guest.vmcs->regs.gpr[MEZZ_RAX], 102);
    /* A view's own page is one of its tables: L2 may write what L1 says. */
    kit_ept_map(views.pml4[3], KIT_L2_ABSENT, views.pml4[3], MEZZ_EPT_RWX);
    CHECK_EQ("a page that is the view's own table", kit_set_list(&views).status, 0);
    kit_close(&views.guest);
}

static void refused_entry(const char *name, uint32_t index, uint64_t eptp)
{
    views.guest.vmcs->ept.eptp = eptp;
    views.guest.vmcs->ept.eptp_index = index;
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    CHECK_EQ(name, kit_exit(&views.guest), MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED);
    CHECK_EQ("qualification", views.guest.vmcs->exit.qualification,
             (uint64_t)MEZZ_E_VIEW << 32 | MEZZ_CHECK_EPT);
}

static void entries(void)
{
    KIT_LABEL("entry");
    kit_views_open(&views, KIT_LONG, views_loop, 5);
    views.list[3] = 0;
    CHECK_EQ("list", kit_set_list(&views).status, 0);
    for (uint32_t i = 0; i < 25; i++) {
        const uint32_t index = i * 3 % 5;

        if (index == 3)
            continue;
        kit_go_to_view(&views, index);
        CHECK_EQ("exit", kit_exit(&views.guest), MEZZ_EXIT_IO);
        CHECK_EQ("in the view", views.guest.vmcs->regs.gpr[MEZZ_RAX], 100 + index);
        CHECK_EQ("index afterwards", views.guest.vmcs->ept.eptp_index, index);
    }
    refused_entry("an index without a view", 3, views.list[1]);
    refused_entry("an index past the end", 5, views.list[1]);
    refused_entry("the largest index", UINT32_MAX, views.list[1]);
    refused_entry("another view's EPTP", 2, views.list[1]);
    views.guest.vmcs->ept.eptp = views.list[4];
    views.guest.vmcs->ept.eptp_index = 0;
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    CHECK_EQ("index 0 goes with any EPTP", kit_exit(&views.guest), MEZZ_EXIT_IO);
    CHECK_EQ("its view", views.guest.vmcs->regs.gpr[MEZZ_RAX], 104);
    CHECK_EQ("its index", views.guest.vmcs->ept.eptp_index, 4);
    kit_ept_map(views.pml4[4], KIT_L2_ABSENT, views.page[0], MEZZ_EPT_RWX);
    CHECK_EQ("INVEPT of another view",
             mezz_call(MEZZ_CALL_INVEPT, views.guest.l2, 1, views.list[1]), 0);
    kit_exit(&views.guest);
    CHECK_EQ("INVEPT of this one", mezz_call(MEZZ_CALL_INVEPT, views.guest.l2, 1, views.list[4]),
             0);
    kit_exit(&views.guest);
    CHECK_EQ("it is read again", views.guest.vmcs->regs.gpr[MEZZ_RAX], 100);
    kit_close(&views.guest);
}

/* View 1 has the page with fewer rights; the handler of the violation goes to view 0. */
static void switch_on(const char *label, enum kit_mode mode, const void *code, uint64_t rights,
                      uint64_t access)
{
    struct kit_callback callback;

    KIT_LABEL(label);
    kit_views_open(&views, mode, code, 2);
    for (unsigned int i = 0; i < 2; i++)
        kit_copy(views.page[i] + 2, spin_code, sizeof(spin_code));
    kit_ept_map(views.pml4[1], KIT_L2_ABSENT, views.page[1], rights);
    kit_set_list(&views);
    kit_use_timer(&views.guest, 5000);
    kit_go_to_view(&views, 1);
    kit_callback_init(&callback, &views.guest, MEZZ_EXIT_EPT_VIOLATION);
    kit_condition(&callback, MEZZ_FIELD_VIEW, MEZZ_OP_EQ, 1, 0);
    kit_condition(&callback, MEZZ_FIELD_ACCESS, MEZZ_OP_EQ, access, 0);
    callback.action = MEZZ_ACTION_SWITCH_VIEW;
    callback.value = 0;
    CHECK("registration", kit_register(&callback) > 0);
    CHECK_EQ("runs to its end", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("one callback", callback.fired, 1);
    CHECK_EQ("its answer is taken", callback.refused, 0);
    CHECK_EQ("frame: the view", callback.frame->view, 1);
    CHECK_EQ("the view afterwards", views.guest.vmcs->ept.eptp_index, 0);
    CHECK_EQ("its EPTP", views.guest.vmcs->ept.eptp, views.list[0]);
    if (access == R)
        CHECK_EQ("reads what the other view has", views.guest.vmcs->regs.gpr[MEZZ_RAX], 100);
    CHECK_EQ("writes to the other view", views.page[0][1], access == W ? 55 : 0);
    CHECK_EQ("not to this one", views.page[1][1], 0);
    kit_unregister(&callback);
    kit_close(&views.guest);
}

static void switch_at_other_exits(void)
{
    struct kit_callback callback;

    KIT_LABEL("SWITCH_VIEW after IN");
    kit_views_open(&views, KIT_LONG, views_in, 3);
    kit_set_list(&views);
    kit_use_timer(&views.guest, 5000);
    kit_callback_init(&callback, &views.guest, MEZZ_EXIT_IO);
    callback.action = MEZZ_ACTION_SWITCH_VIEW;
    callback.value = 2;
    kit_register(&callback);
    CHECK_EQ("runs to its end", kit_exit_or_spin(&views.guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("IN reads ones", views.guest.vmcs->regs.gpr[MEZZ_RAX] & 0xff, 0xff);
    CHECK_EQ("in the other view", views.guest.vmcs->regs.gpr[MEZZ_RCX], 102);
    CHECK("the EPT group changed", views.guest.vmcs->changed & MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    kit_unregister(&callback);
    callback.value = 3;
    kit_register(&callback);
    views.guest.vmcs->regs.guest_rip = kit_address(views_in);
    kit_wrote(&views.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("a view past the end", kit_exit_past_timer(&views.guest), MEZZ_EXIT_IO);
    CHECK_ERROR("is refused", callback.refused, MEZZ_E_VIEW);
    CHECK_EQ("and the view stays", views.guest.vmcs->ept.eptp_index, 2);
    kit_unregister(&callback);
    kit_close(&views.guest);
}

void group_views(void)
{
    list_arguments();
    list_contents();
    entries();
    switch_on("SWITCH_VIEW after a read, ring 0", KIT_LONG, views_read, 0, R);
    switch_on("SWITCH_VIEW after a read, ring 3", KIT_USER, views_read, 0, R);
    switch_on("SWITCH_VIEW after PUSH from memory", KIT_LONG, views_push, 0, R);
    switch_on("SWITCH_VIEW after a write, ring 0", KIT_LONG, views_write, R | X, W);
    switch_on("SWITCH_VIEW after a write, ring 3", KIT_USER, views_write, R, W);
    switch_on("SWITCH_VIEW after a fetch, ring 0", KIT_LONG, views_fetch, R | W, X);
    switch_on("SWITCH_VIEW after a fetch, ring 3", KIT_USER, views_fetch, 0, X);
    switch_at_other_exits();
}
