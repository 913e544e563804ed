/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIEWS_SPACE_INTERNAL_H
#define VIEWS_SPACE_INTERNAL_H

#include "views/carry.h"
#include "views/fresh.h"
#include "views/overlay.h"
#include "views/remap_window.h"
#include "views/side.h"
#include "views/slot_set.h"
#include "views/space.h"
#include "views/step.h"
#include "views/table_log.h"
#include "views/tlb_page.h"

#define SPACE_VCPUS      MEZZ_MAX_L2_VCPUS
#define SPACE_IDLE_VIEWS 8 /* kept although nobody uses them, and for each overlay */
#define L2_PHYSICAL_BITS 48
/* Slot numbers behind those of a slot_set: a page of the root, one that comes and goes. */
#define RESERVED_SLOTS 2U

struct view_vm;

/* A KVM vCPU: what one L2 vCPU is in one VM. */
struct view_core {
    struct kvm_vcpu kvm;
    struct view_vm *vm;
    uint64_t msrs; /* view_vcpu.msrs when it had them last */
    /* Where its TLB is asked to be emptied (tlb_page.h); one of no effect if nothing needs that.
     * NULL: it takes more, or the core is not used. */
    uint8_t *ask;
    uint8_t nobody; /* what `ask` may be */
    bool used;      /* it has run for the vCPU whose number it has, or is about to */
    uint8_t side;   /* the one that it sees */
    uint8_t step;   /* enum step_left */
    uint64_t tlb;   /* vm->tlb.address when it was attached to it; 0: never */
    struct dirty_ring ring;
    uint64_t seldom; /* view_vcpu.seldom when it had those last */
};

/* What the way of a gate touches stands first, and is aligned so that it lies in one page. */
#define VIEW_VM_ALIGNMENT 1024U
#define VIEW_ALIGNMENT    64U

static inline size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

/* A side of a VM (side.h) and the view that is there, or NULL. */
struct view_side {
    struct space_view *view;
    struct slot_set slots;
    struct remap_window window;
};

struct view_vm {
    struct view_core first; /* one of its cores, which are seldom more */
    struct space *space;
    struct space_view *view; /* whose extents the slots are, or NULL */
    uint32_t running;        /* vCPUs inside KVM_RUN */
    bool first_is_taken;
    bool has_sides;         /* view, slots and window are those of one, and vCPUs that run see it */
    uint8_t side;           /* which: 0 or 1 */
    bool wants_exact;       /* slots are to be what the view says (remap_window.h) */
    struct table_sync sync; /* PAGING_SHADOW */
    struct view_core *core[SPACE_VCPUS];
    struct tlb_page tlb; /* PAGING_HARDWARE; never both */
    struct kvm_vm vm;
    struct slot_set slots;
    struct remap_window window; /* engine_remap's */
    struct view_side other;     /* has_sides: what is on the other one */
    uint64_t ids_used;          /* of cores: KVM never takes an id a second time */
    uint32_t next_id;           /* for those whose own is used */
    struct view_vm *next;
};
_Static_assert(offsetof(struct view_vm, tlb) <= VIEW_VM_ALIGNMENT, "in one page");

/* What views of the same EPTP share. */
struct space_ept {
    uint64_t eptp;
    struct ept12_edits edits;
    uint32_t views;
    struct space_ept *next;
};

struct space_overlay {
    struct space *space;
    struct view_patch *patch; /* by page */
    size_t count;
    struct view_patch found; /* the one that was found last; its page may be none's */
    uint32_t others;
    bool aside;                             /* space_overlay_set_aside() */
    bool bare;                              /* space_overlay_bare() */
    const struct space_overlay *walled_off; /* space_overlay_wall_off() */
    struct space_view *latest;              /* of its views, the one that was got last; or NULL */
};

/* A view: an EPT12 and what the root lays over it. */
struct space_view {
    struct space *space;
    struct view_vm *vm; /* that has its extents now, or NULL */
    struct space_ept *ept;
    uint64_t eptp;                 /* that of ept */
    uint32_t references;           /* of the list and of vCPUs */
    bool stale;                    /* INVEPT since the last build */
    struct space_overlay *overlay; /* or NULL */
    struct extent_table extents;
    uint64_t builds;
    struct space_view *next;
    struct space_view **link; /* what points to it */
};

struct engine {
    /* The VM that is to show the view: flip's is the view's own, the others have just one. */
    int (*vm_for)(struct space *space, struct space_view *view, struct view_vm **vm);
    /* Makes the VM, in which no vCPU runs, show the view. */
    int (*show)(struct view_vm *vm, struct space_view *view, const struct extent_table *extents);
    bool vm_per_view;
    bool uses_sides;
};

