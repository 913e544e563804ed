/* SPDX-License-Identifier: Apache-2.0 */
/* A guest from its configuration to the state in which PVH starts it. */
#include <stddef.h>

#include "host.h"
#include "l1.h"
#include "lib/machine.h"
#include "lib/say.h"
#include "lib/views.h"
#include "mezz/guest.h"
#include "personality.h"

#define CODE32_RIGHTS   0xc09bU
#define DATA32_RIGHTS   0xc093U
#define TSS32_RIGHTS    0x008bU
#define TSS_LIMIT       0x67
#define CR0_PE_ET       0x11
#define RFLAGS_FIXED    0x2
#define PAT_AFTER_RESET 0x0007040600070406ULL
#define DR6_AFTER_RESET 0xffff0ff0ULL
#define DR7_AFTER_RESET 0x400

#define FRAME_COUNT     512U
#define BITMAP_BYTES    4096
#define FLAT(rights)                                     \
    {                                                    \
        .limit = 0xffffffffU, .access_rights = (rights), \
    }

/* A guest gets no port of L1's machine but the POST port, which the root answers by itself. */
static const uint8_t io_bitmap_a[BITMAP_BYTES] __attribute__((aligned(4096))) = {
    [0 ... MEZZ_PORT_POST / 8 - 1] = 0xff,
    [MEZZ_PORT_POST / 8] = 0xff & ~(1U << MEZZ_PORT_POST % 8),
    [MEZZ_PORT_POST / 8 + 1 ... BITMAP_BYTES - 1] = 0xff,
};
/* exits=root: the UART is passed through, too. */
static const uint8_t io_bitmap_a_without_uart[BITMAP_BYTES] __attribute__((aligned(4096))) = {
    [0 ... MEZZ_PORT_POST / 8 - 1] = 0xff,
    [MEZZ_PORT_POST / 8] = 0xff & ~(1U << MEZZ_PORT_POST % 8),
    [MEZZ_PORT_POST / 8 + 1 ... MEZZ_PORT_UART / 8 - 1] = 0xff,
    [MEZZ_PORT_UART / 8 + 1 ... BITMAP_BYTES - 1] = 0xff,
};
static const uint8_t io_bitmap_b[BITMAP_BYTES] __attribute__((aligned(4096))) = {
    [0 ... BITMAP_BYTES - 1] = 0xff,
};
/* KVM knows the usual MSRs itself; those beyond the bitmap's two ranges exit always. */
static const uint8_t msr_bitmap[BITMAP_BYTES] __attribute__((aligned(4096)));

/* 32-bit protected mode, flat, paging and interrupts off: what PVH promises a kernel. */
static const struct mezz_vmcs12 start_state = {
    .revision = MEZZ_VMCS12_REVISION,
    .regs = {.guest_rflags = RFLAGS_FIXED},
    .system =
        {
            .segment =
                {
                    [MEZZ_ES] = FLAT(DATA32_RIGHTS),
                    [MEZZ_CS] = FLAT(CODE32_RIGHTS),
                    [MEZZ_SS] = FLAT(DATA32_RIGHTS),
                    [MEZZ_DS] = FLAT(DATA32_RIGHTS),
                    [MEZZ_FS] = FLAT(DATA32_RIGHTS),
                    [MEZZ_GS] = FLAT(DATA32_RIGHTS),
                    [MEZZ_LDTR] = {.access_rights = MEZZ_SEGMENT_UNUSABLE},
                    [MEZZ_TR] = {.limit = TSS_LIMIT, .access_rights = TSS32_RIGHTS},
                },
            .guest_cr0 = CR0_PE_ET,
        },
    .msrs = {.pat = PAT_AFTER_RESET},
    .debug = {.dr6 = DR6_AFTER_RESET, .dr7 = DR7_AFTER_RESET},
    .controls =
        {
            .cpu_based = MEZZ_CPU_HLT_EXITING | MEZZ_CPU_USE_IO_BITMAPS | MEZZ_CPU_USE_MSR_BITMAPS,
        },
};

