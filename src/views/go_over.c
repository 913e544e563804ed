/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>

#include "host/hot.h"
#include "views/carry.h"
#include "views/space_internal.h"

/*
 * The way of a gate: one function without calls, for each call, each page and each look at memory
 * counts here. A translation that a world switch made the processor forget costs as much as ten
 * instructions, and so may a line that 64 views in turn pushed out of a cache.
 */

#define INLINE static inline __attribute__((always_inline))

typedef uint64_t words __attribute__((vector_size(32), may_alias));
typedef words loose_words __attribute__((aligned(8)));

INLINE void *at(struct kvm_run *run, size_t offset)
{
    return (char *)run + offset;
}

/* System registers and events lie side by side in the run page. */
#define SELDOM_FROM  offsetof(struct kvm_run, s.regs.sregs)
#define SELDOM_BYTES (sizeof(struct kvm_sregs) + sizeof(struct kvm_vcpu_events))
#define SELDOM_WORDS ((SELDOM_BYTES + sizeof(words) - 1) / sizeof(words))
_Static_assert(offsetof(struct kvm_run, s.regs.events) == SELDOM_FROM + sizeof(struct kvm_sregs),
               "nothing between them");
_Static_assert(SELDOM_FROM % sizeof(words) == 0, "aligned");
_Static_assert(SELDOM_WORDS * sizeof(words) <= sizeof(((struct kvm_run *)NULL)->s.padding) &&
                   sizeof(struct kvm_sync_regs) == sizeof(struct kvm_regs) + SELDOM_BYTES,
               "nothing but zeros behind them");

/* As memcmp, without the library's pages. */
INLINE bool seldom_differs(struct kvm_run *a, struct kvm_run *b)
{
    const words *mine = at(a, SELDOM_FROM);
    const words *theirs = at(b, SELDOM_FROM);
    words differ = mine[0] ^ theirs[0];

#pragma GCC unroll 16
    for (size_t i = 1; i < SELDOM_WORDS; i++)
        differ |= mine[i] ^ theirs[i];
    return (differ[0] | differ[1] | differ[2] | differ[3]) != 0;
}

INLINE void copy_general(struct kvm_run *to, struct kvm_run *from)
{
    const loose_words *theirs = at(from, offsetof(struct kvm_run, s.regs.regs));
    loose_words *mine = at(to, offsetof(struct kvm_run, s.regs.regs));

    _Static_assert(offsetof(struct kvm_regs, rip) == 4 * sizeof(words) &&
                       sizeof(struct kvm_regs) == 4 * sizeof(words) + 2 * sizeof(uint64_t),
                   "RIP and RFLAGS are left");
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        mine[i] = theirs[i];
    to->s.regs.regs.rip = from->s.regs.regs.rip;
    to->s.regs.regs.rflags = from->s.regs.regs.rflags;
}

/* Where the vCPU is in a VM of its own for the view, which has run for it, and has all that
 * CARRY_GATE would fetch by an ioctl. NULL: the long way. */
INLINE struct view_core *sibling(const struct view_vcpu *vcpu, const struct space_view *view)
{
    const struct view_core *from = vcpu->core;
    struct view_core *to;

    if (view->vm == NULL || view->stale)
        return NULL;
    to = view->vm->core[vcpu->number];
    if (to == NULL || to == from || to->ask == NULL || to->msrs != vcpu->msrs ||
        dirty_ring_has(&from->ring))
        return NULL;
    if ((from->kvm.fresh & (to->kvm.fresh | KVM_SYNC_X86_REGS) & KVM_SYNC_ALL) != KVM_SYNC_ALL)
        return NULL;
    return to;
}

HOT static int let_go(struct space_view *view)
{
    space_view_idle(view);
    return 0;
}

/* What is left when the two have the same system registers, events and MSRs. */
INLINE int hand_over(struct view_vcpu *vcpu, struct view_core *to, struct space_view *view,
                     uint32_t index)
{
    struct view_core *from = vcpu->core;
    struct space_view *before = vcpu->view;

    tlb_page_ask_by(to->ask);
    from->kvm.asked |= KVM_SYNC_ALL;
    copy_general(to->kvm.run, from->kvm.run);
    carry_general(&to->kvm, &from->kvm);
    vcpu->core = to;
    vcpu->kvm = &to->kvm;
    vcpu->index = index;
    view_vcpu_be_in(vcpu, view);
    return space_view_drop(before) ? let_go(before) : 0;
}

typedef int long_way(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                     enum view_carry what, struct ept12_fault *fault);

COLD static int hand_all(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                         struct ept12_fault *fault, long_way *otherwise)
{
    struct view_core *to = sibling(vcpu, view);

    if (carry_base_may_differ(&to->kvm, &vcpu->core->kvm))
        return otherwise(vcpu, view, index, CARRY_GATE, fault);
    carry_seldom(&to->kvm, &vcpu->core->kvm);
    return hand_over(vcpu, to, view, index);
}

INLINE int go_over(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                   struct ept12_fault *fault, long_way *otherwise)
{
    struct view_core *to = sibling(vcpu, view);

    if (to == NULL)
        return otherwise(vcpu, view, index, CARRY_GATE, fault);
    if (__builtin_expect(seldom_differs(to->kvm.run, vcpu->kvm->run), false))
        return hand_all(vcpu, view, index, fault, otherwise);
    if (carry_base_may_have_changed(&vcpu->kvm->run->s.regs.sregs))
        return otherwise(vcpu, view, index, CARRY_GATE, fault);
    return hand_over(vcpu, to, view, index);
}

/* With vectors of 32 bytes, and with those that every processor has. */
#define WIDE  __attribute__((target("avx2"), noinline)) HOT
#define PLAIN __attribute__((noinline)) HOT

WIDE static int go_over_wide(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                             struct ept12_fault *fault, long_way *otherwise)
{
    return go_over(vcpu, view, index, fault, otherwise);
}

PLAIN static int go_over_plain(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                               struct ept12_fault *fault, long_way *otherwise)
{
    return go_over(vcpu, view, index, fault, otherwise);
}

INLINE int try_to_go_over(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                          struct ept12_fault *fault, long_way *otherwise)
{
    return __builtin_cpu_supports("avx2") ? go_over_wide(vcpu, view, index, fault, otherwise)
                                          : go_over_plain(vcpu, view, index, fault, otherwise);
}

static int nothing_done(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                        enum view_carry what, struct ept12_fault *fault)
{
    (void)vcpu, (void)view, (void)index, (void)what, (void)fault;
    return -EAGAIN;
}

bool view_vcpu_go_over(struct view_vcpu *vcpu, struct space_view *view)
{
    return try_to_go_over(vcpu, view, vcpu->index, NULL, nothing_done) == 0;
}

HOT int view_vcpu_switch(struct view_vcpu *vcpu, uint32_t index, enum view_carry what,
                         struct ept12_fault *fault)
{
    struct space_view *view;

    /* Indices behind the list's end have none. */
    if (index >= MEZZ_MAX_VIEWS || vcpu->space->list[index] == NULL)
        return MEZZ_E_VIEW;
    view = vcpu->space->list[index];
    if (what != CARRY_GATE || vcpu->overlay != NULL)
        return view_vcpu_switch_to(vcpu, view, index, what, fault);
    return try_to_go_over(vcpu, view, index, fault, view_vcpu_switch_to);
}
