/* SPDX-License-Identifier: Apache-2.0 */
/* Machine code of hooks: beginnings that can and cannot have one, moved code that is run, and
 * padding that is entered at each of its bytes. */
#include "hookguard/hooks/code.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "hookguard/hooks/plan.h"
#include "host/memory.h"
#include "runner.h"

#define GATE MEZZ_GUARD_GATE
#define AT   0x10000000ULL

static struct error error;

/* --- beginnings --- */

struct beginning {
    const char *bytes;
    size_t length;
    uint64_t body;      /* offset; 0: none */
    uint64_t displaced; /* 0: refused ... */
    const char *why;    /* ... with this in the reason */
};

#define CODE(text) text, sizeof(text) - 1
#define RET_12     "\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"

static const struct beginning beginnings[] = {
    /* 13 no-operations, 16, long ones, behind ENDBR64 */
    {CODE("\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x31\xc0\xc3"), 13, 0, NULL},
    {CODE("\x66\x0f\x1f\x84\x00\x00\x00\x00\x00\x66\x0f\x1f\x44\x00\x00\xc3"), 15, 0, NULL},
    {CODE("\xf3\x0f\x1e\xfa\x90\x90\x90\x90\x90\x90\x90\x90\x90\xc3"), 13, 0, NULL},
    /* push rbp; mov; sub rsp; xor; xor; nop; leave; ret */
    {CODE("\x55\x48\x89\xe5\x48\x83\xec\x10\x31\xc0\x31\xd2\x90\xc9\xc3"), 0, 13, NULL},
    /* An instruction across the 13th byte. */
    {CODE("\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08\x48\x05\x00\x00\x01\x00\xc3"), 0, 16, NULL},
    /* A RET in the middle that a branch jumps over is fine. */
    {CODE("\x85\xff\x74\x0f\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\xc3\x90\x90\x90\x90\x90\xc3"), 0,
     13, NULL},
    {CODE("\x31\xc0\xc3"), 0, 0, "too short"},
    {CODE("\x31\xc0" RET_12), 0, 0, "too short"},
    {CODE("\x31\xc0\xeb\x09" RET_12 "\xc3"), 0, 0, "too short"},
    {CODE("\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"), 0, 0, "too short"},
    /* dec edi; jnz -4, behind the hook's room but into it */
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xff\xcf\x75\xf5\xc3"), 0, 0,
     "leads into the bytes"},
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xff\xcf\xe2\xf6\xc3"), 0, 0,
     "leads into the bytes"},
    /* call +0; pop rax: it looks for itself. Calls of the entry are calls like any other. */
    {CODE("\xe8\x00\x00\x00\x00\x58\x48\x01\xf8\x90\x90\x90\x90\xc3"), 0, 0,
     "leads into the bytes"},
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xe8\xee\xff\xff\xff\xc3"), 0, 13,
     NULL},
    /* jmp rax behind it: a table of a switch may have any label */
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xff\xe0"), 0, 0, "indirect jump"},
    /* 06 is no instruction in 64-bit mode: data */
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xc3\x06"), 0, 0,
     "data in the code"},
    {CODE("\x06\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\xc3"), 0, 0, "no instruction"},
    /* An instruction that the end of the function cuts off. */
    {CODE("\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\x90\x90\x48\xb8\x01"), 0, 0,
     "data in the code"},
};

START_TEST(beginning)
{
    const struct beginning *expected = &beginnings[_i];
    const struct hook_code code = {(const uint8_t *)expected->bytes, AT, expected->length};
    struct hook_beginning found;
    int result = hook_code_begin(&code, HOOK_BYTES, &found, &error);

    if (expected->why != NULL) {
        ck_assert_int_lt(result, 0);
        ck_assert_msg(strstr(error.text, expected->why) != NULL, "%s", error.text);
        return;
    }
    ck_assert_msg(result == 0, "%s", error.text);
    ck_assert_uint_eq(found.body, expected->body != 0 ? AT + expected->body : 0);
    if (expected->body == 0)
        ck_assert_uint_eq(found.length, expected->displaced);
}
END_TEST

/* --- moved code, run --- */

struct movable {
    const char *bytes;
    size_t length;
    uint64_t displaced;
    long argument;
    long result;
};

