/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosting without a root: an ordinary hypervisor on a processor with SVM and nested paging (AMD64
 * Architecture Programmer's Manual, volume 2, chapter 15).
 */
#include "svm/svm.h"
#include "host.h"
#include "l1.h"
#include "lib/machine.h"
#include "mezz/exit.h"

#define CPUID_MAX_EXTENDED 0x80000000U
#define CPUID_AMD_FEATURES 0x80000001U
#define CPUID_SVM          0x8000000aU
#define ECX_SVM            (1U << 2)
#define EDX_NESTED_PAGING  (1U << 0)

#define MSR_EFER           0xc0000080U
#define MSR_VM_CR          0xc0010114U
#define MSR_VM_HSAVE_PA    0xc0010117U
#define VM_CR_DISABLED     (1ULL << 4)
#define EFER_NXE           (1ULL << 11)
#define CR4_OSFXSR         (1ULL << 9)

#define MICROSECOND        1000ULL
#define GUESTS_ASID        1     /* of all of them in turn; 0 is L1's */
#define FPU_CONTROL        0x37f /* FCW after FNINIT */
#define FPU_MXCSR          0x1f80

static uint8_t host_save_area[MEZZ_PAGE_SIZE] __attribute__((aligned(MEZZ_PAGE_SIZE)));
/* Every port exits, as every MSR does but those that VMLOAD and VMSAVE exchange. */
static uint8_t io_bitmap[3 * MEZZ_PAGE_SIZE] __attribute__((aligned(MEZZ_PAGE_SIZE)));
static uint8_t msr_bitmap[2 * MEZZ_PAGE_SIZE] __attribute__((aligned(MEZZ_PAGE_SIZE)));

static struct svm_guest *owner; /* whose registers the processor has */

static const uint32_t own_msrs[] = {
    0x174,      0x175,      0x176,                  /* SYSENTER */
    0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, SFMASK */
    0xc0000100, 0xc0000101, 0xc0000102,             /* FS, GS and kernel GS base */
};

/* Two bits an MSR; three ranges of 0x2000 MSRs, a half page each (APM volume 2, 15.11). */
static void open_msr(uint32_t msr)
{
    uint32_t bit = (msr & 0x1fff) * 2 + (msr >= 0xc0000000U ? 0x800U * 8 : 0);

    msr_bitmap[bit / 8] &= (uint8_t) ~(3U << bit % 8);
}

/* Without OSFXSR the XMM registers are left out. */
static void allow_fxsave(void)
{
    uint64_t cr4;

    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSFXSR));
}

static void switch_on(void)
{
    write_msr(MSR_EFER, read_msr(MSR_EFER) | SVM_EFER_SVME | EFER_NXE);
    write_msr(MSR_VM_HSAVE_PA, address_of(host_save_area));
    allow_fxsave();
    fill_bytes(io_bitmap, 0xff, sizeof(io_bitmap));
    fill_bytes(msr_bitmap, 0xff, sizeof(msr_bitmap));
    for (unsigned int i = 0; i < sizeof(own_msrs) / sizeof(own_msrs[0]); i++)
        open_msr(own_msrs[i]);
    svm_timer_start();
}

const char *host_svm_start(void)
{
    if (cpuid(CPUID_MAX_EXTENDED).eax < CPUID_SVM || !(cpuid(CPUID_AMD_FEATURES).ecx & ECX_SVM))
        return "this processor has no SVM";
    if (!(cpuid(CPUID_SVM).edx & EDX_NESTED_PAGING))
        return "this processor's SVM has no nested paging";
    if (read_msr(MSR_VM_CR) & VM_CR_DISABLED)
        return "SVM is switched off in this machine's firmware";
    switch_on();
    return NULL;
}

static const char *create(struct l2 *l2, const struct guest_config *config, int64_t *error)
{
    static uint32_t created;

    (void)config;
    *error = 0;
    l2->number = ++created;
    return NULL;
}

