/* SPDX-License-Identifier: Apache-2.0 */
/* In and out of the security view. */
#include <string.h>

#include "hookguard/hooks/judgement.h"
#include "host/hot.h"

#define INTERRUPTS_FROM    32U
#define VECTOR_PROTECTION  13U /* for an address that none can be */
#define VECTOR_PAGE_FAULT  14U
#define VECTOR_SYSTEM_CALL 128U
#define VECTOR_INVALID     6U
#define CALL_LENGTH        2U     /* of INT 80h */
#define NOT_PERMITTED      (-1LL) /* EPERM: what a refused call returns */

HOT void hook_enter_view(const struct hook_judgement *it, struct hook_binding *binding)
{
    struct hook_binding *before = hook_binding_of(it->hooks, it->vcpu);

    if (before != NULL)
        before->inside--;
    if (binding != NULL)
        binding->inside++;
    it->vcpu->view = binding == NULL ? 0 : (uint32_t)(binding - it->hooks->binding) + 1;
    it->vcpu->serial = binding == NULL ? 0 : binding->serial;
}

HOT void hook_go_on(const struct hook_judgement *it, enum hook_reason reason,
                    const struct hook_registers *registers)
{
    it->outcome->action = HOOK_GO_ON;
    it->outcome->reason = reason;
    it->outcome->load = registers != NULL;
    if (registers != NULL && registers != &it->outcome->registers)
        it->outcome->registers = *registers;
}

/* The program's memory, within a page. What the program itself cannot read is not read for it. */
HOT static bool read_part(const struct hook_judgement *it, uint64_t linear, void *to, size_t length)
{
    const struct hook_memory *memory = it->hooks->memory;
    uint64_t frame;

    return memory->translate(memory->context, it->access->cr3, PAGE_OF(linear), &frame) == 0 &&
           !hook_is_closed(it->hooks, frame) &&
           memory->read(memory->context, frame + linear % PAGE_SIZE, to, length) == 0;
}

COLD static bool read_split(const struct hook_judgement *it, uint64_t linear, uint64_t *word)
{
    const size_t first = (size_t)(PAGE_SIZE - linear % PAGE_SIZE);

    return read_part(it, linear, word, first) &&
           read_part(it, linear + first, (uint8_t *)word + first, sizeof(*word) - first);
}

/* 8 bytes, which may lie in two pages. */
HOT static bool read_word(const struct hook_judgement *it, uint64_t linear, uint64_t *word)
{
    if (linear % PAGE_SIZE > PAGE_SIZE - sizeof(*word))
        return read_split(it, linear, word);
    return read_part(it, linear, word, sizeof(*word));
}

/* --- refusals --- */

/* The refused call returns to where it came from, as if the function had said no. */
static void return_error(const struct hook_judgement *it)
{
    struct hook_registers registers = it->access->registers;
    uint64_t *rsp = &registers.gpr[HOOK_RSP];

    if (!read_word(it, *rsp, &registers.rip)) {
        it->outcome->action = HOOK_KILL;
        return;
    }
    *rsp += sizeof(uint64_t);
    registers.gpr[HOOK_RAX] = (uint64_t)NOT_PERMITTED;
    hook_go_on(it, it->outcome->reason, &registers);
}

COLD void hook_refuse(const struct hook_judgement *it, enum hook_reason reason)
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

COLD void hook_abandon(const struct hook_judgement *it, struct hook_binding *binding,
                       enum hook_reason reason)
{
    it->outcome->registers = binding->entry;
    it->outcome->registers.gpr[HOOK_RAX] = (uint64_t)NOT_PERMITTED;
    it->outcome->registers.gpr[HOOK_RSP] += sizeof(uint64_t);
    it->outcome->registers.rip = binding->return_address;
    it->outcome->load = !binding->stray;
    it->outcome->function = binding->function;
    it->outcome->given = it->outcome->registers.gpr;
    it->outcome->caller = binding->return_address;
    it->outcome->reason = reason;
    it->outcome->action = it->hooks->on_refusal == REFUSAL_STOP ? HOOK_STOP : HOOK_KILL;
    binding->calls = binding->waits = binding->stray = false;
    hook_enter_view(it, NULL);
}

/* --- in --- */

