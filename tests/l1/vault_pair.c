/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 whose two vCPUs run the two vCPUs of one L2 in one address space: the first is a program in
 * ring 3 that calls a portion of its own, the second a kernel that wants the portion's key.
 *
 * "kept", "lost": it reads the key while the first one is inside; the portion is protected in the
 * one and not in the other. "unmapped": it takes the key's page out of the page tables under the
 * feet of the first one, and reads it by another address. "called", "asked": the portion calls its
 * kernel, with and without the second vCPU, which could have made a fault a call.
 */
#include "vault_pair.h"

#include "kit.h"

#define MAIN          0x403000ULL
#define STACK         0x404000ULL
#define BELL          0x405000ULL /* no memory */
#define TASK          0x406000ULL /* TSS */
#define ALIAS         0x407000ULL /* the key's page once more, for ring 0 */
#define TABLE         0x408000ULL /* the page table of all this */
#define PAGES         9
#define CALLS         8
#define TRIES         3 /* while the first one is inside */
#define FOR_EVER      (1ULL << 62)
#define LONG_NS       200000000ULL
#define KICK          40

#define USER          0x25ULL /* present, accessed */
#define WRITES        0x42ULL
#define KERNEL        0x63ULL
#define NX            (1ULL << 63)
#define EFER_NX       0x800ULL
#define EFER_SYSCALL  1ULL
#define SYSENTER_CODE 8ULL

/* Of a kernel, in the page of the TSS, and what it is made of. */
#define SEGMENTS        0x80ULL
#define GATES           0x100ULL
#define CODE            8ULL
#define CODE_64         0x00af9b000000ffffULL
#define GATE            0x8e00ULL
#define GATE_OF_PROGRAM 0xee00ULL
#define VECTOR_INVALID  6
#define PAGE_FAULT      14
#define NOWHERE         0x40a000ULL
#define FLAG_1          2ULL     /* which is always set */
#define PROGRAM_FLAGS   0x8d5ULL /* CF, PF, AF, ZF, SF, OF */

/* At RBX. */
enum {
    WORD_INSIDE,
    WORD_TRIES,
    WORD_RIGHT, /* calls in which the portion had its key */
    WORD_WHILE, /* tries with the first one inside before and after */
    WORD_LEAKED,
    WORD_DONE,
    WORD_TURNS, /* of the first one, inside */
    WORD_THEN   /* what that was when the other one had read */
};

KIT_CODE_AFTER(vault_code, VAULT_TEXT KIT_AFTER(vault_code));
/* R9: the portion, RBP: calls, R10: where nothing is. */
KIT_CODE_AFTER(vault_main, "1: callq *%r9\n"
                           "decl %ebp\n"
                           "jnz 1b\n"
                           "movq $1, 40(%rbx)\n"
                           "movq %rax, (%r10)\n"
                           "2: jmp 2b\n" KIT_AFTER(vault_main));
/* RSI: the key, RDI: what it is. Before the first call nothing is protected. */
KIT_CODE(thief_reads, "cmpq $0, (%rbx)\n"
                      "je thief_reads\n"
                      "1: movq (%rbx), %r8\n"
                      "movq (%rsi), %rax\n"
                      "cmpq %rdi, %rax\n"
                      "jne 2f\n"
                      "incq 32(%rbx)\n"
                      "2: testq (%rbx), %r8\n"
                      "jz 3f\n"
                      "incq 24(%rbx)\n"
                      "3: incq 8(%rbx)\n"
                      "cmpq $0, 40(%rbx)\n"
                      "je 1b\n"
                      "hlt\n");
/* R11: the key's entry in the page table, R12: the other address. */
KIT_CODE(thief_unmaps, "1: cmpq $0, 48(%rbx)\n"
                       "je 1b\n"
                       "movq $0, (%r11)\n"
                       "invlpg (%rsi)\n"
                       "movq (%r12), %rax\n"
                       "movq 48(%rbx), %rcx\n"
                       "movq %rcx, 56(%rbx)\n"
                       "movq %rax, 24(%rbx)\n"
                       "cmpq %rdi, %rax\n"
                       "jne 2f\n"
                       "incq 32(%rbx)\n"
                       "2: hlt\n");

/* What a page fault pushes: an error code, RIP, CS, RFLAGS. */
KIT_CODE(kernel_looks, "movq 24(%rsp), %rax\n"
                       "hlt\n");