static const char *create_vcpu(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    struct svm_guest *guest =
        pointer_at(arena_take(&l1->arena, sizeof(struct svm_guest), MEZZ_PAGE_SIZE));
    uint64_t npt = svm_make_npt(&l1->arena, &l2->ept);

    *error = 0;
    if (!guest || !npt)
        return "L1 has no memory left";
    guest->vmcb.intercept1 = SVM_INTERCEPT_INTR | SVM_INTERCEPT_CPUID | SVM_INTERCEPT_INVD |
                             SVM_INTERCEPT_HLT | SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_IOIO |
                             SVM_INTERCEPT_MSR | SVM_INTERCEPT_SHUTDOWN;
    guest->vmcb.intercept2 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD |
                             SVM_INTERCEPT_VMSAVE | SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI |
                             SVM_INTERCEPT_SKINIT | SVM_INTERCEPT_WBINVD | SVM_INTERCEPT_MONITOR |
                             SVM_INTERCEPT_MWAIT | SVM_INTERCEPT_XSETBV;
    guest->vmcb.iopm_base = address_of(io_bitmap);
    guest->vmcb.msrpm_base = address_of(msr_bitmap);
    guest->vmcb.asid = GUESTS_ASID;
    guest->vmcb.nested_control = SVM_NESTED_PAGING;
    guest->vmcb.n_cr3 = npt;
    guest->fpu.fcw = FPU_CONTROL;
    guest->fpu.mxcsr = FPU_MXCSR;
    l2->svm = guest;
    return NULL;
}

/* Of another guest there are still x87 and XMM registers, which L1 itself leaves alone, and
 * translations. */
static void take_processor(struct svm_guest *guest)
{
    guest->vmcb.tlb_control = owner == guest ? 0 : SVM_FLUSH_ALL;
    if (owner == guest)
        return;
    if (owner)
        __asm__ volatile("fxsave64 %0" : "=m"(owner->fpu));
    __asm__ volatile("fxrstor64 %0" : : "m"(guest->fpu));
    owner = guest;
}

static uint64_t deadline_of(const struct mezz_vmcs12_controls *controls)
{
    if (!(controls->pin_based & MEZZ_PIN_PREEMPTION_TIMER))
        return UINT64_MAX;
    return svm_time() + controls->preemption_timer * MICROSECOND;
}

/* A guest that waits for an interrupt: L1 waits in its place, for the preemption timer. */
static void wait(struct mezz_vmcs12 *vmcs, uint64_t deadline)
{
    svm_timer_sleep(deadline);
    vmcs->exit = (struct mezz_vmcs12_exit){
        .reason = MEZZ_EXIT_PREEMPTION_TIMER,
        .count = vmcs->exit.count + 1,
    };
}

static void run(struct svm_guest *guest, struct mezz_vmcs12 *vmcs, uint64_t deadline)
{
    uint64_t *gpr = vmcs->regs.gpr;
    bool over = false;

    svm_complete(guest, vmcs);
    svm_load_state(guest, vmcs);
    take_processor(guest);
    svm_timer_arm(deadline);
    do {
        svm_run(&guest->vmcb, gpr);
        guest->vmcb.tlb_control = 0;
    } while (svm_handle(guest, gpr));
    if (guest->vmcb.exit_code == SVM_EXIT_INTR) {
        svm_timer_take();
        over = svm_time() >= deadline;
    }
    svm_translate_exit(guest, vmcs, over);
    svm_store_state(guest, vmcs);
}

static int64_t enter(struct l2 *l2)
{
    struct mezz_vmcs12 *vmcs = l2->vmcs;
    uint64_t deadline = deadline_of(&vmcs->controls);

    if (vmcs->events.activity_state && !(vmcs->events.entry_interruption_info & MEZZ_EVENT_VALID))
        wait(vmcs, deadline);
    else
        run(l2->svm, vmcs, deadline);
    return 0;
}

/* Memory is not given back. */
static void destroy(struct l2 *l2, uint32_t status)
{
    (void)l2;
    (void)status;
}

const struct host host_svm = {
    .found = "no root hypervisor is present; hosting by SVM",
    .create = create,
    .create_vcpu = create_vcpu,
    .enter = enter,
    .destroy = destroy,
    .time = svm_time,
};