extern const struct engine engine_flip, engine_remap, engine_slots;

struct space {
    struct space_config config;
    const struct engine *engine;
    struct space_view *views; /* the last got first */
    struct space_ept *epts;
    struct l1_memory memory;    /* L1's and what lies behind it: of extents, not of L1's words */
    struct space_overlay *hole; /* its one patch is a page that no view has; or NULL */
    uint32_t overlays;
    uint32_t idle; /* views without references */
    struct view_vm *vms;
    struct view_vcpu *vcpus;
    uint32_t vcpu_count;
    uint32_t list_count;
    struct space_figures figures;
    uint64_t changes;     /* space_changes() */
    struct table_log log; /* its head first: from here on it is large, and seldom looked at */
    struct carried_msrs msrs;
    struct carried_msrs seldom;
    struct fresh_vcpu fresh;
    struct space_view *list[MEZZ_MAX_VIEWS]; /* list_count of them */
};

/* space_vm.c */
int view_vm_create(struct space *space, struct view_vm **vm, struct error *error);
void view_vm_destroy(struct view_vm *vm);
int view_core_create(struct view_vm *vm, uint32_t number, struct view_core **core,
                     struct error *error);
/* Of a vCPU that is gone: KVM keeps a vCPU, and the page tables that it used, until its VM goes, so
 * that the next one of this number takes it. */
void view_core_leave(struct view_core *core);
void view_core_destroy(struct view_core *core);
/* Its page of records gives way to extents. */
void view_vm_forget_tlb(struct view_vm *vm);
static inline bool view_is_bare(const struct space_view *view)
{
    return view != NULL && view->overlay != NULL && view->overlay->bare;
}
/* The view that is on one of its sides is no more. */
void view_vm_lose(struct view_vm *vm, const struct space_view *view);
/* Puts what the vCPUs of the VM wrote since the last time into the log. */
int view_vm_harvest(struct view_vm *vm);

/* view_vcpu.c */
/* What nearly every gate finds: nothing is to be built, fetched or told first. False: nothing was
 * done, and the long way is to be gone. */
bool view_vcpu_go_over(struct view_vcpu *vcpu, struct space_view *view);
/* The long way of view_vcpu_switch. */
int view_vcpu_switch_to(struct view_vcpu *vcpu, struct space_view *view, uint32_t index,
                        enum view_carry what, struct ept12_fault *fault);
/* hand_over.c */
int view_core_make_fresh(struct view_core *core);
/* The vCPU goes on in this one, with what it has, as far as `what` says. */
int view_vcpu_hand_over(struct view_vcpu *vcpu, struct view_core *to, bool is_new,
                        enum view_carry what);

/* view_vcpu.c */
/* Into another VM, with everything. */
int view_vcpu_move(struct view_vcpu *vcpu, struct view_vm *to, struct error *error);

/* space.c */
/* The view of the EPTP beneath the overlay, referenced. */
int space_view_get(struct space *space, uint64_t eptp, struct space_overlay *overlay,
                   struct space_view **view, struct ept12_fault *fault);
/* Those of the overlay, none of which is referenced. */
void space_drop_views(struct space *space, const struct space_overlay *overlay);
/* Nobody has the view any more: it is kept for a while. */
void space_view_idle(struct space_view *view);
/* One reference less. True: it is idle, and space_view_idle() is to be told. */
static inline bool space_view_drop(struct space_view *view)
{
    return view != NULL && --view->references == 0;
}
static inline void space_view_put(struct space_view *view)
{
    if (space_view_drop(view))
        space_view_idle(view);
}
/* One more reference. */
static inline void space_view_hold(struct space_view *view)
{
    view->space->idle -= view->references++ == 0;
}
/* Its core is in a VM that shows the view. The one that it was in is to be put. */
static inline void view_vcpu_be_in(struct view_vcpu *vcpu, struct space_view *view)
{
    vcpu->space->figures.switches++;
    space_view_hold(view);
    vcpu->view = view;
    vcpu->eptp = view->eptp;
    vcpu->edits = &view->ept->edits;
}
/* Reads the extents of a view. */
int space_view_read(struct space_view *view, struct extent_table *extents,
                    struct ept12_fault *fault);
/* Makes the VM's slots what the view says, now that no vCPU runs in it. */
int space_view_show(struct space_view *view, struct view_vm **vm);

#endif
