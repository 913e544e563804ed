/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_GUARD_CHECK_H
#define VMM_SCRIPT_GUARD_CHECK_H

#include "vmm/stack/script_guard.h"
#include "vmm/stack/script_lua.h"

/* Between script_guard.c and script_guard_check.c. All raise an error for what is wrong. */

/* How many items a list has, if it is one. */
size_t script_check_list(lua_State *lua, const char *what, int table);
/* Stack indices of the lists; 0: not given. */
uint32_t script_read_defences(lua_State *lua, int list, int without);
/* The table of one argument: its keys. limited: it may have a limit. */
void script_check_argument(lua_State *lua, const char *what, int table, bool limited);
/* With the plan and the programs: somebody can call the library, and nobody lies on the gate. */
void script_check_callers(lua_State *lua, const struct l2_config *l2,
                          const struct script_guard *guard);

#endif
