/* SPDX-License-Identifier: Apache-2.0 */
/* What the hostile L1 tries. */
#include "hostile_l1.h"
#include "mezz/gate.h"

/* The pages that vCPUs were made with, by their number: each entry must have its timer. */
static uint64_t vmcs_of[MEZZ_MAX_L2_VCPUS + 1];

static void create_vcpu(uint64_t l2, uint64_t page)
{
    int64_t made = hostile_call(MEZZ_CALL_VCPU_CREATE, l2, page, 0);

    if (made > 0 && made <= (int64_t)MEZZ_MAX_L2_VCPUS)
        vmcs_of[made] = page;
}

/* Any call with any arguments, but for those that this L1 would not survive or never come back
 * from. */
void try_call(void)
{
    uint64_t number = one_in(20) ? strange_number() : below(MEZZ_CALL_COUNT + 2);
    uint64_t id = strange_id();

    switch (number) {
    case MEZZ_CALL_ENTER:
        try_entry();
        break;
    case MEZZ_CALL_EXIT:
        hostile_call(number, 256 + (strange_number() >> 1), 0, 0);
        break;
    case MEZZ_CALL_CONSOLE:
        hostile_call(number, id == 0 ? 2 : id, strange_address(),
                     one_in(4) ? strange_number() : below(16));
        break;
    case MEZZ_CALL_VCPU_CREATE:
        create_vcpu(id, strange_address());
        break;
    case MEZZ_CALL_L2_CREATE:
    case MEZZ_CALL_CALLBACK_REGISTER:
        hostile_call(number, strange_address(), strange_number(), strange_number());
        break;
    case MEZZ_CALL_CALLBACK_RETURN:
        hostile_call(number, strange_number(), strange_number(), strange_number());
        break;
    case MEZZ_CALL_VMREAD:
    case MEZZ_CALL_VMWRITE:
        hostile_call(number, id, strange_number() & 0xfffff, strange_number());
        break;
    case MEZZ_CALL_L1_INTERRUPT:
        hostile_call(number, strange_number(), strange_number(), strange_number());
        break;
    default:
        hostile_call(number, id, one_in(4) ? strange_number() : strange_address(),
                     one_in(2) ? strange_number() : strange_address());
        break;
    }
}

KIT_CODE(hostile_code, "1: outb %al, $0x61\n inl %dx, %eax\n movq %rax, (%rbx)\n"
                       "lock incq 8(%rbx)\n movl $0x12345, %ecx\n rdmsr\n wrmsr\n"
                       "movl %ebx, %esi\n movl %ebx, %edi\n addl $4096, %edi\n movl $20, %ecx\n"
                       "rep outsb\n movl $20, %ecx\n rep insb\n movl $4, %ecx\n rep movsq\n"
                       "movq 4092(%rbx), %rax\n hlt\n jmp 1b");
KIT_CODE(hostile_gate,
         "1: outb %al, $0x61\n movl $0xfbad0000, %eax\n rdtsc\n movl %eax, %ecx\n"
         "movl $0xfbad0000, %eax\n andl $7, %ecx\n movb %cl, (%rax)\n"
         "lock incq 8(%rbx)\n movq %rcx, (%rax)\n movl %ecx, -2(%rax)\n"
         "lock incl (%rax)\n movl %eax, %edi\n movl $3, %ecx\n rep stosb\n"
         "rdtsc\n andl $3, %eax\n movl $0xfbad0000, %ecx\n movl %eax, (%rcx)\n jmp 1b");
KIT_CODE(hostile_jump, "outb %al, $0x80\n jmp *%rbx");

static uint64_t vmcs_page(void)
{
    return hostile.vmcs + below(VMCS_PAGES) * MEZZ_PAGE_SIZE;
}

static uint64_t ept_set(void)
{
    return hostile.ept + below(EPT_SETS) * EPT_TABLES * MEZZ_PAGE_SIZE;
}

static void alter_controls(struct mezz_vmcs12 *vmcs)
{
    vmcs->controls.io_bitmap_a = strange_address();
    vmcs->controls.io_bitmap_b = strange_address();
    vmcs->controls.msr_bitmap = strange_address();
    vmcs->controls.cpu_based = (uint32_t)chance() & 0x13000084;
    vmcs->controls.exit_controls = (uint32_t)chance() & 0x40004;
}

