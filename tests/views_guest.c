/* SPDX-License-Identifier: Apache-2.0 */
#include "views_guest.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENTRY_FLAGS 0x67ULL /* present, writable, user, accessed, dirty */
#define CODE_STRIDE 96
#define ENDLESS     10000

/* The doorbell's address is in RBP. */
static const uint8_t code_bytes[CODE_COUNT][CODE_STRIDE] =
    {
        [CODE_READ] = {0x48, 0x8b, 0x03, 0x48, 0x89, 0x45, 0x00},
        [CODE_WRITE] = {0x48, 0x89, 0x03, 0x48, 0x89, 0x45, 0x00},
        [CODE_EXECUTE] = {0xff, 0xd3, 0x48, 0x89, 0x45, 0x00},
        [CODE_INVLPG] = {0x48, 0x89, 0x03, 0x0f, 0x01, 0x3a, 0x48, 0x89, 0x45, 0x00},
        [CODE_ADD] = {0xf0, 0x48, 0x01, 0x03, 0x48, 0x89, 0x45, 0x00},
        [CODE_COPY] = {0x48, 0x89, 0xd1, 0xf3, 0x48, 0xa5, 0x48, 0x89, 0x45, 0x00},
        [CODE_LOOP] = {0x48, 0x8b, 0x03, 0x48, 0x89, 0x45, 0x00, 0xeb, 0xf7},
        [CODE_TSC] = {0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x48, 0x89, 0x45, 0x00},
        [CODE_MIX] =
            {
                0x48, 0x89, 0xc1,             /* mov %rax, %rcx */
                0x48, 0xc1, 0xe1, 0x0d,       /* shl $13, %rcx */
                0x48, 0x31, 0xc8,             /* xor %rcx, %rax */
                0x48, 0x89, 0xc1,             /* mov %rax, %rcx */
                0x48, 0xc1, 0xe9, 0x07,       /* shr $7, %rcx */
                0x48, 0x31, 0xc8,             /* xor %rcx, %rax */
                0x48, 0x89, 0xc1,             /* mov %rax, %rcx */
                0x48, 0xc1, 0xe1, 0x11,       /* shl $17, %rcx */
                0x48, 0x31, 0xc8,             /* xor %rcx, %rax */
                0x66, 0x48, 0x0f, 0x6e, 0xc0, /* movq %rax, %xmm0 */
                0x66, 0x0f, 0xd4, 0xc8,       /* paddq %xmm0, %xmm1 */
                0x66, 0x44, 0x0f, 0xef, 0xf9, /* pxor %xmm1, %xmm15 */
                0x48, 0xff, 0xca,             /* dec %rdx */
                0x75, 0xcf,                   /* jnz */
                0x0f, 0x11, 0x0b,             /* movups %xmm1, (%rbx) */
                0x44, 0x0f, 0x11, 0x7b, 0x10, /* movups %xmm15, 16(%rbx) */
                0x48, 0x89, 0x45, 0x00,
            },
        [CODE_SS_READ] = {0x8e, 0xd1, 0x48, 0x8b, 0x03, 0x48, 0x89, 0x45, 0x00},
        [CODE_SS_SWAP] = {0x8e, 0xd1, 0x48, 0x0f, 0xc7, 0x0b, 0x48, 0x89, 0x45, 0x00},
        [CODE_SSE] = {0x0f, 0x10, 0x03, 0x0f, 0x11, 0x06, 0x48, 0x89, 0x45, 0x00},
};

const char *guest_obstacle(void)
{
    return access(KVM_DEFAULT_DEVICE, R_OK | W_OK) == 0 ? NULL : "no usable /dev/kvm";
}

static uint64_t view_top(struct guest_views *guest)
{
    uint64_t top = guest->builder.next;

    guest->builder.next += PAGE_SIZE;
    return top;
}

/* The builder's entries start at its top: this one is for any PML4. */
static uint64_t *ept_entry(struct guest_views *guest, uint64_t top, uint64_t l2, unsigned int level)
{
    struct ept12_builder *builder = &guest->builder;
    uint64_t table = top;

    for (unsigned int at = MEZZ_EPT_LEVELS;; at--) {
        uint64_t *entry =
            l1_pointer(&builder->l1, l1_at(table + l2 / builder_span(at) % 512 * 8), 8);

        ck_assert_ptr_nonnull(entry);
        if (at == level)
            return entry;
        if (*entry == 0) {
            *entry = builder->next | MEZZ_EPT_RWX;
            builder->next += PAGE_SIZE;
        }
        ck_assert_uint_lt(builder->next, GUEST_L1);
        table = *entry & MEZZ_EPT_ADDRESS;
    }
}

uint32_t guest_add_view(struct guest_views *guest)
{
    const uint32_t view = guest->views++;
    const uint64_t top = view_top(guest);

    guest->eptp[view] = MEZZ_EPTP(top);
    for (uint64_t l2 = 0; l2 < GUEST_MEMORY; l2 += LARGE_PAGE_SIZE)
        *ept_entry(guest, top, l2, 2) = (GUEST_L1 + l2) | BUILDER_LEAF | MEZZ_EPT_LEAF;
    return view;
}

