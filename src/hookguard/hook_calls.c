/* SPDX-License-Identifier: Apache-2.0 */
#include "hookguard/hook_calls.h"

#include <string.h>

#include "hookguard/hook_state.h"
#include "host/memory.h"
#include "mezz/ept.h"

#define INTERRUPTS_FROM    32U
#define VECTOR_PROTECTION  13U /* for an address that none can be */
#define VECTOR_PAGE_FAULT  14U
#define VECTOR_SYSTEM_CALL 128U
#define VECTOR_INVALID     6U
#define CALL_LENGTH        2U     /* of INT 80h */
#define NOT_PERMITTED      (-1LL) /* EPERM: what a refused call returns */
#define PAGE_OF(address)   ((address) & ~(PAGE_SIZE - 1))

/* One access that is being judged. */
struct judgement {
    struct hooks *hooks;
    struct hook_vcpu *vcpu;
    const struct hook_access *access;
    struct hook_outcome *outcome;
    struct hook_binding *from;    /* whose view the vCPU is in; NULL: the default view */
    const struct hook_page *page; /* of the plan that is accessed; NULL */
};

static bool has(const struct judgement *it, enum hook_defence defence)
{
    return it->hooks->plan->defences & defence;
}

static void enter_view(const struct judgement *it, const struct hook_binding *binding)
{
    it->vcpu->view = binding == NULL ? 0 : (uint32_t)(binding - it->hooks->binding) + 1;
    it->vcpu->serial = binding == NULL ? 0 : binding->serial;
}

static void go_on(const struct judgement *it, enum hook_reason reason,
                  const struct hook_registers *registers)
{
    it->outcome->action = HOOK_GO_ON;
    it->outcome->reason = reason;
    it->outcome->load = registers != NULL;
    if (registers != NULL)
        it->outcome->registers = *registers;
}

/* 8 bytes of the program's memory, which may lie in two pages. */
static bool read_word(const struct judgement *it, uint64_t linear, uint64_t *word)
{
    const struct hook_memory *memory = it->hooks->memory;
    uint8_t bytes[sizeof(*word)];
    size_t done = 0;

    while (done < sizeof(bytes)) {
        const uint64_t at = linear + done;
        size_t part = (size_t)(PAGE_SIZE - at % PAGE_SIZE);
        uint64_t frame;

        if (part > sizeof(bytes) - done)
            part = sizeof(bytes) - done;
        if (memory->translate(memory->context, it->access->cr3, PAGE_OF(at), &frame) != 0 ||
            memory->read(memory->context, frame + at % PAGE_SIZE, bytes + done, part) != 0)
            return false;
        done += part;
    }
    memcpy(word, bytes, sizeof(bytes));
    return true;
}

/* --- refusals --- */

/* The refused call returns to where it came from, as if the function had said no. */
static void return_error(const struct judgement *it)
{
    struct hook_registers registers = it->access->registers;
    uint64_t *rsp = &registers.gpr[HOOK_RSP];

    if (!read_word(it, *rsp, &registers.rip)) {
        it->outcome->action = HOOK_KILL;
        return;
    }
    *rsp += sizeof(uint64_t);
    registers.gpr[HOOK_RAX] = (uint64_t)NOT_PERMITTED;
    go_on(it, it->outcome->reason, &registers);
}

static void refuse(const struct judgement *it, enum hook_reason reason)
{
    struct hook_outcome *outcome = it->outcome;
    enum portion_refusal refusal = it->hooks->on_refusal;
    bool call = it->access->kind == HOOK_FETCH ||
                (it->access->kind == HOOK_GATE && it->access->index == HOOK_TRAP_INDEX);

    outcome->reason = reason;
    if (refusal == REFUSAL_STOP) {
        outcome->action = HOOK_STOP;
    } else if (it->access->cpl == 0 && it->access->kind == HOOK_FETCH) {
        outcome->action = HOOK_STOP; /* a kernel can neither go on there nor return */
    } else if (it->access->cpl == 0) {
        outcome->action = HOOK_NOTHING;
    } else if (refusal == REFUSAL_KILL) {
        outcome->action = HOOK_KILL;
    } else if (call) {
        return_error(it);
    } else {
        outcome->action =
            refusal == REFUSAL_LOG && it->access->kind != HOOK_GATE ? HOOK_SERVE : HOOK_NOTHING;
    }
}

