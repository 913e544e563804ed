/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks by a second vCPU. L1's two vCPUs run the two vCPUs of one L2. The first one opens a page
 * with a secret and a function for itself by a store to the gate, and closes it again; the second
 * one reads the secret and jumps to the function all the time. In the groups named "views" the gate
 * leads to a view that only the first vCPU is in; in the others L1 has one EPT12 for both, in which
 * it opens the page as long as the first one is inside: the way of a hypervisor without views.
 *
 * "sibling": the first vCPU stays inside until the other one has tried several times.
 * "swap": it goes in and out without a pause.
 */
#include "kit.h"
#include "mezz/gate.h"

#define KICK        40
#define STAYS       100
#define SWAPS       500
#define SWAPS_LIMIT 20000 /* without views, until the attack has succeeded */
#define LEAST       200   /* attempts */
#define SECRET      0x5ec3e75ec3e7ULL
#define FUNCTION    64           /* where it is on its page */
#define PAGE        "0x20002000" /* KIT_L2_ABSENT */

/* The words that the vCPUs share, at RBX. */
enum {
    WORD_INSIDE,   /* how often the first vCPU was there, with what it read right */
    WORD_ATTEMPTS, /* of the second */
    WORD_READ,     /* not 0: it has read the secret */
    WORD_RAN,      /* not 0: the function has run for it */
    WORDS
};

/* RSI: rounds; R8: the secret; RDI: the gate. */
KIT_CODE(pair_stays, "1: movb $1, (%rdi)\n"
                     "movq 8(%rbx), %rcx\n"
                     "2: movq 8(%rbx), %rdx\n"
                     "subq %rcx, %rdx\n"
                     "cmpq $3, %rdx\n"
                     "jb 2b\n"
                     "movq " PAGE ", %rdx\n"
                     "cmpq %rdx, %r8\n"
                     "jne 3f\n"
                     "incq (%rbx)\n"
                     "3: movb $0, (%rdi)\n"
                     "decl %esi\n"
                     "jnz 1b\n"
                     "4: hlt\n"
                     "jmp 4b\n");
/* RBP: least attempts. */
KIT_CODE(pair_swaps, "1: movb $1, (%rdi)\n"
                     "movb $0, (%rdi)\n"
                     "incq (%rbx)\n"
                     "cmpq $0, 16(%rbx)\n"
                     "jne 2f\n"
                     "cmpq %rsi, (%rbx)\n"
                     "jb 1b\n"
                     "cmpq %rbp, 8(%rbx)\n"
                     "jb 1b\n"
                     "2: hlt\n"
                     "jmp 2b\n");
/* RDI: the function, which returns to RBP. */
KIT_CODE(pair_attacks, "leaq 2f(%rip), %rbp\n"
                       "1: jmp *%rdi\n"
                       "2: movq " PAGE ", %rdx\n"
                       "cmpq %rdx, %r8\n"
                       "jne 3f\n"
                       "movq $1, 16(%rbx)\n"
                       "3: incq 8(%rbx)\n"
                       "jmp 1b\n");
/* movq $1, 24(%rbx); jmp *%rbp */
static const uint8_t function[] = {0x48, 0xc7, 0x43, 0x18, 1, 0, 0, 0, 0xff, 0xe5};

_Static_assert(KIT_L2_ABSENT == 0x20002000 && WORD_READ == 2 && WORD_RAN == 3,
               "the code's numbers");

static struct kit_guest guests[2];
static uint64_t *page;
static bool has_views;
static volatile int64_t second_left; /* with this reason */

static void prepare(struct kit_guest *guest, uint32_t l2, const void *code)
{
    struct mezz_vmcs12_regs *regs;

    kit_open_in(guest, l2, KIT_LONG, code);
    regs = &guest->vmcs->regs;
    guest->vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    guest->vmcs->ept.eptp = MEZZ_EPTP(kit_address(guests[0].pml4));
    regs->gpr[MEZZ_RBX] = KIT_L2_DATA;
    regs->gpr[MEZZ_R8] = SECRET;
}

static void make_views(void)
{
    uint64_t *list = kit_pages(1);
    uint64_t *inside = kit_ept(guests[0].data);

    kit_ept_map(inside, KIT_L2_ABSENT, page, MEZZ_EPT_RWX);
    list[0] = guests[0].vmcs->ept.eptp;
    list[1] = MEZZ_EPTP(kit_address(inside));
    CHECK_EQ("two views", mezz_call(MEZZ_CALL_EPTP_LIST, guests[0].l2, kit_address(list), 2), 0);
}

