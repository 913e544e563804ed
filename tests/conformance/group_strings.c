/* SPDX-License-Identifier: Apache-2.0 */
/* REP string instructions that are disturbed between two of their elements: each element is an exit
 * with the registers that it has then, and none is lost. */
#include "groups.h"
#include "kit.h"

#define COUNT     20
#define DISTURBED 3 /* the element */
#define VALUE(at) (0x40 + (uint64_t)(at))

#define STRING_CODE(name, setup, instruction)                                           \
    KIT_CODE_AFTER(name, setup "\n movl $0x700, %edx\n cld\n" #name "_at: " instruction \
                               "\n" KIT_AFTER(name) "hlt");                             \
    extern const char name##_at[]

#define FROM_ABSENT "movl $0x20002000, %esi\n movl $0x20000000, %edi\n movl $20, %ecx"
#define TO_DATA     "movl $0x20000000, %edi\n movl $20, %ecx"

STRING_CODE(ins_bytes, TO_DATA, "rep insb");
STRING_CODE(ins_long, TO_DATA, "rep insl");
KIT_CODE(ins_back, "movl $0x20000026, %edi\n movl $20, %ecx\n movl $0x700, %edx\n std\n"
                   "rep insw\n cld\n hlt");
STRING_CODE(movs_bytes, FROM_ABSENT, "rep movsb");
STRING_CODE(movs_quads, FROM_ABSENT, "rep movsq");
/* The count is 32 bits of RCX. */
STRING_CODE(movs_short,
            "movabsq $0x500000014, %rcx\n movl $0x20002000, %esi\n"
            "movl $0x20000000, %edi",
            "addr32 rep movsb");
STRING_CODE(lods_bytes, FROM_ABSENT, "rep lodsb");
/* All but the last are alike. */
STRING_CODE(cmps_bytes, FROM_ABSENT, "repe cmpsb");
STRING_CODE(scas_bytes, "movl $0x20002000, %edi\n movl $20, %ecx\n movb $0x53, %al", "repne scasb");
KIT_CODE_AFTER(movs_32, ".code32\n movl $0x20002000, %esi\n movl $0x20000000, %edi\n"
                        "movl $20, %ecx\n cld\n movs_32_at: rep movsb\n" KIT_AFTER(movs_32) "hlt");
extern const char movs_32_at[];

static const struct string_case {
    const char *label;
    const char *code, *at;
    enum kit_mode mode;
    enum mezz_exit_reason reason;
    uint64_t rcx;      /* at the first element */
    unsigned int step; /* of RDI */
    unsigned int bytes;
    unsigned int stored; /* elements that end in memory */
} cases[] = {
    {"insb", ins_bytes, ins_bytes_at, KIT_LONG, MEZZ_EXIT_IO, COUNT, 1, 1, COUNT},
    {"insl", ins_long, ins_long_at, KIT_LONG, MEZZ_EXIT_IO, COUNT, 4, 4, COUNT},
    {"movsb", movs_bytes, movs_bytes_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, COUNT, 1, 1, COUNT},
    {"movsq", movs_quads, movs_quads_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, COUNT, 8, 8, COUNT},
    {"movsb with ECX", movs_short, movs_short_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION,
     0x500000000 + COUNT, 1, 1, COUNT},
    {"movsb of 32-bit code", movs_32, movs_32_at, KIT_PROTECTED, MEZZ_EXIT_EPT_VIOLATION, COUNT, 1,
     1, COUNT},
    {"lodsb", lods_bytes, lods_bytes_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, COUNT, 0, 1, 0},
    {"cmpsb", cmps_bytes, cmps_bytes_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, COUNT, 1, 1, 0},
    {"scasb", scas_bytes, scas_bytes_at, KIT_LONG, MEZZ_EXIT_EPT_VIOLATION, COUNT, 1, 1, 0},
};

/* What happens at element DISTURBED. */
enum disturbance {
    NOTHING,
    EVENTS_WRITTEN,
    EXCEPTION,
    REGS_WRITTEN,
    TIMER,
    HANDLER_RESUMES,
    HANDLER_INJECTS,
    HANDLER_LOADS_REGS,
    DISTURBANCES
};

static const char *const disturbance_names[DISTURBANCES] = {
    "nothing", "EVENTS written", "exception", "REGS written",
    "timer",   "RESUME",         "INJECT",    "LOAD_REGS",
};