/* Ends a call whose program is not to go on: it is back in the default view, at its call's return,
 * whatever becomes of it there. */
static void abandon(const struct judgement *it, struct hook_binding *binding,
                    enum hook_reason reason)
{
    it->outcome->registers = binding->entry;
    it->outcome->registers.gpr[HOOK_RAX] = (uint64_t)NOT_PERMITTED;
    it->outcome->registers.gpr[HOOK_RSP] += sizeof(uint64_t);
    it->outcome->registers.rip = binding->return_address;
    it->outcome->load = !binding->stray;
    it->outcome->function = binding->function;
    it->outcome->caller = binding->return_address;
    it->outcome->reason = reason;
    it->outcome->action = it->hooks->on_refusal == REFUSAL_STOP ? HOOK_STOP : HOOK_KILL;
    binding->calls = binding->waits = binding->stray = false;
    enter_view(it, NULL);
}

/* --- in --- */

static enum hook_reason find_space(const struct judgement *it, struct hook_binding **binding)
{
    *binding = hook_find_binding(it->hooks, it->access->cr3);
    if (*binding == NULL)
        return hook_bind(it->hooks, it->access->cr3, binding);
    if (has(it, HOOK_MAPPING_CHECK) && !hook_intact(it->hooks, *binding)) {
        hook_release(it->hooks, *binding);
        return HOOK_REASON_REMAPPED;
    }
    return HOOK_REASON_NONE;
}

/* Where the caller comes back to, from a stack of its own: the agent takes one that is the agent's
 * for that of a call within a call. */
static bool find_return(const struct judgement *it, uint64_t *address)
{
    const struct hook_plan *plan = it->hooks->plan;
    uint64_t rsp = it->access->registers.gpr[HOOK_RSP];

    return hook_page_at(plan, rsp) == NULL &&
           hook_page_at(plan, rsp + sizeof(*address) - 1) == NULL && read_word(it, rsp, address);
}

static void enter(const struct judgement *it, const struct hook_function *function)
{
    struct hook_binding *binding;
    enum hook_reason reason = find_space(it, &binding);
    struct hook_registers registers = it->access->registers;

    it->outcome->function = function;
    if (reason == HOOK_REASON_NONE && binding->calls)
        reason = HOOK_REASON_BUSY;
    if (reason == HOOK_REASON_NONE && !find_return(it, &binding->return_address))
        reason = HOOK_REASON_NO_STACK;
    if (reason != HOOK_REASON_NONE) {
        refuse(it, reason);
        return;
    }
    registers.rip = function->entry + HOOK_GATE_BYTES;
    binding->calls = true;
    binding->waits = binding->stray = false;
    binding->function = function;
    binding->entry = it->access->registers;
    enter_view(it, binding);
    go_on(it, HOOK_REASON_CALL, &registers);
}

static void come_back(const struct judgement *it)
{
    struct hook_binding *binding = hook_find_binding(it->hooks, it->access->cr3);
    struct hook_registers registers;

    if (binding == NULL || !binding->calls || !binding->waits ||
        it->access->registers.rip != it->hooks->plan->door) {
        refuse(it, HOOK_REASON_NO_CALL);
        return;
    }
    it->outcome->function = binding->function;
    if (has(it, HOOK_MAPPING_CHECK) && !hook_intact(it->hooks, binding)) {
        abandon(it, binding, HOOK_REASON_REMAPPED);
        hook_release(it->hooks, binding);
        return;
    }
    registers = binding->kept;
    if (binding->system_call)
        registers.gpr[HOOK_RAX] = it->access->registers.gpr[HOOK_RAX];
    binding->waits = false;
    enter_view(it, binding);
    go_on(it, HOOK_REASON_BACK, &registers);
}

/* --- out --- */

