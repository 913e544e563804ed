/* SPDX-License-Identifier: Apache-2.0 */
/* An L1 that hosts one L2 twice: its output comes by reflected exits, then by a callback. */
#include "mezz/callback.h"
#include "mezz/ept.h"
#include "mezz/exit.h"
#include "mezz/guest.h"

#define PAGE_ALIGNED __attribute__((aligned(MEZZ_PAGE_SIZE)))

extern uint8_t l2_page[];
void l1_main(void);

static uint64_t tables[MEZZ_EPT_LEVELS][MEZZ_EPT_ENTRIES] PAGE_ALIGNED;
static struct mezz_callback_frame frame PAGE_ALIGNED;
static uint8_t handler_stack[MEZZ_PAGE_SIZE] PAGE_ALIGNED;
static uint32_t l2, vcpu;
static unsigned int handled; /* OUTs that the handler saw */

/* Real mode, from address 0 on. What is not named is zero. */
static struct mezz_vmcs12 vmcs PAGE_ALIGNED = {
    .revision = MEZZ_VMCS12_REVISION,
    .regs.guest_rflags = 2,
    .system.segment = {[MEZZ_ES... MEZZ_GS] = {.limit = 0xffff, .access_rights = 0x93},
                       [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE},
                       [MEZZ_TR] = {.limit = 0xffff, .access_rights = 0x8b}},
    .system.guest_cr0 = 0x10,
    .debug = {.dr6 = 0xffff0ff0, .dr7 = 0x400},
    .controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_UNCONDITIONAL_IO_EXITING,
};

static void say(const char *text)
{
    uint64_t length = 0;

    while (text[length])
        length++;
    mezz_call(MEZZ_CALL_CONSOLE, 0, (uint64_t)text, length);
}

static void say_number(const char *before, uint64_t number, const char *after)
{
    const char digits[] = {(char)('0' + number / 10), (char)('0' + number % 10), 0};

    say(before);
    say(digits);
    say(after);
}

/* Ends the machine if a call was refused. */
static uint32_t check(int64_t result)
{
    if (result < 0) {
        say_number("a call was refused: error ", (uint64_t)-result, "\n");
        mezz_call(MEZZ_CALL_EXIT, 1, 0, 0);
    }
    return (uint32_t)result;
}

/* Without a root of this kind and version there is nobody to call. */
static void detect(void)
{
    uint32_t a = MEZZ_CPUID_SIGNATURE, b, c, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    a = MEZZ_CPUID_INTERFACE;
    if (b == MEZZ_SIGNATURE_EBX && c == MEZZ_SIGNATURE_ECX && d == MEZZ_SIGNATURE_EDX)
        __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    while (a != MEZZ_ABI_VERSION)
        __asm__ volatile("hlt");
}

static void create(void)
{
    static const struct mezz_l2_parameters parameters = {.name = "small"};

    for (unsigned int level = 0; level < 3; level++)
        tables[level][0] = (uint64_t)tables[level + 1] | MEZZ_EPT_RWX;
    tables[3][0] = (uint64_t)l2_page | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_RWX;
    vmcs.ept.eptp = MEZZ_EPTP(tables[0]);
    l2 = check(mezz_call(MEZZ_CALL_L2_CREATE, (uint64_t)&parameters, 0, 0));
    vcpu = check(mezz_call(MEZZ_CALL_VCPU_CREATE, l2, (uint64_t)&vmcs, 0));
}

/* Runs L2 from its start to its HLT. How often ENTER came back. */
static unsigned int run(void)
{
    unsigned int entries = 0;

    vmcs.regs.guest_rip = 0;
    vmcs.clean &= ~MEZZ_GROUP_BIT(MEZZ_GROUP_REGS);
    for (;;) {
        check(mezz_call(MEZZ_CALL_ENTER, vcpu, 0, 0));
        entries++;
        if (vmcs.exit.reason != MEZZ_EXIT_IO)
            return entries;
        mezz_call(MEZZ_CALL_CONSOLE, l2, (uint64_t)&vmcs.exit.value, 1);
    }
}

/* One OUT, while L1 is inside ENTER. */
static void handler(struct mezz_callback_frame *message)
{
    handled++;
    mezz_call(MEZZ_CALL_CONSOLE, l2, (uint64_t)&message->exit.value, 1);
    mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, 0);
}

static void register_handler(void)
{
    static struct mezz_callback_registration registration = {
        .reason = MEZZ_EXIT_IO,
        .mode = MEZZ_MODE_DECIDE,
        .condition_count = 1,
        .condition = {{.field = MEZZ_FIELD_PORT, .op = MEZZ_OP_EQ, .a = MEZZ_PORT_UART}},
    };

    registration.l2 = l2;
    registration.handler = (uint64_t)handler;
    registration.stack = (uint64_t)(handler_stack + sizeof(handler_stack));
    registration.frame = (uint64_t)&frame;
    check(mezz_call(MEZZ_CALL_CALLBACK_REGISTER, (uint64_t)&registration, 0, 0));
}

void l1_main(void)
{
    detect();
    create();
    say_number("reflect: ENTER came back ", run(), " times\n");
    register_handler();
    say_number("callback: ENTER came back ", run(), " times, ");
    say_number("the handler ran ", handled, " times\n");
    mezz_call(MEZZ_CALL_L2_DESTROY, l2, 0, 0);
    mezz_call(MEZZ_CALL_EXIT, 0, 0, 0);
}
