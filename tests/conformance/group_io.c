/* SPDX-License-Identifier: Apache-2.0 */
/* Port accesses of L2: what the exit says, how it ends, which ones exit. */
#include "groups.h"
#include "kit.h"

#define OUT_QUALIFICATION(size, port) (((uint64_t)(port) << MEZZ_IO_PORT_SHIFT) | ((size)-1))
#define IN_QUALIFICATION(size, port)  (OUT_QUALIFICATION(size, port) | MEZZ_IO_IN)

#define OUT_CODE(name, instruction)                                                             \
    KIT_CODE_AFTER(name,                                                                        \
                   "movl $0x12345678, %eax\n"                                                   \
                   "movl $0x610, %edx\n" #name "_at: " instruction "\n" KIT_AFTER(name) "hlt"); \
    extern const char name##_at[]

OUT_CODE(out_1, "outb %al, %dx");
OUT_CODE(out_2, "outw %ax, %dx");
OUT_CODE(out_4, "outl %eax, %dx");
OUT_CODE(in_1, "inb %dx, %al");
OUT_CODE(in_2, "inw %dx, %ax");
OUT_CODE(in_4, "inl %dx, %eax");
KIT_CODE(out_real, ".code16\n movb $0x42, %al\n outb %al, $0x61\n hlt");
KIT_CODE(out_protected, ".code32\n movb $0x43, %al\n outb %al, $0x62\n hlt");

static const struct io_case {
    const char *name;
    const char *code, *at, *after;
    uint32_t size;
    bool in;
    uint64_t value; /* that OUT writes, or RAX after an IN of 0xfedcba9876543210 */
} io_cases[] = {
    {"out 1", out_1, out_1_at, out_1_after, 1, false, 0x78},
    {"out 2", out_2, out_2_at, out_2_after, 2, false, 0x5678},
    {"out 4", out_4, out_4_at, out_4_after, 4, false, 0x12345678},
    {"in 1", in_1, in_1_at, in_1_after, 1, true, 0x12345610},
    {"in 2", in_2, in_2_at, in_2_after, 2, true, 0x12343210},
    {"in 4", in_4, in_4_at, in_4_after, 4, true, 0x76543210},
};

static void one(const struct io_case *c)
{
    struct kit_guest guest;
    const struct mezz_vmcs12_exit *exit;

    KIT_LABEL(c->name);
    kit_open(&guest, KIT_LONG, c->code);
    exit = &guest.vmcs->exit;
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("qualification", exit->qualification,
             c->in ? IN_QUALIFICATION(c->size, 0x610) : OUT_QUALIFICATION(c->size, 0x610));
    CHECK_EQ("size", exit->size, c->size);
    CHECK_EQ("flags", exit->flags, c->in ? MEZZ_EXIT_PENDING : MEZZ_EXIT_RETIRED);
    CHECK_EQ("value", exit->value, c->in ? 0 : c->value);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(c->in ? c->at : c->after));
    CHECK_EQ("RAX at the exit", guest.vmcs->regs.gpr[MEZZ_RAX], 0x12345678);
    CHECK_EQ("count", exit->count, 1);
    CHECK_EQ("completion", guest.vmcs->completion.value, UINT64_MAX);
    guest.vmcs->completion.value = 0xfedcba9876543210;
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RAX at the end", guest.vmcs->regs.gpr[MEZZ_RAX], c->in ? c->value : 0x12345678);
    CHECK_EQ("RIP at the end", guest.vmcs->regs.guest_rip, kit_address(c->after) + 1);
    kit_close(&guest);
}

static void completion_by_registers(void)
{
    struct kit_guest guest;

    KIT_LABEL("in ended by registers");
    kit_open(&guest, KIT_LONG, in_4);
    kit_enter(&guest);
    guest.vmcs->regs.gpr[MEZZ_RAX] = 0xabcdef;
    guest.vmcs->regs.guest_rip = kit_address(in_4_after);
    guest.vmcs->completion.value = 0x55555555;
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("RAX is what L1 wrote", guest.vmcs->regs.gpr[MEZZ_RAX], 0xabcdef);
    kit_close(&guest);
}

