/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_CALLBACK_H
#define MEZZ_CALLBACK_H

#include "abi.h"
#include "vmcs12.h"

/*
 * Callbacks: L1 registers a handler for an exit reason of one of its L2s, with conditions. At such
 * an exit the root, in root mode, evaluates the conditions; if all hold it runs the handler in L1,
 * between L1's call of MEZZ_CALL_ENTER and its return, and goes on as the handler says.
 *
 * Handler, stack and frame are L1-physical addresses that L1 must have mapped one to one. The
 * handler starts with RIP = handler, RSP = stack, RDI = frame, RSI = exit reason, RDX = exit
 * qualification, RCX = value, R8 = cookie, interrupts off, in the paging mode, ring and segments of
 * L1's call of MEZZ_CALL_ENTER; other registers are undefined. It ends with
 * MEZZ_CALL_CALLBACK_RETURN, the only call besides MEZZ_CALL_VERSION, MEZZ_CALL_CONSOLE,
 * MEZZ_CALL_TIME, MEZZ_CALL_VMREAD, MEZZ_CALL_VMWRITE and MEZZ_CALL_L1_INTERRUPT that is allowed in
 * it; others return MEZZ_E_STATE. One that never returns costs L1 its life. Stack and frame are
 * one: while a handler runs, other vCPUs of L1 at whose exits it is due wait for its end.
 */

enum mezz_callback_mode {
    MEZZ_MODE_OBSERVE = 1, /* the root handles the exit, then the handler hears what was changed */
    MEZZ_MODE_DECIDE = 2   /* the handler chooses the action */
};

enum mezz_condition_field {
    MEZZ_FIELD_QUALIFICATION = 1, /* exit qualification */
    MEZZ_FIELD_GPA = 2,           /* guest-physical address: EPT violations */
    MEZZ_FIELD_RIP = 3,           /* guest_rip, as the exit reports it */
    MEZZ_FIELD_CPL = 4,           /* 0..3 */
    MEZZ_FIELD_CR3 = 5,
    MEZZ_FIELD_VIEW = 6,      /* index of the current view */
    MEZZ_FIELD_PORT = 7,      /* I/O */
    MEZZ_FIELD_SIZE = 8,      /* bytes: I/O, EPT violations */
    MEZZ_FIELD_DIRECTION = 9, /* 0 out or write, 1 in or read: I/O, EPT violations, MSRs */
    MEZZ_FIELD_VALUE = 10,    /* what is written: I/O, EPT violations, WRMSR; 0 otherwise */
    MEZZ_FIELD_MSR = 11,      /* RDMSR, WRMSR */
    MEZZ_FIELD_ACCESS = 12,   /* EPT violations: MEZZ_EPT_VIOLATION_READ, _WRITE, _FETCH */
    MEZZ_FIELD_COUNT = 13,    /* exits of this reason since the last firing, this one included */
    MEZZ_FIELD_TIME = 14,     /* nanoseconds since the last firing, or since the registration */
    MEZZ_FIELD_END
};

enum mezz_condition_operator {
    MEZZ_OP_EQ = 1,           /* field == a */
    MEZZ_OP_NE = 2,           /* field != a */
    MEZZ_OP_LT = 3,           /* field < a, unsigned */
    MEZZ_OP_GE = 4,           /* field >= a, unsigned */
    MEZZ_OP_IN_RANGE = 5,     /* a <= field && field <= b; a <= b is checked */
    MEZZ_OP_NOT_IN_RANGE = 6, /* the opposite */
    MEZZ_OP_MASK = 7,         /* (field & a) == b; b within a is checked */
    MEZZ_OP_EVERY = 8,        /* field % a == 0, a not 0; for COUNT */
    MEZZ_OP_END
};

struct mezz_condition {
    uint16_t field;    /* IN: enum mezz_condition_field */
    uint16_t op;       /* IN: enum mezz_condition_operator */
    uint32_t reserved; /* IN: 0 */
    uint64_t a;        /* IN */
    uint64_t b;        /* IN: 0 for the operators that do not use it */
};
MEZZ_PIN_SIZE(struct mezz_condition, 24);

/* State that a handler may ask for: MEZZ_GROUP_BIT of these groups. */
#define MEZZ_STATE_MASK_ALLOWED                                            \
    (MEZZ_GROUP_BIT(MEZZ_GROUP_REGS) | MEZZ_GROUP_BIT(MEZZ_GROUP_SYSTEM) | \
     MEZZ_GROUP_BIT(MEZZ_GROUP_EVENTS))