void guest_map(struct guest_views *guest, uint32_t view, uint64_t l2, uint64_t l1, uint64_t rights)
{
    const uint64_t top = guest->eptp[view] & MEZZ_EPT_ADDRESS;
    uint64_t *directory = ept_entry(guest, top, l2, 2);

    if (*directory & MEZZ_EPT_LEAF) {
        const uint64_t from = *directory & MEZZ_EPT_ADDRESS;

        *directory = 0;
        for (uint64_t i = 0; i < 512; i++)
            *ept_entry(guest, top, (l2 & ~(LARGE_PAGE_SIZE - 1)) + i * PAGE_SIZE, 1) =
                (from + i * PAGE_SIZE) | BUILDER_LEAF;
    }
    *ept_entry(guest, top, l2, 1) = rights == 0 ? 0 : l1 | rights | MEZZ_EPT_WRITE_BACK;
}

void guest_use_views(struct guest_views *guest)
{
    ck_assert_int_eq(space_set_list(guest->space, guest->eptp, guest->views, NULL, NULL), 0);
    ck_assert_int_eq(view_vcpu_switch(&guest->vcpu, 0, CARRY_ALL, NULL), 0);
}

void guest_switch(struct guest_views *guest, uint32_t view, enum view_carry carry)
{
    ck_assert_int_eq(view_vcpu_switch(&guest->vcpu, view, carry, NULL), 0);
}

uint64_t *guest_at(const struct guest_views *guest, uint64_t l2)
{
    uint64_t *at = l1_pointer(&guest->builder.l1, l1_at(GUEST_L1 + l2), 8);

    ck_assert_ptr_nonnull(at);
    return at;
}

uint64_t *guest_leaf(const struct guest_views *guest, uint64_t linear)
{
    return guest_at(guest, GUEST_TABLES + linear / PAGE_SIZE * 8);
}

void guest_mix(struct guest_mix *mix, uint64_t times)
{
    while (times-- > 0) {
        mix->rax ^= mix->rax << 13;
        mix->rax ^= mix->rax >> 7;
        mix->rax ^= mix->rax << 17;
        mix->xmm1[0] += mix->rax;
        mix->xmm15[0] ^= mix->xmm1[0];
        mix->xmm15[1] ^= mix->xmm1[1];
    }
}

void guest_function(const struct guest_views *guest, uint64_t l1, uint32_t value)
{
    uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $value, %eax; ret */

    memcpy(code + 1, &value, sizeof(value));
    ck_assert_int_eq(l1_write(&guest->builder.l1, l1_at(l1), code, sizeof(code)), 0);
}

static void fill_memory(struct guest_views *guest)
{
    *guest_at(guest, GUEST_ROOT) = GUEST_POINTERS | ENTRY_FLAGS;
    *guest_at(guest, GUEST_POINTERS) = GUEST_DIRECTORY | ENTRY_FLAGS;
    for (uint64_t i = 0; i < 9; i++)
        *guest_at(guest, GUEST_DIRECTORY + i * 8) = (GUEST_TABLES + i * PAGE_SIZE) | ENTRY_FLAGS;
    for (uint64_t at = 0; at < GUEST_MEMORY; at += PAGE_SIZE)
        *guest_leaf(guest, at) = at | ENTRY_FLAGS;
    *guest_leaf(guest, GUEST_DOORBELL) = GUEST_DOORBELL | ENTRY_FLAGS;
    memcpy(guest_at(guest, GUEST_CODE), code_bytes, sizeof(code_bytes));
}

static bool is_over(void *context)
{
    const struct guest_views *guest = context;

    return guest->over;
}

static void create(struct guest_views *guest, enum engine_kind engine)
{
    struct space_config config = {0};
    struct error error = {""};

    memset(guest, 0, sizeof(*guest));
    ck_assert_msg(kvm_open(&guest->kvm, KVM_DEFAULT_DEVICE, &error) == 0, "%s", error.text);
    ck_assert_msg(host_traits_probe(&guest->kvm, &guest->host, &error) == 0, "%s", error.text);
    builder_create(&guest->builder);
    fill_memory(guest);
    config.kvm = &guest->kvm;
    config.over = is_over;
    config.context = guest;
    config.l1 = &guest->builder.l1;
    config.cpuid = guest->kvm.cpuid;
    if (engine != ENGINE_KINDS) {
        config.engine = engine;
        config.host = &guest->host;
    }
    ck_assert_msg(space_create(&guest->space, &config, &error) == 0, "%s", error.text);
    ck_assert_msg(view_vcpu_create(&guest->vcpu, guest->space, &error) == 0, "%s", error.text);
    guest_add_view(guest);
}

void guest_create(struct guest_views *guest, enum engine_kind engine)
{
    create(guest, engine);
}

