/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 whose two vCPUs run the two vCPUs of one L2: the first writes to a page now and then, the
 * second counts there, and writes to the next page now and then.
 */
#include "siblings.h"

#include "kit.h"

#define KICK       40
#define TEXT_OF(x) #x
#define NUMBER(x)  TEXT_OF(x)

/* Between two writes there is time to count. */
KIT_CODE(sibling_writes, "movl $1500, %ecx\n"
                         "1: movl $2000, %edx\n"
                         "2: decl %edx\n"
                         "jnz 2b\n"
                         "movq %rcx, (%rbx)\n"
                         "decl %ecx\n"
                         "jnz 1b\n"
                         "3: hlt\n"
                         "jmp 3b\n");
KIT_CODE(sibling_counts, "1: incq %rax\n"
                         "movq %rax, (%rbx)\n"
                         "testb $15, %al\n"
                         "jnz 1b\n"
                         "movq %rax, 4096(%rbx)\n"
                         "jmp 1b\n");

_Static_assert(SIBLINGS_WRITES == 1500, "sibling_writes");
_Static_assert(SIBLINGS_PAGE == KIT_L2_DATA, "the page");

static struct kit_guest guests[2];
static volatile int64_t second_left; /* with this reason */

static void prepare(struct kit_guest *guest, uint32_t l2, const void *code)
{
    kit_open_in(guest, l2, KIT_LONG, code);
    guest->vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    guest->vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA;
}

static _Noreturn void second_vcpu(struct kit_guest *guest)
{
    second_left = kit_exit(guest);
    for (;;)
        __asm__ volatile("pause");
}

static void both(void)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;
    uint32_t l2 = (uint32_t)kit_l2_create("siblings");

    prepare(&guests[0], l2, sibling_writes);
    prepare(&guests[1], l2, sibling_counts);
    CHECK_EQ(
        "the second vCPU starts",
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)second_vcpu, stack, kit_address(&guests[1])),
        1);
    CHECK_EQ("the first one's end", kit_exit(&guests[0]), MEZZ_EXIT_HLT);
    while (mezz_call(MEZZ_CALL_L1_INTERRUPT, 1, KICK, 0) == -MEZZ_E_BUSY)
        ;
    while (second_left == 0)
        __asm__ volatile("pause");
    CHECK_EQ("the second one's end", second_left, MEZZ_EXIT_EXTERNAL_INTERRUPT);
}

const struct kit_group kit_groups[] = {
    {"both", both, false},
    {NULL, NULL, false},
};

KIT_PROGRAM
