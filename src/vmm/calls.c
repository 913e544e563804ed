/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/calls.h"

#include <string.h>

#include "host/hot.h"
#include "mezz/calls.h"
#include "mezz/errors.h"
#include "vmm/exits/fatal.h"
#include "vmm/exits/paging_events.h"
#include "vmm/l2_gate.h"
#include "vmm/l2_run.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/fields.h"
#include "vmm/vmcs/vmcs12.h"

/* The call put other state in the place of L1's registers, or L1 does not run on. */
#define CALL_TAKES_OVER INT64_MIN

struct arguments {
    uint64_t rdi;
    uint64_t rsi;
    uint64_t rdx;
    uint64_t value; /* OUT: RDX */
};

static int64_t call_version(struct l1_vcpu *l1, struct arguments *arguments)
{
    (void)l1;
    (void)arguments;
    return MEZZ_ABI_VERSION;
}

static int64_t call_console(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct machine *machine = l1->machine;
    struct console *console = &machine->l1_console;
    char text[MEZZ_PAGE_SIZE];

    if (arguments->rdx > sizeof(text))
        return -MEZZ_E_ARGUMENT;
    if (arguments->rdi != 0) {
        const struct l2 *l2 = l2_find(machine, arguments->rdi);

        if (l2 == NULL)
            return -MEZZ_E_ID;
        console = &l2->record->console;
    }
    if (l1_read(&machine->l1_memory, l1_at(arguments->rsi), text, arguments->rdx) != 0)
        return -MEZZ_E_ADDRESS;
    if (arguments->rdi != 0 && arguments->rdx != 0)
        machine_note_l2_output(machine);
    console_write(console, text, arguments->rdx);
    return 0;
}

static int64_t call_time(struct l1_vcpu *l1, struct arguments *arguments)
{
    (void)arguments;
    return (int64_t)machine_time(l1->machine);
}

static int64_t call_exit(struct l1_vcpu *l1, struct arguments *arguments)
{
    if (arguments->rdi > 255)
        return -MEZZ_E_ARGUMENT;
    l1->machine->report.status = (unsigned int)arguments->rdi;
    machine_end(l1->machine, MACHINE_DONE, NULL);
    return CALL_TAKES_OVER;
}

static int64_t call_l2_create(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct mezz_l2_parameters parameters;
    struct l2 *l2;
    int error;

    if (l1_read(&l1->machine->l1_memory, l1_at(arguments->rdi), &parameters, sizeof(parameters)) !=
        0)
        return -MEZZ_E_ADDRESS;
    for (unsigned int i = 0; i < 4; i++)
        if (parameters.reserved[i] != 0)
            return -MEZZ_E_ARGUMENT;
    error = l2_create(l1->machine, parameters.name, &l2);
    return error != 0 ? -error : (int64_t)l2->id;
}

static int64_t call_l2_destroy(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);

    if (l2 == NULL)
        return -MEZZ_E_ID;
    if (arguments->rsi > MEZZ_L2_DIED)
        return -MEZZ_E_ARGUMENT;
    if (l2->entered > 0)
        return -MEZZ_E_BUSY;
    l2->record->report.end = arguments->rsi == MEZZ_L2_DIED ? L2_DIED : L2_DONE;
    l2->record->report.status = (unsigned int)arguments->rsi;
    for (unsigned int i = 0; i < MEZZ_MAX_L2_VCPUS && arguments->rsi == MEZZ_L2_DIED; i++)
        if (l1->machine->vcpu[i] != NULL && l1->machine->vcpu[i]->l2 == l2)
            fatal_l2(l1->machine->vcpu[i]);
    l2_destroy(l2);
    return 0;
}

static int64_t call_vcpu_create(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);
    struct l2_vcpu *vcpu;
    void *page;
    int error;

    if (l2 == NULL)
        return -MEZZ_E_ID;
    if (arguments->rsi % MEZZ_PAGE_SIZE != 0)
        return -MEZZ_E_ALIGNMENT;
    page = l1_pointer(&l1->machine->l1_memory, l1_at(arguments->rsi), MEZZ_PAGE_SIZE);
    if (page == NULL)
        return -MEZZ_E_ADDRESS;
    error = l2_vcpu_create(l2, page, &vcpu);
    return error != 0 ? -error : (int64_t)vcpu->id;
}

static int64_t call_vcpu_destroy(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2_vcpu *vcpu = l2_vcpu_find(l1->machine, arguments->rdi);

    if (vcpu == NULL)
        return -MEZZ_E_ID;
    if (vcpu->entered)
        return -MEZZ_E_BUSY;
    l2_vcpu_destroy(vcpu);
    return 0;
}

static int64_t call_enter(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2_vcpu *vcpu = l2_vcpu_find(l1->machine, arguments->rdi);
    int error;

    if (vcpu == NULL)
        return -MEZZ_E_ID;
    error = l2_enter(l1, vcpu);
    if (error == 0)
        return CALL_TAKES_OVER;
    vcpu->vmcs12->abort = (uint32_t)error;
    return -error;
}

