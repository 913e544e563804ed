/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 whose two vCPUs run the two vCPUs of one L2 in one view: the first writes to pages that are
 * copied when they are written, while the second reads the page that is about to be. L1 hears of
 * each copy by a callback; from then on nobody may read the old page any more.
 */
#include "kit.h"

#define KICK  40
#define PAGES 16
#define COW   (MEZZ_EPT_READ | MEZZ_EPT_EXECUTE | MEZZ_EPT_COPY_ON_WRITE)

/* Of both, at RBX. */
enum {
    WORD_PAGE,  /* the page that is written next */
    WORD_SEEN,  /* the one that was read last, */
    WORD_VALUE, /* and what was there */
    WORD_READS
};

/* RSI: the first page, RCX: how many. Each gets its own address, once the other one reads it. */
KIT_CODE(copies_writes, "1: movq %rsi, (%rbx)\n"
                        "2: cmpq %rsi, 8(%rbx)\n"
                        "jne 2b\n"
                        "movq %rsi, (%rsi)\n"
                        "addq $4096, %rsi\n"
                        "decl %ecx\n"
                        "jnz 1b\n"
                        "3: hlt\n"
                        "jmp 3b\n");
KIT_CODE(copies_reads, "1: movq (%rbx), %rdi\n"
                       "movq (%rdi), %rax\n"
                       "movq %rax, 16(%rbx)\n"
                       "movq %rdi, 8(%rbx)\n"
                       "incq 24(%rbx)\n"
                       "jmp 1b\n");

static struct kit_guest guests[2];
static struct kit_callback callback;
static unsigned int copies;
static unsigned int old;             /* reads that came after a copy, of what was there before */
static volatile int64_t second_left; /* with this reason */

/* Of the reads that begin now, one is over when two are. */
static void copied(struct kit_callback *unused)
{
    const volatile uint64_t *words = guests[0].data;
    const uint64_t reads = words[WORD_READS];

    (void)unused;
    while (words[WORD_READS] < reads + 2)
        ;
    copies++;
    old += words[WORD_VALUE] != words[WORD_PAGE];
}

static void prepare(struct kit_guest *guest, uint32_t l2, const void *code)
{
    kit_open_in(guest, l2, KIT_LONG, code);
    guest->vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    guest->vmcs->ept.eptp = MEZZ_EPTP(kit_address(guests[0].pml4));
    guest->vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA;
}

static void prepare_both(void)
{
    uint32_t l2 = (uint32_t)kit_l2_create("copies");
    uint64_t *frames = kit_pages(1);

    prepare(&guests[0], l2, copies_writes);
    prepare(&guests[1], l2, copies_reads);
    for (unsigned int i = 0; i < PAGES; i++) {
        kit_ept_map(guests[0].pml4, KIT_L2_ABSENT + i * MEZZ_PAGE_SIZE, kit_pages(1), COW);
        frames[i] = kit_address(kit_pages(1));
    }
    guests[0].data[WORD_PAGE] = KIT_L2_ABSENT;
    guests[0].vmcs->regs.gpr[MEZZ_RSI] = KIT_L2_ABSENT;
    guests[0].vmcs->regs.gpr[MEZZ_RCX] = PAGES;
    CHECK_EQ("frames", mezz_call(MEZZ_CALL_FRAME_POOL, l2, kit_address(frames), PAGES), 0);
    kit_callback_init(&callback, &guests[0], MEZZ_EXIT_EPT_VIOLATION);
    callback.registration.mode = MEZZ_MODE_OBSERVE;
    callback.hook = copied;
    CHECK("the callback is registered", kit_register(&callback) > 0);
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

    prepare_both();
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
    CHECK_EQ("L1 heard of each copy", copies, PAGES);
    CHECK_EQ("nobody reads the old page", old, 0);
}

const struct kit_group kit_groups[] = {
    {"both", both, false},
    {NULL, NULL, false},
};

KIT_PROGRAM
