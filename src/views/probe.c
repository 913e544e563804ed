/* SPDX-License-Identifier: Apache-2.0 */
#include "views/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "host/memory.h"
#include "views/probe_run.h"

/*
 * The guest starts in ring 3 of long mode: on a host that emulates ring 0, only ring 3 runs on the
 * translations that the question is about. It reads a word and writes it to a page without a slot,
 * which is an exit with the word. Between two exits the page table entry of the word is changed
 * through the root's own mapping, and CR3 is loaded with another root of the same tables: a TLB is
 * empty then, but a shadow of the table is not.
 */
#define CODE_ADDRESS     0x400000ULL
#define WORD_ADDRESS     0x401000ULL
#define DOORBELL_ADDRESS 0x402000ULL
#define DOORBELL         0x20000000ULL /* guest-physical, no slot */
#define SPARE            0x10000000ULL /* guest-physical, for the slot that comes and goes */

#define ENTRY_FLAGS      0x67ULL /* present, writable, user, accessed, dirty */
#define OLD_WORD         0x01d01d01d01d01d0ULL
#define NEW_WORD         0x4e34e34e34e34e34ULL

#define READS            4

enum {
    PAGE_ROOT = 1,
    PAGE_OTHER_ROOT,
    PAGE_POINTERS,
    PAGE_DIRECTORY,
    PAGE_TABLE,
    PAGE_CODE,
    PAGE_OLD,
    PAGE_NEW,
    PAGE_SPARE,
    PAGES
};

struct probe {
    struct memory memory;
    struct kvm_vm vm;
    struct kvm_vcpu vcpu;
    struct kvm_sregs sregs;
    struct probe_run run;
};

static uint64_t *page(const struct probe *probe, unsigned int number)
{
    return (uint64_t *)(void *)(probe->memory.base + number * PAGE_SIZE);
}

static uint64_t entry(unsigned int number)
{
    return number * PAGE_SIZE | ENTRY_FLAGS;
}

static void lead_word_to(const struct probe *probe, unsigned int number)
{
    __atomic_store_n(&page(probe, PAGE_TABLE)[(WORD_ADDRESS >> 12) & 511], entry(number),
                     __ATOMIC_SEQ_CST);
}

static void fill_memory(const struct probe *probe)
{
    /* again: mov (%rbx), %rax; mov %rax, (%rcx); jmp again */
    static const uint8_t code[] = {0x48, 0x8b, 0x03, 0x48, 0x89, 0x01, 0xeb, 0xf8};
    uint64_t *table = page(probe, PAGE_TABLE);

    page(probe, PAGE_ROOT)[0] = entry(PAGE_POINTERS);
    page(probe, PAGE_OTHER_ROOT)[0] = entry(PAGE_POINTERS);
    page(probe, PAGE_POINTERS)[0] = entry(PAGE_DIRECTORY);
    page(probe, PAGE_DIRECTORY)[CODE_ADDRESS >> 21] = entry(PAGE_TABLE);
    table[(CODE_ADDRESS >> 12) & 511] = entry(PAGE_CODE);
    table[(DOORBELL_ADDRESS >> 12) & 511] = DOORBELL | ENTRY_FLAGS;
    lead_word_to(probe, PAGE_OLD);
    memcpy(page(probe, PAGE_CODE), code, sizeof(code));
    page(probe, PAGE_OLD)[0] = OLD_WORD;
    page(probe, PAGE_NEW)[0] = NEW_WORD;
}

static int set_registers(struct probe *probe)
{
    const struct kvm_segment code = {.selector = 0x33,
                                     .limit = 0xffffffff,
                                     .type = 11,
                                     .present = 1,
                                     .dpl = 3,
                                     .s = 1,
                                     .l = 1,
                                     .g = 1};
    const struct kvm_segment data = {.selector = 0x2b,
                                     .limit = 0xffffffff,
                                     .type = 3,
                                     .present = 1,
                                     .dpl = 3,
                                     .s = 1,
                                     .db = 1,
                                     .g = 1};
    const struct kvm_segment task = {.selector = 0x40, .limit = 0x67, .type = 11, .present = 1};
    struct kvm_regs regs = {
        .rip = CODE_ADDRESS, .rbx = WORD_ADDRESS, .rcx = DOORBELL_ADDRESS, .rflags = 2};
    struct kvm_sregs *sregs = &probe->sregs;
    int code_of_get = kvm_vcpu_ioctl(&probe->vcpu, KVM_GET_SREGS, sregs);

    if (code_of_get < 0)
        return code_of_get;
    sregs->cs = code;
    sregs->ss = sregs->ds = sregs->es = sregs->fs = sregs->gs = data;
    sregs->tr = task;
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    sregs->cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
    sregs->cr4 = 0x20;       /* PAE */
    sregs->efer = 0x500;     /* LMA, LME */
    sregs->cr3 = PAGE_ROOT * PAGE_SIZE;
    code_of_get = kvm_vcpu_ioctl(&probe->vcpu, KVM_SET_SREGS, sregs);
    return code_of_get < 0 ? code_of_get : kvm_vcpu_ioctl(&probe->vcpu, KVM_SET_REGS, &regs);
}

