/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two vCPUs of one L2 in different views at the same time, each on an L1 vCPU of its own, in one
 * address space. The first one's ring 0 writes a page table entry and says so; the second one,
 * which waits for that without an exit, says INVLPG and lets ring 3 read, and write, through the
 * entry. A group for each kind of change; the two entries are in turn.
 */
#include "kit.h"
#include "kit_views.h"

#define PAGE_LINEAR 0x30010000ULL
#define FIRST       0x20010000ULL
#define SECOND      0x20011000ULL
#define TABLE       (KIT_L2_DATA + MEZZ_PAGE_SIZE)
#define TSS         (KIT_L2_DATA + 0x800)
#define FIRST_WORD  1001U
#define SECOND_WORD 1002U
#define STORED      (1ULL << 32)

#define ENTRY       0x67ULL /* present, writable, user, accessed, dirty */
#define ROUNDS      100U
#define LEAST       20U /* on a slow machine */
#define LIMIT_NS    6000000000ULL
#define SLICE_US    50000

/* What the vCPUs share, at KIT_L2_DATA, which RDI is. */
enum {
    WORD_WRITTEN, /* the round whose entry is there */
    WORD_READ,    /* the last one that the second vCPU has ended */
    WORD_STALE,   /* rounds in which ring 3 met something else than the entry */
    WORD_MET,     /* what it met in the last of them */
    WORD_BITS,    /* rounds whose entry lacked accessed and dirty bits at the end */
    WORD_EVEN,    /* what is to be met */
    WORD_ODD,
    WORDS
};

/* R8: the entry's place; R9: its value in odd rounds; R10: in even ones; ESI: rounds; R12: the bits
 * that it has to have in the end. */
KIT_CODE(coherent_writes, "xorl %ecx, %ecx\n"
                          "1: incl %ecx\n"
                          "movq %r10, %rax\n"
                          "testl $1, %ecx\n"
                          "jz 2f\n"
                          "movq %r9, %rax\n"
                          "2: movq %rax, (%r8)\n"
                          "mfence\n"
                          "movq %rcx, (%rdi)\n"
                          "3: pause\n"
                          "cmpq %rcx, 8(%rdi)\n"
                          "jne 3b\n"
                          "movq (%r8), %rax\n"
                          "andq %r12, %rax\n"
                          "cmpq %r12, %rax\n"
                          "je 4f\n"
                          "incq 32(%rdi)\n"
                          "4: cmpl %esi, %ecx\n"
                          "jb 1b\n"
                          "5: hlt\n"
                          "jmp 5b\n");
/* RBX: the page; ESI: rounds; R12: whether ring 3 writes, too. It ends with an exception, UD2's or
 * the page's; R14: what it has read, R11: whether it has written. */
KIT_CODE(coherent_reads, "xorl %r15d, %r15d\n"
                         "movq %rsp, %r13\n"
                         "1: incl %r15d\n"
                         "2: pause\n"
                         "cmpq %r15, (%rdi)\n"
                         "jne 2b\n"
                         "invlpg (%rbx)\n"
                         "xorl %r14d, %r14d\n"
                         "xorl %r11d, %r11d\n"
                         "movq %rsp, %rax\n"
                         "pushq $0x23\n"
                         "pushq %rax\n"
                         "pushq $0x202\n"
                         "pushq $0x2b\n"
                         "leaq 3f(%rip), %rax\n"
                         "pushq %rax\n"
                         "iretq\n"
                         "3: movl (%rbx), %r14d\n"
                         "testq %r12, %r12\n"
                         "jz 4f\n"
                         "movl %r15d, 8(%rbx)\n"
                         "movl $1, %r11d\n"
                         "4: ud2\n"
                         ".globl coherent_trap\n"
                         "coherent_trap: movq %r13, %rsp\n"
                         "shlq $32, %r11\n"
                         "orq %r14, %r11\n"
                         "movl %r15d, %eax\n"
                         "andl $1, %eax\n"
                         "cmpq %r11, 40(%rdi, %rax, 8)\n"
                         "je 5f\n"
                         "incq 16(%rdi)\n"
                         "movq %r11, 24(%rdi)\n"
                         "5: movq %r15, 8(%rdi)\n"
                         "cmpl %esi, %r15d\n"
                         "jb 1b\n"
                         "6: hlt\n"
                         "jmp 6b\n");
extern const char coherent_trap[];

_Static_assert(WORD_READ == 1 && WORD_STALE == 2 && WORD_MET == 3 && WORD_BITS == 4 &&
                   WORD_EVEN == 5 && KIT_USER_DATA == 0x20 && KIT_USER_CODE64 == 0x28,
               "the code's numbers");

struct change {
    uint64_t odd, even;         /* the entry */
    uint64_t met_odd, met_even; /* what ring 3 meets */
    uint64_t bits;
    bool writes;
};

static struct kit_views views;
static struct kit_guest second;
static volatile uint64_t end;         /* of the time */
static volatile int64_t second_ended; /* with this reason */

static void set_gate(uint8_t vector)
{
    uint64_t *gate = kit_at(kit_address(kit_l2_idt) + vector * 16U);
    const uint64_t to = kit_address(coherent_trap);

    gate[0] = (to & 0xffff) | KIT_CODE64 << 16 | 0x8eULL << 40 | (to >> 16 & 0xffff) << 48;
    gate[1] = to >> 32;
}

