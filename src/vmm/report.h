/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cage/cage.h"
#include "hookguard/hooks/calls.h"
#include "hookguard/portions/decision.h"
#include "host/error.h"
#include "mezz/callback.h"
#include "mezz/exit.h"

/* What a run leaves for people and for JSON. */

/* Exit reasons folded into a small index: the SDM's numbers as they are, our own after them. */
#define REASON_INDEX_COUNT (MEZZ_EXIT_SDM_COUNT + (MEZZ_EXIT_OWN_END - MEZZ_EXIT_OWN_FIRST))

/* Index of a basic exit reason, or -1. */
static inline int reason_index(uint32_t reason)
{
    reason &= ~MEZZ_EXIT_ENTRY_FAILED;
    if (reason < MEZZ_EXIT_SDM_COUNT)
        return (int)reason;
    if (reason >= MEZZ_EXIT_OWN_FIRST && reason < MEZZ_EXIT_OWN_END)
        return (int)(reason - MEZZ_EXIT_OWN_FIRST + MEZZ_EXIT_SDM_COUNT);
    return -1;
}

uint32_t reason_of_index(int index);
/* The SDM's name in lower case, for example "io", "ept_violation"; never NULL. */
const char *reason_name(uint32_t reason);

struct console_text {
    const char *
        text; /* printable and white space as the guest wrote it, other bytes too; not cut at NUL */
    size_t length;
    size_t dropped; /* bytes beyond the cap */
};

struct exit_counts {
    uint64_t root;     /* the root handled it */
    uint64_t callback; /* L1's handler did */
    uint64_t reflect;  /* ENTER returned to L1 */
};

enum l2_end {
    L2_RUNNING, /* the machine ended first */
    L2_DONE,    /* L1 destroyed it with status 0..255 */
    L2_DIED     /* triple fault, entry failure, or L1 said so */
};

/* A registration, when it was removed or the machine ended. */
struct callback_report {
    uint32_t id;
    uint32_t reason;
    uint32_t mode; /* enum mezz_callback_mode */
    uint32_t order;
    uint32_t conditions;
    struct mezz_callback_counters counters;
};

/* What the portions of an L2's programs (docs/portions-policy.md) did and refused. */
struct portions_report {
    bool declared;
    uint64_t switches; /* of a view, by which a portion was entered or left */
    uint64_t entries;  /* among them, at an entry point */
    uint64_t scans;    /* of code for patterns */
    uint64_t reasons[REASON_KINDS];
    uint64_t unlogged; /* events that the log could not take */
};

/* What the guard of an L2's API (docs/hookguard.md) let through and refused. */
struct guard_report {
    bool declared;
    uint64_t reasons[HOOK_REASONS];
    uint64_t verdicts[MEZZ_GUARD_VERDICTS]; /* of calls that came back */
    uint64_t nested[MEZZ_GUARD_VERDICTS];   /* of calls that guarded functions made */
    uint64_t missing;                       /* pages that the guest's memory did not have */
    uint64_t held;                          /* events that waited for a call's end */
    uint64_t forced_out;                    /* and those that did not, the budget being spent */
    uint64_t unlogged;
    uint64_t unheard; /* events that the stack file's handler was to hear of, or to answer in time,
                       * and did not */
};

struct l2_report {
    const char *name;
    enum l2_end end;
    unsigned int status;
    struct console_text console;
    struct exit_counts exits[REASON_INDEX_COUNT];
    uint64_t groups_loaded[MEZZ_GROUP_COUNT]; /* VMCS12 groups that entries loaded */
    const struct callback_report *callbacks;
    unsigned int callback_count;
    struct portions_report portions;
    struct guard_report guard;
    uint64_t kvm_runs;
    uint64_t other_ioctls;  /* of its KVM vCPUs */
    uint64_t run_ns;        /* time inside KVM_RUN */
    const char *last_words; /* for L2_DIED: the fatal tail, several lines; otherwise "" */
};

struct l1_report {
    struct console_text console;
    uint64_t calls[32];     /* by enum mezz_call */
    uint64_t refused_calls; /* that returned an error; of the last one: */
    uint64_t refused_call;  /* its number, whatever L1 gave */
    uint32_t refused_error; /* enum mezz_error */
    uint64_t port_exits;    /* devices */
    uint64_t other_exits;
    uint64_t kvm_runs;
    uint64_t run_ns;
};

enum machine_end {
    MACHINE_DONE,    /* L1 ended it, with status */
    MACHINE_DIED,    /* L1 died: triple fault, a callback that never returned, ... */
    MACHINE_TIMEOUT, /* timeout_ns is over: counts as died */
    MACHINE_STOPPED, /* machine_stop: signal_number */
    MACHINE_SCRIPT,  /* a handler of the stack file failed, and its error is told elsewhere */
    MACHINE_HOST     /* the host failed while running: error says how */
};

struct machine_report {
    enum machine_end end;
    unsigned int status; /* of MACHINE_DONE */
    uint8_t last_post;   /* the last byte written to MEZZ_PORT_POST */
    int signal_number;
    uint64_t duration_ns;        /* of machine_run */
    uint64_t first_l2_output_ns; /* from the start of the process; 0: none */
    struct error error;          /* one line; empty when all is well */
    /* What the host failed at first while L1 went on, and was told MEZZ_E_HOST; otherwise empty. */
    struct error trouble;
    const char *last_words; /* the fatal tail of L1, several lines; otherwise "" */
    struct cage_facts cage;
    struct l1_report l1;
    const struct l2_report *l2; /* in the order of the stack file, then those L1 made of its own */
    unsigned int l2_count;
};

/* The reason is one that this root knows of: it has a name of its own. */
bool reason_is_known(int index);

/* Words for people, for stack files and for JSON: "done", "failed" (L1 ended with another status
 * than 0), "died", "timeout", "stopped", "script", "host"; "running", "done", "died". */
const char *report_status(const struct machine_report *report);
const char *report_l2_end_name(enum l2_end end);

/* L1 or an L2 died, L1 ended with another status than 0, or the time was over. */
bool report_has_death(const struct machine_report *report);

struct exit_counts report_total(const struct l2_report *l2);
uint64_t report_refusals(const struct portions_report *portions);
uint64_t report_guard_refusals(const struct guard_report *guard);
/* "enter" for MEZZ_CALL_ENTER, and so on; never NULL. */
const char *report_call_name(size_t call);
/* Of an enum mezz_error, as it is called behind MEZZ_E_. */
const char *report_error_name(uint32_t error);
uint64_t report_calls(const struct l1_report *l1);
uint64_t report_kvm_runs(const struct machine_report *report);

/* Copies a report and all that it points to, so that it outlives its machine. -ENOMEM. */
int report_copy(struct machine_report *to, const struct machine_report *from);

/* Frees what report_copy or report_unpack made. */
void report_release(struct machine_report *report);

/* A report as bytes, for another process: to free(); NULL: no memory. */
void *report_pack(const struct machine_report *report, size_t *length);

/* The other way round. Whatever the bytes are, what comes of them can be printed and released.
 * -EBADMSG: they are no report; -ENOMEM. */
int report_unpack(struct machine_report *report, const void *bytes, size_t length);

#endif
