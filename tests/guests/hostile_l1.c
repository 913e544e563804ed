/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile L1's program: "seed=HEX count=DECIMAL" on the command line, or "handler=spins",
 * "handler=halts", or "case=NAME". After each thousand tries, and at the end, its canary must be as
 * it was.
 */
#include "hostile_l1.h"

#include "kit_program.h"

#define CANARY_ROUND 1000U

struct kit kit;
struct hostile hostile;

KIT_CODE(canary_code, "1: incq 0x20000008\n outb %al, $0x61\n inb $0x62, %al\n jmp 1b");

static struct kit_guest canary;
static struct kit_callback canary_callback;
static uint64_t canary_rounds;

static void open_canary(void)
{
    kit.group = "canary";
    kit_open(&canary, KIT_LONG, canary_code);
    kit_callback_init(&canary_callback, &canary, MEZZ_EXIT_IO);
    kit_condition(&canary_callback, MEZZ_FIELD_DIRECTION, MEZZ_OP_EQ, 1, 0);
    canary_callback.value = 0x33;
    kit_register(&canary_callback);
}

/* An OUT comes back, an IN is answered by the handler, memory counts, and its console has a line.
 */
static bool canary_sings(void)
{
    static const char line[] = "tweet\n";
    bool well;

    canary_rounds++;
    well = kit_exit(&canary) == MEZZ_EXIT_IO && canary.data[1] == canary_rounds &&
           canary.vmcs->exit.count == 2 * canary_rounds - 1 &&
           canary_callback.fired == canary_rounds - 1 &&
           (canary_rounds == 1 || (canary.vmcs->regs.gpr[MEZZ_RAX] & 0xff) == 0x33);
    return well && mezz_call(MEZZ_CALL_CONSOLE, canary.l2, kit_address(line), 6) == 0;
}

static void say(const char *text, uint64_t value)
{
    struct kit_line line;

    line.length = 0;
    kit_put(&line, text);
    kit_put_hex(&line, value);
    kit_show(&line);
}

int64_t hostile_call(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
    hostile.calls++;
    __asm__ volatile("outb %%al, %[port]"
                     : "+a"(number), "+d"(rdx)
                     : [port] "i"(MEZZ_CALL_PORT), "D"(rdi), "S"(rsi)
                     : "memory");
    if ((int64_t)number < 0)
        hostile.refused++;
    return (int64_t)number;
}

static void try_one(void)
{
    switch (below(17)) {
    case 0:
    case 1:
    case 2:
        try_call();
        break;
    case 3:
    case 4:
        try_vmcs();
        break;
    case 5:
        try_field();
        break;
    case 6:
    case 7:
        try_ept();
        break;
    case 8:
    case 9:
        try_registration();
        break;
    case 10:
        try_life();
        break;
    case 11:
        try_machine();
        break;
    case 12:
        try_views();
        break;
    default:
        try_entry();
        break;
    }
}

static _Noreturn void finish(uint64_t status)
{
    say("calls ", hostile.calls);
    say("refused ", hostile.refused);
    say("entries ", hostile.entries);
    say("entries that failed ", hostile.exits[0]);
    say("deliveries ", hostile.deliveries);
    say("canary ", canary_rounds);
    mezz_call(MEZZ_CALL_EXIT, status, 0, 0);
    for (;;)
        __asm__ volatile("hlt");
}

static void try_all(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        try_one();
        if (i % CANARY_ROUND == CANARY_ROUND - 1 && !canary_sings()) {
            say("the canary is not well at try ", i);
            finish(1);
        }
    }
    finish(0);
}

static void hang_in_handler(uint64_t handler)
{
    struct kit_callback callback;

    kit_callback_init(&callback, &canary, MEZZ_EXIT_IO);
    callback.registration.handler = handler;
    kit_register(&callback);
    kit_enter(&canary);
    say("a handler that does not return returned ", 0);
    finish(1);
}

/* The number behind NAME= on the command line, in base 10 or 16. */
static uint64_t option(const char *line, const char *name, unsigned int base)
{
    for (; *line != '\0'; line++) {
        const char *at = line;
        uint64_t value = 0;

        for (const char *n = name; *n != '\0' && *at == *n; n++)
            at++;
        if (at == line || *at != '=')
            continue;
        for (at++; *at != ' ' && *at != '\0'; at++)
            value = value * base + (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        return value;
    }
    return 0;
}

static bool has(const char *line, const char *word)
{
    for (; *line != '\0'; line++) {
        const char *a = line, *b = word;

        while (*b != '\0' && *a == *b) {
            a++;
            b++;
        }
        if (*b == '\0')
            return true;
    }
    return false;
}

/* All of the line. */
static void run_one(const char *line)
{
    int stopped = run_case(line + sizeof("case=") - 1);

    say(stopped > 0 ? "stopped, refusals " : "not as expected, refusals ", hostile.refused);
    finish(stopped <= 0 || !canary_sings());
}

void kit_main(const struct mezz_pvh_start_info *info)
{
    const char *line = info->cmdline_paddr != 0 ? kit_at(info->cmdline_paddr) : "";

    kit.start_info = info;
    kit.memory = kit_first_page(info);
    kit.memory_end = kit_memory_size(info);
    open_canary();
    hostile.stacks = kit_address(kit_pages(8));
    hostile.arena = kit_address(kit_pages(ARENA_PAGES));
    hostile.vmcs = kit_address(kit_pages(VMCS_PAGES));
    hostile.ept = kit_address(kit_pages(EPT_SETS * EPT_TABLES));
    if (!canary_sings())
        finish(2);
    if (has(line, "case="))
        run_one(line);
    if (has(line, "handler=spins"))
        hang_in_handler((uint64_t)handler_that_spins);
    if (has(line, "handler=halts"))
        hang_in_handler((uint64_t)handler_that_halts);
    hostile.state = option(line, "seed", 16);
    try_all(option(line, "count", 10));
}

/* RDMSR and WRMSR of L1 that fault are passed over: two bytes. */
void kit_exception(struct kit_trap *trap, uint64_t cr2)
{
    if (trap->vector == 13) {
        trap->rip += 2;
        return;
    }
    kit.group = "hostile";
    kit_take_exception(trap, cr2);
}