static int64_t call_invept(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);

    if (l2 == NULL)
        return -MEZZ_E_ID;
    if (arguments->rsi != 1 && arguments->rsi != 2)
        return -MEZZ_E_ARGUMENT;
    if (arguments->rsi == 2)
        space_invept(l2->space, 0);
    else if (arguments->rdx != 0)
        space_invept(l2->space, arguments->rdx);
    return 0;
}

static int64_t call_eptp_list(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);

    if (l2 == NULL)
        return -MEZZ_E_ID;
    return -l2_set_eptp_list(l2, l1_at(arguments->rsi), arguments->rdx, &arguments->value);
}

static int64_t call_gate_sites(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);

    return l2 == NULL ? -MEZZ_E_ID : -l2_set_gate_sites(l2, l1_at(arguments->rsi), arguments->rdx);
}

static int64_t call_frame_pool(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct l2 *l2 = l2_find(l1->machine, arguments->rdi);
    uint64_t frames[512];
    int error;

    if (l2 == NULL)
        return -MEZZ_E_ID;
    if (arguments->rdx == 0 || arguments->rdx > sizeof(frames) / sizeof(frames[0]))
        return -MEZZ_E_ARGUMENT;
    if (l1_read(&l1->machine->l1_memory, l1_at(arguments->rsi), frames,
                arguments->rdx * sizeof(frames[0])) != 0)
        return -MEZZ_E_ADDRESS;
    error = paging_give_frames(l2, frames, (unsigned int)arguments->rdx);
    return -error;
}

static int64_t call_callback_register(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct mezz_callback_registration copy;

    if (l1_read(&l1->machine->l1_memory, l1_at(arguments->rdi), &copy, sizeof(copy)) != 0)
        return -MEZZ_E_ADDRESS;
    return callback_register(l1->machine, &copy);
}

static int64_t call_callback_unregister(struct l1_vcpu *l1, struct arguments *arguments)
{
    return callback_unregister(l1->machine, arguments->rdi);
}

/* In a handler calls_dispatch takes it. */
static int64_t call_callback_return(struct l1_vcpu *l1, struct arguments *arguments)
{
    (void)l1;
    (void)arguments;
    return -MEZZ_E_STATE;
}

static int64_t call_callback_counters(struct l1_vcpu *l1, struct arguments *arguments)
{
    const struct callback *callback = callback_find(l1->machine, arguments->rdi);

    if (callback == NULL)
        return -MEZZ_E_ID;
    if (l1_write(&l1->machine->l1_memory, l1_at(arguments->rsi), &callback->counters,
                 sizeof(callback->counters)) != 0)
        return -MEZZ_E_ADDRESS;
    return 0;
}

static int64_t call_l1_vcpu_start(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct machine *machine = l1->machine;

    for (unsigned int i = 0; i < machine->l1_count; i++) {
        if (!machine->l1[i]->started) {
            l1_start(machine->l1[i], l1, arguments->rdi, arguments->rsi, arguments->rdx);
            return i;
        }
    }
    return -MEZZ_E_LIMIT;
}

static int64_t call_l1_interrupt(struct l1_vcpu *l1, struct arguments *arguments)
{
    struct machine *machine = l1->machine;

    if (arguments->rdi >= machine->l1_count)
        return -MEZZ_E_ID;
    if (arguments->rsi < 32 || arguments->rsi > 255)
        return -MEZZ_E_ARGUMENT;
    return -l1_interrupt(machine->l1[arguments->rdi], (uint32_t)arguments->rsi);
}

/* The classic arm: a field is a place in the VMCS12 page that L1 reaches by calls only. */
static void *vmcs12_field(struct l1_vcpu *l1, const struct arguments *arguments, bool write,
                          int64_t *error)
{
    struct l2_vcpu *vcpu = l2_vcpu_find(l1->machine, arguments->rdi);

    *error = vcpu == NULL ? -MEZZ_E_ID : -MEZZ_E_FIELD;
    if (vcpu == NULL || !vmcs12_field_exists(arguments->rsi, write))
        return NULL;
    *error = 0;
    return (uint8_t *)vcpu->vmcs12 + MEZZ_FIELD_OFFSET(arguments->rsi);
}

static int64_t call_vmread(struct l1_vcpu *l1, struct arguments *arguments)
{
    int64_t error;
    const void *field = vmcs12_field(l1, arguments, false, &error);

    if (field == NULL)
        return error;
    arguments->value = 0;
    memcpy(&arguments->value, field, MEZZ_FIELD_WIDTH(arguments->rsi));
    return 0;
}

static int64_t call_vmwrite(struct l1_vcpu *l1, struct arguments *arguments)
{
    int64_t error;
    void *field = vmcs12_field(l1, arguments, true, &error);

    if (field == NULL)
        return error;
    memcpy(field, &arguments->rdx, MEZZ_FIELD_WIDTH(arguments->rsi));
    l2_vcpu_find(l1->machine, arguments->rdi)->vmcs12->clean &= ~vmcs12_field_group(arguments->rsi);
    return 0;
}