void guest_create_without_engine(struct guest_views *guest)
{
    create(guest, ENGINE_KINDS);
}

void guest_destroy(struct guest_views *guest)
{
    view_vcpu_destroy(&guest->vcpu);
    space_destroy(guest->space);
    builder_destroy(&guest->builder);
    kvm_close(&guest->kvm);
}

void guest_start(struct view_vcpu *vcpu, const struct guest_run *what)
{
    struct kvm_segment code = {
        .selector = 0x30, .limit = 0xffffffff, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {
        .selector = 0x28, .limit = 0xffffffff, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs *sregs = &vcpu->kvm->run->s.regs.sregs;

    code.dpl = data.dpl = what->ring & 3;
    code.selector |= what->ring & 3;
    data.selector |= what->ring & 3;
    if (sregs->cr0 == 0)
        ck_assert_int_ge(kvm_vcpu_ioctl(vcpu->kvm, KVM_GET_SREGS, sregs), 0);
    sregs->cs = code;
    sregs->ss = sregs->ds = sregs->es = sregs->fs = sregs->gs = data;
    sregs->tr = (struct kvm_segment){.limit = 0x67, .selector = 0x40, .type = 11, .present = 1};
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    sregs->cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
    sregs->cr4 = 0x620;      /* PAE, OSFXSR, OSXMMEXCPT */
    sregs->efer = 0x500;     /* LMA, LME */
    sregs->cr3 = GUEST_ROOT;
    vcpu->kvm->run->s.regs.regs = (struct kvm_regs){
        .rip = GUEST_CODE + what->code * CODE_STRIDE,
        .rax = what->rax,
        .rbx = what->rbx,
        .rdx = what->rdx,
        .rsi = what->rsi,
        .rdi = what->rdi,
        .rsp = GUEST_STACK,
        .rbp = GUEST_DOORBELL,
        .rflags = 2,
    };
    vcpu->kvm->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

void guest_step(struct view_vcpu *vcpu)
{
    bool again;
    int code;

    do {
        ck_assert_int_eq(view_vcpu_prepare(vcpu, NULL), 0);
        code = kvm_vcpu_run(vcpu->kvm);
        again = view_vcpu_after(vcpu);
        if (code == -EFAULT ||
            (code == 0 && vcpu->kvm->run->exit_reason == KVM_EXIT_INTERNAL_ERROR))
            again = view_vcpu_make_exact(vcpu) || again;
        ck_assert_msg(code == 0 || again, "KVM_RUN: %s", strerror(-code));
    } while (again);
}

/* Ends the instruction that KVM is in, so that registers may be set. */
static void drain(struct view_vcpu *vcpu)
{
    do
        vcpu->kvm->run->immediate_exit = 1;
    while (kvm_vcpu_run(vcpu->kvm) == 0);
}

static void serve(struct view_vcpu *vcpu, struct guest_result *result)
{
    struct kvm_run *run = vcpu->kvm->run;
    const uint32_t right = run->mmio.is_write ? MEZZ_EPT_WRITE : MEZZ_EPT_READ;

    result->address = run->mmio.phys_addr;
    if (space_view_access(vcpu->view, l2_at(run->mmio.phys_addr), run->mmio.is_write,
                          run->mmio.data, run->mmio.len) == 0) {
        result->served++;
        return;
    }
    result->denied |= right;
}

struct guest_result guest_run_on(struct guest_views *guest, struct view_vcpu *vcpu,
                                 const struct guest_run *what)
{
    struct guest_result result = {0};

    (void)guest;
    guest_start(vcpu, what);
    for (int i = 0; i < ENDLESS; i++) {
        const struct kvm_run *run;

        guest_step(vcpu);
        run = vcpu->kvm->run;
        if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
            run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
            result.denied |= MEZZ_EPT_EXECUTE;
            result.address = run->s.regs.regs.rip;
            return result;
        }
        ck_assert_msg(run->exit_reason == KVM_EXIT_MMIO, "exit %u at 0x%llx, CR2 0x%llx",
                      run->exit_reason, run->s.regs.regs.rip, run->s.regs.sregs.cr2);
        if (run->mmio.phys_addr == GUEST_DOORBELL) {
            memcpy(&result.value, run->mmio.data, sizeof(result.value));
            return result;
        }
        serve(vcpu, &result);
        if (result.denied & MEZZ_EPT_READ) {
            drain(vcpu);
            return result;
        }
    }
    ck_abort_msg("the guest's code does not end");
}

struct guest_result guest_run(struct guest_views *guest, const struct guest_run *what)
{
    return guest_run_on(guest, &guest->vcpu, what);
}

uint64_t guest_load(struct guest_views *guest, unsigned int ring, uint64_t linear)
{
    const struct guest_run what = {.code = CODE_READ, .ring = ring, .rbx = linear};
    struct guest_result result = guest_run(guest, &what);

    ck_assert_uint_eq(result.denied, 0);
    return result.value;
}

double guest_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