HOT enum hook_reason hook_find_space(const struct hook_judgement *it, struct hook_binding **binding)
{
    enum hook_reason reason = HOOK_REASON_NONE;
    bool intact = it->intact;

    *binding = it->space;
    if (*binding == NULL) {
        reason = hook_bind(it->hooks, it->access->cr3, binding);
        /* Its page tables may lie in what has become its agent's. */
        intact = reason != HOOK_REASON_NONE || !hook_has(it, HOOK_MAPPING_CHECK) ||
                 hook_intact(it->hooks, *binding);
    }
    if (reason == HOOK_REASON_NONE && hook_has(it, HOOK_MAPPING_CHECK) && !intact) {
        reason = hook_why_moved(it->hooks, *binding);
        /* Its frames are its own for as long as another vCPU is in there. */
        if ((*binding)->inside == 0)
            hook_release(it->hooks, *binding);
    }
    return reason;
}

/* Where the caller comes back to, from a stack of its own: the agent takes one that is the agent's
 * for that of a call within a call. */
HOT static bool find_return(const struct hook_judgement *it, uint64_t *address)
{
    uint64_t rsp = it->access->registers.gpr[HOOK_RSP];

    return hook_page_of(it->hooks, rsp) == NULL &&
           hook_page_of(it->hooks, rsp + sizeof(*address) - 1) == NULL &&
           read_word(it, rsp, address);
}

/* Told with where it would have returned to, if that can be read. */
COLD static void refuse_call(const struct hook_judgement *it, enum hook_reason reason)
{
    uint64_t address;

    it->outcome->given = it->access->registers.gpr;
    if (read_word(it, it->access->registers.gpr[HOOK_RSP], &address))
        it->outcome->caller = address;
    hook_refuse(it, reason);
}

HOT void hook_enter(const struct hook_judgement *it, const struct hook_function *function)
{
    struct hook_binding *binding;
    enum hook_reason reason = hook_find_space(it, &binding);
    struct hook_registers *given = &it->outcome->registers;

    it->outcome->function = function;
    if (reason == HOOK_REASON_NONE && it->access->other_mode)
        reason = HOOK_REASON_NOT_64_BIT;
    if (reason == HOOK_REASON_NONE && binding->calls)
        reason = HOOK_REASON_BUSY;
    if (reason == HOOK_REASON_NONE && !find_return(it, &binding->return_address))
        reason = HOOK_REASON_NO_STACK;
    if (reason == HOOK_REASON_NONE && !hook_is_sound(it->hooks, binding))
        reason = HOOK_REASON_BAD_TABLES;
    if (reason == HOOK_REASON_NONE) {
        binding->function = function;
        binding->entry = it->access->registers;
        reason = hook_check_arguments(it->hooks, binding);
    }
    if (reason != HOOK_REASON_NONE) {
        refuse_call(it, reason);
        return;
    }
    *given = it->access->registers;
    hook_give_arguments(function, given);
    given->rip = function->entry + HOOK_GATE_BYTES;
    binding->calls = true;
    binding->waits = binding->stray = false;
    hook_enter_view(it, binding);
    hook_go_on(it, HOOK_REASON_CALL, given);
}

COLD void hook_come_back(const struct hook_judgement *it)
{
    struct hook_binding *binding = it->space;
    struct hook_registers registers;
    enum hook_reason reason;

    if (binding == NULL || !binding->calls || !binding->waits ||
        it->access->registers.rip != it->hooks->plan->door) {
        hook_refuse(it, HOOK_REASON_NO_CALL);
        return;
    }
    it->outcome->function = binding->function;
    if (it->access->other_mode) {
        hook_refuse(it, HOOK_REASON_NOT_64_BIT);
        return;
    }
    if (hook_has(it, HOOK_MAPPING_CHECK) && !it->intact) {
        hook_abandon(it, binding, hook_why_moved(it->hooks, binding));
        hook_release(it->hooks, binding);
        return;
    }
    /* The kernel has run, and may have mapped other pages there. */
    reason = hook_is_sound(it->hooks, binding) ? hook_check_arguments(it->hooks, binding)
                                               : HOOK_REASON_BAD_TABLES;
    if (reason != HOOK_REASON_NONE) {
        hook_abandon(it, binding, reason);
        return;
    }
    registers = binding->kept;
    if (binding->system_call)
        registers.gpr[HOOK_RAX] = it->access->registers.gpr[HOOK_RAX];
    binding->waits = false;
    hook_enter_view(it, binding);
    hook_go_on(it, HOOK_REASON_BACK, &registers);
}

