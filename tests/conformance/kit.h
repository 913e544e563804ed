/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_H
#define KIT_H

/*
 * The conformance kit: an L1 in headers, for tests of a root hypervisor that speaks the interface
 * of include/mezz. Besides those headers and a freestanding compiler it needs kit_entry.S and
 * kit.ld. A program defines kit_groups[] and says KIT_PROGRAM once.
 *
 * Its output is lines: "PASS group: name" and "FAIL group: name: detail". It ends with
 * MEZZ_CALL_EXIT and the number of failures, at most 255. The command line is "group=NAME", or
 * nothing: all groups that are not marked as special.
 */

#include "kit_callback.h"
#include "kit_check.h"
#include "kit_code.h"
#include "kit_guest.h"
#include "kit_machine.h"
#include "kit_program.h"

#endif