static void leave(const struct judgement *it)
{
    struct hook_binding *binding = it->from;
    const struct hook_registers *now = &it->access->registers;
    struct hook_registers registers = binding->entry;
    uint64_t address = 0;

    it->outcome->function = binding->function;
    it->outcome->verdict = now->gpr[HOOK_RDI] < MEZZ_GUARD_VERDICTS
                               ? (enum mezz_guard_verdict)now->gpr[HOOK_RDI]
                               : MEZZ_GUARD_KILLED;
    if (!binding->calls || binding->stray) {
        abandon(it, binding, HOOK_REASON_OUTSIDE);
        return;
    }
    if (it->outcome->verdict == MEZZ_GUARD_KILLED) {
        abandon(it, binding, HOOK_REASON_KILLED);
        return;
    }
    if (!read_word(it, registers.gpr[HOOK_RSP], &address) || address != binding->return_address) {
        if (has(it, HOOK_RETURN_CHECK)) {
            abandon(it, binding, HOOK_REASON_RETURN_CHANGED);
            return;
        }
        binding->return_address = address;
    }
    registers.rip = binding->return_address;
    it->outcome->caller = binding->return_address;
    registers.gpr[HOOK_RSP] += sizeof(uint64_t);
    registers.gpr[HOOK_RAX] = now->gpr[HOOK_RAX];
    if (it->outcome->verdict == MEZZ_GUARD_ALLOWED)
        registers.gpr[HOOK_RDX] = now->gpr[HOOK_RDX]; /* the second word of a structure */
    binding->calls = false;
    enter_view(it, NULL);
    go_on(it, HOOK_REASON_RETURN, &registers);
}

/* The agent goes on where it asked, in its view; the answer comes later. */
static bool ask(const struct judgement *it)
{
    const struct hook_registers *now = &it->access->registers;

    if (it->hooks->plan->answered == 0 || now->gpr[HOOK_RDI] != MEZZ_GUARD_ASKS ||
        !it->from->calls || it->from->stray)
        return false;
    it->outcome->function = it->from->function;
    it->outcome->caller = it->from->return_address;
    it->outcome->reason = HOOK_REASON_ASKED;
    it->outcome->action = HOOK_ASK;
    it->outcome->registers = *now;
    it->outcome->registers.rip = it->hooks->plan->answered;
    return true;
}

/* What a kernel needs of the registers to serve a call, and no more. */
static struct hook_registers for_kernel(const struct judgement *it, bool system_call)
{
    static const unsigned int arguments[] = {HOOK_RAX, HOOK_RDX, HOOK_RSI, HOOK_RDI, 8, 9, 10};
    const struct hook_registers *now = &it->access->registers;
    struct hook_registers registers = {.rip = now->rip, .rflags = now->rflags};

    registers.gpr[HOOK_RSP] = now->gpr[HOOK_RSP];
    for (size_t i = 0; system_call && i < sizeof(arguments) / sizeof(arguments[0]); i++)
        registers.gpr[arguments[i]] = now->gpr[arguments[i]];
    return registers;
}

/* The kernel's first instruction, by an interrupt or an exception: it does not execute here. */
static void go_away(const struct judgement *it)
{
    struct hook_binding *binding = it->from;
    struct hook_outcome *outcome = it->outcome;
    unsigned int vector = it->access->interrupt.vector;
    bool call = vector == VECTOR_SYSTEM_CALL ||
                (vector == VECTOR_INVALID && it->access->interrupt.call_instruction);
    struct hook_registers registers = for_kernel(it, call);

    outcome->function = binding->function;
    binding->kept = it->access->registers;
    binding->kept.rip = it->access->interrupt.rip;
    binding->kept.rflags = it->access->interrupt.rflags;
    binding->kept.gpr[HOOK_RSP] = it->access->interrupt.rsp;
    if ((vector == VECTOR_PAGE_FAULT || vector == VECTOR_PROTECTION) &&
        it->access->interrupt.rip == it->hooks->plan->copy) {
        binding->kept.rip = it->hooks->plan->copy_fault;
        outcome->to_user = true;
        go_on(it, HOOK_REASON_UNREADABLE, &binding->kept);
        return;
    }
    outcome->rewrite = true;
    outcome->frame_rip = it->hooks->plan->door;
    outcome->frame_rsp = binding->entry.gpr[HOOK_RSP];
    binding->waits = true;
    binding->system_call = call;
    enter_view(it, NULL);
    if (call && vector == VECTOR_INVALID) {
        binding->kept.rip += CALL_LENGTH;
        outcome->system_call_vector = true;
    }
    if (!call && vector < INTERRUPTS_FROM) {
        /* The agent's or the function's own fault: the guest ends the program, at its call. */
        binding->calls = binding->waits = false;
        outcome->frame_rip = binding->return_address;
        go_on(it, HOOK_REASON_AGENT_FAULT, &registers);
        return;
    }
    go_on(it, call ? HOOK_REASON_SYSTEM_CALL : HOOK_REASON_INTERRUPT, &registers);
}