/* --- out --- */

HOT void hook_leave(const struct hook_judgement *it)
{
    struct hook_binding *binding = it->from;
    const struct hook_registers *now = &it->access->registers;
    struct hook_registers *back = &it->outcome->registers;
    uint64_t address = 0;

    it->outcome->function = binding->function;
    it->outcome->verdict = now->gpr[HOOK_RDI] < MEZZ_GUARD_VERDICTS
                               ? (enum mezz_guard_verdict)now->gpr[HOOK_RDI]
                               : MEZZ_GUARD_KILLED;
    if (!binding->calls || binding->stray) {
        hook_abandon(it, binding, HOOK_REASON_OUTSIDE);
        return;
    }
    if (it->outcome->verdict == MEZZ_GUARD_KILLED) {
        hook_abandon(it, binding, HOOK_REASON_KILLED);
        return;
    }
    if (!read_word(it, binding->entry.gpr[HOOK_RSP], &address) ||
        address != binding->return_address) {
        if (hook_has(it, HOOK_RETURN_CHECK)) {
            hook_abandon(it, binding, HOOK_REASON_RETURN_CHANGED);
            return;
        }
        binding->return_address = address;
    }
    *back = binding->entry;
    back->rip = binding->return_address;
    it->outcome->caller = binding->return_address;
    back->gpr[HOOK_RSP] += sizeof(uint64_t);
    back->gpr[HOOK_RAX] = now->gpr[HOOK_RAX];
    if (it->outcome->verdict == MEZZ_GUARD_ALLOWED)
        back->gpr[HOOK_RDX] = now->gpr[HOOK_RDX]; /* the second word of a structure */
    binding->calls = false;
    hook_enter_view(it, NULL);
    hook_go_on(it, HOOK_REASON_RETURN, back);
}

HOT bool hook_asks(const struct hook_judgement *it)
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
static struct hook_registers for_kernel(const struct hook_judgement *it, bool system_call)
{
    static const unsigned int arguments[] = {HOOK_RAX, HOOK_RDX, HOOK_RSI, HOOK_RDI, 8, 9, 10};
    const struct hook_registers *now = &it->access->registers;
    struct hook_registers registers = {.rip = now->rip, .rflags = now->rflags};

    registers.gpr[HOOK_RSP] = now->gpr[HOOK_RSP];
    for (size_t i = 0; system_call && i < sizeof(arguments) / sizeof(arguments[0]); i++)
        registers.gpr[arguments[i]] = now->gpr[arguments[i]];
    return registers;
}

/* The agent's or the function's own: the guest ends the program, at its call. */
COLD static void agent_fault(const struct hook_judgement *it, struct hook_binding *binding,
                             const struct hook_registers *registers)
{
    struct hook_outcome *outcome = it->outcome;

    binding->calls = binding->waits = false;
    outcome->caller = outcome->frame_rip = binding->return_address;
    outcome->given = binding->entry.gpr;
    hook_go_on(it, HOOK_REASON_AGENT_FAULT, registers);
    if (it->hooks->on_refusal == REFUSAL_STOP) {
        outcome->rewrite = false;
        outcome->action = HOOK_STOP;
    }
}

COLD void hook_go_away(const struct hook_judgement *it)
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
        hook_go_on(it, HOOK_REASON_UNREADABLE, &binding->kept);
        return;
    }
    outcome->rewrite = true;
    outcome->frame_rip = it->hooks->plan->door;
    outcome->frame_rsp = binding->entry.gpr[HOOK_RSP];
    binding->waits = true;
    binding->system_call = call;
    hook_enter_view(it, NULL);
    if (call && vector == VECTOR_INVALID) {
        binding->kept.rip += CALL_LENGTH;
        outcome->system_call_vector = true;
    }
    if (!call && vector < INTERRUPTS_FROM) {
        agent_fault(it, binding, &registers);
        return;
    }
    hook_go_on(it, call ? HOOK_REASON_SYSTEM_CALL : HOOK_REASON_INTERRUPT, &registers);
}
