/* SPDX-License-Identifier: Apache-2.0 */
#include "view_guest.h"

#include <errno.h>
#include <string.h>

#define SIZE        (16ULL << 20) /* of the guest */
#define AT          (16ULL << 20) /* its place in L1's memory */
#define OTHERS      (64ULL << 20) /* L1 memory of the pages that differ: */
#define OTHERS_EACH (16ULL << 20)
#define L1_SIZE     (OTHERS + VIEW_GUEST_VIEWS * OTHERS_EACH)
#define TABLES      0x1000ULL

/* L2-physical; linear addresses are the same. */
#define ROOT       0x1000ULL
#define POINTERS   0x2000ULL
#define DIRECTORY  0x3000ULL
#define CODE       0x4000ULL
#define CODE_ALL   (CODE + 0x100)
#define TOUCHED    0x800000ULL /* in a table of its own pages */
#define TABLE      0x5000ULL
#define NOTHING    SIZE
#define FAR        (64ULL << 20)
#define FAR_SIZE   (64ULL << 20)

#define PAGE_FLAGS 0x67ULL /* present, writable, user, accessed, dirty */
#define LARGE      0x80ULL
#define LEAF       (MEZZ_EPT_RWX | MEZZ_EPT_WRITE_BACK)

static uint64_t *words(const struct view_guest *guest, uint64_t l1)
{
    return (uint64_t *)(void *)(guest->memory.base + l1);
}

/* The entry of a level, with the tables to it; NULL: no more room. */
static uint64_t *ept_entry(struct view_guest *guest, uint64_t eptp, uint64_t l2, unsigned int level)
{
    uint64_t table = eptp & MEZZ_EPT_ADDRESS;

    for (unsigned int at = 4;; at--) {
        uint64_t *entry = words(guest, table) + (l2 >> (12 + 9 * (at - 1)) & 511);

        if (at == level)
            return entry;
        if (*entry == 0) {
            if (guest->next == AT)
                return NULL;
            *entry = guest->next | MEZZ_EPT_RWX;
            guest->next += PAGE_SIZE;
        }
        table = *entry & MEZZ_EPT_ADDRESS;
    }
}

static int map(struct view_guest *guest, uint64_t eptp, uint64_t l2, uint64_t l1)
{
    uint64_t *leaf = ept_entry(guest, eptp, l2, 1);

    if (leaf == NULL)
        return -ENOSPC;
    *leaf = l1 | LEAF;
    return 0;
}

/* The guest's memory, with the large page of the word that is read in pages of 4 KiB. */
static int add_view(struct view_guest *guest, uint64_t *eptp)
{
    int code = 0;

    if (guest->next == AT)
        return -ENOSPC;
    *eptp = MEZZ_EPTP(guest->next);
    guest->next += PAGE_SIZE;
    for (uint64_t l2 = 0; l2 < SIZE && code == 0; l2 += LARGE_PAGE_SIZE) {
        uint64_t *entry = l2 == TOUCHED ? NULL : ept_entry(guest, *eptp, l2, 2);

        if (entry != NULL)
            *entry = (AT + l2) | LEAF | MEZZ_EPT_LEAF;
        else if (l2 != TOUCHED)
            return -ENOSPC;
    }
    for (uint64_t at = TOUCHED; at < TOUCHED + LARGE_PAGE_SIZE && code == 0; at += PAGE_SIZE)
        code = map(guest, *eptp, at, AT + at);
    return code;
}

/* Every second page of the far region, so that no two of them are one extent. */
static int add_differing_view(struct view_guest *guest, uint32_t differing)
{
    const uint64_t l1 = OTHERS + guest->views * OTHERS_EACH;
    uint64_t *eptp = &guest->eptp[guest->views];
    int code = add_view(guest, eptp);

    if (code == 0)
        code = map(guest, *eptp, TOUCHED, l1);
    for (uint32_t i = 1; i < differing && code == 0; i++)
        code = map(guest, *eptp, FAR + 2ULL * i * PAGE_SIZE, l1 + i * PAGE_SIZE);
    guest->views += code == 0;
    return code;
}

