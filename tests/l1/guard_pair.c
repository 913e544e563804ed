/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarded calls from two vCPUs of one L2 at once, which L1's two vCPUs run. The L2 has no kernel:
 * address spaces, the library, the agent and a program in ring 3, made here of the modules that the
 * stack gives the L2 "pair". Each vCPU calls a guarded function all the time, and before each call
 * reads and writes what it has been given to spy on.
 *
 * "spaces": an address space each; the second one has the first one's agent mapped elsewhere, and
 * spies on that. "space": both in one, in which one call at a time is let in; both spy on its
 * agent.
 */
#include <elf.h>

#include "kit.h"
#include "mezz/gate.h"
#include "mezz/guard.h"

#define KICK   40
#define ROUNDS 200
/* Of which some have to be let in: more than a vCPU tries while the other one is held up amid a
 * call for some time slices of the host. */
#define ROUNDS_BESIDE 4000
#define FOR_EVER      (~0ULL)
#define LIBRARY_SUM   0x10006000ULL /* api_sum, by api.ld */
#define AGENT_RECORD  0x10209000ULL /* by agent.ld */
#define ELSEWHERE     0x30000000ULL
#define STACK         0x30002000ULL
#define BYTES         2048 /* that a call sums up: it is inside for a while */

#define PTE_TABLE     0x67ULL /* present, writable, of ring 3, accessed, dirty */
#define PTE_CODE      0x25ULL
#define PTE_DATA      (PTE_TABLE | 1ULL << 63)
#define PTE_ADDRESS   0x000ffffffffff000ULL
#define EFER_NXE      0x800ULL
#define CR0_TS        0x8ULL

/* What a vCPU counts, at RBX. */
enum {
    COUNT_RIGHT,   /* results */
    COUNT_REFUSED, /* -1 */
    COUNT_WRONG,   /* any other */
    COUNT_SPIED,   /* reads that gave anything but ones */
    COUNTS
};

/* R12: rounds; R13: bytes, R14: the function, R15: its result; RBP: what it spies on. */
KIT_CODE(pair_calls, "1: cmpq $0, 0x20000000\n" /* before the first call there is no agent */
                     "je 7f\n"
                     "movq (%rbp), %rax\n"
                     "cmpq $-1, %rax\n"
                     "je 2f\n"
                     "incq 24(%rbx)\n"
                     "2: movq %r12, (%rbp)\n"
                     "7: movq %r13, %rdi\n"
                     "movl $2048, %esi\n"
                     "call *%r14\n"
                     "cmpq %r15, %rax\n"
                     "jne 3f\n"
                     "incq (%rbx)\n"
                     "jmp 5f\n"
                     "3: cmpq $-1, %rax\n"
                     "jne 4f\n"
                     "incq 8(%rbx)\n"
                     "jmp 5f\n"
                     "4: incq 16(%rbx)\n"
                     "5: decq %r12\n"
                     "jnz 1b\n"
                     "movq %r12, 0x20002000\n"
                     "6: jmp 6b\n");
_Static_assert(BYTES == 2048 && KIT_L2_ABSENT == 0x20002000 && KIT_L2_DATA == 0x20000000 &&
                   COUNT_SPIED == 3,
               "the code's numbers");

static struct kit_guest guests[2];
static uint64_t *space[2]; /* page tables; both are one in the group "space" */
static unsigned int spaces;
static volatile int64_t second_left; /* with this reason */

/* Pages of L2 that are where L1 has them. */
static void *l2_pages(unsigned int count)
{
    uint8_t *pages = kit_pages(count);

    for (unsigned int i = 0; i < count; i++)
        kit_ept_map(guests[0].pml4, kit_address(pages + i * MEZZ_PAGE_SIZE),
                    pages + i * MEZZ_PAGE_SIZE, MEZZ_EPT_RWX);
    return pages;
}

static uint64_t *leaf_of(uint64_t *pml4, uint64_t linear)
{
    uint64_t *table = pml4;

    for (unsigned int shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = &table[linear >> shift & (MEZZ_EPT_ENTRIES - 1)];

        if (*entry == 0)
            *entry = kit_address(l2_pages(1)) | PTE_TABLE;
        table = kit_at(*entry & PTE_ADDRESS);
    }
    return &table[linear >> 12 & (MEZZ_EPT_ENTRIES - 1)];
}