/* --- who asks --- */

static void fetch_inside(const struct judgement *it)
{
    const struct hook_access *access = it->access;

    if (access->cpl == 0 && access->interrupt.known && it->from->calls)
        go_away(it);
    else if (access->cpl == 0 || access->registers.rip != it->hooks->plan->door)
        abandon(it, it->from, HOOK_REASON_OUTSIDE);
    else if (!ask(it))
        leave(it);
}

static void fetch_outside(const struct judgement *it)
{
    const struct hook_access *access = it->access;
    const struct hook_function *function;

    if (access->cpl == 0) {
        refuse(it, HOOK_REASON_KERNEL_FETCH);
        return;
    }
    if (!access->linear_known || PAGE_OF(access->linear) != it->page->linear) {
        refuse(it, HOOK_REASON_ALIAS);
        return;
    }
    if (it->page->kind == HOOK_PAGE_DOOR) {
        come_back(it);
        return;
    }
    if (it->page->kind != HOOK_PAGE_GUARDED) {
        refuse(it, HOOK_REASON_AGENT_FETCH);
        return;
    }
    function = hook_function_of_entry(it->hooks->plan, access->registers.rip);
    if (function != NULL && access->linear == access->registers.rip) {
        enter(it, function);
        return;
    }
    it->outcome->function = hook_function_near(it->hooks->plan, access->registers.rip);
    refuse(it, HOOK_REASON_NOT_ENTRY);
}

static size_t page_number(const struct hooks *hooks, uint64_t linear)
{
    return (size_t)(hook_page_at(hooks->plan, linear) - hooks->plan->page);
}

/* Whether the gate is one of the planner's: at an entry, on the page that has it. */
static const struct hook_function *gate_function(const struct judgement *it, uint64_t site)
{
    const struct hook_memory *memory = it->hooks->memory;
    const struct hook_function *function = hook_function_of_entry(it->hooks->plan, site);
    uint64_t frame;

    if (function == NULL || it->hooks->plan->defences & HOOK_API_NX ||
        memory->translate(memory->context, it->access->cr3, PAGE_OF(site), &frame) != 0)
        return NULL;
    return hook_settle(it->hooks, frame, page_number(it->hooks, site)) ? function : NULL;
}

/* Without the check of sites a gate anywhere switches, as a processor's VMFUNC does. */
static void stray(const struct judgement *it)
{
    struct hook_binding *binding;
    enum hook_reason reason = find_space(it, &binding);

    if (reason != HOOK_REASON_NONE) {
        refuse(it, reason);
        return;
    }
    binding->calls = binding->stray = true;
    binding->function = NULL;
    binding->entry = it->access->registers;
    enter_view(it, binding);
    go_on(it, HOOK_REASON_CALL, NULL);
}

static void gate(const struct judgement *it)
{
    const struct hook_function *function =
        gate_function(it, it->access->registers.rip - HOOK_GATE_BYTES);
    bool wraps = !has(it, HOOK_GATE_INDEX) && it->access->index != HOOK_TRAP_INDEX;

    if (it->from != NULL) {
        abandon(it, it->from, HOOK_REASON_STRAY_GATE);
        return;
    }
    if (it->access->index == HOOK_TRAP_INDEX &&
        hook_page_at(it->hooks->plan, it->access->registers.rip - 1) != NULL) {
        it->outcome->function = hook_function_near(it->hooks->plan, it->access->registers.rip - 1);
        refuse(it, HOOK_REASON_NOT_ENTRY);
        return;
    }
    if (it->access->index != HOOK_INDEX && !wraps)
        refuse(it, HOOK_REASON_BAD_INDEX);
    else if (function != NULL && it->access->cpl != 0)
        enter(it, function);
    else if (it->access->cpl != 0 && (!has(it, HOOK_GATE_SITES) || it->access->index != HOOK_INDEX))
        stray(it);
    else
        refuse(it, HOOK_REASON_STRAY_GATE);
}

