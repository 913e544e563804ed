/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that make several EPT violations: page-crossing, read-modify-write, strings. */
#include "groups.h"
#include "kit.h"

#define READ  MEZZ_EPT_VIOLATION_READ
#define WRITE MEZZ_EPT_VIOLATION_WRITE

/* The violations up to the loop at the end, which the preemption timer ends. */
struct seen {
    unsigned int count;
    struct {
        uint64_t access, gpa, size, value;
    } exit[8];
};

static struct kit_guest guest;
static struct seen seen;

static void run(const char *code, enum kit_mode mode, const uint64_t *answers)
{
    int64_t reason;

    kit_open(&guest, mode, code);
    kit_use_timer(&guest, 2000);
    guest.data[1023] = 0x5555555555555555;
    seen.count = 0;
    while ((reason = kit_exit_or_spin(&guest)) == MEZZ_EXIT_EPT_VIOLATION && seen.count < 8) {
        const struct mezz_vmcs12_exit *exit = &guest.vmcs->exit;

        seen.exit[seen.count].access = exit->qualification & 7;
        seen.exit[seen.count].gpa = exit->guest_physical_address;
        seen.exit[seen.count].size = exit->size;
        seen.exit[seen.count].value = exit->value;
        if (exit->flags & MEZZ_EXIT_PENDING)
            guest.vmcs->completion.value = *answers++;
        seen.count++;
    }
    CHECK_EQ("the end", reason, MEZZ_EXIT_PREEMPTION_TIMER);
}

static void saw(unsigned int n, uint64_t access, uint64_t gpa, uint64_t size, uint64_t value)
{
    CHECK_EQ("access", seen.exit[n].access, access);
    CHECK_EQ("guest-physical address", seen.exit[n].gpa, gpa);
    CHECK_EQ("size", seen.exit[n].size, size);
    CHECK_EQ("value", seen.exit[n].value, value);
}

KIT_CODE(cross_write, "movl $0x20001ffc, %ebx\n movabsq $0x1122334455667788, %rax\n"
                      "movq %rax, (%rbx)\n" KIT_SPIN);
KIT_CODE(cross_read, "movl $0x20001ffc, %ebx\n movq (%rbx), %rax\n" KIT_SPIN);
KIT_CODE(cross_write_both, "movl $0x20002ffc, %ebx\n movabsq $0x1122334455667788, %rax\n"
                           "movq %rax, (%rbx)\n" KIT_SPIN);
KIT_CODE(cross_read_both, "movl $0x20002ffc, %ebx\n movq (%rbx), %rax\n" KIT_SPIN);

static void crossing(enum kit_mode mode)
{
    static const uint64_t answers[] = {0xaabbccdd, 0x99887766};

    KIT_LABEL("write from a page into none");
    run(cross_write, mode, answers);
    CHECK_EQ("violations", seen.count, 1);
    saw(0, WRITE, KIT_L2_ABSENT, 4, 0x11223344);
    CHECK_EQ("the first part is in memory", guest.data[1023] >> 32, 0x55667788);
    kit_close(&guest);
    KIT_LABEL("read from a page into none");
    run(cross_read, mode, answers);
    CHECK_EQ("violations", seen.count, 1);
    saw(0, READ, KIT_L2_ABSENT, 4, 0);
    CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0xaabbccdd55555555);
    kit_close(&guest);
    KIT_LABEL("write into two pages that are not there");
    run(cross_write_both, mode, answers);
    CHECK_EQ("violations", seen.count, 2);
    saw(0, WRITE, KIT_L2_ABSENT + 0xffc, 4, 0x55667788);
    saw(1, WRITE, KIT_L2_ABSENT + 0x1000, 4, 0x11223344);
    kit_close(&guest);
    KIT_LABEL("read of two pages that are not there");
    run(cross_read_both, mode, answers);
    CHECK_EQ("violations", seen.count, 2);
    saw(0, READ, KIT_L2_ABSENT + 0xffc, 4, 0);
    saw(1, READ, KIT_L2_ABSENT + 0x1000, 4, 0);
    CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], 0x99887766aabbccdd);
    kit_close(&guest);
}

