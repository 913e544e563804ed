/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_PROTECT_L1_H
#define TESTS_FUZZ_PROTECT_L1_H

struct kvm_run;
struct machine;

/* Puts what the L1 describes, its L2 and the two vCPUs, into the machine's memory. */
void protect_l1_begin(struct machine *machine);
/* L1's next exit: the input says which call it makes. As fake_kvm_run. */
int protect_l1_run(struct kvm_run *run);

#endif
