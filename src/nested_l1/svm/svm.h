/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_SVM_SVM_H
#define L1_SVM_SVM_H

#include <stdbool.h>
#include <stdint.h>

#include "svm/vmcb.h"

struct arena;
struct ept;
struct mezz_vmcs12;

#define SVM_EFER_SVME (1ULL << 12)

struct fxsave_area {
    uint16_t fcw;
    uint8_t reserved[22];
    uint32_t mxcsr;
    uint8_t rest[484];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct fxsave_area) == 512, "FXSAVE writes 512 bytes");

/* A guest as the processor has it. Page-aligned parts of the arena. */
struct svm_guest {
    struct vmcb vmcb;
    struct fxsave_area fpu; /* while another guest runs */
    /* An instruction that waits for what it reads: the next entry ends it (MEZZ_EXIT_PENDING). */
    bool pending;
    uint32_t pending_size; /* bytes of RAX that IN sets; 0: an MSR access */
    uint64_t pending_rip;  /* behind it */
};

/* state.c: the guest's state and controls, all of it. */
void svm_load_state(struct svm_guest *guest, const struct mezz_vmcs12 *vmcs);
void svm_store_state(const struct svm_guest *guest, struct mezz_vmcs12 *vmcs);

/* exit.c: deals with an exit that L1 need not know of (true), or fills the exit group. */
bool svm_handle(struct svm_guest *guest, uint64_t *gpr);
void svm_translate_exit(struct svm_guest *guest, struct mezz_vmcs12 *vmcs, bool time_over);
/* Before an entry: ends an instruction that is pending. */
void svm_complete(struct svm_guest *guest, struct mezz_vmcs12 *vmcs);

/* npt.c: nested page tables with what an EPT12 says now. 0: the arena is empty. */
uint64_t svm_make_npt(struct arena *arena, const struct ept *ept);

/* timer.c: the time stamp counter, measured by the 8254, and an interrupt at a time. */
void svm_timer_start(void);
uint64_t svm_time(void);
/* At that time, or earlier: 54 ms is as far as the 8254 reaches. UINT64_MAX: never. */
void svm_timer_arm(uint64_t at);
/* Takes the interrupt that waits. */
void svm_timer_take(void);
/* Lets the processor sleep until then. */
void svm_timer_sleep(uint64_t until);

/* run.S: runs the guest until its next exit. gpr: in the order of enum mezz_register, RAX and RSP
 * of which are the VMCB's. */
void svm_run(struct vmcb *vmcb, uint64_t *gpr);

#endif
