/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/* What targets with a machine on the fake KVM make of their input. */

#define L1_MEMORY  (2ULL << 20)
#define FIRST_PAGE 0x40U /* of L1's memory, behind the image */
#define PAGES      32U   /* that numbers name */

void input_begin(const uint8_t *data, size_t size);
size_t input_left(void);

/* Zeros when nothing is left. Two of these in one expression are a mistake, unless a sequence point
 * is between them: compilers would take them in orders of their own, and a seed would say another
 * thing. */
uint8_t take(void);
uint64_t take_bytes(unsigned int count);
uint64_t page_address(unsigned int page);
/* A number as calls take it: small, a page, odd, or anything. */
uint64_t take_number(void);

/* What a KVM_RUN ends with; fake_kvm_run()'s result. */
int call(struct kvm_run *run, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx);
/* With a number below that and arguments as they come. */
int any_call(struct kvm_run *run, unsigned int numbers);
int any_exit(struct kvm_run *run);

#endif
