/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAGE_FILTERS_H
#define CAGE_FILTERS_H

#include <seccomp.h>

#include "cage/cage.h"

/* A libseccomp filter for threads of this kind, to seccomp_release(); NULL: out of memory. */
scmp_filter_ctx filter_make(enum cage_thread kind, const struct cage_config *config);

#endif
