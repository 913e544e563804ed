/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_CONFIG_H
#define L1_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "mezz/abi.h"
#include "mezz/pvh.h"

/* What L1 was started with: its command line, and what its modules are. */

#define CONFIG_GUESTS        16U
#define CONFIG_GUEST_MODULES 32U

struct personality;

struct guest_module {
    const struct mezz_pvh_module *file;
    const char *command_line;
};

struct guest_config {
    char name[MEZZ_NAME_SIZE];
    const struct mezz_pvh_module *image;
    const char *command_line; /* "" when there is none */
    uint64_t memory;          /* whole pages */
    unsigned int module_count;
    struct guest_module module[CONFIG_GUEST_MODULES];
};

#define CONFIG_EPT_DIRTY 1U /* EPT12 with dirty flags, counted at a guest's end */
#define CONFIG_EPT_COW   2U /* images are copied when they are written */

/* Who decides on an access to a portion that the root refuses. */
#define CONFIG_PORTIONS_ROOT   0U /* the root, as the stack says */
#define CONFIG_PORTIONS_ALLOW  1U /* L1, by a callback: it may happen */
#define CONFIG_PORTIONS_REFUSE 2U /* L1: as the stack says */

#define CONFIG_GUARD_OBSERVE   1U /* L1 says each guarded call and each refusal */
#define CONFIG_GUARD_ALLOW     2U /* and lets each call happen that it is asked about */
#define CONFIG_GUARD_REFUSE    3U /* or none */

struct config {
    const struct personality *personality; /* NULL: not said */
    uint64_t slice;                        /* nanoseconds */
    uint32_t ept;                          /* CONFIG_EPT_... */
    uint32_t portions;                     /* CONFIG_PORTIONS_... */
    uint32_t guard;                        /* CONFIG_GUARD_...; 0: it hears of nothing */
    bool views;                            /* two of each guest, that it is taken in turn to */
    unsigned int guest_count;
    struct guest_config guest[CONFIG_GUESTS];
};

/* Says what is wrong and returns false. */
bool config_read(struct config *config, const struct mezz_pvh_start_info *info);

/* The larger of the two parts of memory that nobody uses: behind L1's image and before what else
 * the start info mentions, or behind all of it. */
bool config_arena(struct arena *arena, const struct mezz_pvh_start_info *info);

#endif
