/* SPDX-License-Identifier: Apache-2.0 */
#include "protect_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/memory.h"
#include "mezz/gate.h"
#include "unit_portions_builder.h"

#define PRESENT    (1ULL << 0)
#define WRITABLE   (1ULL << 1)
#define USER       (1ULL << 2)
#define ADDRESS    0x000ffffffffff000ULL
#define ENTRIES    512U
#define FILE_LIMIT (1U << 17)
#define PLACES     96U
#define RSP0       4U /* in the TSS */

struct portion_table world_table;
struct hook_plan world_plan[WORLD_PLANS];

static uint8_t memory[WORLD_PAGES][PAGE_SIZE];
static unsigned int used = 1; /* page 0 is no page of anything */
static uint64_t top[WORLD_SPACES];
static uint64_t place[PLACES];
static unsigned int places;

static uint64_t new_page(const uint8_t *bytes)
{
    if (used == WORLD_PAGES)
        abort();
    if (bytes != NULL)
        memcpy(memory[used], bytes, PAGE_SIZE);
    return used++ * (uint64_t)PAGE_SIZE;
}

static uint64_t *table_at(uint64_t address)
{
    return (uint64_t *)(void *)memory[address / PAGE_SIZE];
}

static unsigned int index_of(uint64_t linear, unsigned int level)
{
    return (unsigned int)(linear >> (12 + 9 * (level - 1))) % ENTRIES;
}

/* The entry of the last table, whose tables are made if there are none. */
static uint64_t *entry_of(unsigned int space, uint64_t linear)
{
    uint64_t table = top[space];

    for (unsigned int level = 4; level > 1; level--) {
        uint64_t *entry = &table_at(table)[index_of(linear, level)];

        if (*entry == 0)
            *entry = new_page(NULL) | PRESENT | WRITABLE | USER;
        table = *entry & ADDRESS;
    }
    return &table_at(table)[index_of(linear, 1)];
}

static void map(unsigned int space, uint64_t linear, uint64_t physical, uint64_t flags)
{
    *entry_of(space, linear) = physical | flags | PRESENT;
}

static void map_in_all(uint64_t linear, uint64_t physical, uint64_t flags)
{
    for (unsigned int space = 0; space < WORLD_SPACES; space++)
        map(space, linear, physical, flags);
}

static void map_own(uint64_t linear, const uint8_t *bytes)
{
    for (unsigned int space = 0; space < WORLD_SPACES; space++)
        map(space, linear, new_page(bytes), USER | WRITABLE);
}

static void add_place(uint64_t address)
{
    if (places < PLACES)
        place[places++] = address;
}

/* --- what lies there --- */

