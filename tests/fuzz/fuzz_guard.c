/* SPDX-License-Identifier: Apache-2.0 */
/* A guard's declaration, against the library and the agent with other bytes here and there. It is
 * refused with a reason, or the plan is in order: the two views of each guarded page agree where a
 * switch between them goes on, and what is the agent's is in no other view. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hookguard/hooks/code.h"
#include "hookguard/hooks/plan.h"
#include "host/memory.h"
#include "mezz/ept.h"

#define R           MEZZ_EPT_READ
#define W           MEZZ_EPT_WRITE
#define X           MEZZ_EPT_EXECUTE
#define WORDS       40U
#define CODE_START  0x1000U /* in the files of libapi.elf and agent.elf */
#define TABLES_SIZE 0x600U  /* of sections and symbols, at the end */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct file {
    uint8_t bytes[1 << 16];
    size_t size;
};

static struct file original[2];
static struct file altered;
static const uint8_t *input;
static size_t left;

static unsigned int take(void)
{
    if (left == 0)
        return 0;
    left--;
    return *input++;
}

static unsigned int take_two(void)
{
    unsigned int low = take();

    return low | take() << 8;
}

static void read_file(struct file *file, const char *name)
{
    char path[512];
    FILE *from;

    snprintf(path, sizeof(path), "%s/%s", FUZZ_GUESTS, name);
    from = fopen(path, "rb");
    if (from == NULL) {
        fprintf(stderr, "%s: is not there\n", path);
        exit(2);
    }
    file->size = fread(file->bytes, 1, sizeof(file->bytes), from);
    fclose(from);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    read_file(&original[0], "libapi.elf");
    read_file(&original[1], "agent.elf");
    return 0;
}

/* Headers, code at the beginning of a page, tables of sections and symbols, or anything. */
static size_t take_place(const struct file *file)
{
    unsigned int kind = take();
    size_t at = take_two();

    switch (kind % 4) {
    case 0:
        return at % 0x80;
    case 1:
        return CODE_START + (kind / 4 % 10) * PAGE_SIZE + at % 64;
    case 2:
        return file->size - 1 - at % TABLES_SIZE;
    default:
        return at % file->size;
    }
}

static bool open_altered(struct program_image *image, unsigned int which, unsigned int patches)
{
    struct error error = {""};

    altered = original[which];
    while (patches-- > 0) {
        const size_t place = take_place(&altered);

        altered.bytes[place % altered.size] = (uint8_t)take();
    }
    if (program_image_open(image, which == 0 ? "libapi.elf" : "agent.elf", altered.bytes,
                           altered.size, &error) == 0)
        return true;
    if (error.text[0] == '\0')
        abort();
    return false;
}

/* --- the declaration --- */

static struct hook_function_declaration function[WORDS];
static struct hook_argument argument[WORDS][8];

static const char *take_name(void)
{
    static const char *const names[] = {"api_open",    "api_read",   "api_write",   "api_close",
                                        "api_send",    "api_sum",    "api_receive", "api_append",
                                        "api_nothing", "guard_enter"};
    static char text[WORDS][24];
    static unsigned int next;
    unsigned int kind = take();
    char *to = text[next++ % WORDS];

    if (kind < 250)
        return names[kind % (sizeof(names) / sizeof(names[0]))];
    memset(to, 0, sizeof(text[0]));
    for (size_t i = 0; i + 1 < sizeof(text[0]) && (to[i] = (char)take()) != '\0'; i++)
        ;
    return to;
}

static void take_functions(struct hook_declaration *declaration)
{
    declaration->function = function;
    declaration->functions = take() % WORDS;
    for (size_t i = 0; i < declaration->functions; i++) {
        function[i] = (struct hook_function_declaration){.argument = argument[i]};
        function[i].name = take_name();
        function[i].arguments = take() % 8;
        for (size_t a = 0; a < function[i].arguments; a++) {
            unsigned int kind = take();

            argument[i][a] = (struct hook_argument){
                .kind = kind & 64 ? MEZZ_GUARD_NUMBER : (enum mezz_guard_kind)(kind % 4),
                .length_in = kind / 4 % 8,
                .limit = kind & 128 ? take_two() : 0,
            };
        }
    }
}

