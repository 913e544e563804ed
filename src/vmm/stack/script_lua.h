/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_LUA_H
#define VMM_SCRIPT_LUA_H

#include <lauxlib.h>
#include <lua.h>

#include "hookguard/portions/portions.h"
#include "mezz/abi.h"
#include "vmm/protect/hooks/guard_event.h"
#include "vmm/stack/script.h"
#include "vmm/stack/script_limits.h"

/* A run whose guards tell of their events: script_events.c. */
struct script_hearing {
    struct guard_listener listener;
    const struct machine_config *config;
    lua_State *lua; /* that called stack:run; an error is on top of its stack */
    bool failed;
};

/*
 * Between the files script*.c. All of it runs inside one protected call, and a Lua error leaves
 * any of these functions by longjmp: whatever one of them owns belongs to Lua (a userdata) or to
 * struct script before the next call that can fail.
 */
struct script {
    struct script_config config;
    struct script_budget budget;
    struct script_record record;
    unsigned int runs_begun; /* those that failed among them */
    lua_State *lua;
    size_t printed;
    /* The last refusal of script_host.run: its text decides whether the script's end is the host's
     * fault or the file's. */
    struct error host_error;
    int host_code;
    struct script_hearing hearing;
};

static inline struct script *script_of(lua_State *lua)
{
    return *(struct script **)lua_getextraspace(lua);
}

/* Raises "FILE:LINE: message". */
_Noreturn void script_error(lua_State *lua, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How a message shows the value that is wrong; may push one. */
const char *script_shown(lua_State *lua, int index);

/* Message handler: every message names file and line, whoever raised it. */
int script_message(lua_State *lua);

/* Ends the script, whatever it would do about an error: the host has no memory. */
_Noreturn void script_no_memory(lua_State *lua, const char *what);

/* For what a function failed with, -code and its message: as script_error() with "what: message",
 * or, when the host has no memory, as script_no_memory(). */
_Noreturn void script_failed(lua_State *lua, const char *what, int code, const struct error *error);

/* script_keys.c: the named values of a call. */
enum script_key_type {
    KEY_SIZE,     /* uint64_t: min, max, multiple */
    KEY_DURATION, /* uint64_t: min, max */
    KEY_COUNT,    /* uint64_t: min, max */
    KEY_BOOLEAN,  /* bool */
    KEY_TEXT,     /* const char *: printable, at most max characters */
    KEY_WORD,     /* const char *: letters, digits, '-', '_', '.'; at most max characters */
    KEY_IMAGE,    /* const char *: the path of a file that was there */
    KEY_LIST,     /* int: stack index of the table */
};

struct script_key {
    const char *name; /* NULL ends a table of keys */
    enum script_key_type type;
    bool required;
    uint64_t min;
    uint64_t max;
    uint64_t multiple;
    size_t offset; /* of the value in the structure that is filled */
};

/* Reads the table at `index` into *to, which holds the defaults; raises an error for whatever is
 * wrong with it. Strings live as long as the table at `anchor`; lists stay on the Lua stack. */
void script_read_keys(lua_State *lua, const char *call, const struct script_key *keys, int index,
                      int anchor, void *to);

/* A string that `what` may be: printable ASCII, no longer than max. */
const char *script_check_text(lua_State *lua, int index, const char *what, uint64_t max);

/* Appends the value on top of the stack to the table at `anchor` and pops it. */
void script_anchor(lua_State *lua, int anchor);

/* script_image.c: finds the file that the string at index names, pushes its path and returns it. */
const char *script_push_image(lua_State *lua, const char *what, int index);

/* script_objects.c: what the file works with. */
struct script_stack {
    uint64_t memory; /* 0: as much as L1 needs */
    bool started;
};

struct script_l1 {
    struct machine_config config; /* without what belongs to the stack and to the run */
    struct l2_config l2[MEZZ_MAX_L2];
};

struct script_l2 {
    unsigned int index; /* in script_l1.l2 */
};

/*
 * User values. OWNER: of an L1 its stack, of an L2 its L1. PARTS: a table; of a stack its L1, of an
 * L1 its L2s. ANCHOR: a table that keeps strings and lists alive. RESULT: of an L1 or L2, what the
 * run left of it.
 */
enum {
    OBJECT_OWNER = 1,
    OBJECT_PARTS,
    OBJECT_ANCHOR,
    OBJECT_RESULT,
    OBJECT_USER_VALUES = OBJECT_RESULT
};

#define STACK_TYPE   "mezz stack"
#define L1_TYPE      "mezz l1"
#define L2_TYPE      "mezz l2"
#define CONSOLE_TYPE "mezz console"

/* Pushes an object of size bytes, all zero, with empty tables for PARTS and ANCHOR. */
void *script_push_object(lua_State *lua, size_t size, const char *type);

/* The object of a method call, at index 1; raises an error that says how the method is called. */
void *script_check_self(lua_State *lua, const char *type, const char *call);

/* The same for a method of an L2 whose stack has not run yet. */
struct l2_config *script_check_l2(lua_State *lua, const char *call);

/* Registers a type: its methods, and whether reads of other fields go to its RESULT. */
void script_register_type(lua_State *lua, const char *type, const luaL_Reg *methods);

/* The table on top of the stack answers a read of a key that it does not have with an error that
 * begins with `what`. */
void script_make_strict(lua_State *lua, const char *what);

/* script_stack.c, script_run.c, script_console.c: the types. */
void script_register_stack(lua_State *lua);
void script_register_console(lua_State *lua);
void script_register_mezz(lua_State *lua);
int script_new_stack(lua_State *lua); /* mezz.stack */
int script_run_stack(lua_State *lua); /* stack:run */

/* script_names.c: words of which a declaration chooses one. */
/* Raises "CALL: WHAT: there is no "NAME"; did you mean ...?"; candidates as for
 * script_did_you_mean(). */
_Noreturn void script_unknown(lua_State *lua, const char *call, const char *what, const char *name,
                              const char *(*candidate)(const void *, size_t));
/* What `on_refusal` of a call says; NULL: what is usual. Raises an error for any other word. */
enum portion_refusal script_read_on_refusal(lua_State *lua, const char *call, const char *name);

/* script_protect.c */
void script_register_protect(lua_State *lua);
int script_protect(lua_State *lua); /* l2:protect */

/* script_guard.c */
void script_register_guard(lua_State *lua);
int script_guard(lua_State *lua); /* l2:guard */

/* script_events.c */
int script_on(lua_State *lua); /* l2:on */
/* Before a run: config->listener, if a guard has a handler. Raises an error for one that needs one
 * and has none. */
void script_hearing_begin(lua_State *lua, struct machine_config *config);
/* After it: raises the error of a handler. */
void script_hearing_end(lua_State *lua);

/* script_modules.c. what: how messages begin. The module of the L2 that is called so: its command
 * line begins with the name. */
const struct module_config *script_find_module(lua_State *lua, const char *what,
                                               const struct l2_config *l2, const char *program);
/* The whole file, to be freed. */
void *script_read_file(lua_State *lua, const char *what, const char *path, size_t *size);

void script_push_console(lua_State *lua, const struct console_text *console);

/* script_result.c: pushes the result table of the run of the stack at index 1, and gives the
 * stack's L1 and L2s their parts of it. */
void script_push_result(lua_State *lua, const struct script_run *run);

/* script_sandbox.c: opens the libraries that a stack file may use. */
void script_open_libraries(lua_State *lua);

#endif
