/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by the processor's tables, which the kernel lets lie in the agent's memory, or has lead
 * to where the agent's view does not expect it. */
#include "abi/tables.h"
#include "programs/attacks/attack.h"

#define AGENT_EXCHANGE 0x1020a000 /* copies of arguments, from its first byte on */
#define NOWHERE        (ELSEWHERE + 0x1000000)
#define PTE_OF_USER    0x65
#define ENTRY          8
#define TEXT_OF(x)     #x
#define TEXT(x)        TEXT_OF(x)

static uint8_t page[PAGE] __attribute__((aligned(4096)));

static int64_t table(uint64_t kind, uint64_t where, uint64_t address)
{
    return tiny_call(TINY_CALL_TABLE, kind, where, address, 0);
}

/* The bytes lie in the exchange, at its beginning, until the next call that copies something. */
static void leave_in_exchange(void)
{
    int64_t handle = api_open("loot.txt", TINY_OPEN_CREATE);

    api_write(handle, page, PAGE);
    api_close(handle);
}

static void put_entry(uint8_t *at, uint64_t address)
{
    const uint64_t entry = frame_of(0, address) | PTE_OF_USER;

    for (unsigned i = 0; i < sizeof(entry); i++) {
        at[i] = (uint8_t)(entry >> 8 * i);
    }
}

/* The exchange is a page table. It leads to a page whose last bytes the agent copies to the
 * beginning of the exchange, so that the next page is the agent's own, and is copied, too. Then the
 * agent denies the call, and all of that stays where a kernel can read it. */
bool attack_table_pages(void)
{
    static const char denied[] = "poison";
    static uint8_t last[PAGE] __attribute__((aligned(4096)));
    const volatile uint8_t *exchange = (const volatile uint8_t *)NOWHERE;

    put_entry(page, (uint64_t)last);
    leave_in_exchange();
    for (unsigned i = 0; i < sizeof(denied); i++) {
        last[PAGE - 2 * ENTRY + i] = (uint8_t)denied[i];
    }
    put_entry(last + PAGE - ENTRY, AGENT_DATA);
    table(TINY_TABLE_PAGES, frame_of(0, AGENT_EXCHANGE), ELSEWHERE);
    api_write(1, (const void *)(ELSEWHERE + PAGE - 2 * ENTRY), PAGE);
    map(NOWHERE, frame_of(0, AGENT_EXCHANGE), TINY_MAP_READ);
    for (unsigned i = 0; i + 2 * ENTRY < PAGE; i++) {
        page[i] = exchange[i + 2 * ENTRY];
    }
    return has_secret(page);
}

/* What a page fault in the agent's view pushes goes over its data. */
bool attack_table_stack(void)
{
    int64_t result;

    api_close(api_open("public.txt", TINY_OPEN_CREATE));
    table(TINY_TABLE_STACK, frame_of(0, AGENT_DATA) + PAGE, 0);
    result = api_open((const char *)NOWHERE, 0);
    table(TINY_TABLE_STACK, 0, 0);
    return result == -TINY_EFAULT;
}

/* The agent copies something over the table that is in use, or may: it is asked for a call. */
static bool in_exchange(uint64_t kind)
{
    bool called;

    if (table(TINY_TABLE_COPY + kind, (uint64_t)page, 0)) {
        return false;
    }
    leave_in_exchange();
    table(kind, frame_of(0, AGENT_EXCHANGE), 0);
    called = api_close(-1) == -TINY_EBADF;
    table(kind, 0, 0);
    return called;
}

bool attack_table_idt(void)
{
    return in_exchange(TINY_TABLE_IDT);
}

bool attack_table_gdt(void)
{
    return in_exchange(TINY_TABLE_GDT);
}

bool attack_table_tss(void)
{
    return in_exchange(TINY_TABLE_TSS);
}

/* A handler on a page that nobody has executed before: it takes the agent's data along, and leaves
 * by the door as if the agent had denied the call. */
extern const uint8_t taker[], taker_end[];
static uint8_t taken[PAGE] __attribute__((aligned(4096)));
__asm__(".text\n"
        "taker:\n"
        "cld\n"
        "movabsq $" TEXT(AGENT_DATA) ", %rsi\n"
                                     "movabsq $taken, %rdi\n"
                                     "movl $0x1000, %ecx\n"
                                     "rep movsb\n"
                                     "addq $8, %rsp\n"
                                     "movabsq $" TEXT(AGENT_DOOR) ", %rax\n"
                                                                  "movq %rax, (%rsp)\n"
                                                                  "movl $1, %edi\n"
                                                                  "movq $-1, %rax\n"
                                                                  "iretq\n"
                                                                  "taker_end:\n");

bool attack_handler(void)
{
    api_close(api_open("public.txt", TINY_OPEN_CREATE));
    for (unsigned i = 0; taker + i < taker_end; i++) {
        page[i] = taker[i];
    }
    taken[0] = 1; /* it is there */
    map(ELSEWHERE, frame_of(0, (uint64_t)page), TINY_MAP_READ | TINY_MAP_EXECUTE);
    table(TINY_TABLE_HANDLER, ELSEWHERE, 0);
    api_open((const char *)NOWHERE, 0);
    table(TINY_TABLE_HANDLER, 0, 0);
    return has_secret(taken);
}