/* A VMCS12 that can be entered, if its EPT12 is one. */
static void good_vmcs(struct mezz_vmcs12 *vmcs)
{
    static const char *const codes[] = {hostile_code, hostile_jump, hostile_gate, hostile_gate};

    kit_start_state(vmcs, (enum kit_mode)(KIT_LONG + below(2)), codes[below(4)]);
    vmcs->regs.gpr[MEZZ_RBX] = KIT_L2_DATA + below(0x3000);
    vmcs->regs.gpr[MEZZ_RDX] = below(0x10000);
    vmcs->ept = (struct mezz_vmcs12_ept){.eptp = MEZZ_EPTP(ept_set()),
                                         .eptp_index = one_in(4) ? (uint32_t)below(8) : 0};
    vmcs->events = (struct mezz_vmcs12_events){.activity_state = 0};
    vmcs->controls = (struct mezz_vmcs12_controls){.cpu_based = MEZZ_CPU_HLT_EXITING |
                                                                MEZZ_CPU_UNCONDITIONAL_IO_EXITING};
    vmcs->clean = 0;
}

/* One of which a few fields are wrong, or all of it. */
void try_vmcs(void)
{
    struct mezz_vmcs12 *vmcs = kit_at(vmcs_page());
    uint64_t *words = (uint64_t *)vmcs;

    if (one_in(16)) {
        for (unsigned int i = 0; i < 100; i++)
            words[i] = chance();
        vmcs->revision = MEZZ_VMCS12_REVISION;
        return;
    }
    good_vmcs(vmcs);
    if (one_in(4))
        vmcs->regs.guest_rip = one_in(2) ? KIT_L2_DATA + below(8192) : strange_number();
    if (one_in(4))
        kit_system_state(&vmcs->system, (enum kit_mode)below(4));
    if (one_in(4))
        alter_controls(vmcs);
    if (one_in(4))
        vmcs->events.entry_interruption_info = (uint32_t)chance() & 0x80000fff;
    if (one_in(4))
        vmcs->ept.eptp |= MEZZ_EPTP_DIRTY_FLAGS;
    if (one_in(4))
        words[20 + below(78)] = strange_number();
    vmcs->clean = one_in(4) ? chance() : 0;
    vmcs->completion.value = chance32();
    vmcs->completion.flags = (uint32_t)below(3);
}

/* A field of a page that the root may know as a VMCS12. */
void try_field(void)
{
    uint64_t *words = kit_at(vmcs_page());
    uint64_t where = below(one_in(4) ? 512 : 100);

    words[where] = one_in(2) ? strange_number() : words[where] ^ 1ULL << below(64);
    words[1] = one_in(2) ? 0 : chance();
}

/* Addresses stay in the arena or are nobody's: L2 must not write into this program. */
static void spoil_entry(uint64_t *pml4)
{
    uint64_t *table = pml4 + below(EPT_TABLES) * MEZZ_EPT_ENTRIES;
    uint64_t where = one_in(3) ? below(512) : below(4);

    if (one_in(8))
        table[where] = (kit_address(pml4) + below(EPT_TABLES) * MEZZ_PAGE_SIZE) | MEZZ_EPT_RWX;
    else
        table[where] = (strange_address() & MEZZ_EPT_ADDRESS) | (chance32() & 0xfff);
}

/* EPT12: a good one, sometimes with an entry or two of chance, which stay for a while. */
void try_ept(void)
{
    static const uint64_t rights[] = {7, 5, 3, 1, 5 | MEZZ_EPT_COPY_ON_WRITE, 0, 7, 7};
    uint64_t *pml4 = kit_at(ept_set());
    uint64_t *pdpt = pml4 + MEZZ_EPT_ENTRIES, *directory = pdpt + MEZZ_EPT_ENTRIES;
    uint64_t *low = directory + MEZZ_EPT_ENTRIES, *data = low + MEZZ_EPT_ENTRIES;

    if (one_in(8))
        kit_fill(pml4, (uint64_t)EPT_TABLES * MEZZ_EPT_ENTRIES, 0);
    pml4[0] = kit_address(pdpt) | MEZZ_EPT_RWX;
    pdpt[0] = kit_address(directory) | MEZZ_EPT_RWX;
    directory[0] = kit_address(low) | MEZZ_EPT_RWX;
    directory[KIT_L2_DATA >> 21] = kit_address(data) | MEZZ_EPT_RWX;
    for (const char *at = kit_l2_start; at < kit_l2_end; at += MEZZ_PAGE_SIZE)
        low[kit_address(at) >> 12] = kit_address(at) | KIT_LEAF;
    for (unsigned int i = 0; i < 3; i++)
        data[i] = arena_page() | MEZZ_EPT_WRITE_BACK | rights[below(8)] |
                  (one_in(4) ? MEZZ_EPT_ACCESSED | MEZZ_EPT_DIRTY : 0);
    if (one_in(6))
        spoil_entry(pml4);
    ((uint64_t *)kit_at(arena_page()))[below(512)] = chance();
    hostile_call(MEZZ_CALL_INVEPT, strange_id(), 1 + below(2), MEZZ_EPTP(kit_address(pml4)));
}

