/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect/hooks/guard_event.h"

#include <string.h>

static bool argument_is_sound(const struct guard_event *event,
                              const struct guard_event_argument *argument)
{
    return argument->kind < MEZZ_GUARD_KINDS && argument->offset <= event->bytes &&
           argument->length <= event->bytes - argument->offset;
}

bool guard_event_is_sound(const struct guard_event *event, size_t size)
{
    if (size < offsetof(struct guard_event, data) || event->bytes > GUARD_EVENT_BYTES ||
        size != guard_event_size(event) || event->reason >= HOOK_REASONS ||
        event->verdict >= MEZZ_GUARD_VERDICTS || event->action >= HOOK_ACTIONS ||
        event->function > MEZZ_GUARD_FUNCTIONS || event->arguments > MEZZ_GUARD_ARGUMENTS ||
        memchr(event->place, '\0', sizeof(event->place)) == NULL ||
        event->within > MEZZ_GUARD_FUNCTIONS || event->fault >= GUARD_EVENT_VECTORS ||
        memchr(event->fault_place, '\0', sizeof(event->fault_place)) == NULL)
        return false;
    for (uint32_t i = 0; i < event->arguments; i++)
        if (!argument_is_sound(event, &event->argument[i]))
            return false;
    return true;
}
