/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ONLY_H
#define BENCH_ONLY_H

#include <stdbool.h>

#include "vmm/cli/cli.h"

/* Whether --only's words ask for a row ("io.callback"): one of them is the row or its group ("io").
 * Without any word everything is asked for. */
bool only_asks(const struct cli_words *only, const char *row);

/* The same of one word. */
bool only_word_asks(const char *word, const char *row);

#endif