static const struct movable movables[] = {
    /* lea [rip+X], rax; mov (rax), eax; ...; ret; the number 42 at 0x20 */
    {CODE("\x48\x8d\x05\x19\x00\x00\x00\x8b\x00\x90\x90\x90\x90\xc3\x90\x90"
          "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x2a\x00\x00\x00"),
     13, 0, 42},
    /* test edi,edi; jz short +11 (0xf); mov eax, 1; nop; ret | mov eax, 2; ret */
    {CODE("\x85\xff\x74\x0b\xb8\x01\x00\x00\x00\x90\x90\x90\x90\xc3\x90\xb8\x02\x00\x00\x00\xc3"),
     13, 0, 2},
    {CODE("\x85\xff\x74\x0b\xb8\x01\x00\x00\x00\x90\x90\x90\x90\xc3\x90\xb8\x02\x00\x00\x00\xc3"),
     13, 1, 1},
    /* call +9 (0x10: mov eax,7; ret); add eax, edi; nop; ret */
    {CODE("\xe8\x0b\x00\x00\x00\x01\xf8\x90\x90\x90\x90\x90\x90\xc3\x90\x90\xb8\x07\x00\x00\x00"
          "\xc3"),
     13, 5, 12},
    /* The displaced part ends in a jump: jmp +3 over two UD2 */
    {CODE("\x31\xc0\x8d\x47\x03\x90\x90\x90\x90\x90\x90\xeb\x02\x0f\x0b\xc3"), 13, 4, 7},
};

START_TEST(moved_code_computes_the_same)
{
    const struct movable *it = &movables[_i];
    uint8_t *pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *there = pages + PAGE_SIZE;
    const struct hook_code code = {pages, (uint64_t)pages, it->length};
    uint8_t moved[HOOK_MOVED_LIMIT];
    long (*run)(long);
    size_t used;

    ck_assert_ptr_ne(pages, MAP_FAILED);
    memcpy(pages, it->bytes, it->length);
    ck_assert_msg(hook_code_move(&code, it->displaced, (uint64_t)there, moved, &used, &error) == 0,
                  "%s", error.text);
    ck_assert_uint_le(used, sizeof(moved));
    memcpy(there, moved, used);
    memset(pages, 0xcc, it->displaced); /* nothing of it is needed any more */
    memcpy(&run, &there, sizeof(run));
    ck_assert_int_eq((int)run(it->argument), (int)it->result);
}
END_TEST

struct unmovable {
    const char *bytes;
    size_t length;
    uint64_t to;
    const char *why;
};

static const struct unmovable unmovables[] = {
    {CODE("\xe2\x20\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\xc3"), AT + 0x1000,
     "cannot be moved"},
    {CODE("\xe3\x20\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\xc3"), AT + 0x1000,
     "cannot be moved"},
    {CODE("\x74\x20\x31\xc0\x31\xd2\x31\xc9\x90\x90\x90\x90\x90\xc3"), AT + (1ULL << 32),
     "does not reach"},
    {CODE("\x48\x8d\x05\x19\x00\x00\x00\x90\x90\x90\x90\x90\x90\xc3"), AT + (1ULL << 32),
     "too far"},
    {CODE("\x48\x8d\x05\xf9\xff\xff\xff\x90\x90\x90\x90\x90\x90\xc3"), AT + 0x1000,
     "its own beginning"},
};

START_TEST(what_cannot_be_moved)
{
    const struct unmovable *it = &unmovables[_i];
    const struct hook_code code = {(const uint8_t *)it->bytes, AT, it->length};
    uint8_t moved[HOOK_MOVED_LIMIT];
    size_t used;

    ck_assert_int_eq(hook_code_move(&code, 13, it->to, moved, &used, &error), -EINVAL);
    ck_assert_msg(strstr(error.text, it->why) != NULL, "%s", error.text);
}
END_TEST

START_TEST(jumps)
{
    uint8_t jump[5];

    ck_assert_int_eq(hook_code_jump(jump, AT, AT + 0x100), 0);
    ck_assert_int_eq(memcmp(jump, "\xe9\xfb\x00\x00\x00", 5), 0);
    ck_assert_int_eq(hook_code_jump(jump, AT, AT + (1ULL << 31) + 4), 0);
    ck_assert_int_eq(hook_code_jump(jump, AT, AT + (1ULL << 31) + 5), -ERANGE);
    ck_assert_int_eq(hook_code_jump(jump, AT, AT - (1ULL << 31) + 4), -ERANGE);
}
END_TEST

/* --- padding --- */

static const uint32_t one[] = {0};
static const uint32_t three[] = {0, 0x210, 0xf00};

static const struct {
    const uint32_t *entry;
    size_t count;
} entries[] = {{one, 1}, {three, 3}, {NULL, 0}};

