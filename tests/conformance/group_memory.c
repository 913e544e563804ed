/* SPDX-License-Identifier: Apache-2.0 */
/* EPT violations: what the exit says, in ring 0 and in ring 3, and how it ends. */
#include "groups.h"
#include "kit.h"

#define READ  MEZZ_EPT_VIOLATION_READ
#define WRITE MEZZ_EPT_VIOLATION_WRITE
#define FETCH MEZZ_EPT_VIOLATION_FETCH

/* RBX points to the page that is not there. */
#define ACCESS_CODE(name, instruction)                                                        \
    KIT_CODE_AFTER(name, "movl $0x20002040, %ebx\n movabsq $0x1122334455667788, %rax\n" #name \
                         "_at: " instruction "\n" KIT_AFTER(name) KIT_SPIN);                  \
    extern const char name##_at[]

ACCESS_CODE(write_1, "movb %al, (%rbx)");
ACCESS_CODE(write_2, "movw %ax, (%rbx)");
ACCESS_CODE(write_4, "movl %eax, (%rbx)");
ACCESS_CODE(write_8, "movq %rax, (%rbx)");
ACCESS_CODE(read_1, "movb (%rbx), %al");
ACCESS_CODE(read_2, "movw (%rbx), %ax");
ACCESS_CODE(read_4, "movl (%rbx), %eax");
ACCESS_CODE(read_8, "movq (%rbx), %rax");

static const struct access {
    const char *label;
    const char *code, *at, *after;
    uint32_t size;
    bool write;
    uint64_t value; /* written; or RAX after a read of 0xf1f2f3f4f5f6f7f8 */
} accesses[] = {
    {"write 1", write_1, write_1_at, write_1_after, 1, true, 0x88},
    {"write 2", write_2, write_2_at, write_2_after, 2, true, 0x7788},
    {"write 4", write_4, write_4_at, write_4_after, 4, true, 0x55667788},
    {"write 8", write_8, write_8_at, write_8_after, 8, true, 0x1122334455667788},
    {"read 1", read_1, read_1_at, read_1_after, 1, false, 0x11223344556677f8},
    {"read 2", read_2, read_2_at, read_2_after, 2, false, 0x112233445566f7f8},
    {"read 4", read_4, read_4_at, read_4_after, 4, false, 0xf5f6f7f8},
    {"read 8", read_8, read_8_at, read_8_after, 8, false, 0xf1f2f3f4f5f6f7f8},
};

static void one(const struct access *a, enum kit_mode mode)
{
    struct kit_guest guest;
    const struct mezz_vmcs12_exit *exit;

    KIT_LABEL(a->label);
    kit_open(&guest, mode, a->code);
    exit = &guest.vmcs->exit;
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("qualification", exit->qualification, a->write ? WRITE : READ);
    CHECK_EQ("guest-physical address", exit->guest_physical_address, KIT_L2_ABSENT + 0x40);
    CHECK_EQ("size", exit->size, a->size);
    CHECK_EQ("flags", exit->flags, a->write ? MEZZ_EXIT_RETIRED : MEZZ_EXIT_PENDING);
    CHECK_EQ("value", exit->value, a->write ? a->value : 0);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(a->write ? a->after : a->at));
    guest.vmcs->completion.value = 0xf1f2f3f4f5f6f7f8;
    kit_use_timer(&guest, 2000);
    CHECK_EQ("then L2 goes on", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("behind it", guest.vmcs->regs.gpr[MEZZ_RBP], KIT_AT_SPIN);
    CHECK_EQ("RAX at the end", guest.vmcs->regs.gpr[MEZZ_RAX],
             a->write ? 0x1122334455667788 : a->value);
    kit_close(&guest);
}

/* L1 maps the page before it enters again: the access is done on it, without INVEPT. */
static void mapped_meanwhile(enum kit_mode mode)
{
    uint64_t *page = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("a write to a page that L1 then maps");
    kit_open(&guest, mode, write_8);
    kit_enter(&guest);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, page, MEZZ_EPT_RWX);
    kit_use_timer(&guest, 2000);
    CHECK_EQ("L2 goes on", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("memory has the value", page[8], 0x1122334455667788);
    kit_close(&guest);
    KIT_LABEL("a read of a page that L1 then maps");
    kit_open(&guest, mode, read_8);
    kit_enter(&guest);
    page[8] = 0x4242;
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, page, MEZZ_EPT_RWX);
    guest.vmcs->completion.value = 1;
    kit_use_timer(&guest, 2000);
    CHECK_EQ("L2 goes on", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("with memory's value", guest.vmcs->regs.gpr[MEZZ_RAX], 0x4242);
    kit_close(&guest);
}

KIT_CODE(absent_jump, "movl $0x20002040, %ebx\n jmp *%rbx");
KIT_CODE(straddling_jump, "movl $0x20001fff, %ebx\n jmp *%rbx");

