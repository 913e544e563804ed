/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_ERRORS_H
#define MEZZ_ERRORS_H

/* A call returns zero or a positive value, or one of these, negated. Numbers are never reused. */
enum mezz_error {
    MEZZ_E_CALL = 1,      /* no call of this number */
    MEZZ_E_ARGUMENT = 2,  /* an argument is outside its range, or a reserved field is not zero */
    MEZZ_E_ADDRESS = 3,   /* an address, or the end of what starts there, is outside L1's memory */
    MEZZ_E_ALIGNMENT = 4, /* an address is not aligned as the call asks */
    MEZZ_E_ID = 5,        /* no L2, vCPU, callback or view of this number */
    MEZZ_E_LIMIT = 6,     /* one more than the machine holds */
    MEZZ_E_BUSY = 7,      /* the object is in use: entered, or in a callback */
    MEZZ_E_STATE = 8,     /* the call has no meaning now, for example a return without a callback */
    MEZZ_E_HOST = 9,      /* the host refused: no memory, no more VMs */
    MEZZ_E_UNSUPPORTED = 10, /* this root, or this host's KVM, has no such thing */
    MEZZ_E_VMCS = 11,        /* the VMCS12 is not one: revision, reserved bits */
    MEZZ_E_FIELD = 12,       /* VMREAD, VMWRITE: no such field, or not writable */
    MEZZ_E_EPT_FORMAT = 13, /* EPTP or an EPT entry has reserved bits set, or a wrong memory type */
    MEZZ_E_EPT_ADDRESS = 14, /* an EPT table or page lies outside L1's memory */
    MEZZ_E_EPT_ACCESS = 15,  /* an EPT entry's rights are -W- or -WX; --X is MEZZ_E_UNSUPPORTED */
    MEZZ_E_EPT_LIMIT = 16,   /* more extents than a view may have, or tables that form a loop */
    MEZZ_E_REASON = 17,      /* registration: no such exit reason */
    MEZZ_E_REASON_KVM = 18,  /* registration: KVM never gives this exit to the root */
    MEZZ_E_MODE = 19,        /* registration: no such mode */
    MEZZ_E_HANDLER = 20,     /* registration: the handler is outside L1's memory */
    MEZZ_E_STACK = 21,       /* registration: the stack or the frame is outside L1's memory */
    MEZZ_E_STATE_MASK = 22,  /* registration: unknown bits in the state mask */
    MEZZ_E_CONDITIONS = 23,  /* registration: more than MEZZ_MAX_CONDITIONS */
    MEZZ_E_CONDITION_FIELD = 24, /* registration: no such field, or the reason has none */
    MEZZ_E_CONDITION_OPERATOR =
        25,                      /* registration: no such operator, or it does not fit the field */
    MEZZ_E_CONDITION_VALUE = 26, /* registration: an operand is outside the field's range */
    MEZZ_E_ACTION = 27,          /* callback return: no such action, or it does not fit the exit */
    MEZZ_E_EVENT = 28,           /* callback return: the event cannot be injected */
    MEZZ_E_VIEW = 29,            /* callback return: no such view */
    MEZZ_E_COUNT
};

#endif
