/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/exits/fatal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/calls.h"
#include "vmm/machine_state.h"
#include "vmm/vmcs/entry_checks.h"

/* Text that grows in a buffer of LAST_WORDS_SIZE bytes and is cut at its end. */
__attribute__((format(printf, 2, 3))) static void append(char *to, const char *format, ...)
{
    size_t length = strlen(to);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(to + length, LAST_WORDS_SIZE - length, format, arguments);
    va_end(arguments);
}

typedef unsigned long long ull;

static void append_registers(char *to, struct kvm_vcpu *vcpu)
{
    const struct kvm_regs *r = &vcpu->run->s.regs.regs;
    const struct kvm_sregs *s = &vcpu->run->s.regs.sregs;

    kvm_vcpu_need(vcpu, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    append(to, "  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n", (ull)r->rax, (ull)r->rbx,
           (ull)r->rcx, (ull)r->rdx);
    append(to, "  rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx\n", (ull)r->rsi, (ull)r->rdi,
           (ull)r->rbp, (ull)r->rsp);
    append(to, "  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n", (ull)r->r8, (ull)r->r9,
           (ull)r->r10, (ull)r->r11);
    append(to, "  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n", (ull)r->r12, (ull)r->r13,
           (ull)r->r14, (ull)r->r15);
    append(to, "  rip %016llx  rflags %08llx  cs %04x  ss %04x  cpl %u\n", (ull)r->rip,
           (ull)r->rflags, s->cs.selector, s->ss.selector, s->ss.dpl);
    append(to, "  cr0 %08llx  cr2 %016llx  cr3 %012llx  cr4 %08llx  efer %08llx\n", (ull)s->cr0,
           (ull)s->cr2, (ull)s->cr3, (ull)s->cr4, (ull)s->efer);
}

/* The vCPU is not inside KVM_RUN. */
static void append_l2(char *to, struct l2_vcpu *vcpu)
{
    const struct l2_exit *exit = &vcpu->exit;
    uint32_t reason = exit->reason & ~MEZZ_EXIT_ENTRY_FAILED;

    append(to, "L2 %s, vCPU %u, ", vcpu->l2->name, vcpu->id);
    if (vcpu->exit_count == 0) {
        append(to, "which has not exited yet\n");
        append_registers(to, vcpu->kvm);
        return;
    }
    append(to, "after %llu exits; the last one: %s (%u), qualification 0x%llx",
           (ull)vcpu->exit_count, reason_name(reason), reason, (ull)exit->qualification);
    if (reason == MEZZ_EXIT_EPT_VIOLATION)
        append(to, ", guest-physical 0x%llx", (ull)exit->gpa);
    if (reason == MEZZ_EXIT_RDMSR || reason == MEZZ_EXIT_WRMSR)
        append(to, ", msr 0x%x", exit->msr);
    if (reason == MEZZ_EXIT_INVALID_GUEST_STATE)
        append(to, ", failed check: %s", entry_check_name(exit->qualification));
    append(to, "\n");
    append_registers(to, vcpu->kvm);
}

/* own: the calling thread is the vCPU's. Another one may be inside KVM_RUN, where nothing of its
 * run page can be had. */
static void append_l1(char *to, struct l1_vcpu *l1, bool own)
{
    static const char *const doing[] = {
        [L1_RUNNING] = "running its own code",
        [L1_ENTERED] = "inside its call of enter",
        [L1_IN_HANDLER] = "in a callback handler",
    };

    append(to, "L1, vCPU %u, %s", l1->index, doing[l1->mode]);
    if (!own) {
        append(to, "\n");
        return;
    }
    append(to, "; the last exit of KVM: %s (%u)\n", kvm_exit_name(l1->kvm.run->exit_reason),
           l1->kvm.run->exit_reason);
    append_registers(to, &l1->kvm);
    if (l1->entered != NULL)
        append_l2(to, l1->entered);
}

void fatal_l1(struct l1_vcpu *l1, const char *format, ...)
{
    struct machine *machine = l1->machine;
    char line[sizeof(machine->report.error.text)];
    va_list arguments;

    if (machine->ended)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    append_l1(machine->last_words, l1, true);
    machine_end(machine, MACHINE_DIED, "%s", line);
}

void fatal_timeout(struct l1_vcpu *l1)
{
    struct machine *machine = l1->machine;

    if (machine->ended)
        return;
    for (unsigned int i = 0; i < machine->l1_count; i++)
        append_l1(machine->last_words, machine->l1[i], machine->l1[i] == l1);
    machine_end(machine, MACHINE_TIMEOUT, "the run's time of %llu ms is over",
                (ull)(machine->timeout / 1000000));
}

void fatal_policy(const struct l2 *l2, const char *policy, int code)
{
    if (code == -EINTR)
        fatal_timeout(l2->machine->l1[0]);
    else
        machine_end(l2->machine, MACHINE_HOST, "%s of L2 %s: %s", policy, l2->name,
                    strerror(code < 0 ? -code : EIO));
}

void fatal_l2(struct l2_vcpu *vcpu)
{
    char *to = vcpu->l2->record->last_words;

    to[0] = '\0';
    append_l2(to, vcpu);
}