/* The page of linear addresses, and where ring 3 goes when it ends. */
static void prepare_memory(void)
{
    const uint64_t *top = kit_at(kit_address(kit_l2_pml4));
    const uint64_t *pointers = kit_at(top[0] & MEZZ_EPT_ADDRESS);
    uint64_t *directory = kit_at(pointers[0] & MEZZ_EPT_ADDRESS);
    uint32_t *first_page = kit_pages(1);
    uint32_t *second_page = kit_pages(1);
    const uint64_t stack = kit_address(kit_l2_stack) - 512;

    first_page[0] = FIRST_WORD;
    second_page[0] = SECOND_WORD;
    for (uint32_t i = 0; i < views.count; i++) {
        kit_ept_map(views.pml4[i], FIRST, first_page, MEZZ_EPT_RWX);
        kit_ept_map(views.pml4[i], SECOND, second_page, MEZZ_EPT_RWX);
    }
    directory[PAGE_LINEAR >> 21] = TABLE | ENTRY;
    set_gate(6);
    set_gate(14);
    kit_copy((uint8_t *)views.guest.data + 0x804, &stack, sizeof(stack));
}

static void prepare_guest(struct kit_guest *guest, const struct change *change)
{
    uint64_t *gpr = guest->vmcs->regs.gpr;

    guest->vmcs->system.segment[MEZZ_TR].base = TSS;
    guest->vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    gpr[MEZZ_RDI] = KIT_L2_DATA;
    gpr[MEZZ_RBX] = PAGE_LINEAR;
    gpr[MEZZ_RSI] = ROUNDS;
    gpr[MEZZ_R8] = TABLE + (PAGE_LINEAR >> 12) % 512 * 8;
    gpr[MEZZ_R9] = change->odd;
    gpr[MEZZ_R10] = change->even;
    kit_use_timer(guest, SLICE_US);
}

static int64_t run_until_the_end(const struct kit_guest *guest)
{
    int64_t reason;

    do
        reason = kit_exit(guest);
    while (reason == MEZZ_EXIT_PREEMPTION_TIMER && kit_time() < end);
    return reason;
}

static _Noreturn void second_vcpu(struct kit_guest *guest)
{
    second_ended = run_until_the_end(guest);
    for (;;)
        __asm__ volatile("pause");
}

static bool ended_well(int64_t reason)
{
    return reason == MEZZ_EXIT_HLT || reason == MEZZ_EXIT_PREEMPTION_TIMER;
}

static void run(const struct change *change)
{
    const uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;
    const volatile uint64_t *words;
    int64_t reason;

    kit_views_open(&views, KIT_LONG, coherent_writes, 2);
    kit_open(&second, KIT_LONG, coherent_reads);
    prepare_memory();
    CHECK_EQ("two views", kit_set_list(&views).status, 0);
    prepare_guest(&views.guest, change);
    views.guest.vmcs->regs.gpr[MEZZ_R12] = change->bits;
    prepare_guest(&second, change);
    second.vmcs->regs.gpr[MEZZ_R12] = change->writes;
    second.vmcs->regs.gpr[MEZZ_RSP] = kit_address(kit_l2_stack) - 256;
    second.vmcs->ept.eptp = views.list[1];
    second.vmcs->ept.eptp_index = 1;
    views.guest.data[WORD_ODD] = change->met_odd;
    views.guest.data[WORD_EVEN] = change->met_even;
    words = views.guest.data;
    end = kit_time() + LIMIT_NS;
    CHECK_EQ("the second vCPU starts",
             mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)second_vcpu, stack, kit_address(&second)),
             1);
    reason = run_until_the_end(&views.guest);
    while (second_ended == 0)
        __asm__ volatile("pause");
    CHECK("the first one's end", ended_well(reason));
    CHECK("the second one's end", ended_well(second_ended));
    CHECK_EQ("the second one's view", second.vmcs->ept.eptp_index, 1);
    CHECK("enough rounds", words[WORD_READ] >= LEAST);
    CHECK_EQ("rounds in which ring 3 met something else than the entry", words[WORD_STALE], 0);
    CHECK_EQ("the last of these", words[WORD_MET], 0);
    CHECK_EQ("rounds without accessed and dirty bits", words[WORD_BITS], 0);
}

static void remap(void)
{
    run(&(struct change){.odd = FIRST | ENTRY,
                         .even = SECOND | ENTRY,
                         .met_odd = FIRST_WORD,
                         .met_even = SECOND_WORD});
}

static void unmap(void)
{
    run(&(struct change){.odd = FIRST | ENTRY, .even = 0, .met_odd = FIRST_WORD, .met_even = 0});
}

static void protect(void)
{
    run(&(struct change){.odd = FIRST | ENTRY,
                         .even = FIRST | (ENTRY & ~2ULL),
                         .met_odd = FIRST_WORD | STORED,
                         .met_even = FIRST_WORD,
                         .writes = true});
}

static void bits(void)
{
    run(&(struct change){.odd = FIRST | 7,
                         .even = SECOND | 7,
                         .met_odd = FIRST_WORD | STORED,
                         .met_even = SECOND_WORD | STORED,
                         .bits = 0x60,
                         .writes = true});
}

const struct kit_group kit_groups[] = {
    {"remap", remap, true}, {"unmap", unmap, true}, {"protect", protect, true},
    {"bits", bits, true},   {NULL, NULL, false},
};

KIT_PROGRAM
