/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPEAKER_H
#define SPEAKER_H

#include <stdint.h>

/* Both: 0, or a negative error. */
int64_t speaker_say(const char *text, uint64_t n); /* writes it to the console */
int64_t speaker_beep(uint64_t times);              /* at most 9 */

#endif
