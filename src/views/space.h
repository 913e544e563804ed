/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_SPACE_H
#define VIEWS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "host/memory.h"
#include "mezz/abi.h"
#include "views/ept12.h"
#include "views/host_traits.h"

/*
 * A space is the memory of one L2 as several views show it. A view is what one EPT12 says; the
 * EPTP list gives views their index. The engine is how a vCPU gets from one view into another:
 *
 *   flip    a VM for each view, all over the same memory; a switch runs the sibling vCPU. Where the
 *           processor walks page tables vCPUs are in different views at the same time; where KVM
 *           shadows them a VM hears of what others wrote only before it runs, so they take turns.
 *   remap   one VM; what differs in its backing is mapped anew behind the slots, what differs in
 *           its rights is done by slots.
 *   slots   one VM; slots are deleted and created.
 *
 * With remap and slots all vCPUs of the L2 share the current view: view_vcpu_prepare() of a vCPU
 * whose view is another one changes it, and says -EBUSY while another vCPU runs. So it does with
 * flip on shadowed tables while a vCPU runs in another view.
 *
 * A space and its vCPUs are used under one lock, which is released only around KVM_RUN.
 *
 * Results: 0; a positive enum mezz_error for L1's mistakes; a negative errno of the host. After a
 * failure everything is as it was, unless it says otherwise.
 */
struct space;
struct space_view;
struct space_overlay; /* overlay.h */

struct space_config {
    const struct kvm *kvm;
    const struct l1_memory *l1;
    const struct kvm_cpuid2 *cpuid; /* what the L2 sees */
    /* NULL: nobody looked at this host yet. One VM then shows one view after another by its slots,
     * until space_set_engine(). */
    const struct host_traits *host;
    enum engine_kind engine;

    /* What the user sets up in each VM and in each KVM vCPU when the space makes one, for example
     * the MSR filter. 0 or a negative errno. NULL: nothing. */
    int (*vm_created)(void *context, const struct kvm_vm *vm);
    int (*vcpu_created)(void *context, struct kvm_vcpu *kvm);
    /* Whether what runs is over, so that long work (slots, the walk of an EPT12) is left undone, as
     * after -EINTR of the host. NULL: never. */
    bool (*over)(void *context);
    /* The host does not give a VM or a vCPU: what it said. NULL: nobody wants to know. */
    void (*failed)(void *context, const struct error *error);
    void *context;
};

int space_create(struct space **space, const struct space_config *config, struct error *error);
/* Its vCPUs are destroyed already. */
void space_destroy(struct space *space);

/* The space gets its engine after all. vCPUs that exist go on in VMs of the new kind; none of them
 * runs or has an instruction pending in KVM. A negative errno: its vCPUs cannot run on. */
int space_set_engine(struct space *space, enum engine_kind engine, const struct host_traits *host,
                     struct error *error);
enum engine_kind space_engine(const struct space *space);
/* A switch of the view is one to another KVM vCPU, which is given what the first one has. */
bool space_hands_over(const struct space *space);
/* Has an engine: may have several views. */
bool space_has_engine(const struct space *space);

/* All VMs that the space has made and still has. Stops at the first result that is not 0. */
int space_each_vm(struct space *space, int (*function)(void *context, const struct kvm_vm *vm),
                  void *context);

/* Takes the place of the EPTP list. An EPTP that is 0 is an index without a view. *bad: the index
 * that the error is about. Both may be NULL. */
int space_set_list(struct space *space, const uint64_t *eptp, uint32_t count, uint32_t *bad,
                   struct ept12_fault *fault);
/* From now on no view has this page, whatever its EPT12 says: accesses to it are exits. */
int space_set_hole(struct space *space, l2_address page);

uint32_t space_list_count(const struct space *space);
/* index: below the count. Whether there is a view; its EPTP, or 0. */
bool space_list_has(const struct space *space, uint32_t index);
uint64_t space_list_eptp(const struct space *space, uint32_t index);
/* The index of the EPTP: `before` if it is there, otherwise the first one, MEZZ_VIEW_NONE if the
 * list has none; 0 without a list. */
uint32_t space_list_find(const struct space *space, uint64_t eptp, uint32_t before);