static struct {
    struct kit_guest guest;
    const struct string_case *c;
    unsigned int elements; /* exits, repeated ones not counted */
    unsigned int repeated;
    unsigned int injected;
    unsigned int timers;
    bool right;
    uint64_t last_rcx;
    uint64_t last_rsi;
} now;

/* Notes an exit of the string instruction, and says what it reads. */
static uint64_t element(const struct mezz_vmcs12_regs *regs, const struct mezz_vmcs12_exit *exit)
{
    const uint32_t at = (uint32_t)now.c->rcx - (uint32_t)regs->gpr[MEZZ_RCX];

    if (now.elements > 0 && regs->gpr[MEZZ_RCX] == now.last_rcx)
        now.repeated++;
    else if (at == now.elements)
        now.elements++;
    else
        now.right = false;
    now.last_rcx = regs->gpr[MEZZ_RCX];
    now.last_rsi = regs->gpr[MEZZ_RSI];
    now.right = now.right && regs->guest_rip == kit_address(now.c->at) &&
                exit->flags == MEZZ_EXIT_PENDING && exit->size == now.c->bytes;
    if (now.c->step != 0)
        now.right = now.right && (regs->gpr[MEZZ_RDI] & 0xfff) == at * now.c->step;
    return VALUE(at);
}

static bool is_vector(const struct mezz_vmcs12_exit *exit)
{
    return exit->reason == MEZZ_EXIT_IO &&
           exit->qualification >> MEZZ_IO_PORT_SHIFT == KIT_L2_VECTOR_PORT;
}

static void disturb(enum disturbance what)
{
    struct mezz_vmcs12 *vmcs = now.guest.vmcs;

    if (what == EXCEPTION)
        vmcs->events.entry_interruption_info = MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | 6;
    if (what == EXCEPTION || what == EVENTS_WRITTEN)
        kit_wrote(&now.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS));
    if (what == REGS_WRITTEN)
        kit_wrote(&now.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
    if (what == TIMER)
        kit_use_timer(&now.guest, 0);
}

/* What the handler's answer is to be, from its own sight of the registers. */
static void choose(struct kit_callback *callback)
{
    const struct mezz_callback_frame *frame = callback->frame;
    const enum disturbance what = (enum disturbance)callback->result;

    callback->action = MEZZ_ACTION_RESUME;
    callback->flags = 0;
    if (is_vector(&frame->exit)) {
        callback->action = MEZZ_ACTION_REFLECT;
        return;
    }
    callback->value = element(&frame->regs, &frame->exit);
    if (now.elements != DISTURBED || now.repeated != 0 || now.injected != 0)
        return;
    if (what == HANDLER_INJECTS) {
        callback->frame->entry_interruption_info = MEZZ_EVENT_VALID | MEZZ_EVENT_EXCEPTION | 6;
        callback->action = MEZZ_ACTION_INJECT;
    } else if (what == HANDLER_LOADS_REGS) {
        callback->flags = MEZZ_RETURN_LOAD_REGS;
    }
}

/* L2's handler has used these. */
static void restore(void)
{
    struct mezz_vmcs12_regs *regs = &now.guest.vmcs->regs;

    now.injected++;
    regs->gpr[MEZZ_RCX] = now.last_rcx - 1;
    regs->gpr[MEZZ_RDX] = 0x700;
    regs->gpr[MEZZ_RSI] = now.last_rsi + now.c->bytes;
    kit_wrote(&now.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_REGS));
}

/* Runs to the HLT; false: something else came. */
static bool run_to_end(enum disturbance what)
{
    struct mezz_vmcs12 *vmcs = now.guest.vmcs;
    bool done = false;

    for (unsigned int i = 0; i < 4 * COUNT; i++) {
        int64_t reason = kit_exit(&now.guest);

        if (reason == MEZZ_EXIT_PREEMPTION_TIMER && what == TIMER) {
            now.timers++;
            vmcs->controls.pin_based = 0;
            kit_wrote(&now.guest, MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS));
        } else if (reason >= 0 && is_vector(&vmcs->exit)) {
            restore();
        } else if (reason == (int64_t)now.c->reason) {
            vmcs->completion.value = element(&vmcs->regs, &vmcs->exit);
            if (now.elements == DISTURBED && !done) {
                disturb(what);
                done = true;
            }
        } else {
            return reason == MEZZ_EXIT_HLT;
        }
    }
    return false;
}