static void unanswered(void)
{
    struct kit_guest guest;

    KIT_LABEL("in that L1 leaves alone");
    kit_open(&guest, KIT_LONG, in_4);
    kit_enter(&guest);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK_EQ("reads ones", guest.vmcs->regs.gpr[MEZZ_RAX], 0xffffffff);
    kit_close(&guest);
}

static void other_modes(void)
{
    struct kit_guest guest;

    KIT_LABEL("real mode");
    kit_open(&guest, KIT_REAL, out_real);
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, OUT_QUALIFICATION(1, 0x61));
    CHECK_EQ("value", guest.vmcs->exit.value, 0x42);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, 4);
    CHECK_EQ("then HLT", kit_exit(&guest), MEZZ_EXIT_HLT);
    kit_close(&guest);
    KIT_LABEL("32-bit mode");
    kit_open(&guest, KIT_PROTECTED, out_protected);
    CHECK_EQ("exit reason", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, OUT_QUALIFICATION(1, 0x62));
    CHECK_EQ("value", guest.vmcs->exit.value, 0x43);
    CHECK_EQ("guest_rip", guest.vmcs->regs.guest_rip, kit_address(out_protected) + 4);
    kit_close(&guest);
}

KIT_CODE(string_out, "movl $0x700, %edx\n movl $0x20000000, %esi\n movl $20, %ecx\n"
                     "cld\n rep outsb\n hlt");
KIT_CODE(string_in, "movl $0x700, %edx\n movl $0x20000000, %edi\n movl $24, %ecx\n"
                    "cld\n rep insw\n hlt");
KIT_CODE(long_string_out, "movl $0x700, %edx\n movl $0x20000000, %esi\n movl $200, %ecx\n"
                          "cld\n rep outsb\n hlt");

static void strings_out(const char *label, const char *code, unsigned int count)
{
    struct kit_guest guest;
    unsigned int elements = 0;
    bool right = true;
    int64_t reason;

    KIT_LABEL(label);
    kit_open(&guest, KIT_LONG, code);
    for (unsigned int i = 0; i < 256; i++)
        ((uint8_t *)guest.data)[i] = (uint8_t)(0x30 + i);
    while ((reason = kit_exit(&guest)) == MEZZ_EXIT_IO && elements <= count) {
        right = right && guest.vmcs->exit.size == 1 &&
                (guest.vmcs->exit.qualification & ~MEZZ_IO_STRING) == OUT_QUALIFICATION(1, 0x700) &&
                guest.vmcs->exit.value == (uint8_t)(0x30 + elements);
        elements++;
    }
    CHECK_EQ("an exit for each element", elements, count);
    CHECK("each has its byte", right);
    CHECK_EQ("then HLT", reason, MEZZ_EXIT_HLT);
    CHECK_EQ("RCX at the end", guest.vmcs->regs.gpr[MEZZ_RCX], 0);
    kit_close(&guest);
}

static void strings_in(void)
{
    struct kit_guest guest;
    const uint16_t *data;
    unsigned int elements = 0;
    bool right = true;
    int64_t reason;

    KIT_LABEL("rep ins");
    kit_open(&guest, KIT_LONG, string_in);
    data = (const uint16_t *)guest.data;
    while ((reason = kit_exit(&guest)) == MEZZ_EXIT_IO && elements <= 24) {
        right = right && guest.vmcs->exit.size == 2 && guest.vmcs->exit.flags == MEZZ_EXIT_PENDING;
        guest.vmcs->completion.value = 0x1100 + elements;
        elements++;
    }
    CHECK_EQ("an exit for each element", elements, 24);
    CHECK("each is a pending read of 2 bytes", right);
    CHECK_EQ("then HLT", reason, MEZZ_EXIT_HLT);
    right = true;
    for (unsigned int i = 0; i < 24; i++)
        right = right && data[i] == 0x1100 + i;
    CHECK("memory has the answers in order", right);
    kit_close(&guest);
}

/* Bitmap semantics: a bit of any port that is accessed; past the last port always. */
KIT_CODE(bitmap_probe, "movl %ebx, %edx\n inl %dx, %eax\n hlt");
KIT_CODE(bitmap_last, "movl $0xffff, %edx\n inb %dx, %al\n inw %dx, %ax\n hlt");

