/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIBLINGS_H
#define SIBLINGS_H

/* What tests/kvm_policy_siblings.c knows of its L1, and the page that both vCPUs of its L2 write.
 */
#define SIBLINGS_WRITES 1500U
#define SIBLINGS_PAGE   0x20000000ULL /* KIT_L2_DATA */

#endif