static void prepare(const struct string_case *c)
{
    now.c = c;
    now.elements = now.repeated = now.injected = now.timers = 0;
    now.right = true;
    kit_open(&now.guest, c->mode, c->code);
    for (unsigned int i = 0; i < COUNT; i++)
        ((uint8_t *)now.guest.data)[i] =
            c->stored > 0 ? 0xee : (uint8_t)(i == COUNT - 1 ? 0 : VALUE(i));
}

static bool memory_is_right(const struct string_case *c)
{
    const uint8_t *data = (const uint8_t *)now.guest.data;
    bool right = true;

    for (unsigned int i = 0; i < c->stored; i++)
        right = right && data[i * c->bytes] == VALUE(i) &&
                (c->bytes == 1 || data[i * c->bytes + 1] == 0);
    return right;
}

static void disturbed(const struct string_case *c, enum disturbance what)
{
    struct kit_callback callback;

    KIT_LABEL(c->label);
    kit_note(disturbance_names[what]);
    prepare(c);
    if (what >= HANDLER_RESUMES) {
        kit_callback_init(&callback, &now.guest, c->reason);
        callback.hook = choose;
        callback.result = what;
        kit_register(&callback);
    }
    CHECK("it ends", run_to_end(what));
    CHECK_EQ("elements", now.elements, COUNT);
    CHECK("each with its registers", now.right);
    CHECK_EQ("one more for registers of L1's", now.repeated,
             what == REGS_WRITTEN || what == HANDLER_LOADS_REGS);
    CHECK_EQ("events", now.injected, what == EXCEPTION || what == HANDLER_INJECTS);
    CHECK_EQ("the timer's exit", now.timers, what == TIMER);
    CHECK("memory", memory_is_right(c));
    CHECK_EQ("RCX at the end", (uint32_t)now.guest.vmcs->regs.gpr[MEZZ_RCX], 0);
    if (what >= HANDLER_RESUMES)
        kit_unregister(&callback);
    kit_close(&now.guest);
}

/* The condition that ends CMPS and SCAS holds at the element that was disturbed. */
static void ends_early(const struct string_case *c, enum disturbance what)
{
    int64_t reason = 0;
    unsigned int i = 0;

    KIT_LABEL("ends at the element");
    prepare(c);
    while (i < COUNT && (reason = kit_exit(&now.guest)) == MEZZ_EXIT_EPT_VIOLATION) {
        i++;
        now.guest.vmcs->completion.value = i < DISTURBED ? VALUE(i - 1) : 0x99;
        if (c->code == scas_bytes)
            now.guest.vmcs->completion.value = i < DISTURBED ? 0 : 0x53;
        if (i == DISTURBED)
            disturb(what);
    }
    CHECK_EQ("elements", i, DISTURBED);
    CHECK_EQ("then HLT", reason, MEZZ_EXIT_HLT);
    CHECK_EQ("RCX", now.guest.vmcs->regs.gpr[MEZZ_RCX], COUNT - DISTURBED);
    kit_close(&now.guest);
}

/* Elements that come one after another at falling addresses. */
static void backwards(void)
{
    const uint16_t *data;
    bool right = true;
    unsigned int i = 0;

    KIT_LABEL("insw backwards");
    kit_open(&now.guest, KIT_LONG, ins_back);
    data = (const uint16_t *)now.guest.data;
    while (i <= COUNT && kit_exit(&now.guest) == MEZZ_EXIT_IO) {
        const struct mezz_vmcs12_regs *regs = &now.guest.vmcs->regs;

        right = right && regs->gpr[MEZZ_RCX] == COUNT - i &&
                regs->gpr[MEZZ_RDI] == KIT_L2_DATA + 2ULL * (COUNT - 1 - i);
        now.guest.vmcs->completion.value = VALUE(i);
        i++;
        if (i == DISTURBED)
            disturb(EVENTS_WRITTEN);
    }
    CHECK_EQ("elements", i, COUNT);
    CHECK("each with its registers", right);
    for (i = 0; i < COUNT; i++)
        right = right && data[COUNT - 1 - i] == VALUE(i);
    CHECK("memory", right);
    kit_close(&now.guest);
}

STRING_CODE(ins_absent, "movl $0x20002000, %edi\n movl $600, %ecx", "rep insb");

