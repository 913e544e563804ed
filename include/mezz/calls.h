/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_CALLS_H
#define MEZZ_CALLS_H

#include "abi.h"

/*
 * A call is `out %al, $0x7e` in ring 0 of L1, with the number in RAX and arguments in RDI, RSI and
 * RDX. Afterwards RAX is the result (errors.h) and RDX the second result of the calls that have
 * one; all other registers are kept. From another ring the instruction has no effect but RAX =
 * -MEZZ_E_STATE; only MEZZ_CALL_CALLBACK_RETURN in a handler, which starts in the ring of the call
 * of MEZZ_CALL_ENTER, is not asked for its ring.
 *
 * KVM has retired this one `out` when it exits (KVM_X86_QUIRK_OUT_7E_INC_RIP), so that the root may
 * put any register state in its place: an entered L2, a callback handler.
 */
#define MEZZ_CALL_PORT 0x7e

enum mezz_call {
    /* () -> MEZZ_ABI_VERSION */
    MEZZ_CALL_VERSION = 0,

    /* (IN source, IN text, IN length <= 4096) -> 0
     * Appends text to a level's console: source 0 is L1's own, otherwise an L2's number. */
    MEZZ_CALL_CONSOLE = 1,

    /* () -> nanoseconds since the machine started */
    MEZZ_CALL_TIME = 2,

    /* (IN status 0..255): ends the machine. Does not return. */
    MEZZ_CALL_EXIT = 3,

    /* (IN struct mezz_l2_parameters) -> number of the L2, from 1 on */
    MEZZ_CALL_L2_CREATE = 4,

    /* (IN l2, IN status): takes its vCPUs and callbacks with it. status is what the L2 ended with,
     * for the machine's report: 0 well, 1..255 as it said itself, MEZZ_L2_DIED. MEZZ_E_BUSY while
     * entered. */
    MEZZ_CALL_L2_DESTROY = 5,

    /* (IN l2, IN vmcs12: page-aligned) -> number of the vCPU, from 1 on
     * The page stays shared until the vCPU is destroyed. All groups count as written. */
    MEZZ_CALL_VCPU_CREATE = 6,

    /* (IN vcpu) */
    MEZZ_CALL_VCPU_DESTROY = 7,

    /* (IN vcpu) -> 0 when an exit was reflected: the exit group of the VMCS12 says which.
     * Callbacks run while L1 is inside this call. An entry that fails its checks is reflected, too,
     * with MEZZ_EXIT_ENTRY_FAILED set in the exit reason. */
    MEZZ_CALL_ENTER = 8,

    /* (IN l2, IN type: 1 single context, 2 all, IN eptp)
     * The root reads the changed EPT12 again before it next runs this L2. An entry that was not
     * present and became present needs no call. */
    MEZZ_CALL_INVEPT = 9,

    /* (IN l2, IN list: page-aligned, 512 EPTPs, IN count 1..512): takes the place of the EPTP list
     * that the L2 had: MEZZ_FEATURE_VIEWS. An EPTP 0 is an index without a view. All or none: after
     * an error RDX = the index whose EPTP is wrong. MEZZ_E_BUSY: a vCPU runs, the first time. */
    MEZZ_CALL_EPTP_LIST = 10,

    /* (IN struct mezz_callback_registration) -> number of the callback, from 1 on */
    MEZZ_CALL_CALLBACK_REGISTER = 11,

    /* (IN callback): MEZZ_E_BUSY while it runs */
    MEZZ_CALL_CALLBACK_UNREGISTER = 12,

    /* (IN action, IN value, IN flags): the end of a handler. Returns only if it is refused. */
    MEZZ_CALL_CALLBACK_RETURN = 13,

    /* (IN callback, OUT struct mezz_callback_counters) */
    MEZZ_CALL_CALLBACK_COUNTERS = 14,

    /* (IN vcpu, IN field) -> 0, RDX = value: the classic arm. A field is its offset in struct
     * mezz_vmcs12 with the width in bytes in bits 16 to 19; MEZZ_VMCS12_FIELD() makes one. */
    MEZZ_CALL_VMREAD = 15,

    /* (IN vcpu, IN field, IN value): fields of the exit group are read-only */
    MEZZ_CALL_VMWRITE = 16,

    /* (IN rip, IN rsp, IN rdi): starts L1's next vCPU in 64-bit mode with the caller's CR3 and
     * segments: MEZZ_FEATURE_SMP. -> number of the L1 vCPU */
    MEZZ_CALL_L1_VCPU_START = 17,

    /* (IN l2, IN list of uint64_t, IN count 1..512): gives frames, page-aligned addresses in L1's
     * memory, that the root may put in the place of pages of this L2 (MEZZ_EPT_COPY_ON_WRITE). All
     * or none. */
    MEZZ_CALL_FRAME_POOL = 18,

    /* (IN number of an L1 vCPU, from 0 on, IN vector 32..255): an interrupt for that vCPU. While it
     * is inside MEZZ_CALL_ENTER with MEZZ_PIN_EXTERNAL_INTERRUPT_EXITING, L2 exits with
     * MEZZ_EXIT_EXTERNAL_INTERRUPT and the vector in interruption_info, which takes the interrupt;
     * otherwise it is delivered through L1's IDT when RFLAGS.IF allows. It ends a HLT. One
     * interrupt waits for a vCPU: MEZZ_E_BUSY for a second. */
    MEZZ_CALL_L1_INTERRUPT = 19,

    /* (IN l2, IN list of struct mezz_gate_site, IN count 0..512): takes the place of the sites that
     * the L2 had: MEZZ_FEATURE_VIEWS. */
    MEZZ_CALL_GATE_SITES = 20,
    MEZZ_CALL_COUNT = 21
};

/* Status of an L2 that did not end by itself (MEZZ_CALL_L2_DESTROY). */
#define MEZZ_L2_DIED 256U

struct mezz_l2_parameters {
    char name[MEZZ_NAME_SIZE]; /* IN: printable ASCII, ends with NUL, unique in the machine */
    uint64_t reserved[4];      /* IN: 0 */
};
MEZZ_PIN_SIZE(struct mezz_l2_parameters, 64);

/*
 * The command line of an L1's boot module says what the module is, so that an L1 finds what it
 * hosts (pvh.h has the module list). It consists of words with one space between them:
 *
 *   l2=NAME image memory=BYTES [cmdline=REST]   an L2's kernel; its modules follow in the list
 *   l2=NAME module=COMMANDLINE                  a module of that L2; the rest is its command line
 */

#endif
