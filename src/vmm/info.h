/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_INFO_H
#define VMM_INFO_H

/* The KVM implementation of this host, "kvm_amd" for example, as its module is called; "unknown".
 */
const char *info_kvm_name(void);

#endif