/* What L2 reads it stores where EPT12 has nothing: reads, and then the writes of all of them. */
static void to_nowhere(void)
{
    unsigned int reads = 0, written = 0;
    bool right = true;
    int64_t reason;

    KIT_LABEL("insb to nowhere");
    kit_open(&now.guest, KIT_LONG, ins_absent);
    while ((reason = kit_exit(&now.guest)) >= 0 && reason != MEZZ_EXIT_HLT && reads < 2000) {
        const struct mezz_vmcs12_exit *exit = &now.guest.vmcs->exit;

        if (reason == MEZZ_EXIT_IO) {
            now.guest.vmcs->completion.value = reads++ & 0x7f;
            if (reads == 500)
                disturb(EVENTS_WRITTEN);
            continue;
        }
        for (unsigned int i = 0; i < exit->size; i++)
            right = right && (exit->value >> 8 * i & 0xff) == ((written + i) & 0x7f);
        right = right && exit->guest_physical_address == KIT_L2_ABSENT + written;
        written += exit->size;
    }
    CHECK_EQ("reads", reads, 600);
    CHECK_EQ("bytes written", written, 600);
    CHECK("each where it belongs", right);
    CHECK_EQ("then HLT", reason, MEZZ_EXIT_HLT);
    kit_close(&now.guest);
}

/* OBSERVE alters nothing that L2 sees, and hears of each element that the root serves. */
STRING_CODE(ins_root, TO_DATA, "rep insb");
STRING_CODE(movs_mixed, "movl $0x20001ff8, %esi\n movl $0x20000000, %edi\n movl $20, %ecx",
            "rep movsb");
STRING_CODE(word_mixed, "movl $0x20001fff, %esi\n movl $0x20000000, %edi\n movl $1, %ecx",
            "rep movsw");

static void observed(const char *label, const char *code, bool io, uint64_t mask)
{
    static uint8_t without[64];
    unsigned int refused[2];
    struct kit_callback callback;
    bool same = true;

    KIT_LABEL(label);
    for (unsigned int pass = 0; pass < 2; pass++) {
        unsigned int fired = 0;

        kit_open(&now.guest, KIT_LONG, code);
        now.guest.vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING;
        kit_ept_map(now.guest.pml4, KIT_L2_DATA + 0x1000, now.guest.data + 512, MEZZ_EPT_READ);
        kit_fill(now.guest.data + 512, 512, 0x1111111111111111);
        kit_callback_init(&callback, &now.guest, io ? MEZZ_EXIT_IO : MEZZ_EXIT_EPT_VIOLATION);
        callback.registration.mode = MEZZ_MODE_OBSERVE;
        callback.registration.state_mask = mask;
        if (pass == 1)
            kit_register(&callback);
        refused[pass] = 0;
        while (kit_exit(&now.guest) == MEZZ_EXIT_EPT_VIOLATION && refused[pass] < 64) {
            now.guest.vmcs->completion.value = 0x22;
            refused[pass]++;
        }
        CHECK_EQ("then HLT", now.guest.vmcs->exit.reason, MEZZ_EXIT_HLT);
        for (unsigned int i = 0; i < sizeof(without); i++) {
            const uint8_t byte = ((const uint8_t *)now.guest.data)[i];

            same = same && (pass == 0 || byte == without[i]);
            without[i] = byte;
        }
        fired = callback.fired;
        if (pass == 1) {
            CHECK_EQ("heard of", fired, code == word_mixed ? 1 : code == ins_root ? COUNT : 8);
            kit_unregister(&callback);
        }
        kit_close(&now.guest);
    }
    CHECK_EQ("refused with it as without", refused[1], refused[0]);
    CHECK("memory with it as without", same);
}

void group_strings(void)
{
    for (unsigned int c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
        for (unsigned int what = 0; what < DISTURBANCES; what++)
            if (cases[c].mode == KIT_LONG || (what != EXCEPTION && what != HANDLER_INJECTS))
                disturbed(&cases[c], (enum disturbance)what);
    ends_early(&cases[7], EVENTS_WRITTEN);
    ends_early(&cases[8], EVENTS_WRITTEN);
    backwards();
    to_nowhere();
    observed("insb of the root's port", ins_root, true, 0);
    observed("insb of the root's port, with REGS", ins_root, true, MEZZ_STATE_MASK_ALLOWED);
    observed("movsb into a page that is not there", movs_mixed, false, 0);
    observed("movsw across its end", word_mixed, false, MEZZ_STATE_MASK_ALLOWED);
}
