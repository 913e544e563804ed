/* SPDX-License-Identifier: Apache-2.0 */
/* What the library's functions may be called with: a callback for each, named check_ and the
 * function. They see copies, which nobody alters any more. */
#include "agent/agent.h"

guard_callback check_speaker_say, check_speaker_beep;

/* No program says a word in capitals. */
int64_t check_speaker_say(const struct guard_call *call)
{
    const char *text = (const char *)call->argument[0];

    for (uint64_t i = 0; i + 1 < call->length[0]; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z' && text[i + 1] >= 'A' && text[i + 1] <= 'Z') {
            return -TINY_EACCES;
        }
    }
    return MEZZ_GUARD_ALLOW;
}

/* Who beeps without end is stopped. */
int64_t check_speaker_beep(const struct guard_call *call)
{
    return call->argument[0] > 9 ? MEZZ_GUARD_KILL : MEZZ_GUARD_ALLOW;
}
