/* SPDX-License-Identifier: Apache-2.0 */
/* An L2: 64-bit code of this image in L1's own page tables. */
#include "mezz/guest.h"
#include "bench_l1.h"
#include "layout.h"
#include "mezz/ept.h"
#include "mezz/gate.h"

#define CODE_RIGHTS     0xa09bU
#define DATA_RIGHTS     0xc093U
#define TSS_RIGHTS      0x008bU
#define TSS_LIMIT       0x67U
#define RFLAGS_FIXED    2U
#define PAT_AFTER_RESET 0x0007040600070406ULL
#define DR6_AFTER_RESET 0xffff0ff0ULL
#define DR7_AFTER_RESET 0x400ULL
#define CR0_PG_WP_ET_PE 0x80010011ULL
#define CR4_PAE         0x20ULL
#define EFER_LMA_LME    0x500ULL

#define BITMAP_BYTES    4096
_Static_assert(INTERCEPTED_PORT / 8 == REFLECTED_PORT / 8, "both are in one byte of the bitmap");

extern const uint8_t l2_port_loop[], l2_turns_loop[], l2_memory_loop[], l2_gate_loop[];
extern const uint8_t page_pml4[], gdt[], gdt_end[];

static const uint8_t io_bitmap_a[BITMAP_BYTES] __attribute__((aligned(4096))) = {
    [INTERCEPTED_PORT / 8] = 1U << INTERCEPTED_PORT % 8 | 1U << REFLECTED_PORT % 8,
};
static const uint8_t io_bitmap_b[BITMAP_BYTES] __attribute__((aligned(4096)));

static uint64_t ept_top[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
static uint64_t ept_middle[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
static uint64_t ept_memory[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
static uint64_t ept_window[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));

/* What a store to the window changes. */
static uint8_t window_target;

uint64_t guest_memory_build(void)
{
    const uint64_t leaf = MEZZ_EPT_LEAF | MEZZ_EPT_WRITE_BACK;

    ept_top[0] = (uint64_t)ept_middle | MEZZ_EPT_RWX;
    ept_middle[0] = (uint64_t)ept_memory | MEZZ_EPT_RWX;
    ept_middle[DATA_WINDOW >> 30] = (uint64_t)ept_window | MEZZ_EPT_RWX;
    ept_memory[0] = leaf | MEZZ_EPT_RWX;
    ept_window[0] = leaf | MEZZ_EPT_READ | MEZZ_EPT_WRITE;
    return MEZZ_EPTP((uint64_t)ept_top);
}

/* The third GiB has one page, which is another one in the second view. */
void guest_add_views(uint64_t l2, uint64_t eptp)
{
    static uint64_t top[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
    static uint64_t middle[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
    static uint64_t directory[2][MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
    static uint64_t table[2][MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
    static uint64_t list[MEZZ_EPT_ENTRIES] __attribute__((aligned(4096)));
    uint64_t *const middles[2] = {ept_middle, middle};

    top[0] = (uint64_t)middle | MEZZ_EPT_RWX;
    middle[0] = ept_middle[0];
    middle[DATA_WINDOW >> 30] = ept_middle[DATA_WINDOW >> 30];
    for (unsigned int i = 0; i < 2; i++) {
        middles[i][NOTHING >> 30] = (uint64_t)directory[i] | MEZZ_EPT_RWX;
        directory[i][1] = (uint64_t)table[i] | MEZZ_EPT_RWX;
        table[i][0] = ((uint64_t)table[i] & MEZZ_EPT_ADDRESS) | MEZZ_EPT_WRITE_BACK | MEZZ_EPT_RWX;
    }
    list[0] = eptp;
    list[1] = MEZZ_EPTP((uint64_t)top);
    if (mezz_call(MEZZ_CALL_EPTP_LIST, l2, (uint64_t)list, 2) != 0)
        give_up("EPTP_LIST was refused\n");
}

static bool root_handles(const struct bench_setup *setup)
{
    return setup->path <= PATH_FAILED;
}

static void fill_system(struct mezz_vmcs12_system *system)
{
    for (unsigned int i = MEZZ_ES; i <= MEZZ_GS; i++)
        system->segment[i] = (struct mezz_segment){
            .limit = UINT32_MAX, .selector = DATA_SELECTOR, .access_rights = DATA_RIGHTS};
    system->segment[MEZZ_CS] = (struct mezz_segment){
        .limit = UINT32_MAX, .selector = CODE64, .access_rights = CODE_RIGHTS};
    system->segment[MEZZ_LDTR].access_rights = MEZZ_SEGMENT_UNUSABLE;
    system->segment[MEZZ_TR] =
        (struct mezz_segment){.limit = TSS_LIMIT, .access_rights = TSS_RIGHTS};
    system->gdtr.base = (uint64_t)gdt;
    system->gdtr.limit = (uint32_t)(gdt_end - gdt - 1);
    system->guest_cr0 = CR0_PG_WP_ET_PE;
    system->guest_cr3 = (uint64_t)page_pml4;
    system->guest_cr4 = CR4_PAE;
    system->guest_efer = EFER_LMA_LME;
}

static const uint8_t *code_of(const struct bench_setup *setup)
{
    if (setup->path == PATH_TURNS)
        return l2_turns_loop;
    if (setup->path == PATH_GATE)
        return l2_gate_loop;
    return setup->memory ? l2_memory_loop : l2_port_loop;
}

void guest_fill(struct mezz_vmcs12 *vmcs, const struct bench_setup *setup, uint64_t eptp)
{
    bool root = root_handles(setup);
    uint64_t window = DATA_WINDOW + (uint64_t)&window_target;

    vmcs->revision = MEZZ_VMCS12_REVISION;
    vmcs->regs.guest_rip = (uint64_t)code_of(setup);
    vmcs->regs.guest_rflags = RFLAGS_FIXED;
    vmcs->regs.gpr[MEZZ_RDX] = root ? MEZZ_PORT_POST : INTERCEPTED_PORT;
    vmcs->regs.gpr[MEZZ_RBX] = root ? window : NOTHING;
    vmcs->regs.gpr[MEZZ_RAX] = 0x5a;
    if (setup->path == PATH_GATE) {
        vmcs->regs.gpr[MEZZ_RBX] = MEZZ_GATE_ADDRESS;
        vmcs->regs.gpr[MEZZ_RAX] = 1;
    }
    fill_system(&vmcs->system);
    vmcs->msrs.pat = PAT_AFTER_RESET;
    vmcs->debug.dr6 = DR6_AFTER_RESET;
    vmcs->debug.dr7 = DR7_AFTER_RESET;
    vmcs->controls.cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS;
    vmcs->controls.io_bitmap_a = (uint64_t)io_bitmap_a;
    vmcs->controls.io_bitmap_b = (uint64_t)io_bitmap_b;
    vmcs->ept.eptp = eptp;
}