/* --- what must hold --- */

static void must(bool holds)
{
    if (!holds)
        abort();
}

static const struct hook_page *page_at(const struct hook_plan *plan, uint64_t address)
{
    const struct hook_page *page = hook_page_at(plan, address);

    must(page != NULL);
    return page;
}

/* A byte of a view; hooks may lie across pages. */
static uint8_t secure_byte(const struct hook_plan *plan, uint64_t address)
{
    const struct hook_page *page = page_at(plan, address);

    must(page->secure != NULL && page->secure_rights & X);
    return page->secure[address % PAGE_SIZE];
}

static uint64_t jump_from(const struct hook_plan *plan, uint64_t address)
{
    uint32_t distance = 0;

    must(secure_byte(plan, address) == 0xe9);
    for (unsigned int i = 0; i < 4; i++)
        distance |= (uint32_t)secure_byte(plan, address + 1 + i) << 8 * i;
    return address + 5 + (uint64_t)(int64_t)(int32_t)distance;
}

/* The gate's instruction is as long as the security view skips, and what stands behind it there
 * leads to the agent's entry with the function's number. */
static void check_function(const struct hook_plan *plan, const struct program_image *agent,
                           size_t n)
{
    const struct hook_function *function_n = &plan->function[n];
    const uint64_t entry = function_n->entry;
    const uint64_t thunk = function_n->thunk;
    const struct program_symbol *enter = NULL;
    const struct hook_page *body = page_at(plan, function_n->body);
    const struct hook_page *callback = page_at(plan, function_n->callback);

    must(program_find_symbol(agent, "guard_enter", &enter) == 1);
    must(secure_byte(plan, entry) == 0xeb && secure_byte(plan, entry + 1) + 2U == HOOK_GATE_BYTES);
    must(jump_from(plan, entry + HOOK_GATE_BYTES) == thunk);
    must(page_at(plan, thunk)->kind == HOOK_PAGE_PLAN);
    must(secure_byte(plan, thunk) == 0x41 && secure_byte(plan, thunk + 1) == 0xbb &&
         secure_byte(plan, thunk + 2) == n && secure_byte(plan, thunk + 3) == 0);
    must(jump_from(plan, thunk + 6) == enter->address);
    must(callback->secure_rights & X && callback->kind != HOOK_PAGE_GUARDED &&
         callback->kind != HOOK_PAGE_LIBRARY);
    if (body->kind == HOOK_PAGE_PLAN)
        must(page_at(plan, function_n->body + HOOK_MOVED_LIMIT - 1)->kind == HOOK_PAGE_PLAN);
    else
        must(function_n->body - entry >= HOOK_BYTES &&
             function_n->body - entry < function_n->length);
    for (size_t i = 0; i < n; i++)
        must(entry >= plan->function[i].entry + HOOK_BYTES ||
             plan->function[i].entry >= entry + HOOK_BYTES);
}

/* Where a hook of `length` bytes is. */
static bool is_hook(const struct hook_plan *plan, uint64_t address, uint64_t length)
{
    for (size_t i = 0; i < plan->functions; i++)
        if (address - plan->function[i].entry < length)
            return true;
    return false;
}

/* But for hooks, both views have what the file has; or the default view has padding, of which each
 * byte was proved. */
