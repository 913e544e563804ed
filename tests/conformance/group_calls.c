/* SPDX-License-Identifier: Apache-2.0 */
/* Every call with each error that is documented for it and that one L1 vCPU can provoke outside of
 * a handler; group_flight.c has those inside. */
#include "groups.h"
#include "kit.h"

#define NOWHERE kit.memory_end /* the first address that is not L1's memory */

KIT_CODE(calls_halt, "hlt");

static void unknown(void)
{
    uint32_t leaf[4];

    kit_cpuid(MEZZ_CPUID_INTERFACE, leaf);
    CHECK_ERROR("the first number behind the last call", mezz_call(leaf[2], 0, 0, 0), MEZZ_E_CALL);
    CHECK_ERROR("number 255", mezz_call(255, 0, 0, 0), MEZZ_E_CALL);
    CHECK_ERROR("a number that is a call's in its low bits",
                mezz_call((enum mezz_call)0x80000000U, 0, 0, 0), MEZZ_E_CALL);
}

static int64_t wide_call(uint64_t number)
{
    __asm__ volatile("outb %%al, %[port]" : "+a"(number) : [port] "i"(MEZZ_CALL_PORT) : "memory");
    return (int64_t)number;
}

static void wide_numbers(void)
{
    CHECK_ERROR("a number of 64 bits", wide_call(1ULL << 32), MEZZ_E_CALL);
    CHECK_ERROR("the largest number", wide_call(UINT64_MAX), MEZZ_E_CALL);
    CHECK_EQ("VERSION", wide_call(MEZZ_CALL_VERSION), MEZZ_ABI_VERSION);
}

static void console(void)
{
    uint64_t text = kit_address(kit_pages(2));

    CHECK_EQ("CONSOLE: nothing", mezz_call(MEZZ_CALL_CONSOLE, 0, text, 0), 0);
    CHECK_ERROR("CONSOLE: length", mezz_call(MEZZ_CALL_CONSOLE, 0, text, 4097), MEZZ_E_ARGUMENT);
    CHECK_ERROR("CONSOLE: largest length", mezz_call(MEZZ_CALL_CONSOLE, 0, text, UINT64_MAX),
                MEZZ_E_ARGUMENT);
    CHECK_ERROR("CONSOLE: source", mezz_call(MEZZ_CALL_CONSOLE, 99, text, 1), MEZZ_E_ID);
    CHECK_ERROR("CONSOLE: largest source", mezz_call(MEZZ_CALL_CONSOLE, UINT64_MAX, text, 1),
                MEZZ_E_ID);
    CHECK_ERROR("CONSOLE: address", mezz_call(MEZZ_CALL_CONSOLE, 0, NOWHERE, 1), MEZZ_E_ADDRESS);
    CHECK_ERROR("CONSOLE: end of the text", mezz_call(MEZZ_CALL_CONSOLE, 0, NOWHERE - 1, 2),
                MEZZ_E_ADDRESS);
    CHECK_ERROR("CONSOLE: address that wraps", mezz_call(MEZZ_CALL_CONSOLE, 0, UINT64_MAX, 2),
                MEZZ_E_ADDRESS);
    CHECK_EQ("CONSOLE: of an L2", mezz_call(MEZZ_CALL_CONSOLE, kit_l2(), kit_address("hello\n"), 6),
             0);
    CHECK_ERROR("EXIT: status", mezz_call(MEZZ_CALL_EXIT, 256, 0, 0), MEZZ_E_ARGUMENT);
}

static int64_t create_raw(const char *name, unsigned int length, uint64_t reserved)
{
    struct mezz_l2_parameters parameters = {.reserved = {0, 0, 0, reserved}};

    for (unsigned int i = 0; i < length; i++)
        parameters.name[i] = name[i];
    return mezz_call(MEZZ_CALL_L2_CREATE, kit_address(&parameters), 0, 0);
}