KIT_CODE(locked_add, "movl $0x20002000, %ebx\n movl $3, %eax\n lock addl %eax, (%rbx)\n" KIT_SPIN);
KIT_CODE(plain_add, "movl $0x20002000, %ebx\n movl $3, %eax\n addl %eax, (%rbx)\n" KIT_SPIN);
KIT_CODE(exchange, "movl $0x20002000, %ebx\n movl $3, %eax\n xchgl %eax, (%rbx)\n" KIT_SPIN);

static void read_modify_write(enum kit_mode mode)
{
    static const struct {
        const char *label, *code;
        uint64_t written, rax;
    } cases[] = {
        {"locked addition", locked_add, 0x43, 3},
        {"addition", plain_add, 0x43, 3},
        {"exchange", exchange, 3, 0x40},
    };
    static const uint64_t answers[] = {0x40, 0};

    for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        KIT_LABEL(cases[i].label);
        run(cases[i].code, mode, answers);
        CHECK_EQ("violations", seen.count, 2);
        saw(0, READ, KIT_L2_ABSENT, 4, 0);
        saw(1, WRITE, KIT_L2_ABSENT, 4, cases[i].written);
        CHECK_EQ("RAX", guest.vmcs->regs.gpr[MEZZ_RAX], cases[i].rax);
        kit_close(&guest);
    }
}

KIT_CODE(store_string, "movl $0x20002010, %edi\n movl $3, %ecx\n movb $0x77, %al\n cld\n"
                       "rep stosb\n" KIT_SPIN);
KIT_CODE(move_in, "movl $0x20002010, %esi\n movl $0x20000000, %edi\n movl $3, %ecx\n cld\n"
                  "rep movsq\n" KIT_SPIN);
KIT_CODE(move_out, "movl $0x20000000, %esi\n movl $0x20002010, %edi\n movl $2, %ecx\n cld\n"
                   "rep movsl\n" KIT_SPIN);

static void strings(enum kit_mode mode)
{
    static const uint64_t answers[] = {0x10, 0x20, 0x30, 0, 0, 0, 0, 0};

    KIT_LABEL("rep stos");
    run(store_string, mode, answers);
    CHECK_EQ("a violation for each element", seen.count, 3);
    saw(0, WRITE, KIT_L2_ABSENT + 0x10, 1, 0x77);
    saw(2, WRITE, KIT_L2_ABSENT + 0x12, 1, 0x77);
    CHECK_EQ("RCX", guest.vmcs->regs.gpr[MEZZ_RCX], 0);
    CHECK_EQ("RDI", guest.vmcs->regs.gpr[MEZZ_RDI], KIT_L2_ABSENT + 0x13);
    kit_close(&guest);
    KIT_LABEL("rep movs from nowhere");
    run(move_in, mode, answers);
    CHECK_EQ("a violation for each element", seen.count, 3);
    saw(0, READ, KIT_L2_ABSENT + 0x10, 8, 0);
    saw(2, READ, KIT_L2_ABSENT + 0x20, 8, 0);
    CHECK_EQ("memory: the first", guest.data[0], 0x10);
    CHECK_EQ("memory: the last", guest.data[2], 0x30);
    kit_close(&guest);
    KIT_LABEL("rep movs to nowhere");
    run(move_out, mode, answers);
    CHECK_EQ("a violation for each element", seen.count, 2);
    saw(0, WRITE, KIT_L2_ABSENT + 0x10, 4, 0);
    saw(1, WRITE, KIT_L2_ABSENT + 0x14, 4, 0);
    kit_close(&guest);
}

void group_fragments(void)
{
    static const enum kit_mode modes[] = {KIT_LONG, KIT_USER};

    for (unsigned int m = 0; m < 2; m++) {
        crossing(modes[m]);
        read_modify_write(modes[m]);
        strings(modes[m]);
    }
}
