/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by page tables, for which the kernel is the attacker's. */
#include "programs/attacks/attack.h"

#define MEMORY_PAGES 4096 /* 16 MiB */
#define BEYOND_PAGES 64
#define LARGE_PAGE   0x200000ul
#define TEXT_OF(x)   #x
#define TEXT(x)      TEXT_OF(x)

static uint8_t page[PAGE] __attribute__((aligned(4096)));

static void meet_agent(void)
{
    api_close(api_open("public.txt", TINY_OPEN_CREATE));
}

/* The hook becomes what was there before. */
bool attack_overwrite(void)
{
    volatile uint8_t *hook = (volatile uint8_t *)ELSEWHERE;

    map(ELSEWHERE, frame_of(0, (uint64_t)api_open), TINY_MAP_READ | TINY_MAP_WRITE);
    for (unsigned i = 0; i < TINY_API_PREAMBLE; i++) {
        hook[i] = 0x90;
    }
    return api_open(forbidden_name, TINY_OPEN_CREATE) >= 0 && forbidden_file_exists();
}

/* Over the agent's memory, where its secret is. */
bool attack_overwrite_agent(void)
{
    volatile uint8_t *data = (volatile uint8_t *)ELSEWHERE;

    meet_agent();
    map(ELSEWHERE, frame_of(0, AGENT_DATA), TINY_MAP_READ | TINY_MAP_WRITE);
    for (unsigned i = 0; i < SECRET_BYTES; i++) {
        data[i] = 0x5a;
    }
    return data[0] == 0x5a && data[SECRET_BYTES - 1] == 0x5a;
}

/* Does the function begin with a store to the gate? */
bool attack_read_hook(void)
{
    static const uint8_t gate[] = {0xc6,
                                   0x04,
                                   0x25,
                                   TINY_GATE & 0xff,
                                   TINY_GATE >> 8 & 0xff,
                                   TINY_GATE >> 16 & 0xff,
                                   TINY_GATE >> 24,
                                   GATE_INDEX};
    const volatile uint8_t *code = (const volatile uint8_t *)(uint64_t)api_open;
    bool is_gate = true;

    for (unsigned i = 0; i < sizeof(gate); i++) {
        is_gate &= code[i] == gate[i];
    }
    return is_gate;
}

static uint64_t now(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static int64_t sum_nothing(void)
{
    return api_sum(page, 0);
}

/* The fastest of some calls: others may have been interrupted. */
static uint64_t time_of(int64_t call(void))
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < 64; i++) {
        const uint64_t start = now();
        uint64_t taken;

        call();
        taken = now() - start;
        best = taken < best ? taken : best;
    }
    return best;
}

/* Does a call take much longer than one of a function that nobody guards? */
bool attack_time(void)
{
    return time_of(sum_nothing) > 8 * time_of(api_nothing);
}

/* By an instruction that KVM does not emulate. */
bool attack_read_strange(void)
{
    uint64_t word;

    __asm__ volatile("lar (%1), %0" : "=r"(word) : "r"((uint64_t)api_open) : "cc", "memory");
    return true;
}

static bool has_secret_at(uint64_t frame)
{
    return map(ELSEWHERE, frame, TINY_MAP_READ) == 0 &&
           has_secret((const volatile uint8_t *)ELSEWHERE);
}

/* All of physical memory, page by page, what is beyond it, and what is behind the gate. */
bool attack_discover(void)
{
    meet_agent();
    for (uint64_t i = 0; i < MEMORY_PAGES + BEYOND_PAGES; i++) {
        if (has_secret_at(i * PAGE)) {
            return true;
        }
    }
    return has_secret_at(frame_of(0, TINY_GATE));
}

/* A second mapping of the agent's data. */
bool attack_alias(void)
{
    meet_agent();
    map(ELSEWHERE, frame_of(0, AGENT_DATA), TINY_MAP_READ | TINY_MAP_WRITE);
    return has_secret((const volatile uint8_t *)ELSEWHERE);
}

/* The function is to take the agent's data for the caller's: once it has written them to a file, or
 * byte by byte. */
bool attack_alias_read(void)
{
    int64_t handle = api_open("loot.txt", TINY_OPEN_CREATE);

    meet_agent();
    map(ELSEWHERE, frame_of(0, AGENT_DATA), TINY_MAP_READ);
    api_write(handle, (const void *)ELSEWHERE, PAGE);
    api_close(handle);
    handle = api_open("loot.txt", 0);
    api_read(handle, page, PAGE);
    if (has_secret(page)) {
        return true;
    }
    for (uint64_t i = 0; i < PAGE; i++) {
        page[i] = (uint8_t)(api_sum((const void *)(ELSEWHERE + i), 1) - 1);
    }
    return has_secret(page);
}