static void check_guarded(const struct hook_plan *plan, const struct hook_page *page)
{
    struct error error;
    uint32_t entry[MEZZ_GUARD_FUNCTIONS];
    size_t entries = 0;

    must(page->secure_rights == (R | X));
    for (uint64_t i = 0; i < PAGE_SIZE; i++)
        must(page->secure[i] == page->file[i] || is_hook(plan, page->linear + i, HOOK_BYTES));
    if (plan->defences & HOOK_API_NX) {
        must(page->default_rights == R && page->shown == NULL);
        return;
    }
    must(page->shown != NULL);
    must(!(plan->defences & HOOK_READ_ONLY) || !(page->default_rights & W));
    for (uint64_t i = 0; i < PAGE_SIZE; i++)
        for (size_t f = 0; f < plan->functions; f++)
            if (plan->function[f].entry == page->linear + i)
                entry[entries++] = (uint32_t)i;
    if (plan->defences & HOOK_PADDING) {
        must(hook_code_prove(page->shown, page->linear, plan->gate, entry, entries, &error) == 0);
        return;
    }
    for (uint64_t i = 0; i < PAGE_SIZE; i++)
        must(page->shown[i] == page->file[i] || is_hook(plan, page->linear + i, HOOK_GATE_BYTES));
}

static void check_gate(const struct hook_plan *plan, const struct hook_function *guarded)
{
    uint8_t gate[HOOK_GATE_BYTES];

    if (plan->defences & HOOK_API_NX)
        return;
    hook_code_gate(gate, plan->gate, HOOK_INDEX);
    for (uint64_t i = 0; i < HOOK_GATE_BYTES; i++)
        must(page_at(plan, guarded->entry + i)->shown[(guarded->entry + i) % PAGE_SIZE] == gate[i]);
}

static void check_pages(const struct hook_plan *plan)
{
    uint64_t behind = 0;

    must(plan->pages > 0 && plan->pages <= HOOK_PAGES_LIMIT);
    for (size_t i = 0; i < plan->pages; i++) {
        const struct hook_page *page = &plan->page[i];

        must(page->linear % PAGE_SIZE == 0 && (i == 0 || page->linear >= behind));
        behind = page->linear + PAGE_SIZE;
        if (page->kind == HOOK_PAGE_GUARDED)
            check_guarded(plan, page);
        else if (page->kind == HOOK_PAGE_DOOR)
            must(page->default_rights == 0 && page->secure_rights == 0);
        else if (page->kind == HOOK_PAGE_EXCHANGE)
            must(!(page->default_rights & W));
        else if (page->kind != HOOK_PAGE_LIBRARY)
            must(!(plan->defences & HOOK_HIDDEN) || page->default_rights == 0);
        must(page->shown == NULL || page->kind == HOOK_PAGE_GUARDED);
        must(page->kind == HOOK_PAGE_DATA || page->kind == HOOK_PAGE_EXCHANGE ||
             !(page->secure_rights & W));
    }
}

static void check_plan(const struct hook_plan *plan, const struct hook_declaration *declaration,
                       const struct program_image *agent)
{
    must(plan->functions == declaration->functions);
    check_pages(plan);
    for (size_t i = 0; i < plan->functions; i++) {
        const struct hook_function *guarded = &plan->function[i];

        check_function(plan, agent, i);
        check_gate(plan, guarded);
        must(strcmp(guarded->name, declaration->function[i].name) == 0);
        must(hook_function_of_entry(plan, guarded->entry) == guarded);
        for (uint64_t at = guarded->entry; at - guarded->entry < guarded->length; at += PAGE_SIZE)
            must(page_at(plan, at)->kind == HOOK_PAGE_GUARDED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hook_declaration declaration = {.gate = MEZZ_GUARD_GATE};
    struct program_image library, agent;
    struct hook_plan plan;
    struct error error = {""};
    unsigned int kind;

    input = data;
    left = size;
    declaration.defences = take_two() & HOOK_ALL_DEFENCES;
    kind = take();
    declaration.own = kind >= 200 && kind < 250;
    if (kind >= 250)
        declaration.gate = (uint64_t)take_two() << (kind & 7) * 5;
    take_functions(&declaration);
    if (!open_altered(&library, 0, take() % 8))
        return 0;
    if (open_altered(&agent, 1, take() % 8)) {
        if (hook_plan_make(&plan, &library, &agent, &declaration, &error) == 0)
            check_plan(&plan, &declaration, &agent);
        else
            must(error.text[0] != '\0' && plan.page == NULL);
        hook_plan_destroy(&plan);
        program_image_close(&agent);
    }
    program_image_close(&library);
    return 0;
}
