/* SPDX-License-Identifier: Apache-2.0 */
/* Where guests/tiny-os/agent/agent.ld puts the parts of an agent. */
#ifndef TEST_AGENT_LAYOUT_H
#define TEST_AGENT_LAYOUT_H

#define AGENT_CODE     0x1020e000ULL
#define AGENT_DOOR     0x10200000ULL
#define AGENT_DATA     0x10209000ULL
#define AGENT_STACK    0x10205000ULL
#define AGENT_EXCHANGE 0x1020a000ULL

#endif