/* It is to write there. */
bool attack_alias_write(void)
{
    int64_t handle = api_open("loot.txt", TINY_OPEN_CREATE);

    api_write(handle, page, PAGE);
    api_close(handle);
    handle = api_open("loot.txt", 0);
    map(ELSEWHERE, frame_of(0, AGENT_DATA), TINY_MAP_READ | TINY_MAP_WRITE);
    return api_read(handle, (void *)ELSEWHERE, PAGE) == PAGE;
}

/* The caller's stack is the agent's data, and the root is to read the return address there. */
bool attack_alias_stack(void)
{
    uint64_t back;

    meet_agent();
    map(ELSEWHERE, frame_of(0, AGENT_DATA), TINY_MAP_READ | TINY_MAP_WRITE);
    __asm__ volatile("leaq 1f(%%rip), %0\n"
                     "movq %0, (%1)\n"
                     "movq %%rsp, %%rbx\n"
                     "movq %1, %%rsp\n"
                     "jmp *%2\n"
                     "1: movq %%rbx, %%rsp"
                     : "=&r"(back)
                     : "r"(ELSEWHERE + PAGE - 8), "r"((uint64_t)api_close), "D"(-1l)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    return true;
}

/* Where the page is in a mapping of all of the 2 MiB that it is among. */
static const volatile uint8_t *map_large(uint64_t address)
{
    uint64_t frame = frame_of(0, address);

    map(ELSEWHERE, frame & ~(LARGE_PAGE - 1), TINY_MAP_READ | TINY_MAP_WRITE | TINY_MAP_LARGE);
    return (const volatile uint8_t *)(ELSEWHERE + frame % LARGE_PAGE);
}

/* Pages that are free are there in such a mapping; the agent's must not be. */
bool attack_alias_large(void)
{
    meet_agent();
    page[0] = 77;
    if (map_large((uint64_t)page)[0] != 77) {
        tiny_print("attack: alias-large: there is no such mapping\n");
        return false;
    }
    tiny_print("attack: alias-large: free pages are mapped\n");
    return has_secret(map_large(AGENT_DATA));
}

/* What runs in the agent's place: takes the data along and leaves by the door. */
extern const uint8_t impostor[], impostor_end[];
static uint8_t loot[PAGE] __attribute__((aligned(4096)));
__asm__(".text\n"
        "impostor:\n"
        "movabsq $" TEXT(AGENT_DATA) ", %rsi\n"
                                     "movabsq $loot, %rdi\n"
                                     "movl $0x1000, %ecx\n"
                                     "rep movsb\n"
                                     "xorl %edi, %edi\n"
                                     "movabsq $" TEXT(AGENT_DOOR) ", %rax\n"
                                                                  "jmp *%rax\n"
                                                                  "impostor_end:\n");

#define NO_OPERATION 0x90

/* The agent's address leads to code of the attacker's, wherever in the page it is entered. */
bool attack_remap(void)
{
    unsigned length = (unsigned)(impostor_end - impostor);

    meet_agent();
    for (unsigned i = 0; i < PAGE; i++) {
        page[i] = i < PAGE - length ? NO_OPERATION : impostor[i - (PAGE - length)];
    }
    loot[0] = 1; /* it is there */
    map(AGENT_CODE, frame_of(0, (uint64_t)page), TINY_MAP_READ | TINY_MAP_EXECUTE);
    api_open("public.txt", 0);
    return has_secret(loot);
}

/* The function's page taken away and put back, with a copy of his own in its place. */
bool attack_copy(void)
{
    const uint64_t from = (uint64_t)api_open & ~(PAGE - 1);

    for (unsigned i = 0; i < PAGE; i++) {
        page[i] = ((const volatile uint8_t *)from)[i];
    }
    map(from, 0, 0);
    map(from, frame_of(0, (uint64_t)page), TINY_MAP_READ | TINY_MAP_EXECUTE);
    return api_open(forbidden_name, TINY_OPEN_CREATE) >= 0 && forbidden_file_exists();
}

/* The same between calls of a function that stays where it is. */
bool attack_copy_call(void)
{
    bool succeeded;

    api_sum(page, 0);
    succeeded = attack_copy();
    api_sum(page, 0);
    return succeeded;
}
