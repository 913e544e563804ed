/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_VIEWS_GUEST_H
#define TESTS_VIEWS_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "ept12_builder.h"
#include "host/kvm.h"
#include "views/space.h"

/*
 * An L2 of 16 MiB without a kernel: page tables that map all of it one to one for both rings, and
 * pieces of code that a test starts at will, in ring 0 or ring 3. A piece ends with a write to the
 * doorbell, a page that no view has. Ring 3 matters: there are hosts that emulate ring 0, and only
 * ring 3 runs on the translations that KVM keeps.
 *
 * All functions fail the test when they fail.
 */
#define GUEST_MEMORY    (16ULL << 20)
#define GUEST_L1        (16ULL << 20) /* L1 address of L2-physical 0 */
#define GUEST_SPARE_L1  (64ULL << 20) /* L1 memory that is no L2's */

#define GUEST_ROOT      0x1000ULL /* PML4 */
#define GUEST_POINTERS  0x2000ULL
#define GUEST_DIRECTORY 0x3000ULL
#define GUEST_TABLES    0x10000ULL /* eight page tables */
#define GUEST_CODE      0x6000ULL
#define GUEST_STACK     0x7ff0ULL
#define GUEST_DOORBELL  0x1000000ULL /* both linear and guest-physical */
#define GUEST_DATA      0x100000ULL  /* from here on memory is the test's */

enum guest_code {
    CODE_READ,    /* mov (%rbx), %rax */
    CODE_WRITE,   /* mov %rax, (%rbx) */
    CODE_EXECUTE, /* call *%rbx: guest_function() makes what returns a value */
    CODE_INVLPG,  /* mov %rax, (%rbx); invlpg (%rdx): ring 0 */
    CODE_ADD,     /* lock addq %rax, (%rbx) */
    CODE_COPY,    /* rep movsq, (%rsi) to (%rdi), rdx times */
    CODE_SSE,     /* movups (%rbx), %xmm0; movups %xmm0, (%rsi): ring 3 */
    CODE_LOOP,    /* again: mov (%rbx), %rax; mov %rax, (%rbp); jmp again */
    CODE_TSC,     /* rdtsc, all of it in %rax */
    CODE_MIX,     /* guest_mix(), rdx times; then xmm1 and xmm15 to (%rbx): ring 3 */
    CODE_SS_READ, /* mov %ecx, %ss; as CODE_READ: ring 0 */
    CODE_SS_SWAP, /* mov %ecx, %ss; cmpxchg16b (%rbx): ring 0 */
    CODE_COUNT
};

struct guest_views {
    struct kvm kvm;
    struct host_traits host;
    struct ept12_builder builder;
    struct space *space;
    struct view_vcpu vcpu;
    uint64_t eptp[MEZZ_MAX_VIEWS];
    uint32_t views;
    bool over; /* for space_config.over */
};

struct guest_result {
    uint64_t value;   /* RAX at the doorbell */
    uint32_t denied;  /* MEZZ_EPT_READ, _WRITE, _EXECUTE: what the view refused on the way */
    uint32_t served;  /* accesses that the root did */
    uint64_t address; /* of the last access that was refused or served; of a fetch: RIP */
};

/* Why tests that need /dev/kvm cannot run here, or NULL. */
const char *guest_obstacle(void);

/* One view of all memory, RWX, index 0; memory of the guest as described. */
void guest_create(struct guest_views *guest, enum engine_kind engine);
void guest_create_without_engine(struct guest_views *guest);
void guest_destroy(struct guest_views *guest);

/* A further EPT12, like the first. Not yet in the list. Returns its index. */
uint32_t guest_add_view(struct guest_views *guest);
/* Alters one page of a view's EPT12. rights 0: absent. */
void guest_map(struct guest_views *guest, uint32_t view, uint64_t l2, uint64_t l1, uint64_t rights);
/* The list with all views, and the vCPU in view 0. */
void guest_use_views(struct guest_views *guest);

void guest_switch(struct guest_views *guest, uint32_t view, enum view_carry carry);

/* What the root sees of the L2-physical address in view 0's backing. */
uint64_t *guest_at(const struct guest_views *guest, uint64_t l2);
/* The leaf of a linear address. */
uint64_t *guest_leaf(const struct guest_views *guest, uint64_t linear);
/* Code at the L1 address that returns the value. */
void guest_function(const struct guest_views *guest, uint64_t l1, uint32_t value);

/* What CODE_MIX does with RAX, XMM1 and XMM15. */
struct guest_mix {
    uint64_t rax;
    uint64_t xmm1[2];
    uint64_t xmm15[2];
};
void guest_mix(struct guest_mix *mix, uint64_t times);

struct guest_run {
    enum guest_code code;
    unsigned int ring;
    uint64_t rax, rbx, rdx, rsi, rdi;
};
struct guest_result guest_run_on(struct guest_views *guest, struct view_vcpu *vcpu,
                                 const struct guest_run *what);
struct guest_result guest_run(struct guest_views *guest, const struct guest_run *what);
uint64_t guest_load(struct guest_views *guest, unsigned int ring, uint64_t linear);

/* Registers as guest_run() begins with. */
void guest_start(struct view_vcpu *vcpu, const struct guest_run *what);
/* One KVM_RUN with what belongs to it. */
void guest_step(struct view_vcpu *vcpu);

double guest_seconds(void);

#endif