/* INVEPT: EPT12 is read again before an L2 next runs on it. eptp 0: all views. L1 may have written
 * L2's own page tables, too: all translations are made anew. */
void space_invept(struct space *space, uint64_t eptp);

/* The root wrote L2's memory by its own mapping: what lies there may be a page table. */
void space_wrote(struct space *space, l2_address address, uint64_t length);

/* Views that no list has and no vCPU is in are kept, the last few of them. */
struct space_figures {
    uint32_t views;
    uint32_t vms;
    uint64_t switches;
    uint64_t shown;  /* times that slots, or what is behind them, were altered */
    uint64_t syncs;  /* of page tables that were written in another view */
    uint64_t synced; /* pages */
    uint64_t zaps;   /* all translations of a VM made anew */
};
void space_figures(const struct space *space, struct space_figures *figures);

/* --- views --- */

uint64_t space_view_eptp(const struct space_view *view);
const struct extent_table *space_view_extents(const struct space_view *view);
struct ept12_edits *space_view_edits(struct space_view *view);
/* How often its extents were read: what a caller compares to see that they changed. */
uint64_t space_view_builds(const struct space_view *view);

/* Reads its EPT12 again now: an entry that was not present became present, or an edit was added.
 * -EBUSY while another vCPU runs in it. */
int space_view_rebuild(struct space_view *view, struct ept12_fault *fault);

/* It is to be read again before a vCPU next runs on it. */
void space_view_set_stale(struct space_view *view);

/* Counts what may move pages of any view: INVEPT, edits, overlays. As long as it is what it was,
 * who has found where a page of a view lies may use that, as a processor uses its TLB. */
uint64_t space_changes(const struct space *space);

/* What the view is to have at one address: what EPT12 says now, and the overlay makes of it. That
 * may be more than what was built. A page of the root's own lies in space_view_memory(), behind
 * L1's, and has no leaf. */
int space_view_lookup(struct space_view *view, l2_address address,
                      struct ept12_translation *translation);

/* What EPT12 alone allows now; kept: this caller's own. */
uint32_t space_view_ept_rights(struct space_view *view, struct ept12_kept *kept,
                               l2_address address);

/* EPT12 alone. */
int space_view_lookup_ept(struct space_view *view, l2_address address,
                          struct ept12_translation *translation);

/* What extents and translations of a view refer to. */
const struct l1_memory *space_view_memory(const struct space_view *view);

/* After an edit of the view: the others of the same EPTP are to be read again. */
void space_edited(struct space_view *view);

/* Whether the view has the address with these rights, but for W that is withheld (ept12.h). */
bool space_view_has(const struct space_view *view, l2_address address, uint32_t rights);

/* One data access of at most 8 bytes on memory that the view has and a slot does not (write: `data`
 * to memory). 0, or -EFAULT where a byte of it is not allowed; nothing is then altered. */
int space_view_access(struct space_view *view, l2_address address, bool write, void *data,
                      uint32_t length);
/* The extent that holds all of [address, address + length), or NULL: there is none, or EPT12 is to
 * be read again. What a view has may be used until INVEPT, as a processor uses its TLB; the pointer
 * is good until the view is built again. */
const struct extent *space_view_extent(const struct space_view *view, l2_address address,
                                       uint32_t length);

/* The access inside of such an extent, whose rights the caller has looked at. */
int space_view_access_in(struct space_view *view, const struct extent *extent, l2_address address,
                         bool write, void *data, uint32_t length);

/* --- vCPUs --- */

struct view_core;

struct view_vcpu {
    struct kvm_vcpu *kvm; /* the one to run, and whose run page has the state: a switch alters it */
    struct space_view *view;       /* NULL before the first view_vcpu_use() */
    uint64_t eptp;                 /* of the view */
    struct ept12_edits *edits;     /* of the view, or NULL */
    uint32_t index;                /* in the EPTP list, of the last switch by index */
    struct space_overlay *overlay; /* over whatever view it is in, or NULL */

    struct space *space;
    struct view_core *core;
    struct view_vcpu *next;
    uint32_t number;
    uint64_t msrs;   /* counts changes of MSRs */
    uint64_t seldom; /* and of those of VIEW_MSR_SELDOM */
    int ring_error;  /* KVM did not take a full dirty ring back: no run is prepared again; or 0 */
    bool running;
    bool spoilt; /* set by the user: KVM cannot end its instruction; nobody gets this KVM vCPU */
};

