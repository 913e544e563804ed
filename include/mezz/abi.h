/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_ABI_H
#define MEZZ_ABI_H

/*
 * The interface between the root hypervisor (L0) and the hypervisor that it hosts (L1).
 *
 * These headers are the only place where it is written down as code. They are self-contained: they
 * need <stdint.h> and <stddef.h> of a freestanding compiler and nothing else. Integers have fixed
 * widths and are little-endian; addresses are L1-physical unless a comment says otherwise; there
 * are no native pointers. A field is marked IN (L1 writes, the root reads), OUT (the root writes)
 * or INOUT. Reserved fields are zero when L1 writes them, and are checked.
 *
 * Versions. An L1 compares MEZZ_ABI_VERSION with what the root reports (CPUID, below) and goes on
 * only if they are equal. Within a version the root may gain feature bits, calls, condition fields
 * and error codes; numbers are never reused, layouts never change, and what was accepted stays
 * accepted.
 */

/* Assembly may include this file for the port numbers. */
#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>
#endif

#define MEZZ_ABI_VERSION 1U

/*
 * Detection: CPUID in L1.
 *   leaf MEZZ_CPUID_SIGNATURE   EAX highest hypervisor leaf
 *                               EBX, ECX, EDX the 12 bytes "MezzanineVMM", in this order
 *   leaf MEZZ_CPUID_INTERFACE   EAX MEZZ_ABI_VERSION, EBX feature bits, ECX number of calls,
 *                               EDX the port of the calls (MEZZ_CALL_PORT)
 * With another signature, or without CPUID.1:ECX.HYPERVISOR, no root of this kind is beneath.
 */
#define MEZZ_CPUID_SIGNATURE   0x40000000U
#define MEZZ_CPUID_INTERFACE   0x40000001U
#define MEZZ_SIGNATURE_EBX     0x7a7a654dU /* "Mezz" */
#define MEZZ_SIGNATURE_ECX     0x6e696e61U /* "anin" */
#define MEZZ_SIGNATURE_EDX     0x4d4d5665U /* "eVMM" */

#define MEZZ_FEATURE_CALLBACKS (1U << 0) /* callback registration and delivery (callback.h) */
#define MEZZ_FEATURE_CLASSIC   (1U << 1) /* VMREAD and VMWRITE calls */
#define MEZZ_FEATURE_VIEWS     (1U << 2) /* EPTP lists and view switches */
#define MEZZ_FEATURE_SMP       (1U << 3) /* MEZZ_CALL_L1_VCPU_START */

#define MEZZ_PAGE_SIZE         4096U

/* Limits of a machine. Exceeding one is MEZZ_E_LIMIT. */
#define MEZZ_MAX_L2         64U
#define MEZZ_MAX_L2_VCPUS   64U /* of all L2s together */
#define MEZZ_MAX_CALLBACKS  256U
#define MEZZ_MAX_CONDITIONS 8U
#define MEZZ_MAX_VIEWS      512U
#define MEZZ_NAME_SIZE      32U

/*
 * Ports of the machine that L1 sees. L2 sees what L1's I/O bitmaps leave to it (vmcs12.h): a port
 * that L1 does not intercept is L1's own.
 */
#define MEZZ_PORT_UART 0x3f8 /* 16550, 8 ports */
#define MEZZ_PORT_DEBUG_EXIT \
    0x501                   /* a byte V written here ends the machine; QEMU's isa-debug-exit */
#define MEZZ_PORT_POST 0x80 /* writes are counted and dropped, reads give 0xff */

#ifdef __cplusplus
#define _Static_assert static_assert
#endif
#define MEZZ_PIN_LAYOUT(type, field, offset) \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define MEZZ_PIN_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")

#endif
