/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_BOOT_H
#define VMM_MACHINE_BOOT_H

#include "vmm/machine_state.h"

/* Puts L1's image, its modules and the firmware into memory and its first vCPU at its first
 * instruction: the firmware's reset vector, or without a firmware the image's PVH entry. Negative
 * errno, message. */
int machine_boot(struct machine *machine, const struct machine_config *config, struct error *error);

#endif
