/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_DEVICES_PIT_H
#define L1_DEVICES_PIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Channel 0 of an 8254: modes 0 (once), 2 and 3 (periodic), binary. The other channels are not
 * there: they read all ones. Time is the machine's, in nanoseconds.
 */
struct pit {
    uint64_t next;   /* when the next interrupt is due; 0: none */
    uint64_t period; /* nanoseconds; of a counter of 0: 65536 */
    uint64_t start;  /* when counting began */
    uint32_t reload;
    uint16_t latch;
    uint8_t mode;
    uint8_t access; /* 1: low byte, 2: high byte, 3: both, the low one first */
    uint8_t low;
    uint8_t latched; /* bytes of the latch that are still to be read */
    bool second_write;
    bool second_read;
    bool status_latched; /* the next read is the status */
};

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now);
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now);

/* True when an interrupt became due; those that were missed meanwhile are one. */
bool pit_tick(struct pit *pit, uint64_t now);

#endif
