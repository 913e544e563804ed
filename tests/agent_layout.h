/* SPDX-License-Identifier: Apache-2.0 */
/* Where guests/tiny-os/agent/agent.ld puts the parts of an agent. */
#ifndef TEST_AGENT_LAYOUT_H
#define TEST_AGENT_LAYOUT_H

#define AGENT_CODE     0x10200000ULL
#define AGENT_PLAN     0x10280000ULL /* two pages */
#define AGENT_DOOR     0x10282000ULL
#define AGENT_DATA     0x10300000ULL
#define AGENT_STACK    0x10380000ULL
#define AGENT_EXCHANGE 0x10384000ULL

#endif