static bool probe_exits(struct kit_guest *guest, uint16_t port)
{
    guest->vmcs->regs.guest_rip = kit_address(bitmap_probe);
    guest->vmcs->regs.gpr[MEZZ_RBX] = port;
    kit_wrote(guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS) | MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
    return kit_exit(guest) == MEZZ_EXIT_IO;
}

static void bitmaps(void)
{
    uint8_t *a = kit_pages(1), *b = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("bitmaps");
    kit_open(&guest, KIT_LONG, bitmap_probe);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS;
    guest.vmcs->controls.io_bitmap_a = kit_address(a);
    guest.vmcs->controls.io_bitmap_b = kit_address(b);
    CHECK("no bit: no exit", !probe_exits(&guest, 0x1000));
    CHECK_EQ("a port of L1's machine: ones", guest.vmcs->regs.gpr[MEZZ_RAX], 0xffffffff);
    a[0x1000 / 8] = 1;
    CHECK("the port's bit", probe_exits(&guest, 0x1000));
    CHECK("a bit of the access's last port", probe_exits(&guest, 0x0ffd));
    CHECK("a bit before the access", !probe_exits(&guest, 0x1001));
    CHECK("a bit behind the access", !probe_exits(&guest, 0x0ffc));
    b[0] = 1;
    CHECK("bitmap B starts at 0x8000", probe_exits(&guest, 0x8000));
    CHECK("an access over both bitmaps", probe_exits(&guest, 0x7ffd));
    CHECK("past the last port: always", probe_exits(&guest, 0xfffd));
    CHECK("up to the last port: by its bit", !probe_exits(&guest, 0xfffc));
    guest.vmcs->controls.cpu_based |= MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    CHECK("bitmaps go before unconditional exiting", !probe_exits(&guest, 0x2000));
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
    CHECK("neither: no exit", !probe_exits(&guest, 0x1000));
    guest.vmcs->controls.cpu_based |= MEZZ_CPU_UNCONDITIONAL_IO_EXITING;
    CHECK("unconditional exiting", probe_exits(&guest, 0x1000));
    kit_close(&guest);
}

/* The root copies bitmaps with the CONTROLS group: writing a page has no effect before that. */
static void bitmap_copies(void)
{
    uint8_t *a = kit_pages(1), *b = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("bitmap copies");
    kit_open(&guest, KIT_LONG, bitmap_probe);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS;
    guest.vmcs->controls.io_bitmap_a = kit_address(a);
    guest.vmcs->controls.io_bitmap_b = kit_address(b);
    CHECK("no bit: no exit", !probe_exits(&guest, 0x1000));
    a[0x1000 / 8] = 1;
    guest.vmcs->regs.guest_rip = kit_address(bitmap_probe);
    kit_wrote(&guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    CHECK_EQ("a bit set with the group left clean", kit_exit(&guest), MEZZ_EXIT_HLT);
    CHECK("the same with the group written", probe_exits(&guest, 0x1000));
    kit_close(&guest);
}

static void last_port(void)
{
    uint8_t *a = kit_pages(1), *b = kit_pages(1);
    struct kit_guest guest;

    KIT_LABEL("port 0xffff");
    kit_open(&guest, KIT_LONG, bitmap_last);
    guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS;
    guest.vmcs->controls.io_bitmap_a = kit_address(a);
    guest.vmcs->controls.io_bitmap_b = kit_address(b);
    CHECK_EQ("two bytes exit", kit_exit(&guest), MEZZ_EXIT_IO);
    CHECK_EQ("qualification", guest.vmcs->exit.qualification, IN_QUALIFICATION(2, 0xffff));
    CHECK_EQ("one byte did not exit", guest.vmcs->exit.count, 2);
    kit_close(&guest);
}

void group_io(void)
{
    for (unsigned int i = 0; i < sizeof(io_cases) / sizeof(io_cases[0]); i++)
        one(&io_cases[i]);
    completion_by_registers();
    unanswered();
    other_modes();
    strings_out("rep outs", string_out, 20);
    strings_out("rep outs of 200", long_string_out, 200);
    strings_in();
    bitmaps();
    bitmap_copies();
    last_port();
}
