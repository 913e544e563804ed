/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_PORTS_H
#define VMM_PORTS_H

#include <stdint.h>

struct machine;

/* One access to the machine's ports, by L1 or by an L2 whose L1 does not intercept the port. size:
 * 1, 2 or 4 bytes, which go to as many ports, as on an ISA bus. A port without a device reads as
 * ones. */
void ports_write(struct machine *machine, uint16_t port, uint32_t size, uint64_t value);
uint64_t ports_read(struct machine *machine, uint16_t port, uint32_t size);

#endif