/* Lists of good and bad EPTPs, sites here and there: both are small enough to be taken at times. */
void try_views(void)
{
    uint64_t *list = kit_at(arena_page());
    struct mezz_gate_site *sites = kit_at(arena_page());
    const uint64_t l2 = one_in(8) ? strange_id() : 2 + below(6);

    for (unsigned int i = 0; i < 8; i++) {
        list[i] = one_in(4) ? 0 : MEZZ_EPTP(ept_set());
        if (one_in(16))
            list[i] = one_in(2) ? strange_number() : list[i] | MEZZ_EPTP_DIRTY_FLAGS;
        sites[i] = (struct mezz_gate_site){
            .rip = kit_address(hostile_gate) + below(64),
            .cr3 = one_in(4) ? kit_address(kit_l2_pml4) : 0,
            .from = one_in(2) ? MEZZ_GATE_ANY_VIEW : (uint32_t)below(8),
            .to = one_in(2) ? MEZZ_GATE_ANY_VIEW : (uint32_t)below(8),
            .reserved = one_in(16),
        };
    }
    hostile_call(MEZZ_CALL_EPTP_LIST, l2, kit_address(list),
                 one_in(8) ? strange_number() : 1 + below(8));
    if (one_in(4))
        hostile_call(MEZZ_CALL_GATE_SITES, l2, kit_address(sites),
                     one_in(8) ? strange_number() : below(9));
    else if (one_in(2))
        hostile_call(MEZZ_CALL_GATE_SITES, l2, 0, 0);
}

static _Noreturn void answer(struct mezz_callback_frame *frame, uint64_t reason)
{
    hostile.deliveries++;
    for (uint64_t n = below(4); n > 0; n--)
        ((uint64_t *)frame)[below(135)] = strange_number();
    if (one_in(3))
        frame->entry_interruption_info = (uint32_t)chance() & 0x80000f3f;
    if (one_in(8))
        hostile_call(below(MEZZ_CALL_COUNT + 2), 1ULL << 40, 1ULL << 63, 1ULL << 63);
    if (one_in(8))
        hostile_call(MEZZ_CALL_VMWRITE, strange_id(), strange_number() & 0xfffff, chance());
    /* An L2 that is resumed when its time is over has no timer any more. */
    for (uint64_t n = reason == MEZZ_EXIT_PREEMPTION_TIMER ? 0 : below(4); n > 0; n--)
        hostile_call(MEZZ_CALL_CALLBACK_RETURN, one_in(4) ? strange_number() : below(8),
                     one_in(2) ? below(8) : chance(), one_in(2) ? below(4) : strange_number());
    hostile_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_REFLECT, 0, 0);
    hostile_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_RESUME, 0, 0);
    for (;;)
        hostile_call(MEZZ_CALL_CALLBACK_RETURN, MEZZ_ACTION_STOP_L2, 0, 0);
}

void try_registration(void)
{
    static const uint32_t reasons[] = {
        MEZZ_EXIT_IO,
        MEZZ_EXIT_IO,
        MEZZ_EXIT_EPT_VIOLATION,
        MEZZ_EXIT_EPT_VIOLATION,
        MEZZ_EXIT_HLT,
        MEZZ_EXIT_RDMSR,
        MEZZ_EXIT_PREEMPTION_TIMER,
        MEZZ_EXIT_INTERRUPT_WINDOW,
        MEZZ_EXIT_TRIPLE_FAULT,
        MEZZ_EXIT_WRMSR,
        MEZZ_EXIT_EMULATION_FAILURE,
        MEZZ_EXIT_GATE,
    };
    struct mezz_callback_registration *r = kit_at(arena_page());
    uint64_t *words = (uint64_t *)r;

    *r = (struct mezz_callback_registration){
        .l2 = one_in(8) ? (uint32_t)strange_id() : (uint32_t)(2 + below(6)),
        .reason = one_in(8) ? (uint32_t)below(80) : reasons[below(12)],
        .mode = one_in(3) ? MEZZ_MODE_OBSERVE : MEZZ_MODE_DECIDE,
        .order = (uint32_t)below(4),
        .state_mask = chance() & MEZZ_STATE_MASK_ALLOWED,
        .cookie = chance(),
        .condition_count = !one_in(4) ? 0 : (uint32_t)below(4),
        .replace = one_in(4) ? (uint32_t)strange_id() : 0,
    };
    for (uint32_t i = 0; i < r->condition_count; i++)
        r->condition[i] = (struct mezz_condition){.field = (uint16_t)(1 + below(14)),
                                                  .op = (uint16_t)(1 + below(8)),
                                                  .a = below(3),
                                                  .b = one_in(2) ? 0 : below(3)};
    for (uint64_t n = below(3); n > 0 && one_in(2); n--)
        words[below(32)] = strange_number();
    /* These three stay where this program survives them, or are refused. */
    r->handler = one_in(10) ? kit.memory_end + below(4096) : (uint64_t)answer;
    r->stack = one_in(10) ? strange_number() | 1 : hostile.stacks + 4096 * (1 + below(8));
    r->frame = one_in(10) ? kit.memory_end + below(4096) : arena_page();
    if (r->l2 == CANARY || r->replace == CANARY)
        return;
    hostile_call(MEZZ_CALL_CALLBACK_REGISTER, kit_address(r), 0, 0);
}