int view_guest_add_extents(struct view_guest *guest, uint32_t extents, uint64_t *eptp)
{
    const uint64_t pages = FAR_SIZE / PAGE_SIZE;
    int code = add_view(guest, eptp);

    /* Two pages in each other's place are two extents; the rest is one. */
    for (uint64_t i = 0; i < pages && code == 0; i++)
        code = map(guest, *eptp, FAR + i * PAGE_SIZE,
                   OTHERS + (i + 1 < extents ? i ^ 1 : i) * PAGE_SIZE);
    return code;
}

static void fill_memory(const struct view_guest *guest)
{
    /* again: mov (%rbx), %rax; mov %rax, (%rbp); jmp again */
    static const uint8_t code[] = {0x48, 0x8b, 0x03, 0x48, 0x89, 0x45, 0x00, 0xeb, 0xf7};
    /* next: mov (%rbx), %rax; add %rdx, %rbx; cmp %rbp, %rbx; jne next; mov %rax, (%rbp) */
    static const uint8_t all[] = {0x48, 0x8b, 0x03, 0x48, 0x01, 0xd3, 0x48, 0x39,
                                  0xeb, 0x75, 0xf5, 0x48, 0x89, 0x45, 0x00};

    words(guest, AT + ROOT)[0] = POINTERS | PAGE_FLAGS;
    words(guest, AT + POINTERS)[0] = DIRECTORY | PAGE_FLAGS;
    for (uint64_t i = 0; i <= SIZE / LARGE_PAGE_SIZE; i++)
        words(guest, AT + DIRECTORY)[i] = i * LARGE_PAGE_SIZE | PAGE_FLAGS | LARGE;
    words(guest, AT + DIRECTORY)[TOUCHED / LARGE_PAGE_SIZE] = TABLE | PAGE_FLAGS;
    words(guest, AT + DIRECTORY)[0] = (TABLE + PAGE_SIZE) | PAGE_FLAGS;
    for (uint64_t i = 0; i < 512; i++) {
        words(guest, AT + TABLE)[i] = (TOUCHED + i * PAGE_SIZE) | PAGE_FLAGS;
        words(guest, AT + TABLE + PAGE_SIZE)[i] = i * PAGE_SIZE | PAGE_FLAGS;
    }
    memcpy(words(guest, AT + CODE), code, sizeof(code));
    memcpy(words(guest, AT + CODE_ALL), all, sizeof(all));
}

int view_guest_create(struct view_guest *guest, const struct kvm *kvm,
                      const struct host_traits *host, enum engine_kind engine, uint32_t views,
                      uint32_t differing, struct error *error)
{
    struct space_config config = {
        .kvm = kvm, .l1 = &guest->l1, .cpuid = kvm->cpuid, .host = host, .engine = engine};
    int code;

    *guest = (struct view_guest){.next = TABLES};
    code = memory_create(&guest->memory, L1_SIZE, error);
    if (code != 0)
        return code;
    guest->l1 = (struct l1_memory){.memory = &guest->memory, .size = L1_SIZE};
    fill_memory(guest);
    code = space_create(&guest->space, &config, error);
    if (code != 0)
        goto destroy_memory;
    code = view_vcpu_create(&guest->vcpu, guest->space, error);
    if (code != 0)
        goto destroy_space;
    while (guest->views < views && code == 0)
        code = add_differing_view(guest, differing);
    if (code == 0)
        code = space_set_list(guest->space, guest->eptp, guest->views, NULL, NULL);
    if (code == 0)
        code = view_vcpu_switch(&guest->vcpu, 0, CARRY_ALL, NULL);
    if (code == 0)
        return 0;
    code = error_set(error, code < 0 ? -code : EPROTO, "%u views: %s", views,
                     code < 0 ? strerror(-code) : "an EPT12 is wrong");
    view_vcpu_destroy(&guest->vcpu);
destroy_space:
    space_destroy(guest->space);
destroy_memory:
    memory_destroy(&guest->memory);
    return code;
}

void view_guest_destroy(struct view_guest *guest)
{
    view_vcpu_destroy(&guest->vcpu);
    space_destroy(guest->space);
    memory_destroy(&guest->memory);
}