static void map(uint64_t *pml4, uint64_t linear, uint64_t physical, uint64_t bits)
{
    *leaf_of(pml4, linear) = physical | bits;
}

/* Code and constants are the same frames in each space, data is of each its own. */
static void load_segment(const uint8_t *file, const Elf64_Phdr *segment)
{
    const uint64_t bits = segment->p_flags & PF_W ? PTE_DATA : PTE_CODE;
    void *page = NULL;

    for (uint64_t at = 0; at < segment->p_memsz; at += MEZZ_PAGE_SIZE)
        for (unsigned int i = 0; i < spaces; i++) {
            if (i == 0 || segment->p_flags & PF_W)
                page = l2_pages(1);
            if (at < segment->p_filesz)
                kit_copy(page, file + segment->p_offset + at,
                         segment->p_filesz - at < MEZZ_PAGE_SIZE ? segment->p_filesz - at
                                                                 : MEZZ_PAGE_SIZE);
            map(space[i], segment->p_vaddr + at, kit_address(page), bits);
        }
}

static void load(const char *name)
{
    const struct mezz_pvh_module *modules = kit_at(kit.start_info->modlist_paddr);

    for (uint32_t i = 0; i < kit.start_info->nr_modules; i++) {
        const uint8_t *file = kit_at(modules[i].paddr);
        const Elf64_Ehdr *header = (const void *)file;
        const Elf64_Phdr *segment = (const void *)(file + header->e_phoff);

        if (!kit_same(kit_at(modules[i].cmdline_paddr), name))
            continue;
        for (unsigned int s = 0; s < header->e_phnum; s++)
            if (segment[s].p_type == PT_LOAD)
                load_segment(file, &segment[s]);
        return;
    }
    CHECK(name, false);
}

/* The program and what the processor needs, and the program's own data. */
static void load_program(uint64_t *pml4, uint64_t data)
{
    for (uint64_t at = kit_address(kit_l2_start); at < kit_address(kit_l2_end);
         at += MEZZ_PAGE_SIZE)
        map(pml4, at, at, at < kit_address(kit_l2_pml4) ? PTE_CODE : PTE_DATA);
    for (unsigned int i = 0; i < 2; i++)
        map(pml4, KIT_L2_DATA + i * MEZZ_PAGE_SIZE, data + i * MEZZ_PAGE_SIZE, PTE_DATA);
    map(pml4, KIT_L2_ABSENT, KIT_L2_ABSENT, PTE_DATA);
    map(pml4, MEZZ_GUARD_GATE, MEZZ_GATE_ADDRESS, PTE_DATA);
    for (unsigned int i = 0; i < 2; i++)
        map(pml4, STACK + i * MEZZ_PAGE_SIZE, kit_address(l2_pages(1)), PTE_DATA);
}

