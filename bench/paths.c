/* SPDX-License-Identifier: Apache-2.0 */
#include "paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT_GOAL     "<= 1.10"
#define CALLBACK_GOAL "<= 2.20 (svm, vmx)"

const struct path paths[] = {
    {"io", "root", "root io", false, false, L1_ENTERED, ROOT_GOAL},
    {"io", "condition_failed", "failed io conditions=1", false, false, L1_ENTERED, ROOT_GOAL},
    {"io", "callback", "callback io", false, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"io", "callback_stays", "callback io stays", false, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"io", "reflect", "reflect io", false, false, L1_RUNNING, NULL},
    {"io", "classic", "classic io", false, true, L1_RUNNING, NULL},

    {"mmio", "root", "root memory", true, false, L1_ENTERED, ROOT_GOAL},
    {"mmio", "condition_failed", "failed memory conditions=1", true, false, L1_ENTERED, ROOT_GOAL},
    {"mmio", "callback", "callback memory", true, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"mmio", "callback_stays", "callback memory stays", true, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"mmio", "reflect", "reflect memory", true, false, L1_RUNNING, NULL},
    {"mmio", "classic", "classic memory", true, true, L1_RUNNING, NULL},

    {"view", "gate", "gate memory", true, false, L1_ENTERED, "<= 1.05"},

    {"conditions_held", "0", "callback io", false, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"conditions_held", "1", "callback io conditions=1", false, false, L1_IN_HANDLER, NULL},
    {"conditions_held", "4", "callback io conditions=4", false, false, L1_IN_HANDLER, NULL},
    {"conditions_held", "8", "callback io conditions=8", false, false, L1_IN_HANDLER, NULL},
    {"conditions_failed", "1", "failed io conditions=1", false, false, L1_ENTERED, ROOT_GOAL},
    {"conditions_failed", "4", "failed io conditions=4", false, false, L1_ENTERED, ROOT_GOAL},
    {"conditions_failed", "8", "failed io conditions=8", false, false, L1_ENTERED, ROOT_GOAL},

    {"l2s_reflect", "1", "reflect io", false, false, L1_RUNNING, NULL},
    {"l2s_reflect", "4", "reflect io l2s=4", false, false, L1_RUNNING, NULL},
    {"l2s_reflect", "16", "reflect io l2s=16", false, false, L1_RUNNING, NULL},
    {"l2s_callback", "1", "turns io conditions=1", false, false, L1_IN_HANDLER, CALLBACK_GOAL},
    {"l2s_callback", "4", "turns io conditions=1 l2s=4", false, false, L1_IN_HANDLER, NULL},
    {"l2s_callback", "16", "turns io conditions=1 l2s=16", false, false, L1_IN_HANDLER, NULL},
};

const size_t path_count = sizeof(paths) / sizeof(paths[0]);

size_t path_index(const char *group, const char *name)
{
    for (size_t i = 0; i < path_count; i++)
        if (strcmp(paths[i].group, group) == 0 && strcmp(paths[i].name, name) == 0)
            return i;
    abort();
}

void path_row(const struct path *path, char row[PATH_ROW])
{
    snprintf(row, PATH_ROW, "%s.%s", path->group, path->name);
}