int view_vcpu_create(struct view_vcpu *vcpu, struct space *space, struct error *error);
void view_vcpu_destroy(struct view_vcpu *vcpu);

/*
 * What goes over to the other view. With remap and slots it is the same KVM vCPU, and nothing needs
 * to. CARRY_GATE: general and system registers, pending events; what a gate's stub does not use by
 * contract (XMM, x87, debug registers) is left behind. MSRs go along if they changed
 * (view_vcpu_msrs_changed). CARRY_ALL: everything, at any instruction.
 */
enum view_carry {
    CARRY_GATE,
    CARRY_ALL
};

/*
 * Puts the vCPU into another view. KVM must have no instruction pending, or one after which state
 * may be replaced (`out` to port 0x7e, HLT, a single write to memory, an emulation failure).
 * vcpu->kvm may be another one afterwards, with the state in its run page.
 *
 * use: the view of this EPTP, in the list or not. switch: of this index; MEZZ_E_VIEW if there is
 * none. Both keep the overlay. overlay: another one, or none, over the view that it is in.
 */
int view_vcpu_use(struct view_vcpu *vcpu, uint64_t eptp, enum view_carry carry,
                  struct ept12_fault *fault);
int view_vcpu_switch(struct view_vcpu *vcpu, uint32_t index, enum view_carry carry,
                     struct ept12_fault *fault);

int view_vcpu_overlay(struct view_vcpu *vcpu, struct space_overlay *overlay, enum view_carry carry,
                      struct ept12_fault *fault);

/* An MSR that the guest has written goes along with each switch, once: so the user has a filter for
 * writes to those of view_msrs that it is to be told of. */
enum view_msr_kind {
    VIEW_MSR_OTHER,
    VIEW_MSR_CARRIED,
    VIEW_MSR_SWAPPED, /* GS_BASE: a system register, until SWAPGS makes it one of the former */
    VIEW_MSR_SELDOM,  /* what a guest writes when it starts, if ever */
    VIEW_MSR_UNHEARD  /* no filter: goes along with each CARRY_ALL, and at gates stays behind */
};
struct view_msrs {
    uint32_t first;
    uint32_t count;
    enum view_msr_kind kind;
};
extern const struct view_msrs view_msrs[];
extern const uint32_t view_msrs_count;
enum view_msr_kind view_msr_kind(uint32_t msr);
/* After whoever loaded those of VIEW_MSR_CARRIED; or loaded an MSR, or let the guest write one. */
void view_vcpu_msrs_changed(struct view_vcpu *vcpu);
void view_vcpu_msr_changed(struct view_vcpu *vcpu, uint32_t msr);

/* Before each KVM_RUN, in a view: reads stale EPT12s again, makes page tables that changed
 * elsewhere known. -EBUSY: another vCPU of the L2 must leave KVM_RUN first. A positive mezz_error:
 * EPT12 is wrong now. */
int view_vcpu_prepare(struct view_vcpu *vcpu, struct ept12_fault *fault);
/* Before a KVM_RUN that only ends an instruction: the view stays as it was built. */
int view_vcpu_hold(struct view_vcpu *vcpu);
/* After each KVM_RUN, whatever it returned. True: the exit was the engine's own; prepare and run
 * again. */
bool view_vcpu_after(struct view_vcpu *vcpu);

/* KVM_RUN returned -EFAULT, or KVM cannot run an instruction. True: that may be since a slot has
 * more than the view, and a mapping holds it back (remap_window.h). Slots are made exact before the
 * vCPU next runs, and what it did there it does again. */
bool view_vcpu_make_exact(struct view_vcpu *vcpu);
/* Whether it would. */
bool view_vcpu_is_soft(const struct view_vcpu *vcpu);

/* It ran on side 1 (side.h), where KVM takes RSM for an instruction that it cannot run: to the
 * guest it is an invalid one, as ever. */
bool view_vcpu_is_aside(const struct view_vcpu *vcpu);

/* KVM_RUN and other vCPU ioctls of all KVM vCPUs that were this vCPU. */
void view_vcpu_counts(const struct view_vcpu *vcpu, uint64_t *runs, uint64_t *other_ioctls);

#endif
