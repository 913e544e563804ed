/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is compared with what, of which libFuzzer makes bytes to try, says nothing about an input
 * that is a sequence of things to do. For such targets these stand in, by the linker's --wrap: to
 * note it was a third of what an execution costs.
 */
#include <stdint.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

void __wrap___sanitizer_cov_trace_cmp1(uint8_t left, uint8_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_cmp2(uint16_t left, uint16_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_cmp4(uint32_t left, uint32_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_cmp8(uint64_t left, uint64_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_const_cmp1(uint8_t left, uint8_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_const_cmp2(uint16_t left, uint16_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_const_cmp4(uint32_t left, uint32_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_const_cmp8(uint64_t left, uint64_t right)
{
    (void)left;
    (void)right;
}

void __wrap___sanitizer_cov_trace_switch(uint64_t value, const uint64_t *cases)
{
    (void)value;
    (void)cases;
}

#pragma clang attribute pop
