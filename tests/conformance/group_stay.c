/* SPDX-License-Identifier: Apache-2.0 */
/* MEZZ_RETURN_STAY: when a handler goes on behind its return, and when it is started anew. */
#include "groups.h"
#include "kit.h"

KIT_CODE(stay_outs, "outb %al, $0x61\n outb %al, $0x62\n outb %al, $0x63\n hlt\n"
                    "outb %al, $0x64\n hlt");
KIT_CODE(stay_mixed, "outb %al, $0x61\n movl $0x12345, %ecx\n wrmsr\n outb %al, $0x62\n hlt");
KIT_CODE(stay_string,
         "movl $0x20000000, %esi\n movl $0x61, %edx\n movl $5, %ecx\n rep outsb\n hlt");

/* With the handler, which is not C. */
#define SHARED static volatile __attribute__((used))

SHARED uint64_t started;   /* the handler, from its first instruction on */
SHARED uint64_t asked;     /* that or behind its return */
SHARED uint64_t last_port; /* by the frame, the last time it was asked */
SHARED uint64_t lost;      /* registers were not as they were at the call */
SHARED uint64_t flags;     /* of its return */
SHARED int64_t refused;

void stay_handler(void);
__asm__(".text\n"
        "stay_handler:\n"
        "    incq started(%rip)\n"
        "    movq %rdi, %rbx\n" /* the frame */
        "    movl $0x5157, %r13d\n"
        "1:  incq asked(%rip)\n"
        "    movzwl 42(%rbx), %eax\n" /* exit.qualification, the port */
        "    movq %rax, last_port(%rip)\n"
        "    movl $13, %eax\n" /* MEZZ_CALL_CALLBACK_RETURN */
        "    movl $1, %edi\n"  /* MEZZ_ACTION_RESUME */
        "    movl $0x77, %esi\n"
        "    movq flags(%rip), %rdx\n"
        "    outb %al, $0x7e\n"
        "    testq %rax, %rax\n"
        "    js 2f\n"
        "    cmpl $13, %eax\n"
        "    jne 3f\n"
        "    cmpq flags(%rip), %rdx\n"
        "    jne 3f\n"
        "    cmpl $0x77, %esi\n"
        "    jne 3f\n"
        "    cmpl $0x5157, %r13d\n"
        "    je 1b\n"
        "3:  incq lost(%rip)\n"
        "    jmp 1b\n"
        "2:  movq %rax, refused(%rip)\n"
        "    movl $13, %eax\n"
        "    movl $2, %edi\n" /* MEZZ_ACTION_REFLECT */
        "    xorl %edx, %edx\n"
        "    outb %al, $0x7e\n"
        "    ud2\n");

static void open_stay(struct kit_guest *guest, struct kit_callback *callback, const char *code)
{
    started = asked = last_port = lost = 0;
    refused = 0;
    flags = MEZZ_RETURN_STAY;
    kit_open(guest, KIT_LONG, code);
    kit_callback_init(callback, guest, MEZZ_EXIT_IO);
    callback->registration.handler = (uint64_t)stay_handler;
    kit_register(callback);
}

static void close_stay(const struct kit_guest *guest, const struct kit_callback *callback)
{
    CHECK_EQ("registers were as at the call", lost, 0);
    kit_unregister(callback);
    kit_close(guest);
}

static void goes_on(void)
{
    struct kit_callback callback;
    struct kit_guest guest;

    KIT_LABEL("STAY");
    open_stay(&guest, &callback, stay_outs);
    CHECK_EQ("three OUTs, then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("it was asked three times", asked, 3);
    CHECK_EQ("and started once", started, 1);
    CHECK_EQ("the frame is of the last one", last_port, 0x63);
    CHECK_EQ("after ENTER returned", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("it was asked again", asked, 4);
    CHECK_EQ("and started anew", started, 2);
    CHECK_EQ("L1's registers at ENTER came back: the frame", last_port, 0x64);
    close_stay(&guest, &callback);

    KIT_LABEL("without STAY");
    open_stay(&guest, &callback, stay_outs);
    flags = 0;
    CHECK_EQ("three OUTs, then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("it was asked three times", asked, 3);
    CHECK_EQ("and started each time", started, 3);
    close_stay(&guest, &callback);
}

/* All elements reach the root at once: the next one is there when the handler returns. */
static void elements(void)
{
    struct kit_callback callback;
    struct kit_guest guest;

    KIT_LABEL("STAY, elements of one instruction");
    open_stay(&guest, &callback, stay_string);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("each was told", asked, 5);
    CHECK_EQ("it was started once", started, 1);
    close_stay(&guest, &callback);
}

static void another_between(void)
{
    struct kit_callback callback, other;
    struct kit_guest guest;

    KIT_LABEL("STAY, another handler in between");
    open_stay(&guest, &callback, stay_mixed);
    kit_callback_init(&other, &guest, MEZZ_EXIT_WRMSR);
    kit_register(&other);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("the other one ran", other.fired, 1);
    CHECK_EQ("it was asked twice", asked, 2);
    CHECK_EQ("and started twice", started, 2);
    kit_unregister(&other);
    close_stay(&guest, &callback);
}

static void refused_returns(void)
{
    struct kit_callback callback;
    struct kit_guest guest;

    KIT_LABEL("STAY, refused");
    open_stay(&guest, &callback, stay_outs);
    flags = MEZZ_RETURN_STAY | MEZZ_RETURN_FAULT;
    CHECK_EQ("the handler reflects", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_ERROR("its error", refused, MEZZ_E_ACTION);
    flags = MEZZ_RETURN_STAY;
    CHECK_EQ("L2 goes on", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("the refused one was started by itself", started, 2);
    CHECK_EQ("it was asked three times", asked, 3);
    close_stay(&guest, &callback);
}

void group_stay(void)
{
    goes_on();
    elements();
    another_between();
    refused_returns();
}
