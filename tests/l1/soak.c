/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An L1 that makes and destroys L2s, runs them, switches their views, registers and takes away
 * their callbacks, at random and for as long as its command line says: "seconds=N seed=N". All that
 * happens is counted, and compared on the way. stacks/soak.lua starts it.
 */
#include "kit.h"
#include "kit_views.h"

#define SLOTS       6
#define SLOT_PAGES  160 /* of L1's memory, for one L2 */
#define VIEWS       3
#define TIMER_US    3000
#define NS          1000000000ULL
#define REPORT_NS   (60 * NS)
#define COMPLAINTS  8 /* that are printed */

#define PORT_CALLED 0x10 /* a handler deals with it, when there is one */
#define PORT_TOLD   0x11

#define TEXT_OF(x)  #x
#define NUMBER(x)   TEXT_OF(x)

/* Each turn: an exit for the handler, a switch to view RSI mod 2 with what is there in RCX, and an
 * exit for L1. */
KIT_CODE(soak_guest, "movl $0xfbad0000, %edx\n"
                     "movl $" NUMBER(KIT_L2_ABSENT) ", %ebx\n"
                                                    "1: incl %esi\n"
                                                    "outb %al, $" NUMBER(
                                                        PORT_CALLED) "\n"
                                                                     "movl %esi, %eax\n"
                                                                     "andl $1, %eax\n"
                                                                     "movl %eax, (%rdx)\n"
                                                                     "movq (%rbx), %rcx\n"
                                                                     "outb %al, $" NUMBER(
                                                                         PORT_TOLD) "\n"
                                                                                    "jmp 1b\n");

struct slot {
    bool lives;
    uint32_t l2;
    struct kit_views views;
    struct kit_callback callback;
    bool registered;
    uint64_t fired;  /* by callbacks that are gone */
    uint64_t called; /* exits of PORT_CALLED that came to L1 */
    uint64_t told;
    uint64_t memory; /* the first of its pages */
    uint64_t used;   /* behind the last one that it used */
};

static struct slot slots[SLOTS];
static uint64_t state;
static struct {
    uint64_t rounds, created, vcpus, entered, fired, switched, registered, invalidated, listed;
    uint64_t wrong;
} tally;

/* xorshift64*: Vigna, 2016. */
static uint64_t draw(uint64_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545f4914f6cdd1dULL >> 32) % below;
}

static void expect(const char *name, uint64_t got, uint64_t want)
{
    if (got != want && tally.wrong++ < COMPLAINTS)
        CHECK_EQ(name, got, want);
}

static void put_count(struct kit_line *line, const char *name, uint64_t value)
{
    char digits[24];
    unsigned int at = sizeof(digits);

    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    kit_put(line, name);
    kit_put(line, digits + at);
}

static void report(uint64_t seconds)
{
    struct kit_line line;

    line.length = 0;
    put_count(&line, "soak: seconds ", seconds);
    put_count(&line, ", rounds ", tally.rounds);
    put_count(&line, ", L2s ", tally.created);
    put_count(&line, ", vCPUs ", tally.vcpus);
    put_count(&line, ", entries ", tally.entered);
    put_count(&line, ", callbacks ", tally.fired);
    put_count(&line, ", switches ", tally.switched);
    put_count(&line, ", registrations ", tally.registered);
    put_count(&line, ", lists ", tally.listed);
    put_count(&line, ", INVEPTs ", tally.invalidated);
    put_count(&line, ", wrong ", tally.wrong);
    kit_show(&line);
}

static void register_callback(struct slot *slot)
{
    slot->fired += slot->callback.fired;
    slot->callback.fired = 0;
    expect("a registration", kit_register(&slot->callback) > 0, true);
    slot->registered = true;
    tally.registered++;
}

static void unregister_callback(struct slot *slot)
{
    struct mezz_callback_counters counters;

    expect("its counters", (uint64_t)kit_counters(&slot->callback, &counters), 0);
    expect("as often as the handler ran", counters.fired, slot->callback.fired);
    expect("it goes away", (uint64_t)kit_unregister(&slot->callback), 0);
    slot->registered = false;
}

static void set_list(struct slot *slot)
{
    slot->views.count = 2 + (uint32_t)draw(VIEWS - 1);
    expect("a list", (uint64_t)kit_set_list(&slot->views).status, 0);
    tally.listed++;
}

static void make(struct slot *slot, unsigned int number)
{
    char name[] = {'s', (char)('0' + number), '\0'};
    int64_t l2 = kit_l2_create(name);

    expect("an L2", l2 > 0, true);
    kit.memory = slot->memory;
    kit_fill(kit_at(slot->memory), (slot->used - slot->memory) / 8, 0);
    slot->l2 = kit.l2 = (uint32_t)l2;
    slot->fired = slot->called = slot->told = 0;
    kit_views_open(&slot->views, KIT_LONG, soak_guest, VIEWS);
    kit_use_timer(&slot->views.guest, TIMER_US);
    kit_callback_init(&slot->callback, &slot->views.guest, MEZZ_EXIT_IO);
    kit_condition(&slot->callback, MEZZ_FIELD_PORT, MEZZ_OP_EQ, PORT_CALLED, 0);
    slot->used = kit.memory;
    expect("within its pages", slot->used <= slot->memory + (SLOT_PAGES - VIEWS) * MEZZ_PAGE_SIZE,
           true);
    slot->lives = true;
    slot->callback.fired = 0;
    set_list(slot);
    register_callback(slot);
    tally.created++;
    tally.vcpus++;
}