static void fill_vmcs(struct l2 *l2, uint64_t start_info, uint64_t entry, uint64_t eptp_flags)
{
    struct mezz_vmcs12 *vmcs = l2->shared;

    copy_words(vmcs, &start_state, offsetof(struct mezz_vmcs12, reserved3));
    vmcs->regs.gpr[MEZZ_RBX] = start_info;
    vmcs->regs.guest_rip = entry;
    vmcs->controls.io_bitmap_a = address_of(io_bitmap_a);
    vmcs->controls.io_bitmap_b = address_of(io_bitmap_b);
    vmcs->controls.msr_bitmap = address_of(msr_bitmap);
    vmcs->ept.eptp = MEZZ_EPTP(l2->ept.root) | eptp_flags;
}

/* These answer NULL, or what went wrong: if error is negative, the call that the root refused. */

const char *pass_uart_through(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    (void)l1;
    *error = 0;
    l2->vmcs->controls.io_bitmap_a = address_of(io_bitmap_a_without_uart);
    return NULL;
}

/* As many frames as the list has places: enough for the pages of an image of 2 MiB. */
static const char *give_frames(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    uint64_t list = arena_take(&l1->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    uint64_t frames =
        arena_take(&l1->arena, (uint64_t)FRAME_COUNT * MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);

    if (!list || !frames)
        return "L1 has no memory left";
    for (unsigned int i = 0; i < FRAME_COUNT; i++)
        ((uint64_t *)pointer_at(list))[i] = frames + (uint64_t)i * MEZZ_PAGE_SIZE;
    *error = mezz_call(MEZZ_CALL_FRAME_POOL, l2->number, list, FRAME_COUNT);
    return *error < 0 ? "FRAME_POOL" : NULL;
}

/* The second view has the same memory, by tables of its own. */
static const char *give_views(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    struct views views;
    struct ept second;
    uint64_t bad;

    if (!views_init(&views, &l1->arena) || !ept_copy(&second, &l2->ept) ||
        !views_add(&views, &l2->ept, 0) || !views_add(&views, &second, 0))
        return "L1 has no memory left";
    *error = views_set(&views, l2->number, &bad);
    l2->has_views = *error >= 0;
    return *error < 0 ? "EPTP_LIST" : NULL;
}

/* The L2 comes first: one that cannot be loaded has then died, for the root's report. */
static const char *make(struct l1 *l1, struct l2 *l2, const struct guest_config *config,
                        int64_t *error)
{
    const char *wrong = l1->host->create(l2, config, error);
    uint64_t start_info, entry;

    if (wrong)
        return wrong;
    l2->uart.console = l2->number;
    l2->uart.name = l2->name;
    l2->shared = pointer_at(arena_take(&l1->arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE));
    l2->vmcs = l2->shared;
    if (!l2->shared)
        return "L1 has no memory left";
    wrong = guest_load(l1, l2, config, &start_info, &entry);
    if (wrong)
        return wrong;
    fill_vmcs(l2, start_info, entry, l1->config.ept & CONFIG_EPT_DIRTY ? MEZZ_EPTP_DIRTY_FLAGS : 0);
    if (l1->config.ept & CONFIG_EPT_COW)
        wrong = give_frames(l1, l2, error);
    if (!wrong)
        wrong = l1->host->create_vcpu(l1, l2, error);
    if (!wrong && l1->config.views)
        wrong = give_views(l1, l2, error);
    if (!wrong && l1->config.portions)
        wrong = portions_attach(l1, l2, l1->config.portions == CONFIG_PORTIONS_ALLOW, error);
    if (!wrong && l1->config.guard)
        wrong = guard_attach(l1, l2, l1->config.guard, error);
    if (wrong || !l1->config.personality->attach)
        return wrong;
    return l1->config.personality->attach(l1, l2, error);
}

bool guest_create(struct l1 *l1, const struct guest_config *config)
{
    struct l2 *l2 = &l1->l2[l1->l2_count];
    const char *wrong;
    int64_t error;

    l2->name = config->name;
    l2->memory = config->memory;
    pic_init(&l2->pic);
    wrong = make(l1, l2, config, &error);
    if (!wrong) {
        l1->l2_count++;
        return true;
    }
    if (error < 0)
        say("guest %s cannot start: the root refused %s: error %lu", config->name, wrong,
            -(uint64_t)error);
    else
        say("guest %s cannot start: %s", config->name, wrong);
    if (l2->number)
        l1->host->destroy(l2, MEZZ_L2_DIED);
    *l2 = (struct l2){.name = NULL}; /* the place is free again */
    return false;
}
