/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance test L1: any root of this interface can be held against it. */
#include "groups.h"
#include "kit.h"

const struct kit_group kit_groups[] = {
    {"detect", group_detect, false},
    {"calls", group_calls, false},
    {"ring3", group_ring3, false},
    {"register", group_register, false},
    {"conditions", group_conditions, false},
    {"history", group_history, false},
    {"frame", group_frame, false},
    {"actions", group_actions, false},
    {"stay", group_stay, false},
    {"stop", group_stop, false},
    {"inject", group_inject, false},
    {"flight", group_flight, false},
    {"vmcs", group_vmcs, false},
    {"reload", group_reload, false},
    {"classic", group_classic, false},
    {"io", group_io, false},
    {"memory", group_memory, false},
    {"fragments", group_fragments, false},
    {"strings", group_strings, false},
    {"rights", group_rights, false},
    {"hlt", group_hlt, false},
    {"msr", group_msr, false},
    {"events", group_events, false},
    {"entry", group_entry, false},
    {"death", group_death, false},
    {"paging", group_paging, false},
    {"extents", group_extents, false},
    {"sync", group_sync, false},
    {"smp", group_smp, false},
    {"views", group_views, false},
    {"gate", group_gate, false},
    {"selftest", group_selftest, true},
    {NULL, NULL, false},
};

KIT_PROGRAM