static void l2_create(void)
{
    int64_t number = create_raw("calls-a", 7, 0);

    CHECK("L2_CREATE", number > 0);
    CHECK_ERROR("L2_CREATE: the same name", create_raw("calls-a", 7, 0), MEZZ_E_ARGUMENT);
    CHECK_EQ("L2_DESTROY", mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, 255, 0), 0);
    CHECK_ERROR("L2_DESTROY: twice", mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, 0, 0),
                MEZZ_E_ID);
    CHECK_ERROR("L2_CREATE: address", mezz_call(MEZZ_CALL_L2_CREATE, NOWHERE - 60, 0, 0),
                MEZZ_E_ADDRESS);
    CHECK_ERROR("L2_CREATE: reserved", create_raw("calls-b", 7, 1), MEZZ_E_ARGUMENT);
    CHECK_ERROR("L2_CREATE: no name", create_raw("", 0, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("L2_CREATE: a name without NUL",
                create_raw("abcdefghijklmnopqrstuvwxyzabcdef", 32, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("L2_CREATE: a newline in the name", create_raw("a\nb", 3, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("L2_CREATE: a byte past ASCII", create_raw("a\xc3", 2, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("L2_CREATE: DEL in the name", create_raw("a\x7f", 2, 0), MEZZ_E_ARGUMENT);
    number = create_raw("abcdefghijklmnopqrstuvwxyzabcde", 31, 0);
    CHECK("L2_CREATE: the longest name", number > 0);
    CHECK_ERROR("L2_DESTROY: status", mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, 257, 0),
                MEZZ_E_ARGUMENT);
    CHECK_EQ("L2_DESTROY: it died",
             mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, MEZZ_L2_DIED, 0), 0);
    CHECK_ERROR("L2_DESTROY: 0", mezz_call(MEZZ_CALL_L2_DESTROY, 0, 0, 0), MEZZ_E_ID);
    CHECK_ERROR("L2_DESTROY: one past the last", mezz_call(MEZZ_CALL_L2_DESTROY, 65, 0, 0),
                MEZZ_E_ID);
    CHECK_ERROR("L2_DESTROY: a number of 64 bits",
                mezz_call(MEZZ_CALL_L2_DESTROY, 1ULL << 32 | kit_l2(), 0, 0), MEZZ_E_ID);
}

static void l2_limit(void)
{
    char name[] = "calls-AA";
    uint64_t made[MEZZ_MAX_L2 + 1];
    unsigned int count = 0;
    int64_t number;

    for (;;) {
        name[6] = (char)('A' + count / 26);
        name[7] = (char)('A' + count % 26);
        number = create_raw(name, 8, 0);
        if (number < 0 || count > MEZZ_MAX_L2)
            break;
        made[count++] = (uint64_t)number;
    }
    CHECK_ERROR("L2_CREATE: one more than the machine holds", number, MEZZ_E_LIMIT);
    CHECK_EQ("L2_CREATE: what it holds, with the group's own", count, MEZZ_MAX_L2 - 1);
    while (count > 0)
        mezz_call(MEZZ_CALL_L2_DESTROY, made[--count], 0, 0);
}

/* A machine reports on each name that an L2 ever had. Used up afterwards. */
static void names(void)
{
    char name[] = "name-AA";
    unsigned int count = 0;
    int64_t number;

    for (;; count++) {
        name[5] = (char)('A' + count / 26);
        name[6] = (char)('A' + count % 26);
        number = create_raw(name, 7, 0);
        if (number < 0 || count > 256)
            break;
        mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, 0, 0);
    }
    CHECK_ERROR("L2_CREATE: one name more than the machine holds", number, MEZZ_E_LIMIT);
    number = create_raw("name-AA", 7, 0);
    CHECK("L2_CREATE: a name that was there", number > 0);
    mezz_call(MEZZ_CALL_L2_DESTROY, (uint64_t)number, 0, 0);
}

static void vcpu(void)
{
    uint64_t page = kit_address(kit_pages(1));
    int64_t number = mezz_call(MEZZ_CALL_VCPU_CREATE, kit_l2(), page, 0);

    CHECK("VCPU_CREATE", number > 0);
    CHECK_ERROR("ENTER: no VMCS12", mezz_call(MEZZ_CALL_ENTER, (uint64_t)number, 0, 0),
                MEZZ_E_VMCS);
    CHECK_EQ("ENTER: the VMCS12's abort field", ((struct mezz_vmcs12 *)kit_at(page))->abort,
             MEZZ_E_VMCS);
    CHECK_EQ("VCPU_DESTROY", mezz_call(MEZZ_CALL_VCPU_DESTROY, (uint64_t)number, 0, 0), 0);
    CHECK_ERROR("VCPU_DESTROY: twice", mezz_call(MEZZ_CALL_VCPU_DESTROY, (uint64_t)number, 0, 0),
                MEZZ_E_ID);
    CHECK_ERROR("VCPU_DESTROY: 0", mezz_call(MEZZ_CALL_VCPU_DESTROY, 0, 0, 0), MEZZ_E_ID);
    CHECK_ERROR("VCPU_CREATE: L2", mezz_call(MEZZ_CALL_VCPU_CREATE, 60, page, 0), MEZZ_E_ID);
    CHECK_ERROR("VCPU_CREATE: alignment", mezz_call(MEZZ_CALL_VCPU_CREATE, kit_l2(), page + 8, 0),
                MEZZ_E_ALIGNMENT);
    CHECK_ERROR("VCPU_CREATE: address", mezz_call(MEZZ_CALL_VCPU_CREATE, kit_l2(), NOWHERE, 0),
                MEZZ_E_ADDRESS);
    CHECK_ERROR("VCPU_CREATE: last page of the address space",
                mezz_call(MEZZ_CALL_VCPU_CREATE, kit_l2(), 0xfffffffffffff000, 0), MEZZ_E_ADDRESS);
    CHECK_ERROR("ENTER: vCPU", mezz_call(MEZZ_CALL_ENTER, (uint64_t)number, 0, 0), MEZZ_E_ID);
    CHECK_ERROR("ENTER: 0", mezz_call(MEZZ_CALL_ENTER, 0, 0, 0), MEZZ_E_ID);
}

static void vcpu_limit(void)
{
    uint64_t l2 = (uint64_t)create_raw("calls-many", 10, 0);
    uint64_t page = kit_address(kit_pages(1));
    unsigned int count = 0;
    int64_t number;

    while ((number = mezz_call(MEZZ_CALL_VCPU_CREATE, l2, page, 0)) > 0 &&
           count <= MEZZ_MAX_L2_VCPUS)
        count++;
    CHECK_ERROR("VCPU_CREATE: one more than the machine holds", number, MEZZ_E_LIMIT);
    CHECK_EQ("VCPU_CREATE: what it holds", count, MEZZ_MAX_L2_VCPUS);
    CHECK_EQ("L2_DESTROY: with all its vCPUs", mezz_call(MEZZ_CALL_L2_DESTROY, l2, 0, 0), 0);
    CHECK_ERROR("they are gone", mezz_call(MEZZ_CALL_ENTER, 1, 0, 0), MEZZ_E_ID);
}

/* The limit is one of vCPUs that are there, not of those that ever were. */
static void vcpus_in_turn(void)
{
    unsigned int ran = 0;

    for (unsigned int i = 0; i < 2 * MEZZ_MAX_L2_VCPUS; i++) {
        struct kit_guest guest;

        if (kit_open(&guest, KIT_LONG, calls_halt) > 0 && kit_exit(&guest) == MEZZ_EXIT_HLT)
            ran++;
        kit_close(&guest);
    }
    CHECK_EQ("VCPU_CREATE: one after the other", ran, 2 * MEZZ_MAX_L2_VCPUS);
}

static void enter_and_invept(void)
{
    struct kit_guest guest;

    kit_open(&guest, KIT_LONG, calls_halt);
    CHECK_EQ("ENTER", kit_enter(&guest), 0);
    CHECK_EQ("ENTER: HLT", guest.vmcs->exit.reason, MEZZ_EXIT_HLT);
    CHECK_EQ("ENTER: abort field", guest.vmcs->abort, 0);
    CHECK_EQ("INVEPT", kit_invept(&guest), 0);
    CHECK_EQ("INVEPT: all", mezz_call(MEZZ_CALL_INVEPT, guest.l2, 2, 0), 0);
    CHECK_ERROR("INVEPT: L2", mezz_call(MEZZ_CALL_INVEPT, 60, 2, 0), MEZZ_E_ID);
    CHECK_ERROR("INVEPT: type 0", mezz_call(MEZZ_CALL_INVEPT, guest.l2, 0, 0), MEZZ_E_ARGUMENT);
    CHECK_ERROR("INVEPT: type 3", mezz_call(MEZZ_CALL_INVEPT, guest.l2, 3, 0), MEZZ_E_ARGUMENT);
    kit_close(&guest);
}

static void views(void)
{
    uint32_t leaf[4];
    enum mezz_error error;

    kit_cpuid(MEZZ_CPUID_INTERFACE, leaf);
    error = leaf[1] & MEZZ_FEATURE_VIEWS ? MEZZ_E_ID : MEZZ_E_UNSUPPORTED;
    CHECK_ERROR("EPTP_LIST: no L2, or no views", mezz_call(MEZZ_CALL_EPTP_LIST, 0, 0, 0), error);
}

static void callbacks(void)
{
    struct kit_guest guest;
    struct kit_callback callback;

    kit_open(&guest, KIT_LONG, calls_halt);
    kit_callback_init(&callback, &guest, MEZZ_EXIT_HLT);
    CHECK("CALLBACK_REGISTER", kit_register(&callback) > 0);
    CHECK_ERROR("CALLBACK_REGISTER: address",
                mezz_call(MEZZ_CALL_CALLBACK_REGISTER, NOWHERE - 248, 0, 0), MEZZ_E_ADDRESS);
    CHECK_ERROR("CALLBACK_COUNTERS: address",
                mezz_call(MEZZ_CALL_CALLBACK_COUNTERS, (uint64_t)callback.number, NOWHERE - 8, 0),
                MEZZ_E_ADDRESS);
    CHECK_ERROR("CALLBACK_COUNTERS: number", mezz_call(MEZZ_CALL_CALLBACK_COUNTERS, 65, 4096, 0),
                MEZZ_E_ID);
    CHECK_ERROR("CALLBACK_COUNTERS: 0", mezz_call(MEZZ_CALL_CALLBACK_COUNTERS, 0, 4096, 0),
                MEZZ_E_ID);
    CHECK_EQ("CALLBACK_UNREGISTER", kit_unregister(&callback), 0);
    CHECK_ERROR("CALLBACK_UNREGISTER: twice", kit_unregister(&callback), MEZZ_E_ID);
    CHECK_ERROR("CALLBACK_UNREGISTER: 0", mezz_call(MEZZ_CALL_CALLBACK_UNREGISTER, 0, 0, 0),
                MEZZ_E_ID);
    CHECK_ERROR("CALLBACK_RETURN: outside of a handler",
                mezz_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, 0), MEZZ_E_STATE);
    kit_close(&guest);
}

void group_calls(void)
{
    unknown();
    wide_numbers();
    console();
    l2_create();
    l2_limit();
    vcpu();
    vcpu_limit();
    vcpus_in_turn();
    enter_and_invept();
    views();
    callbacks();
    names();
}