static void fetches(enum kit_mode mode)
{
    static const uint8_t code[] = {0xbd, 7, 0, 0, 0, 0xeb, 0xfe}; /* KIT_SPIN */
    uint8_t *page = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("fetch");
    kit_open(&guest, mode, absent_jump);
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, FETCH);
    CHECK_EQ("guest-physical address", guest.vmcs->exit.guest_physical_address,
             KIT_L2_ABSENT + 0x40);
    CHECK_EQ("flags", guest.vmcs->exit.flags, 0);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, KIT_L2_ABSENT + 0x40);
    CHECK_EQ("entered again, it exits again", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    kit_copy(page + 0x40, code, sizeof(code));
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, page, MEZZ_EPT_RWX);
    kit_use_timer(&guest, 2000);
    CHECK_EQ("mapped, it runs", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("the code there", guest.vmcs->regs.gpr[MEZZ_RBP], KIT_AT_SPIN);
    kit_close(&guest);
    KIT_LABEL("fetch over two pages");
    kit_open(&guest, mode, straddling_jump);
    ((uint8_t *)guest.data)[0x1fff] = code[0];
    kit_copy(page, code + 1, sizeof(code) - 1);
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification & 7, FETCH);
    CHECK_EQ("guest-physical address", guest.vmcs->exit.guest_physical_address, KIT_L2_ABSENT);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, KIT_L2_ABSENT - 1);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, page, MEZZ_EPT_RWX);
    kit_use_timer(&guest, 2000);
    CHECK_EQ("mapped, it runs", kit_exit_or_spin(&guest), MEZZ_EXIT_PREEMPTION_TIMER);
    CHECK_EQ("the code there", guest.vmcs->regs.gpr[MEZZ_RBP], KIT_AT_SPIN);
    kit_close(&guest);
}

/* L1 alters EPT12 and says so. */
KIT_CODE(read_loop, "movl $0x20002000, %ebx\n 1: movq (%rbx), %rax\n outb %al, $0x61\n jmp 1b");

static void invept(void)
{
    uint64_t *first = kit_pages(1), *second = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("INVEPT");
    kit_open(&guest, KIT_LONG, read_loop);
    first[0] = 0x1111;
    second[0] = 0x2222;
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, first, MEZZ_EPT_RWX);
    kit_enter(&guest);
    CHECK_EQ("the page that is mapped at first", guest.vmcs->regs.gpr[MEZZ_RAX], 0x1111);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, second, MEZZ_EPT_RWX);
    CHECK_EQ("INVEPT", kit_invept(&guest), 0);
    kit_enter(&guest);
    CHECK_EQ("another page in its place", guest.vmcs->regs.gpr[MEZZ_RAX], 0x2222);
    *kit_ept_leaf(guest.pml4, KIT_L2_ABSENT) = 0;
    mezz_call(MEZZ_CALL_INVEPT, guest.l2, 2, 0);
    CHECK_EQ("no page", kit_exit(&guest), MEZZ_EXIT_EPT_VIOLATION);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, first, MEZZ_EPT_RWX);
    CHECK_EQ("a page again, without INVEPT", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("it is read", guest.vmcs->regs.gpr[MEZZ_RAX], 0x1111);
    kit_close(&guest);
    KIT_LABEL("another EPTP");
    kit_open(&guest, KIT_LONG, read_loop);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, first, MEZZ_EPT_RWX);
    kit_enter(&guest);
    guest.pml4 = kit_ept(guest.data);
    kit_ept_map(guest.pml4, KIT_L2_ABSENT, second, MEZZ_EPT_RWX);
    guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(guest.pml4));
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EPT));
    kit_enter(&guest);
    CHECK_EQ("its page", guest.vmcs->regs.gpr[MEZZ_RAX], 0x2222);
    kit_close(&guest);
}

KIT_CODE(no_memory, ".code16\n hlt");

/* What KVM makes of an L2 without any page differs; L1 hears of it in any case. */
static void nothing(void)
{
    struct kit_guest guest;
    uint64_t reason;

    KIT_LABEL("an EPT12 without a page");
    kit_open(&guest, KIT_REAL, no_memory);
    guest.vmcs->ept.eptp = MEZZ_EPTP(kit_address(kit_pages(1)));
    CHECK_EQ("ENTER returns", kit_enter(&guest), 0);
    reason = guest.vmcs->exit.reason;
    CHECK("a violation or an entry failure",
          reason == MEZZ_EXIT_EPT_VIOLATION || reason == MEZZ_EXIT_TRIPLE_FAULT ||
              reason == (MEZZ_EXIT_INVALID_GUEST_STATE | MEZZ_EXIT_ENTRY_FAILED));
    kit_close(&guest);
}

void group_memory(void)
{
    static const enum kit_mode modes[] = {KIT_LONG, KIT_USER};

    for (unsigned int m = 0; m < 2; m++) {
        for (unsigned int i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
            one(&accesses[i], modes[m]);
        mapped_meanwhile(modes[m]);
        fetches(modes[m]);
    }
    invept();
    nothing();
}
