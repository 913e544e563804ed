/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PVH kernel finds at the address in EBX when it starts in 32-bit protected mode: the start
 * info, version 1, with its module list and memory map.
 *
 * Source: the Xen public boot protocol "PVH" (x86/HVM direct boot ABI): hvm_start_info and the ELF
 * note XEN_ELFNOTE_PHYS32_ENTRY. All addresses are physical addresses of the machine being started.
 *
 * Used by everyone who starts a kernel (root, L1) and by every kernel that is started (L1,
 * tiny-OS). Version 0 ends before memmap_paddr; a reader that needs the memory map must require
 * version >= 1.
 */
#ifndef MEZZ_PVH_H
#define MEZZ_PVH_H

#define MEZZ_PVH_START_MAGIC   0x336ec578 /* "xEn3" with bit 7 of the 'E' set */
#define MEZZ_PVH_START_VERSION 1

/* The ELF note that holds the 32-bit physical entry point: name "Xen", descriptor of 4 or 8 bytes.
 */
#define MEZZ_PVH_NOTE_NAME "Xen"
#define MEZZ_PVH_NOTE_TYPE 18

/* Types of a memory map entry, numbered as in the ACPI address range types. */
#define MEZZ_PVH_MEMORY_RAM      1
#define MEZZ_PVH_MEMORY_RESERVED 2
#define MEZZ_PVH_MEMORY_ACPI     3
#define MEZZ_PVH_MEMORY_NVS      4
#define MEZZ_PVH_MEMORY_UNUSABLE 5

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct mezz_pvh_start_info {
    uint32_t magic;   /* IN: MEZZ_PVH_START_MAGIC */
    uint32_t version; /* IN: MEZZ_PVH_START_VERSION */
    uint32_t flags;   /* IN: 0 */
    uint32_t nr_modules;
    uint64_t modlist_paddr; /* IN: nr_modules entries, or 0 */
    uint64_t cmdline_paddr; /* IN: a string that ends with NUL, or 0 */
    uint64_t rsdp_paddr;    /* IN: ACPI, or 0 */
    uint64_t memmap_paddr;  /* IN: memmap_entries entries, or 0 */
    uint32_t memmap_entries;
    uint32_t reserved; /* IN: 0 */
};

struct mezz_pvh_module {
    uint64_t paddr;         /* IN: page-aligned when mezz or its L1 starts the kernel */
    uint64_t size;          /* IN: bytes; the rest of the last page is zero */
    uint64_t cmdline_paddr; /* IN: a string that ends with NUL, or 0 */
    uint64_t reserved;      /* IN: 0 */
};

struct mezz_pvh_memory {
    uint64_t addr;
    uint64_t size;
    uint32_t type; /* IN: MEZZ_PVH_MEMORY_* */
    uint32_t reserved;
};

_Static_assert(sizeof(struct mezz_pvh_start_info) == 56, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, nr_modules) == 12, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, modlist_paddr) == 16, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, cmdline_paddr) == 24, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, rsdp_paddr) == 32, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, memmap_paddr) == 40, "start info layout");
_Static_assert(offsetof(struct mezz_pvh_start_info, memmap_entries) == 48, "start info layout");
_Static_assert(sizeof(struct mezz_pvh_module) == 32, "module layout");
_Static_assert(offsetof(struct mezz_pvh_module, size) == 8, "module layout");
_Static_assert(offsetof(struct mezz_pvh_module, cmdline_paddr) == 16, "module layout");
_Static_assert(sizeof(struct mezz_pvh_memory) == 24, "memory map layout");
_Static_assert(offsetof(struct mezz_pvh_memory, size) == 8, "memory map layout");
_Static_assert(offsetof(struct mezz_pvh_memory, type) == 16, "memory map layout");
#endif /* __ASSEMBLER__ */

#endif /* MEZZ_PVH_H */
