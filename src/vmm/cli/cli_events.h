/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CLI_EVENTS_H
#define VMM_CLI_EVENTS_H

#include "vmm/machine.h"
#include "vmm/protect/hooks/guard_event.h"

/*
 * Guards' events from the process that runs a machine to the one that runs the stack file, and its
 * answers back. Events are packets of the channel; answers lie in a page that both have, since a
 * caged process may not read from anywhere: it waits there, and no longer than it was told to.
 */
struct event_line;

/* Before the processes part. NULL: no memory. */
struct event_line *event_line_open(void);
void event_line_close(struct event_line *line);

/* The machine's side: a listener that sends. It lives as long as the line. */
const struct guard_listener *event_line_listener(struct event_line *line, int channel);
/* errno of the first event that could not be sent; 0. */
int event_line_error(const struct event_line *line);

/* The other side: bytes that came; what listener says to them goes back. Bytes that are no event of
 * this machine are none. */
void event_line_take(struct event_line *line, const struct machine_config *config,
                     const void *bytes, size_t length);

#endif