/* By a call of the portion's, and by the invalid opcode that some hosts make of it. */
KIT_CODE(kernel_called, "hlt\n");
KIT_CODE(kernel_invalid, "hlt\n");

static struct kit_guest guests[2];
static uint64_t *pages[PAGES];
static uint64_t *low; /* the page table of the image's part for L2s */
static volatile int64_t first_left;

static uint64_t *words(void)
{
    return pages[(VAULT_WORDS - VAULT_CODE) / MEZZ_PAGE_SIZE];
}

/* One table for the program, one for what the kit has for L2s, which ring 3 cannot use. */
static uint64_t make_tables(void)
{
    static const uint64_t flags[PAGES] = {USER,   USER | WRITES | NX, USER | WRITES | NX,
                                          USER,   USER | WRITES | NX, USER | WRITES | NX,
                                          KERNEL, KERNEL | NX,        KERNEL | NX};
    uint64_t *table = pages[PAGES - 1];
    uint64_t *upper = kit_pages(3);

    low = kit_pages(1);
    for (uint64_t i = 0; i < PAGES; i++)
        table[i] = (VAULT_CODE + i * MEZZ_PAGE_SIZE) | flags[i];
    table[(ALIAS - VAULT_CODE) / MEZZ_PAGE_SIZE] = VAULT_KEY | KERNEL | NX;
    for (uint64_t at = kit_address(kit_l2_start); at < kit_address(kit_l2_end);
         at += MEZZ_PAGE_SIZE)
        low[at / MEZZ_PAGE_SIZE] = at | KERNEL;
    upper[0] = kit_address(upper + MEZZ_EPT_ENTRIES) | 0x67;
    upper[MEZZ_EPT_ENTRIES] = kit_address(upper + 2 * MEZZ_EPT_ENTRIES) | 0x67;
    upper[2 * MEZZ_EPT_ENTRIES] = kit_address(low) | 0x67;
    upper[2 * MEZZ_EPT_ENTRIES + VAULT_CODE / 0x200000] = TABLE | 0x67;
    for (unsigned int i = 0; i < 3; i++)
        kit_ept_map(guests[0].pml4, kit_address(upper) + i * MEZZ_PAGE_SIZE,
                    upper + i * MEZZ_EPT_ENTRIES, MEZZ_EPT_RWX);
    kit_ept_map(guests[0].pml4, kit_address(low), low, MEZZ_EPT_RWX);
    return kit_address(upper);
}

static void make_memory(void)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        const uint64_t l2 = VAULT_CODE + i * MEZZ_PAGE_SIZE;

        pages[i] = kit_pages(1);
        if (l2 != BELL && l2 != ALIAS)
            kit_ept_map(guests[0].pml4, l2, pages[i], MEZZ_EPT_RWX);
    }
    kit_copy(pages[0], vault_code, (uint64_t)(vault_code_after - vault_code));
    kit_copy(pages[(MAIN - VAULT_CODE) / MEZZ_PAGE_SIZE], vault_main,
             (uint64_t)(vault_main_after - vault_main));
    pages[1][0] = VAULT_SECRET;
}

static void prepare(struct kit_guest *guest, uint64_t cr3)
{
    struct mezz_vmcs12 *vmcs = guest->vmcs;

    vmcs->system.guest_cr3 = cr3;
    vmcs->system.guest_efer |= EFER_NX;
    vmcs->system.segment[MEZZ_TR].base = TASK;
    vmcs->system.idtr = (struct mezz_descriptor_table){.base = TASK, .limit = 0};
    vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    vmcs->ept.eptp = MEZZ_EPTP(kit_address(guests[0].pml4));
    vmcs->regs.gpr[MEZZ_RBX] = VAULT_WORDS;
    vmcs->regs.gpr[MEZZ_RSI] = VAULT_KEY;
}

/* Returns CR3. */
static uint64_t prepare_first(uint32_t l2, uint64_t tries)
{
    uint64_t *first;
    uint64_t cr3;

    kit_open_in(&guests[0], l2, KIT_USER, vault_main);
    make_memory();
    cr3 = make_tables();
    prepare(&guests[0], cr3);
    first = guests[0].vmcs->regs.gpr;
    guests[0].vmcs->regs.guest_rip = MAIN;
    first[MEZZ_RSP] = STACK + MEZZ_PAGE_SIZE - 64;
    first[MEZZ_RDX] = tries;
    first[MEZZ_RBP] = CALLS;
    first[MEZZ_R9] = VAULT_CODE;
    first[MEZZ_R10] = BELL;
    return cr3;
}