/* As api_sum says. */
static uint64_t sum_of(const uint8_t *bytes)
{
    uint64_t low = 1;
    uint64_t high = 0;

    for (unsigned int i = 0; i < BYTES; i++) {
        low = (low + bytes[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

static void prepare(unsigned int i, uint64_t rounds, uint64_t spies_on)
{
    struct mezz_vmcs12 *vmcs = guests[i].vmcs;

    vmcs->controls.pin_based = MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING;
    vmcs->ept.eptp = MEZZ_EPTP(kit_address(guests[0].pml4));
    vmcs->system.guest_cr3 = kit_address(space[i]);
    vmcs->system.guest_efer |= EFER_NXE;
    vmcs->system.guest_cr0 |= CR0_TS;
    vmcs->regs.gpr[MEZZ_RSP] = STACK + (i + 1) * MEZZ_PAGE_SIZE;
    vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + i * COUNTS * 8;
    vmcs->regs.gpr[MEZZ_RBP] = spies_on;
    vmcs->regs.gpr[MEZZ_R12] = rounds;
    vmcs->regs.gpr[MEZZ_R13] = KIT_L2_DATA + MEZZ_PAGE_SIZE;
    vmcs->regs.gpr[MEZZ_R14] = LIBRARY_SUM;
    vmcs->regs.gpr[MEZZ_R15] = sum_of((const uint8_t *)guests[0].data + MEZZ_PAGE_SIZE);
}

static _Noreturn void run_second(struct kit_guest *guest)
{
    second_left = kit_exit(guest);
    for (;;)
        __asm__ volatile("pause");
}

static void make_spaces(void)
{
    uint8_t *bytes = (uint8_t *)guests[0].data + MEZZ_PAGE_SIZE;

    for (unsigned int i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (unsigned int i = 0; i < spaces; i++)
        space[i] = l2_pages(1);
    if (spaces == 1)
        space[1] = space[0];
    load("l2=pair module=libapi.elf");
    load("l2=pair module=agent.elf");
    for (unsigned int i = 0; i < spaces; i++)
        load_program(space[i], KIT_L2_DATA);
    for (unsigned int i = 0; i < spaces; i++)
        map(space[i], ELSEWHERE, *leaf_of(space[0], AGENT_RECORD) & PTE_ADDRESS, PTE_DATA);
}

static void put_counts(const char *who, const uint64_t *counts)
{
    static const char *const names[COUNTS] = {" right ", ", refused ", ", wrong ", ", spied "};
    struct kit_line line;

    line.length = 0;
    kit_put(&line, who);
    for (unsigned int i = 0; i < COUNTS; i++) {
        kit_put(&line, names[i]);
        kit_put_hex(&line, counts[i]);
    }
    kit_show(&line);
}

static void run(void)
{
    uint64_t stack = kit_address(kit_pages(4)) + 4 * MEZZ_PAGE_SIZE - 8;

    CHECK_EQ(
        "the second vCPU starts",
        mezz_call(MEZZ_CALL_L1_VCPU_START, (uint64_t)run_second, stack, kit_address(&guests[1])),
        1);
    CHECK_EQ("the first one's end", kit_exit(&guests[0]), MEZZ_EXIT_EPT_VIOLATION);
    CHECK_EQ("where", guests[0].vmcs->exit.guest_physical_address, KIT_L2_ABSENT);
    while (mezz_call(MEZZ_CALL_L1_INTERRUPT, 1, KICK, 0) == -MEZZ_E_BUSY)
        ;
    while (second_left == 0)
        __asm__ volatile("pause");
    CHECK_EQ("the second one's end", second_left, MEZZ_EXIT_EXTERNAL_INTERRUPT);
}

static void both(unsigned int count)
{
    const uint32_t l2 = (uint32_t)kit_l2_create("pair");
    const uint64_t rounds = count == 2 ? ROUNDS : ROUNDS_BESIDE;
    const uint64_t *counts;

    spaces = count;
    for (unsigned int i = 0; i < 2; i++)
        CHECK_EQ("a vCPU", kit_open_in(&guests[i], l2, KIT_USER, pair_calls), i + 1);
    make_spaces();
    prepare(0, rounds, AGENT_RECORD);
    prepare(1, FOR_EVER, count == 2 ? ELSEWHERE : AGENT_RECORD);
    run();
    counts = guests[0].data;
    put_counts("first:", counts);
    put_counts("second:", counts + COUNTS);
    CHECK_EQ("each call came back", counts[COUNT_RIGHT] + counts[COUNT_REFUSED], rounds);
    for (unsigned int i = 0; i < 2; i++, counts += COUNTS) {
        CHECK("calls were let in", counts[COUNT_RIGHT] > 0);
        CHECK_EQ("refused ones", counts[COUNT_REFUSED], count == 2 ? 0 : counts[COUNT_REFUSED]);
        CHECK_EQ("wrong results", counts[COUNT_WRONG], 0);
        CHECK_EQ("what the agent has is not seen", counts[COUNT_SPIED], 0);
    }
}

static void two_spaces(void)
{
    both(2);
}

static void one_space(void)
{
    both(1);
}

const struct kit_group kit_groups[] = {
    {"spaces", two_spaces, true},
    {"space", one_space, true},
    {NULL, NULL, false},
};

KIT_PROGRAM