/* The timer bounds it: without one, an L2 may run as long as it likes, and L1 would wait. */
void try_entry(void)
{
    uint64_t id = 2 + below(10);
    struct mezz_vmcs12 *vmcs = kit_at(vmcs_of[id]);

    if (one_in(32))
        hostile_call(MEZZ_CALL_ENTER, strange_number() | 1ULL << 20, 0, 0);
    if (vmcs_of[id] == 0)
        return;
    vmcs->controls.pin_based = MEZZ_PIN_PREEMPTION_TIMER;
    if (one_in(16))
        vmcs->controls.pin_based |= (uint32_t)chance();
    vmcs->controls.preemption_timer = (uint32_t)below(400);
    vmcs->clean &= ~MEZZ_GROUP_BIT(MEZZ_GROUP_CONTROLS);
    if (!one_in(16))
        vmcs->revision = MEZZ_VMCS12_REVISION;
    hostile.entries++;
    if (hostile_call(MEZZ_CALL_ENTER, id, 0, 0) != 0)
        return;
    hostile.exits[!(vmcs->exit.reason & MEZZ_EXIT_ENTRY_FAILED)]++;
    /* What never runs is not dangerous for long. */
    if (vmcs->exit.reason & MEZZ_EXIT_ENTRY_FAILED && !one_in(4))
        good_vmcs(vmcs);
    if ((uint32_t)vmcs->exit.qualification == MEZZ_CHECK_EPT)
        try_ept();
}

/* L2s and vCPUs come and go. */
void try_life(void)
{
    struct mezz_l2_parameters parameters = {.name = "hostile-"};
    uint64_t id = 2 + below(10);

    switch (below(8)) {
    case 0:
        hostile_call(MEZZ_CALL_L2_DESTROY, id, below(300), 0);
        break;
    case 1:
        if (hostile_call(MEZZ_CALL_VCPU_DESTROY, id, 0, 0) == 0)
            vmcs_of[id] = 0;
        break;
    case 2:
    case 3:
        parameters.name[8] = (char)('a' + below(6));
        parameters.reserved[0] = one_in(10) ? chance() : 0;
        hostile_call(MEZZ_CALL_L2_CREATE, kit_address(&parameters), 0, 0);
        break;
    default:
        create_vcpu(2 + below(6), vmcs_page());
        break;
    }
}

/* Ports, memory and MSRs of L1's machine. */
void try_machine(void)
{
    uint16_t port = (uint16_t)chance();
    uint32_t value = (uint32_t)chance(), high = 0;
    uint64_t nowhere = kit.memory_end + below(0xe0000000);

    if (port == MEZZ_CALL_PORT || port == MEZZ_PORT_DEBUG_EXIT || port == MEZZ_PORT_UART)
        port = MEZZ_PORT_POST;
    switch (below(6)) {
    case 0:
        __asm__ volatile("outb %%al, %%dx" : : "a"(value), "d"(port));
        break;
    case 1:
        port = MEZZ_CALL_PORT;
        __asm__ volatile("outl %%eax, %%dx" : : "a"(value), "d"(port));
        break;
    case 2:
        __asm__ volatile("inl %%dx, %%eax" : "=a"(value) : "d"(port));
        break;
    case 3:
        *(volatile uint64_t *)kit_at(nowhere & ~7ULL) = chance();
        break;
    case 4:
        value = *(volatile uint32_t *)kit_at(nowhere & ~7ULL);
        break;
    default:
        __asm__ volatile("rdmsr"
                         : "+a"(value), "+d"(high)
                         : "c"(0x10000000U | (uint32_t)below(1 << 20)));
        break;
    }
}

_Noreturn void handler_that_spins(void)
{
    for (;;)
        __asm__ volatile("pause");
}

_Noreturn void handler_that_halts(void)
{
    for (;;)
        __asm__ volatile("hlt");
}
