/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GROUPS_H
#define GROUPS_H

void group_detect(void);
void group_calls(void);
void group_ring3(void);
void group_register(void);
void group_conditions(void);
void group_history(void);
void group_frame(void);
void group_actions(void);
void group_stay(void);
void group_stop(void);
void group_inject(void);
void group_flight(void);
void group_vmcs(void);
void group_classic(void);
void group_io(void);
void group_memory(void);
void group_fragments(void);
void group_strings(void);
void group_rights(void);
void group_hlt(void);
void group_msr(void);
void group_events(void);
void group_entry(void);
void group_death(void);
void group_paging(void);
void group_extents(void);
void group_sync(void);
void group_smp(void);
void group_reload(void);
void group_views(void);
void group_gate(void);
void group_selftest(void);

#endif