static void destroy(struct slot *slot)
{
    if (slot->registered && draw(2) == 0)
        unregister_callback(slot);
    expect("an L2 goes away", (uint64_t)mezz_call(MEZZ_CALL_L2_DESTROY, slot->l2, 0, 0), 0);
    slot->lives = slot->registered = false;
}

/* The exit of PORT_TOLD: all that must hold then. */
static void look(struct slot *slot)
{
    const struct mezz_vmcs12 *vmcs = slot->views.guest.vmcs;
    uint64_t turn = vmcs->regs.gpr[MEZZ_RSI];

    slot->told++;
    tally.switched++;
    expect("the view's page", vmcs->regs.gpr[MEZZ_RCX], 100 + (turn & 1));
    expect("the view's index", vmcs->ept.eptp_index, turn & 1);
    expect("each turn came here", slot->told, turn);
    expect("and to the handler", slot->fired + slot->callback.fired + slot->called, turn);
}

static void run(struct slot *slot)
{
    const struct kit_guest *guest = &slot->views.guest;
    unsigned int before = slot->callback.fired;

    for (uint64_t n = 1 + draw(20); n > 0; n--) {
        const struct mezz_vmcs12_exit *exit = &guest->vmcs->exit;

        expect("an entry", (uint64_t)kit_enter(guest), 0);
        tally.entered++;
        if (exit->reason == MEZZ_EXIT_PREEMPTION_TIMER)
            continue;
        expect("the reason", exit->reason, MEZZ_EXIT_IO);
        if (exit->qualification >> MEZZ_IO_PORT_SHIFT == PORT_CALLED) {
            expect("nobody else's", slot->registered, false);
            slot->called++;
        } else {
            look(slot);
        }
    }
    tally.fired += slot->callback.fired - before;
}

/* Another page, with the same in it, behind a view. */
static void move_page(struct slot *slot)
{
    struct kit_views *views = &slot->views;
    uint32_t i = (uint32_t)draw(VIEWS);
    uint64_t *spare = kit_at(slot->memory + (SLOT_PAGES - 1 - i) * MEZZ_PAGE_SIZE);
    uint64_t *leaf = kit_ept_leaf(views->pml4[i], KIT_L2_ABSENT);
    uint64_t *now = kit_at(*leaf & MEZZ_EPT_ADDRESS);
    uint64_t *next = now == spare ? views->page[i] : spare;

    next[0] = 100 + i;
    *leaf = kit_address(next) | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_RWX;
    expect("INVEPT", (uint64_t)mezz_call(MEZZ_CALL_INVEPT, slot->l2, 1, views->list[i]), 0);
    now[0] = 0;
    tally.invalidated++;
}

static void other_vcpu(struct slot *slot)
{
    struct kit_guest *guest = &slot->views.guest;
    int64_t vcpu;

    kit_close(guest);
    vcpu = mezz_call(MEZZ_CALL_VCPU_CREATE, slot->l2, kit_address(guest->vmcs), 0);
    expect("a vCPU", vcpu > 0, true);
    guest->vcpu = (uint32_t)vcpu;
    tally.vcpus++;
}

static void act(unsigned int number)
{
    struct slot *slot = &slots[number];

    if (!slot->lives) {
        make(slot, number);
        return;
    }
    switch (draw(16)) {
    case 0:
        destroy(slot);
        break;
    case 1:
        other_vcpu(slot);
        break;
    case 2:
        set_list(slot);
        break;
    case 3:
        move_page(slot);
        break;
    case 4:
        if (slot->registered)
            unregister_callback(slot);
        else
            register_callback(slot);
        break;
    default:
        run(slot);
        break;
    }
}

/* The number behind NAME= on the command line. */
static uint64_t option(const char *name, uint64_t otherwise)
{
    const char *line =
        kit.start_info->cmdline_paddr != 0 ? kit_at(kit.start_info->cmdline_paddr) : "";
    uint64_t value = 0;

    for (; *line != '\0'; line++) {
        unsigned int n = 0;

        while (name[n] != '\0' && line[n] == name[n])
            n++;
        if (name[n] != '\0')
            continue;
        for (line += n; *line >= '0' && *line <= '9'; line++)
            value = value * 10 + (uint64_t)(*line - '0');
        return value;
    }
    return otherwise;
}

static void soak(void)
{
    uint64_t begin = kit_time();
    uint64_t next = begin + REPORT_NS;
    uint64_t seconds = option("seconds=", 10);

    state = option("seed=", 1) + 0x9e3779b97f4a7c15ULL;
    for (unsigned int i = 0; i < SLOTS; i++)
        slots[i].memory = slots[i].used = kit_address(kit_pages(SLOT_PAGES));
    do {
        tally.rounds++;
        act((unsigned int)draw(SLOTS));
        if (kit_time() >= next) {
            report((next - begin) / NS);
            next += REPORT_NS;
        }
    } while (kit_time() - begin < seconds * NS && tally.wrong < COMPLAINTS);
    for (unsigned int i = 0; i < SLOTS; i++)
        if (slots[i].lives)
            destroy(&slots[i]);
    kit.l2 = 0;
    report((kit_time() - begin) / NS);
    CHECK_EQ("nothing was wrong", tally.wrong, 0);
    CHECK("callbacks fired", tally.fired > 0);
    CHECK("views were switched", tally.switched > 0);
}

const struct kit_group kit_groups[] = {{"soak", soak, false}, {NULL, NULL, false}};

KIT_PROGRAM