struct mezz_callback_registration {
    uint32_t l2;              /* IN */
    uint32_t reason;          /* IN: enum mezz_exit_reason */
    uint32_t mode;            /* IN: enum mezz_callback_mode */
    uint32_t order;           /* IN: lower ones are asked first; equal ones in registration order */
    uint64_t handler;         /* IN */
    uint64_t stack;           /* IN: the highest address, 16-byte aligned; grows down from there */
    uint64_t frame;           /* IN: page-aligned, sizeof(struct mezz_callback_frame); own to it */
    uint64_t state_mask;      /* IN: within MEZZ_STATE_MASK_ALLOWED */
    uint64_t cookie;          /* IN: given to the handler as it is */
    uint32_t condition_count; /* IN: 0..8; none: always */
    uint32_t replace; /* IN: 0, or the callback of the same L2 and reason whose place it takes */
    struct mezz_condition condition[MEZZ_MAX_CONDITIONS]; /* IN */
};
MEZZ_PIN_SIZE(struct mezz_callback_registration, 256);

struct mezz_callback_frame {
    uint32_t callback; /* OUT */
    uint32_t l2;       /* OUT */
    uint32_t vcpu;     /* OUT */
    uint32_t view;     /* OUT: index of the current view, or MEZZ_VIEW_NONE */
    uint64_t time;     /* OUT: nanoseconds since the machine started; OBSERVE only, otherwise 0 */
    uint64_t cookie;   /* OUT */
    struct mezz_vmcs12_exit exit; /* OUT */
    uint64_t state_mask; /* OUT: the groups below that are filled; what L1 did not ask for is not */
    uint32_t sync_count; /* OUT */
    uint32_t sync_more;  /* OUT: records that wait for the next delivery */
    /* The handler's answer beyond the registers of MEZZ_CALL_CALLBACK_RETURN. */
    uint32_t entry_interruption_info;    /* IN: MEZZ_ACTION_INJECT */
    uint32_t entry_exception_error_code; /* IN: MEZZ_ACTION_INJECT */
    uint64_t reserved;
    struct mezz_vmcs12_regs regs;     /* INOUT: MEZZ_RETURN_LOAD_REGS loads it back */
    struct mezz_vmcs12_system system; /* OUT */
    struct mezz_vmcs12_events events; /* OUT */
    struct mezz_sync_record sync[MEZZ_SYNC_RECORDS]; /* OUT */
};
MEZZ_PIN_SIZE(struct mezz_callback_frame, 1080);
MEZZ_PIN_LAYOUT(struct mezz_callback_frame, exit, 32);
MEZZ_PIN_LAYOUT(struct mezz_callback_frame, state_mask, 104);
MEZZ_PIN_LAYOUT(struct mezz_callback_frame, regs, 136);
MEZZ_PIN_LAYOUT(struct mezz_callback_frame, system, 280);
MEZZ_PIN_LAYOUT(struct mezz_callback_frame, sync, 568);

/* The actions of MEZZ_CALL_CALLBACK_RETURN (RDI). A refused one returns its error to the handler.
 */
enum mezz_callback_action {
    MEZZ_ACTION_RESUME = 1,      /* run L2 on; value (RSI) ends a pending read */
    MEZZ_ACTION_REFLECT = 2,     /* as if there were no callback: ENTER returns */
    MEZZ_ACTION_INJECT = 3,      /* run L2 on with the frame's event */
    MEZZ_ACTION_SWITCH_VIEW = 4, /* run L2 on in view number value */
    MEZZ_ACTION_STOP_L2 = 5, /* ENTER returns, as with REFLECT, and L2 can not be entered again */
    MEZZ_ACTION_NEXT = 6,    /* ask the next registration; the root's own way after the last */
    MEZZ_ACTION_COUNT
};

/* Flags of MEZZ_CALL_CALLBACK_RETURN (RDX). The first two are for actions behind which L2 runs on:
 * RESUME, INJECT, SWITCH_VIEW. */
#define MEZZ_RETURN_LOAD_REGS (1U << 0) /* load the frame's regs; the state mask must hold REGS */
#define MEZZ_RETURN_FAULT     (1U << 1) /* RDMSR and WRMSR: #GP instead of completion */
/* The handler waits: if the same callback is the next thing that runs on this vCPU of L1, the call
 * returns, with all registers as they were, instead of the handler being started. It saves the root
 * the load of L1's registers. Otherwise what waits is forgotten. */
#define MEZZ_RETURN_STAY  (1U << 2)
#define MEZZ_RETURN_FLAGS (MEZZ_RETURN_LOAD_REGS | MEZZ_RETURN_FAULT | MEZZ_RETURN_STAY)

struct mezz_callback_counters {
    uint64_t evaluated;                   /* OUT */
    uint64_t fired;                       /* OUT */
    uint64_t failed[MEZZ_MAX_CONDITIONS]; /* OUT: by the first condition that did not hold */
    uint64_t sync_records;                /* OUT */
    uint64_t refused_returns;             /* OUT */
};
MEZZ_PIN_SIZE(struct mezz_callback_counters, 96);

#endif