/* A function that makes a system call may have what it passes on its stack, which is the agent's:
 * the kernel gets at what an argument points to there, as long as it serves that call. */
static bool is_passed_to_kernel(const struct judgement *it)
{
    static const unsigned int arguments[] = {HOOK_RDI, HOOK_RSI, HOOK_RDX, 8, 9, 10};
    const struct hook_binding *binding = hook_find_binding(it->hooks, it->access->cr3);
    uint64_t linear = it->page->linear + it->access->offset;

    if (it->access->cpl != 0 || binding == NULL || !binding->waits || !binding->system_call ||
        linear < it->hooks->plan->stack || linear >= it->hooks->plan->stack_end ||
        linear < binding->kept.gpr[HOOK_RSP] ||
        binding->frame[it->page - it->hooks->plan->page] != it->access->frame)
        return false;
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
        if (linear - binding->kept.gpr[arguments[i]] < MEZZ_GUARD_COPY_LIMIT)
            return true;
    return false;
}

static void data(const struct judgement *it)
{
    bool write = it->access->kind == HOOK_WRITE;

    if (it->page == NULL)
        it->outcome->action = HOOK_NOT_OURS;
    else if (is_passed_to_kernel(it))
        it->outcome->action = HOOK_SERVE;
    else if (it->page->kind == HOOK_PAGE_GUARDED || it->page->kind == HOOK_PAGE_LIBRARY)
        refuse(it, write ? HOOK_REASON_CODE_WRITE : HOOK_REASON_AGENT_READ);
    else
        refuse(it, write ? HOOK_REASON_AGENT_WRITE : HOOK_REASON_AGENT_READ);
}

static const struct hook_page *find_page(const struct hooks *hooks, uint64_t frame)
{
    const struct hook_claimed *claim = hook_find_claim(hooks, frame);

    if (claim != NULL)
        return &hooks->plan->page[claim->page];
    for (size_t i = 0; i < HOOK_VIEWS; i++)
        for (size_t p = 0; hooks->binding[i].used && p < hooks->plan->pages; p++)
            if (hooks->binding[i].frame[p] == frame)
                return &hooks->plan->page[p];
    return NULL;
}

void hook_judge(struct hooks *hooks, struct hook_vcpu *vcpu, const struct hook_access *access,
                struct hook_outcome *outcome)
{
    struct judgement it = {hooks, vcpu, access, outcome, NULL, NULL};

    *outcome = (struct hook_outcome){
        .action = HOOK_NOT_OURS, .from = vcpu->view, .caller = access->registers.rip};
    if (vcpu->view != 0 && hook_view_exists(hooks, vcpu->view) &&
        hooks->binding[vcpu->view - 1].serial == vcpu->serial)
        it.from = &hooks->binding[vcpu->view - 1];
    else
        enter_view(&it, NULL);
    it.page = find_page(hooks, PAGE_OF(access->frame));
    if (access->kind == HOOK_FETCH && access->linear_known && it.from == NULL && it.page != NULL &&
        it.page->linear != PAGE_OF(access->linear) &&
        hook_page_at(hooks->plan, access->linear) != NULL &&
        hook_settle(hooks, PAGE_OF(access->frame), page_number(hooks, access->linear)))
        it.page = hook_page_at(hooks->plan, access->linear); /* of those with the same bytes */
    if (access->kind == HOOK_GATE)
        gate(&it);
    else if (access->kind != HOOK_FETCH)
        data(&it);
    else if (it.from != NULL)
        fetch_inside(&it);
    else if (it.page != NULL)
        fetch_outside(&it);
    outcome->to = vcpu->view;
}