/* Empties the TLB, as far as there is one: CR3 changes. */
static int load_other_root(struct probe *probe)
{
    probe->sregs.cr3 ^= (PAGE_ROOT ^ PAGE_OTHER_ROOT) * PAGE_SIZE;
    return kvm_vcpu_ioctl(&probe->vcpu, KVM_SET_SREGS, &probe->sregs);
}

/* The word that the guest reads, READS times: what KVM does the first time (emulation, a fault) it
 * may not do again. 0 when the words are not all the same, or the guest does anything else. */
static uint64_t read_word(struct probe *probe)
{
    const struct kvm_run *run = probe->vcpu.run;
    uint64_t first = 0;

    for (int i = 0; i < READS; i++) {
        uint64_t word;

        if (probe_run_once(&probe->run, &probe->vcpu) != 0 || run->exit_reason != KVM_EXIT_MMIO ||
            run->mmio.phys_addr != DOORBELL || !run->mmio.is_write || run->mmio.len != sizeof(word))
            return 0;
        memcpy(&word, run->mmio.data, sizeof(word));
        if (i > 0 && word != first)
            return 0;
        first = word;
    }
    return first;
}

static bool try_slot(struct probe *probe)
{
    kvm_vm_set_slot(&probe->vm, 1, SPARE, PAGE_SIZE, page(probe, PAGE_SPARE), 0);
    kvm_vm_set_slot(&probe->vm, 1, SPARE, 0, page(probe, PAGE_SPARE), 0);
    return read_word(probe) == NEW_WORD;
}

/* The entry leads back to the old page; KVM still has the new one, which is mapped anew
 * when it is next touched. */
static bool try_remap(struct probe *probe)
{
    lead_word_to(probe, PAGE_OLD);
    if (load_other_root(probe) < 0 || read_word(probe) != NEW_WORD)
        return false;
    if (madvise(page(probe, PAGE_NEW), PAGE_SIZE, MADV_DONTNEED) < 0)
        return false;
    return read_word(probe) == OLD_WORD;
}

static void ask(struct probe *probe, struct host_paging *paging, struct error *error)
{
    uint64_t before = read_word(probe);
    uint64_t after;

    lead_word_to(probe, PAGE_NEW);
    after = load_other_root(probe) < 0 ? 0 : read_word(probe);
    if (before == OLD_WORD && after == NEW_WORD) {
        paging->kind = PAGING_HARDWARE;
    } else if (before == OLD_WORD && after == OLD_WORD) {
        paging->kind = PAGING_SHADOW;
        paging->slot_cures = try_slot(probe);
        paging->remap_cures = paging->slot_cures && try_remap(probe);
    } else {
        error_set(error, EPROTO, "the probe's guest read %llx, then %llx; last exit: %u",
                  (unsigned long long)before, (unsigned long long)after,
                  probe->vcpu.run->exit_reason);
    }
}

/* A guest that does not exit is PAGING_UNKNOWN. */
static int ask_in_time(struct probe *probe, struct host_paging *paging, struct error *error)
{
    int code = probe_run_begin(&probe->run, error);

    if (code != 0)
        return code;
    ask(probe, paging, error);
    probe_run_end(&probe->run);
    return 0;
}

int host_paging_probe(const struct kvm *kvm, struct host_paging *paging, struct error *error)
{
    struct probe probe;
    int code;

    *paging = (struct host_paging){.kind = PAGING_UNKNOWN};
    code = memory_create_unnamed(&probe.memory, PAGES * PAGE_SIZE, error);
    if (code != 0)
        return code;
    code = kvm_vm_create(&probe.vm, kvm, error);
    if (code != 0)
        goto destroy_memory;
    code = kvm_vcpu_create(&probe.vcpu, &probe.vm, 0, kvm->cpuid, error);
    if (code != 0)
        goto destroy_vm;
    fill_memory(&probe);
    code = kvm_vm_set_slot(&probe.vm, 0, 0, probe.memory.size, probe.memory.base, 0);
    if (code == 0)
        code = set_registers(&probe);
    if (code == 0)
        code = ask_in_time(&probe, paging, error);
    else
        error_set(error, -code, "the probe's guest cannot be set up: %s", strerror(-code));
    kvm_vcpu_destroy(&probe.vcpu);
destroy_vm:
    kvm_vm_destroy(&probe.vm);
destroy_memory:
    memory_destroy(&probe.memory);
    return code;
}

const char *paging_name(enum paging_kind kind)
{
    static const char *const names[] = {
        [PAGING_UNKNOWN] = "unknown",
        [PAGING_HARDWARE] = "hardware",
        [PAGING_SHADOW] = "shadow",
    };

    return names[kind];
}