/* Without views: the first vCPU's store to the gate, which is no page of EPT12. */
static void open_or_close(const struct kit_guest *guest)
{
    *kit_ept_leaf(guests[0].pml4, KIT_L2_ABSENT) =
        guest->vmcs->exit.value & 1 ? kit_address(page) | KIT_LEAF : 0;
    kit_invept(&guests[0]);
}

static int64_t run_first(void)
{
    const struct kit_guest *guest = &guests[0];
    int64_t reason;

    while ((reason = kit_exit(guest)) == MEZZ_EXIT_EPT_VIOLATION &&
           guest->vmcs->exit.guest_physical_address == MEZZ_GATE_ADDRESS && !has_views)
        open_or_close(guest);
    return reason;
}

/* A refused read reads ones; a refused jump goes back. */
static _Noreturn void run_second(struct kit_guest *guest)
{
    struct mezz_vmcs12 *vmcs = guest->vmcs;
    int64_t reason;

    while ((reason = kit_exit(guest)) == MEZZ_EXIT_EPT_VIOLATION) {
        if (!(vmcs->exit.qualification & MEZZ_EPT_VIOLATION_FETCH))
            continue;
        vmcs->regs.guest_rip = vmcs->regs.gpr[MEZZ_RBP];
        kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    }
    second_left = reason;
    for (;;)
        __asm__ volatile("pause");
}

static void say(const char *what, bool succeeded)
{
    struct kit_line line;

    line.length = 0;
    kit_put(&line, "attack: ");
    kit_put(&line, kit.group);
    kit_put(&line, what);
    kit_put(&line, succeeded ? ": succeeded" : ": failed");
    kit_show(&line);
}

static void attack(const void *code, uint64_t rounds)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;
    uint32_t l2 = (uint32_t)kit_l2_create("pair");
    volatile uint64_t *words;

    page = kit_pages(1);
    page[0] = SECRET;
    kit_copy((uint8_t *)page + FUNCTION, function, sizeof(function));
    prepare(&guests[0], l2, code);
    prepare(&guests[1], l2, pair_attacks);
    guests[0].vmcs->regs.gpr[MEZZ_RDI] = MEZZ_GATE_ADDRESS;
    guests[0].vmcs->regs.gpr[MEZZ_RSI] = rounds;
    guests[0].vmcs->regs.gpr[MEZZ_RBP] = LEAST;
    guests[1].vmcs->regs.gpr[MEZZ_RDI] = KIT_L2_ABSENT + FUNCTION;
    if (has_views)
        make_views();
    words = guests[0].data;
    CHECK_EQ(
        "the second vCPU starts",
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)run_second, stack, kit_address(&guests[1])),
        1);
    CHECK_EQ("the first one's end", run_first(), MEZZ_EXIT_HLT);
    while (mezz_call(MEZZ_CALL_L1_INTERRUPT, 1, KICK, 0) == -MEZZ_E_BUSY)
        ;
    while (second_left == 0)
        __asm__ volatile("pause");
    CHECK_EQ("the second one's end", second_left, MEZZ_EXIT_EXTERNAL_INTERRUPT);
    CHECK("the first one was inside", words[WORD_INSIDE] > 0);
    CHECK("the second one tried", words[WORD_ATTEMPTS] > 0);
    if (has_views || code == pair_stays)
        CHECK("often", words[WORD_ATTEMPTS] >= LEAST);
    say("-read", words[WORD_READ] != 0);
    say("-run", words[WORD_RAN] != 0);
}

static void sibling_views(void)
{
    has_views = true;
    attack(pair_stays, STAYS);
    CHECK_EQ("its own reads are right", guests[0].data[WORD_INSIDE], STAYS);
}

static void sibling(void)
{
    attack(pair_stays, STAYS);
}

static void swap_views(void)
{
    has_views = true;
    attack(pair_swaps, SWAPS);
}

static void swap(void)
{
    attack(pair_swaps, SWAPS_LIMIT);
}

const struct kit_group kit_groups[] = {
    {"sibling-views", sibling_views, true},
    {"sibling", sibling, true},
    {"swap-views", swap_views, true},
    {"swap", swap, true},
    {NULL, NULL, false},
};

KIT_PROGRAM