static const struct call_rule {
    const char *name;
    int64_t (*function)(struct l1_vcpu *l1, struct arguments *arguments);
    bool in_handler; /* allowed in a callback handler */
} rules[MEZZ_CALL_COUNT] = {
    [MEZZ_CALL_VERSION] = {"version", call_version, true},
    [MEZZ_CALL_CONSOLE] = {"console", call_console, true},
    [MEZZ_CALL_TIME] = {"time", call_time, true},
    [MEZZ_CALL_EXIT] = {"exit", call_exit, false},
    [MEZZ_CALL_L2_CREATE] = {"l2_create", call_l2_create, false},
    [MEZZ_CALL_L2_DESTROY] = {"l2_destroy", call_l2_destroy, false},
    [MEZZ_CALL_VCPU_CREATE] = {"vcpu_create", call_vcpu_create, false},
    [MEZZ_CALL_VCPU_DESTROY] = {"vcpu_destroy", call_vcpu_destroy, false},
    [MEZZ_CALL_ENTER] = {"enter", call_enter, false},
    [MEZZ_CALL_INVEPT] = {"invept", call_invept, false},
    [MEZZ_CALL_EPTP_LIST] = {"eptp_list", call_eptp_list, false},
    [MEZZ_CALL_CALLBACK_REGISTER] = {"callback_register", call_callback_register, false},
    [MEZZ_CALL_CALLBACK_UNREGISTER] = {"callback_unregister", call_callback_unregister, false},
    [MEZZ_CALL_CALLBACK_RETURN] = {"callback_return", call_callback_return, true},
    [MEZZ_CALL_CALLBACK_COUNTERS] = {"callback_counters", call_callback_counters, false},
    [MEZZ_CALL_VMREAD] = {"vmread", call_vmread, true},
    [MEZZ_CALL_VMWRITE] = {"vmwrite", call_vmwrite, true},
    [MEZZ_CALL_L1_VCPU_START] = {"l1_vcpu_start", call_l1_vcpu_start, false},
    [MEZZ_CALL_FRAME_POOL] = {"frame_pool", call_frame_pool, false},
    [MEZZ_CALL_L1_INTERRUPT] = {"l1_interrupt", call_l1_interrupt, true},
    [MEZZ_CALL_GATE_SITES] = {"gate_sites", call_gate_sites, false},
};

const char *call_name(unsigned int call)
{
    return call < MEZZ_CALL_COUNT ? rules[call].name : "unknown";
}

static bool in_ring_0(struct l1_vcpu *l1)
{
    kvm_vcpu_need(&l1->kvm, KVM_SYNC_X86_SREGS);
    return l1->kvm.run->s.regs.sregs.ss.dpl == 0;
}

static int64_t carry_out(struct l1_vcpu *l1, uint64_t number, struct arguments *arguments)
{
    if (!in_ring_0(l1))
        return -MEZZ_E_STATE;
    if (number >= MEZZ_CALL_COUNT)
        return -MEZZ_E_CALL;
    l1->machine->report.l1.calls[number]++;
    if (l1->mode == L1_IN_HANDLER && !rules[number].in_handler)
        return -MEZZ_E_STATE;
    return rules[number].function(l1, arguments);
}

static void note_refusal(struct l1_report *report, uint64_t call, int64_t result)
{
    report->refused_calls++;
    report->refused_call = call;
    report->refused_error = (uint32_t)-result;
}

COLD static void answer(struct l1_vcpu *l1, int64_t result)
{
    if (result < 0)
        note_refusal(&l1->machine->report.l1, l1->kvm.run->s.regs.regs.rax, result);
    l1->kvm.run->s.regs.regs.rax = (uint64_t)result;
    kvm_vcpu_replaced(&l1->kvm, KVM_SYNC_X86_REGS);
}

COLD static void make_call(struct l1_vcpu *l1)
{
    struct kvm_regs *regs = &l1->kvm.run->s.regs.regs;
    struct arguments arguments = {regs->rdi, regs->rsi, regs->rdx, regs->rdx};
    int64_t result = carry_out(l1, regs->rax, &arguments);

    if (result == CALL_TAKES_OVER)
        return;
    regs->rdx = arguments.value;
    answer(l1, result);
}

/* Most calls are the end of a handler. It is not asked for its ring: the root itself put the
 * handler into L1's, and segment registers would cost every callback half an exit on kvm_intel. */
HOT void calls_dispatch(struct l1_vcpu *l1)
{
    const struct kvm_regs *regs = &l1->kvm.run->s.regs.regs;
    int64_t error;

    kvm_vcpu_need(&l1->kvm, KVM_SYNC_X86_REGS);
    if (l1->mode != L1_IN_HANDLER || regs->rax != MEZZ_CALL_CALLBACK_RETURN) {
        make_call(l1);
        return;
    }
    l1->machine->report.l1.calls[MEZZ_CALL_CALLBACK_RETURN]++;
    error = callback_return(l1, regs->rdi, regs->rsi, regs->rdx);
    if (error != 0)
        answer(l1, error);
}