static void add_portion(void)
{
    static const char *const sections[] = {".vault", ".secret"};
    static const char *const entries[] = {"sign", "check"};
    static const struct portion_declaration declaration = {
        .program = "p",
        .name = "vault",
        .parts = {.section = sections, .sections = 2},
        .entry = entries,
        .entries = 2};
    struct error error;
    size_t size;
    const uint8_t *bytes = built_program(0, &size);
    uint8_t page[PAGE_SIZE];

    portion_table_init(&world_table);
    if (portion_table_add_program(&world_table, "p", bytes, size, &error) != 0 ||
        portion_table_add(&world_table, &declaration, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(2);
    }
    for (uint64_t linear = 0x401000; linear <= 0x407000; linear += PAGE_SIZE) {
        program_page(&world_table.program[0], linear, page);
        if (linear < 0x405000)
            map_in_all(linear, new_page(page), USER);
        else
            map_own(linear, page);
        add_place(linear);
    }
    add_place(WORLD_MAIN);
    add_place(WORLD_SIGN + 0x40); /* check */
    add_place(WORLD_SIGN + 0x33); /* no entry */
}

static void open_program(struct program_image *image, const char *name)
{
    static uint8_t bytes[2][FILE_LIMIT];
    static unsigned int next;
    struct error error = {""};
    char path[512];
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", FUZZ_GUESTS, name);
    file = fopen(path, "rb");
    if (file != NULL) {
        size = fread(bytes[next], 1, FILE_LIMIT, file);
        fclose(file);
    }
    if (program_image_open(image, name, bytes[next++], size, &error) != 0) {
        fprintf(stderr, "%s: %s\n", path, error.text);
        exit(2);
    }
}

static void add_plans(void)
{
    static const uint32_t defences[WORLD_PLANS] = {HOOK_ALL_DEFENCES,
                                                   HOOK_ALL_DEFENCES & ~HOOK_API_NX, 0};
    static const struct hook_argument arguments[] = {{MEZZ_GUARD_CSTRING, MEZZ_GUARD_NO_LENGTH, 0},
                                                     {MEZZ_GUARD_VALUE, MEZZ_GUARD_NO_LENGTH, 0}};
    static const struct hook_function_declaration functions[] = {{"api_open", arguments, 2},
                                                                 {"api_sum", NULL, 0}};
    static struct program_image library, agent;
    struct error error;

    open_program(&library, "libapi.elf");
    open_program(&agent, "agent.elf");
    for (unsigned int i = 0; i < WORLD_PLANS; i++) {
        const struct hook_declaration declaration = {functions,       2,    defences[i],
                                                     MEZZ_GUARD_GATE, true, false};

        if (hook_plan_make(&world_plan[i], &library, &agent, &declaration, &error) != 0) {
            fprintf(stderr, "%s\n", error.text);
            exit(2);
        }
    }
}

/* The plans have the same pages, but for what is on those of the planner. */
static void add_library(void)
{
    const struct hook_plan *plan = &world_plan[0];

    for (size_t i = 0; i < plan->pages; i++) {
        const struct hook_page *page = &plan->page[i];

        if (page->kind == HOOK_PAGE_DATA || page->kind == HOOK_PAGE_EXCHANGE)
            map_own(page->linear, page->file);
        else
            map_in_all(page->linear, new_page(page->file), USER);
        if (page->kind != HOOK_PAGE_LIBRARY)
            add_place(page->linear);
    }
    for (size_t i = 0; i < plan->functions; i++) {
        const struct hook_function *function = &plan->function[i];

        add_place(function->entry);
        add_place(function->entry + HOOK_GATE_BYTES);
        add_place(function->body);
        add_place(function->thunk);
        add_place(function->callback);
    }
    add_place(plan->door);
    add_place(plan->copy);
    add_place(plan->copy_fault);
    add_place(plan->answered);
    add_place(plan->record);
    add_place(MEZZ_GUARD_GATE);
    map_in_all(MEZZ_GUARD_GATE, MEZZ_GATE_ADDRESS, USER | WRITABLE);
}

static void add_kernel(void)
{
    const uint64_t rsp0 = WORLD_RSP0;
    uint8_t *page;

    for (uint64_t linear = WORLD_KERNEL; linear < WORLD_RSP0; linear += PAGE_SIZE) {
        map_in_all(linear, new_page(NULL), WRITABLE);
        add_place(linear);
    }
    page = memory[world_physical(0, WORLD_IDT) / PAGE_SIZE];
    for (unsigned int vector = 0; vector < 256; vector++) {
        const uint64_t handler = WORLD_KERNEL + 16ULL * vector;
        uint8_t *gate = page + (size_t)vector * 16;

        memcpy(gate, &handler, 2);
        gate[2] = 0x10;
        gate[5] = vector == 128 ? 0xee : 0x8e;
        memcpy(gate + 6, (const uint8_t *)&handler + 2, 6);
    }
    memcpy(memory[world_physical(0, WORLD_TSS) / PAGE_SIZE] + RSP0, &rsp0, sizeof(rsp0));
    add_place(WORLD_KERNEL + 16 * 128);
    add_place(WORLD_KERNEL + 16 * 6);
    add_place(WORLD_KERNEL + 16 * 14);
}

void world_make(void)
{
    static const uint64_t back = WORLD_MAIN;

    for (unsigned int space = 0; space < WORLD_SPACES; space++)
        top[space] = new_page(NULL);
    add_kernel();
    add_portion();
    add_plans();
    add_library();
    map_own(WORLD_STACK, NULL);
    map_own(WORLD_STACK + PAGE_SIZE, NULL);
    add_place(WORLD_STACK);
    /* Behind a call: return addresses there. */
    for (unsigned int space = 0; space < WORLD_SPACES; space++)
        for (unsigned int i = 0; i < PAGE_SIZE; i += 8)
            memcpy(memory[world_physical(space, WORLD_STACK) / PAGE_SIZE] + i, &back, sizeof(back));
    memory[world_physical(0, WORLD_MAIN) / PAGE_SIZE][WORLD_MAIN % PAGE_SIZE - 5] = 0xe8;
}

const uint8_t *world_pages(size_t *size)
{
    *size = used * (size_t)PAGE_SIZE;
    return memory[0];
}

uint64_t world_cr3(unsigned int space)
{
    return top[space % WORLD_SPACES];
}

uint64_t world_place(unsigned int number)
{
    return place[number % places];
}

uint64_t world_entry(unsigned int space, uint64_t linear)
{
    uint64_t table = top[space % WORLD_SPACES];

    for (unsigned int level = 4; level > 1; level--) {
        table = table_at(table)[index_of(linear, level)] & ADDRESS;
        if (table == 0)
            return 0;
    }
    return table + 8ULL * index_of(linear, 1);
}

uint64_t world_physical(unsigned int space, uint64_t linear)
{
    const uint64_t at = world_entry(space, linear);

    return at == 0 ? linear % PAGE_SIZE
                   : (table_at(at)[at % PAGE_SIZE / 8] & ADDRESS) + linear % PAGE_SIZE;
}

static bool other_mode[4]; /* of each ring */

void world_change_mode(unsigned int ring)
{
    other_mode[ring & 3] ^= true;
}

void world_64_bit(void)
{
    memset(other_mode, 0, sizeof(other_mode));
}

void world_ring(struct kvm_sregs *sregs, unsigned int ring)
{
    sregs->cs.selector = ring == 0 ? 0x10 : 0x23;
    sregs->cs.dpl = (uint8_t)(ring & 3);
    sregs->cs.l = !other_mode[ring & 3];
    sregs->cs.db = other_mode[ring & 3];
    sregs->ss.selector = ring == 0 ? 0x18 : 0x2b;
    sregs->ss.dpl = (uint8_t)(ring & 3);
}
