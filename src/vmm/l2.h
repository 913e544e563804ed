/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_L2_H
#define VMM_L2_H

#include <stdbool.h>
#include <stdint.h>

#include "host/kvm.h"
#include "mezz/gate.h"
#include "mezz/vmcs12.h"
#include "views/space.h"
#include "vmm/exits/kept_walks.h"
#include "vmm/exits/l2_exit.h"
#include "vmm/report.h"
#include "vmm/vmcs/sync.h"

struct callback;
struct l2_policy;
struct l2_record;
struct machine;

/* An L2: a space, whose views are what EPT12s say, and its vCPUs. */
struct l2 {
    struct machine *machine;
    uint32_t id; /* in calls; 1 + index in machine->l2 */
    char name[MEZZ_NAME_SIZE];
    struct space *space;
    enum engine_kind engine; /* that it gets when it needs one; ENGINE_KINDS: what suits the host */
    struct l2_vcpu *claim;   /* the vCPU that has the next turn (l2_view.h), or NULL */
    uint64_t waited;         /* how often one waited for a turn */
    struct l2_vcpu *judged;  /* the vCPU that policies are at work for, or NULL */
    bool stopped;            /* by MEZZ_ACTION_STOP_L2: not entered again */
    unsigned int entered;    /* vCPUs that are inside MEZZ_CALL_ENTER */
    struct callback *callbacks[REASON_INDEX_COUNT]; /* in the order in which they are asked */
    struct l2_record *record;                       /* outlives the L2 */
    uint64_t *frames; /* that the root may put in the place of pages; all inside L1's memory */
    size_t frame_count;
    struct l2_policy *policy;          /* the first, or NULL */
    bool has_gate;                     /* mezz/gate.h */
    struct mezz_gate_site *gate_sites; /* by RIP; none: everywhere */
    uint32_t gate_site_count;
    uint64_t protection_round;     /* counts when L1 may have made pages wait for a write again */
    uint8_t msr_filter[PAGE_SIZE]; /* MSR bitmap page: what exits of what KVM handles */
};

/* Writes of 8 bytes that the elements of an INS make, which KVM stores 1,024 bytes at a time, and
 * some. */
#define L2_EXIT_QUEUE 136

/* A page that a view does not have executable, as of space_changes(). */
struct l2_lack {
    const struct space_view *view;
    uint64_t changes;
    uint64_t page;
};

struct l2_vcpu {
    struct l2 *l2;
    uint32_t id;                /* in calls; 1 + index in machine->vcpu */
    struct view_vcpu place;     /* which view it is in, and how */
    struct kvm_vcpu *kvm;       /* place.kvm: a switch of the view alters it */
    uint64_t waits_since;       /* l2->waited when it began to wait for a turn; 0: it does not */
    struct mezz_vmcs12 *vmcs12; /* the page shared with L1: every field may change at any moment */

    /* Copies of the groups that KVM does not hold. */
    struct mezz_vmcs12_controls controls;
    struct mezz_vmcs12_ept ept;
    uint8_t *io_bitmap;  /* two pages */
    uint8_t *msr_bitmap; /* one page */

    bool started; /* its policies have; until then it does not run */
    bool entered;
    bool halted;         /* waits for an event without running */
    bool kvm_pending;    /* KVM ends an instruction at the next KVM_RUN and writes registers then */
    uint64_t preempt_at; /* machine time in ns; UINT64_MAX: the timer is off */
    uint64_t policy_at;  /* machine time in ns of l2_policy_timer(); UINT64_MAX: none */
    uint64_t held[4];    /* vectors of interrupts that a policy holds back, a bit each */
    bool hold_windows;   /* no interrupt windows meanwhile */
    uint64_t exit_count;
    struct {
        uint64_t exits; /* exit_count, and the machine time when it was first seen */
        uint64_t since;
    } quiet;
    struct sync_fields sync;
    struct sync_known known;
    uint64_t tables_cr3; /* whose tables were opened, and in which protection_round */
    uint64_t tables_round;
    struct mezz_vmcs12_msrs msr_shadow; /* as L1 knows them, plus the records that wait */
    uint64_t run_tsc;                   /* spent inside KVM_RUN */

    struct l2_exit exit;                 /* the exit being dispatched */
    const struct extent *extent;         /* of a data access in the view, or NULL */
    struct ept12_kept kept;              /* of the last exit that EPT12 was asked about */
    struct l2_lack lack;                 /* of the last fetch */
    unsigned int queued;                 /* in `queue` */
    struct l2_string string;             /* what is left of a string I/O */
    struct kept_walks walks;             /* to instructions that were not fetched */
    struct l2_exit queue[L2_EXIT_QUEUE]; /* further ones that the same instruction made */
    struct callback *asked;              /* the handler that runs, or NULL */
    uint64_t groups_loaded[MEZZ_GROUP_COUNT];
    uint8_t written[MEZZ_PAGE_SIZE]; /* by a string OUT: KVM's buffer for it is one page */
    uint8_t bitmaps[];
};

/* Creates the VM. 0 and the L2; a positive mezz_error. name is validated. */
int l2_create(struct machine *machine, const char *name, struct l2 **l2);
/* Takes its vCPUs and callbacks along. None of them may be entered. */
void l2_destroy(struct l2 *l2);

/* vmcs12: page-aligned and inside L1's memory. 0 or a positive mezz_error. */
int l2_vcpu_create(struct l2 *l2, struct mezz_vmcs12 *vmcs12, struct l2_vcpu **vcpu);
void l2_vcpu_destroy(struct l2_vcpu *vcpu);
/* Adds the vCPU's figures to the L2's report. */
void l2_vcpu_report(const struct l2_vcpu *vcpu);

/* NULL when there is none of this number. */
struct l2 *l2_find(struct machine *machine, uint64_t id);
struct l2_vcpu *l2_vcpu_find(struct machine *machine, uint64_t id);

#endif
