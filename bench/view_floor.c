/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "view_figures.h"
#include "view_guest.h"
#include "views/tlb_page.h"

#define TLB_SLOT    1
#define TLB_ADDRESS 0xfbad5000ULL

struct bare_set {
    struct kvm_vm vm[VIEW_GUEST_VIEWS];
    struct kvm_vcpu vcpu[VIEW_GUEST_VIEWS];
    uint32_t count;
    bool handed;
    struct tlb_page tlb; /* one for all; page NULL: none is emptied */
};

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int explain(int code, const char *what, struct error *error)
{
    return code == 0 ? 0 : error_set(error, -code, "views: %s: %s", what, strerror(-code));
}

static int add(struct bare_set *set, const struct kvm *kvm, const struct view_guest *guest,
               struct error *error)
{
    struct kvm_vm *vm = &set->vm[set->count];
    int code = kvm_vm_create(vm, kvm, error);

    if (code != 0)
        return code;
    code = kvm_vcpu_create(&set->vcpu[set->count], vm, 0, kvm->cpuid, error);
    if (code != 0) {
        kvm_vm_destroy(vm);
        return code;
    }
    set->count++;
    return explain(view_guest_map_bare(guest, vm), "memory of a bare VM", error);
}

static void destroy(struct bare_set *set)
{
    while (set->count-- > 0) {
        kvm_vcpu_destroy(&set->vcpu[set->count]);
        kvm_vm_destroy(&set->vm[set->count]);
    }
    tlb_page_destroy(&set->tlb);
}

static int add_tlb_page(struct bare_set *set)
{
    void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int code = 0;

    if (page == MAP_FAILED)
        return -errno;
    set->tlb = (struct tlb_page){.page = page, .address = TLB_ADDRESS};
    for (uint32_t i = 0; i < set->count && code == 0; i++) {
        code = kvm_vm_set_slot(&set->vm[i], TLB_SLOT, TLB_ADDRESS, PAGE_SIZE, page, 0);
        if (code == 0 && !tlb_page_attach(&set->tlb, &set->vcpu[i], i))
            code = -EIO;
    }
    return code;
}

/* From now on each of them has what a flip cannot leave out: a page of its own is all that views
 * differ in, too. */
static int hand_over(struct bare_set *set, const struct view_guest *guest,
                     const struct host_traits *host)
{
    int code = 0;

    set->handed = true;
    for (uint32_t i = 0; i < set->count && code == 0; i++)
        code = view_guest_differ_bare(guest, &set->vm[i], i);
    if (code != 0)
        return code;
    if (host->paging.kind != PAGING_HARDWARE || !host->flushes_on_request)
        return 0;
    return add_tlb_page(set);
}

static int run(struct bare_set *set, uint32_t at, bool is_next)
{
    struct kvm_vcpu *vcpu = &set->vcpu[at];

    if (is_next && set->handed) {
        vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
        if (set->tlb.page != NULL)
            tlb_page_ask(&set->tlb, at);
    }
    return kvm_vcpu_run(vcpu);
}

/* Each runs twice: after the one before it, and after itself. */
static int take_turns(struct bare_set *set, unsigned int samples, struct view_floor *floor)
{
    const unsigned int first = 2 * set->count;
    struct series alone = {.value = NULL};
    struct series in_turn = {.value = NULL};
    int code = 0;

    for (unsigned int i = 0; i < samples + first && code == 0; i++) {
        for (unsigned int again = 0; again < 2 && code == 0; again++) {
            const double begin = now_us();

            code = run(set, i % set->count, again == 0 && i >= set->count);
            if (code == 0 && i >= first)
                code = series_add(again == 0 ? &in_turn : &alone, now_us() - begin);
        }
    }
    floor->r_us = series_percentile(&alone, 50);
    floor->p50 = series_percentile(&in_turn, 50) / floor->r_us;
    floor->p99 = series_percentile(&in_turn, 99) / floor->r_us;
    series_release(&alone);
    series_release(&in_turn);
    return code;
}

/* The registers come along once before any of them is loaded. */
static int start(struct bare_set *set, uint32_t at, unsigned int ring)
{
    int code = view_guest_start_bare(&set->vcpu[at], ring);

    set->vcpu[at].run->kvm_valid_regs = set->handed ? KVM_SYNC_ALL : 0;
    return code;
}

static int measure_rings(struct bare_set *set, struct view_figures *figures, unsigned int samples)
{
    int code = 0;

    for (unsigned int ring = 0; ring <= 3 && code == 0; ring += 3) {
        struct view_floor floor = {ring, set->count, set->handed, 0, 0, 0};

        for (uint32_t at = 0; at < set->count && code == 0; at++)
            code = start(set, at, ring);
        if (code == 0)
            code = take_turns(set, samples, &floor);
        if (code == 0 && figures->floors < VIEW_FLOORS)
            figures->floor[figures->floors++] = floor;
    }
    return code;
}

/* VMs and vCPUs of their own, with the same memory in a single slot. */
int view_floor_measure(struct view_figures *figures, const struct kvm *kvm, uint32_t vcpus,
                       unsigned int samples, struct error *error)
{
    static struct bare_set set;
    struct view_guest guest;
    int code = view_guest_create(&guest, kvm, &figures->host, ENGINE_SLOTS, 1, 1, error);

    if (code != 0)
        return code;
    set = (struct bare_set){.count = 0};
    while (set.count < vcpus && code == 0)
        code = add(&set, kvm, &guest, error);
    if (code == 0)
        code = explain(measure_rings(&set, figures, samples), "bare vCPUs in turn", error);
    if (code == 0)
        code = explain(hand_over(&set, &guest, &figures->host), "what bare vCPUs are given", error);
    if (code == 0)
        code = explain(measure_rings(&set, figures, samples), "bare vCPUs in turn", error);
    destroy(&set);
    view_guest_destroy(&guest);
    return code;
}