static void prepare_both(const void *thief, uint64_t tries)
{
    uint32_t l2 = (uint32_t)kit_l2_create("pair");
    const uint64_t cr3 = prepare_first(l2, tries);
    uint64_t *second;

    kit_open_in(&guests[1], l2, KIT_LONG, thief);
    prepare(&guests[1], cr3);
    second = guests[1].vmcs->regs.gpr;
    second[MEZZ_RDI] = VAULT_SECRET;
    second[MEZZ_R11] = TABLE + (VAULT_KEY - VAULT_CODE) / MEZZ_PAGE_SIZE * 8;
    second[MEZZ_R12] = ALIAS;
}

static _Noreturn void first_vcpu(struct kit_guest *guest)
{
    first_left = kit_exit(guest);
    for (;;)
        __asm__ volatile("pause");
}

/* The program runs on L1's second vCPU, so that this one sees the end of both. */
static void run_both(void)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;

    CHECK_EQ(
        "the program starts",
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)first_vcpu, stack, kit_address(&guests[0])),
        1);
    CHECK_EQ("the other one's end", kit_exit(&guests[1]), MEZZ_EXIT_HLT);
}

static void read_all_the_time(void)
{
    prepare_both(thief_reads, TRIES);
    run_both();
    while (first_left == 0)
        __asm__ volatile("pause");
    CHECK_EQ("the program's end", first_left, MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the portion has its key in each call", words()[WORD_RIGHT], CALLS);
    CHECK("it is tried while the program is inside", words()[WORD_WHILE] >= CALLS);
}

static void kept(void)
{
    read_all_the_time();
    CHECK_EQ("the key is not read", words()[WORD_LEAKED], 0);
}

static void lost(void)
{
    read_all_the_time();
    CHECK("the key is read", words()[WORD_LEAKED] >= CALLS);
}

/* The program's `syscall` or `sysenter` would lead the kernel to a page that the portion's view has
 * to have executable. */
static void lead_to(uint64_t *target)
{
    CHECK_EQ("the program's end", kit_exit(&guests[0]), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the portion was not run", words()[WORD_TURNS], 0);
    *target = kit_address(thief_reads);
    guests[0].vmcs->regs.guest_rip = MAIN;
    guests[0].vmcs->regs.gpr[MEZZ_RBP] = CALLS;
    kit_wrote(&guests[0], MEZZ_GROUP_BIT(MEZZ_GROUP_MSRS) | MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("its end with another target", kit_exit(&guests[0]), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the portion was run", words()[WORD_RIGHT], CALLS);
}

static void lstar(void)
{
    prepare_both(thief_reads, 0);
    guests[0].vmcs->system.guest_efer |= EFER_SYSCALL;
    guests[0].vmcs->msrs.lstar = TASK + 128;
    lead_to(&guests[0].vmcs->msrs.lstar);
}

static void cstar(void)
{
    prepare_both(thief_reads, 0);
    guests[0].vmcs->system.guest_efer |= EFER_SYSCALL;
    guests[0].vmcs->msrs.cstar = TASK + 128;
    lead_to(&guests[0].vmcs->msrs.cstar);
}

static void sysenter(void)
{
    prepare_both(thief_reads, 0);
    guests[0].vmcs->msrs.sysenter_cs = SYSENTER_CODE;
    guests[0].vmcs->msrs.sysenter_eip = TASK + 128;
    lead_to(&guests[0].vmcs->msrs.sysenter_eip);
}

/* Registers that lead nowhere, for the instructions are off. */
static void off(void)
{
    prepare_both(thief_reads, 0);
    guests[0].vmcs->msrs.lstar = guests[0].vmcs->msrs.cstar = TASK + 128;
    guests[0].vmcs->msrs.sysenter_eip = TASK + 128;
    CHECK_EQ("the program's end", kit_exit(&guests[0]), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("the portion was run", words()[WORD_RIGHT], CALLS);
}

static void set_gate(unsigned int vector, const void *code, uint64_t kind)
{
    const uint64_t handler = kit_address(code);
    uint64_t *gate = pages[(TASK - VAULT_CODE) / MEZZ_PAGE_SIZE] + GATES / 8 + 2 * vector;

    gate[0] = (handler & 0xffff) | CODE << 16 | kind << 32 | (handler >> 16 & 0xffff) << 48;
    gate[1] = handler >> 32;
}

/* GDT, IDT and the stack behind the TSS. */
static void make_kernel(void)
{
    uint64_t *task = pages[(TASK - VAULT_CODE) / MEZZ_PAGE_SIZE];
    struct mezz_vmcs12 *vmcs = guests[0].vmcs;

    task[0] = (TASK + MEZZ_PAGE_SIZE) << 32; /* RSP0: bytes 4 to 11 */
    task[1] = (TASK + MEZZ_PAGE_SIZE) >> 32;
    task[SEGMENTS / 8 + 1] = CODE_64;
    set_gate(PAGE_FAULT, kernel_looks, GATE);
    vmcs->system.gdtr = (struct mezz_descriptor_table){.base = TASK + SEGMENTS, .limit = 15};
    vmcs->system.idtr =
        (struct mezz_descriptor_table){.base = TASK + GATES, .limit = 16 * (VAULT_CALL + 1) - 1};
}

/* Where there is another vCPU what was pushed is not believed, and hidden all the same: the portion
 * faults with the flags that it was called with. */
static void flags(void)
{
    prepare_both(thief_reads, 0);
    make_kernel();
    guests[0].vmcs->regs.gpr[MEZZ_RBX] = NOWHERE;
    guests[0].vmcs->regs.guest_rflags |= PROGRAM_FLAGS;
    CHECK_EQ("the kernel's end", kit_exit(&guests[0]), MEZZ_EXIT_HLT);
    CHECK("it came from ring 3", guests[0].vmcs->regs.gpr[MEZZ_RAX] & FLAG_1);
    CHECK_EQ("flags that it finds", guests[0].vmcs->regs.gpr[MEZZ_RAX] & PROGRAM_FLAGS, 0);
    CHECK_EQ("registers", guests[0].vmcs->regs.gpr[MEZZ_RSI], 0);
}

/* On some hosts a vCPU to which nothing is left does not end by itself. */
static void unmapped(void)
{
    uint64_t until;

    prepare_both(thief_unmaps, FOR_EVER);
    run_both();
    CHECK_EQ("the key is not read", words()[WORD_LEAKED], 0);
    CHECK_EQ("what is read is wiped", words()[WORD_WHILE], 0);
    until = kit_time() + LONG_NS;
    while (kit_time() < until)
        ;
    while (first_left == 0 && mezz_call(MEZZ_CALL_L1_INTERRUPT, 1, KICK, 0) == -MEZZ_E_BUSY)
        ;
    while (first_left == 0)
        __asm__ volatile("pause");
    CHECK("the program got no further", first_left == MEZZ_EXIT_EXTERNAL_INTERRUPT ||
                                            first_left == MEZZ_EXIT_TRIPLE_FAULT ||
                                            first_left == MEZZ_EXIT_EPT_VIOLATION);
    CHECK("it was inside", words()[WORD_THEN] > 0);
    CHECK_EQ("nor did the portion", words()[WORD_TURNS], words()[WORD_THEN]);
}

/* The kernel's end. */
static void call_kernel(void)
{
    make_kernel();
    set_gate(VECTOR_INVALID, kernel_invalid, GATE);
    set_gate(VAULT_CALL, kernel_called, GATE_OF_PROGRAM);
    guests[0].vmcs->regs.gpr[MEZZ_R8] = 1;
    CHECK_EQ("the kernel's end", kit_exit(&guests[0]), MEZZ_EXIT_HLT);
}

static void called(void)
{
    prepare_both(thief_reads, 0);
    call_kernel();
    CHECK_EQ("the kernel sees nothing", guests[0].vmcs->regs.gpr[MEZZ_RAX], 0);
}

static void asked(void)
{
    prepare_first((uint32_t)kit_l2_create("alone"), 0);
    call_kernel();
    CHECK_EQ("the kernel is asked", guests[0].vmcs->regs.gpr[MEZZ_RAX], VAULT_SECRET);
}

const struct kit_group kit_groups[] = {
    {"kept", kept, true},   {"lost", lost, true},   {"unmapped", unmapped, true},
    {"lstar", lstar, true}, {"cstar", cstar, true}, {"sysenter", sysenter, true},
    {"off", off, true},     {"flags", flags, true}, {"called", called, true},
    {"asked", asked, true}, {NULL, NULL, false},
};

KIT_PROGRAM
