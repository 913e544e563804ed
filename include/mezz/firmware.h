/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEZZ_FIRMWARE_H
#define MEZZ_FIRMWARE_H

/* Also included by assembly: only #defines outside of __ASSEMBLER__. */

/*
 * The firmware is a flat image of 64 KiB that ends at 4 GiB, so that its last 16 bytes are the
 * reset vector. It starts with this table. The root fills it in its copy of the image; the firmware
 * goes from real mode to 32-bit protected mode and jumps to the PVH entry with EBX = start_info
 * (pvh.h).
 */
#define MEZZ_FIRMWARE_ADDRESS           0xffff0000
#define MEZZ_FIRMWARE_SIZE              0x10000
#define MEZZ_FIRMWARE_MAGIC             0x777a6d7a /* "zmzw" */
#define MEZZ_FIRMWARE_VERSION           1

#define MEZZ_FIRMWARE_OFFSET_MAGIC      0
#define MEZZ_FIRMWARE_OFFSET_VERSION    4
#define MEZZ_FIRMWARE_OFFSET_ENTRY      8
#define MEZZ_FIRMWARE_OFFSET_START_INFO 12

#ifndef __ASSEMBLER__
#include "abi.h"

struct mezz_firmware_table {
    uint32_t magic;   /* in the image */
    uint32_t version; /* in the image */
    uint32_t
        entry; /* from the root: the PVH entry of the L1 image; 0: the firmware says so, halts */
    uint32_t start_info; /* from the root: physical address of struct hvm_start_info */
};
MEZZ_PIN_SIZE(struct mezz_firmware_table, 16);
MEZZ_PIN_LAYOUT(struct mezz_firmware_table, magic, MEZZ_FIRMWARE_OFFSET_MAGIC);
MEZZ_PIN_LAYOUT(struct mezz_firmware_table, version, MEZZ_FIRMWARE_OFFSET_VERSION);
MEZZ_PIN_LAYOUT(struct mezz_firmware_table, entry, MEZZ_FIRMWARE_OFFSET_ENTRY);
MEZZ_PIN_LAYOUT(struct mezz_firmware_table, start_info, MEZZ_FIRMWARE_OFFSET_START_INFO);
#endif

#endif