START_TEST(padding_is_proven)
{
    uint8_t page[PAGE_SIZE];

    hook_code_pad(page, GATE, entries[_i].entry, entries[_i].count);
    ck_assert_msg(hook_code_prove(page, AT, GATE, entries[_i].entry, entries[_i].count, &error) ==
                      0,
                  "%s", error.text);
}
END_TEST

static const char *const useful[] = {
    "\xc3",
    "\xeb\x10",
    "\x0f\x05",
    "\xcd\x80",
    "\xe8\x00\x00\x00\x00",
    "\xff\xe0",
    "\x74\x02",
    "\x0f\x01\xd4" /* VMFUNC */,
    "\x0f\x01\xc1" /* VMCALL */,
};

/* One thing that helps who jumps there, anywhere in the padding. */
START_TEST(what_helps_an_attacker_is_found)
{
    uint8_t page[PAGE_SIZE];

    hook_code_pad(page, GATE, one, 1);
    memcpy(page + 0x777, useful[_i], strlen(useful[_i]));
    if (_i == 4)
        page[0x777] = 0xe8; /* the text has zeros */
    ck_assert_int_eq(hook_code_prove(page, AT, GATE, one, 1, &error), -EINVAL);
    ck_assert_msg(strstr(error.text, "control gets to") != NULL, "%s", error.text);
}
END_TEST

START_TEST(a_missing_trap_is_found)
{
    uint8_t page[PAGE_SIZE];

    hook_code_pad(page, GATE, one, 1);
    memset(page + PAGE_SIZE - 24, 0x90, 24);
    ck_assert_int_eq(hook_code_prove(page, AT, GATE, one, 1, &error), -EINVAL);
    hook_code_pad(page, GATE, one, 1);
    page[PAGE_SIZE - 2] = 0x48; /* and an instruction across the end */
    page[PAGE_SIZE - 1] = 0xb8;
    ck_assert_int_eq(hook_code_prove(page, AT, GATE, one, 1, &error), -EINVAL);
}
END_TEST

/* The processor's own word for it: jump to each byte, with no access to the gate. */
static sigjmp_buf back;
static volatile uint64_t stopped_at;
static volatile uint64_t stopped_by; /* address of a fault */

static void stopped(int number, siginfo_t *info, void *context)
{
    (void)number;
    stopped_at = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    stopped_by = (uint64_t)info->si_addr;
    siglongjmp(back, 1);
}

static void catch_all(void)
{
    static uint8_t stack[65536];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};

    ck_assert_int_eq(sigaltstack(&other, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(signals); i++)
        ck_assert_int_eq(sigaction(signals[i], &action, NULL), 0);
}

static void jump_to(uint64_t address)
{
    stopped_at = 0;
    stopped_by = 0;
    if (sigsetjmp(back, 1) != 0)
        return;
    __asm__ volatile("xorl %%eax, %%eax\n jmp *%0" : : "c"(address) : "rax", "memory");
    __builtin_unreachable();
}

START_TEST(the_processor_gets_nowhere)
{
    uint8_t *page = mmap((void *)AT, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    const uint64_t trap = AT + PAGE_SIZE - 24;
    unsigned int gates = 0;

    ck_assert_ptr_eq(page, (void *)AT);
    hook_code_pad(page, GATE, three, 3);
    ck_assert_int_eq(mprotect(page, PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
    catch_all();
    for (uint64_t offset = 0; offset < PAGE_SIZE; offset++) {
        jump_to(AT + offset);
        if (stopped_by == GATE) {
            ck_assert_msg(stopped_at == trap || stopped_at == AT || stopped_at == AT + 0x210 ||
                              stopped_at == AT + 0xf00,
                          "a gate at %#lx", (unsigned long)stopped_at);
            gates++;
        } else {
            /* Half a gate that could not store, or the tail. */
            ck_assert_msg(stopped_at >= AT && stopped_at <= AT + PAGE_SIZE, "left to %#lx",
                          (unsigned long)stopped_at);
        }
    }
    ck_assert_uint_gt(gates, PAGE_SIZE - 64);
}
END_TEST

RUN_CASES("hook_code", 60, EACH(beginning, ELEMENTS(beginnings)),
          EACH(moved_code_computes_the_same, ELEMENTS(movables)),
          EACH(what_cannot_be_moved, ELEMENTS(unmovables)), ONCE(jumps),
          EACH(padding_is_proven, ELEMENTS(entries)),
          EACH(what_helps_an_attacker_is_found, ELEMENTS(useful)), ONCE(a_missing_trap_is_found),
          ONCE(the_processor_gets_nowhere))