static void set_registers(struct kvm_sregs *sregs, struct kvm_regs *regs, unsigned int ring)
{
    const uint8_t dpl = (uint8_t)ring;
    const struct kvm_segment code = {.selector = (uint16_t)(0x30 | ring),
                                     .limit = 0xffffffff,
                                     .type = 11,
                                     .present = 1,
                                     .dpl = dpl,
                                     .s = 1,
                                     .l = 1,
                                     .g = 1};
    const struct kvm_segment data = {.selector = (uint16_t)(0x28 | ring),
                                     .limit = 0xffffffff,
                                     .type = 3,
                                     .present = 1,
                                     .dpl = dpl,
                                     .s = 1,
                                     .db = 1,
                                     .g = 1};

    sregs->cs = code;
    sregs->ss = sregs->ds = sregs->es = sregs->fs = sregs->gs = data;
    sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = 0x40, .type = 11, .present = 1};
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    sregs->cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
    sregs->cr4 = 0x620;      /* PAE, OSFXSR, OSXMMEXCPT */
    sregs->efer = 0x500;     /* LMA, LME */
    sregs->cr3 = ROOT;
    *regs = (struct kvm_regs){.rip = CODE, .rbx = TOUCHED, .rbp = NOTHING, .rflags = 2};
}

void view_guest_start(struct view_guest *guest, unsigned int ring)
{
    struct kvm_vcpu *kvm = guest->vcpu.kvm;

    if (kvm->run->s.regs.sregs.cr0 == 0)
        kvm_vcpu_fetch(kvm, KVM_SYNC_X86_SREGS);
    set_registers(&kvm->run->s.regs.sregs, &kvm->run->s.regs.regs, ring);
    kvm_vcpu_replaced(kvm, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
}

static bool exited(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == NOTHING;
}

int view_guest_step(struct view_guest *guest, int64_t view, enum view_carry carry)
{
    struct view_vcpu *vcpu = &guest->vcpu;
    int code = view < 0 ? 0 : view_vcpu_switch(vcpu, (uint32_t)view, carry, NULL);
    bool own = false;

    do {
        if (code == 0)
            code = view_vcpu_prepare(vcpu, NULL);
        if (code != 0)
            return code < 0 ? code : -EPROTO;
        code = kvm_vcpu_run(vcpu->kvm);
        own = view_vcpu_after(vcpu);
    } while (code == 0 && own);
    return code != 0 ? code : exited(vcpu->kvm->run) ? 0 : -EPROTO;
}

static void go_to(struct kvm_vcpu *kvm, uint64_t rip, uint64_t rbx)
{
    struct kvm_regs *regs = &kvm->run->s.regs.regs;

    kvm_vcpu_need(kvm, KVM_SYNC_X86_REGS);
    regs->rip = rip;
    regs->rbx = rbx;
    regs->rdx = PAGE_SIZE;
    kvm_vcpu_replaced(kvm, KVM_SYNC_X86_REGS);
}

int view_guest_read_all(struct view_guest *guest)
{
    int code;

    _Static_assert(NOTHING == SIZE, "where the loop ends, and stores");
    go_to(guest->vcpu.kvm, CODE_ALL, 0);
    code = view_guest_step(guest, -1, CARRY_GATE);
    go_to(guest->vcpu.kvm, CODE, TOUCHED);
    return code;
}

int view_guest_map_bare(const struct view_guest *guest, const struct kvm_vm *vm)
{
    return kvm_vm_set_slot(vm, 0, 0, SIZE, guest->memory.base + AT, 0);
}

int view_guest_differ_bare(const struct view_guest *guest, const struct kvm_vm *vm, uint32_t number)
{
    uint8_t *base = guest->memory.base;
    const uint64_t behind = TOUCHED + PAGE_SIZE;
    int code = kvm_vm_set_slot(vm, 0, 0, 0, NULL, 0);

    if (code == 0)
        code = kvm_vm_set_slot(vm, 0, 0, TOUCHED, base + AT, 0);
    if (code == 0)
        code = kvm_vm_set_slot(vm, VIEW_GUEST_SLOTS, TOUCHED, PAGE_SIZE,
                               base + OTHERS + number * OTHERS_EACH, 0);
    if (code == 0)
        code =
            kvm_vm_set_slot(vm, VIEW_GUEST_SLOTS + 1, behind, SIZE - behind, base + AT + behind, 0);
    return code;
}

int view_guest_start_bare(struct kvm_vcpu *vcpu, unsigned int ring)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    int code = kvm_vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs);

    if (code < 0)
        return code;
    set_registers(&sregs, &regs, ring);
    code = kvm_vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs);
    if (code >= 0)
        code = kvm_vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
    vcpu->run->kvm_valid_regs = 0;
    return code < 0 ? code : 0;
}
