/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_SCRIPT_LIMITS_H
#define VMM_SCRIPT_LIMITS_H

#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/stack/script.h"

/*
 * What keeps a stack file from taking the machine for itself. Memory: the allocator says no.
 * Instructions and time: a count hook raises an error, and once it has begun it does so at every
 * instruction, so that no pcall outlives it. A hook cannot interrupt a library function (a hostile
 * pattern, ("").rep): for that a thread ends the process, a second after an interrupt or when its
 * time is over.
 */
struct script_budget {
    const struct script_limits *limits;
    const char *path;
    lua_State *lua;
    const volatile sig_atomic_t *interrupted;

    size_t memory;
    unsigned int memory_line; /* where memory was refused last; 0: never */
    bool host_out;            /* the host had no more memory, though the budget had */
    uint64_t instructions;    /* of this stretch */
    uint64_t started_ns;

    int over; /* errno value: the script must end; 0: it may go on */
    struct error why;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t deadline_ns; /* the thread's; 0: none */
    uint64_t seen_ns;     /* when the thread saw the interrupt in this stretch; 0: not yet */
    bool started;         /* the thread is, and waits */
    bool ending;
};

int script_budget_init(struct script_budget *budget, const struct script_config *config,
                       struct error *error);

/* After lua_close. */
void script_budget_destroy(struct script_budget *budget);

/* lua_Alloc; context is the budget. */
void *script_allocate(void *context, void *block, size_t old_size, size_t new_size);

/* A stretch: instructions and time count between these two, each time anew. What a file can use in
 * all is bounded by its runs, and by their time limits. */
void script_budget_begin(struct script_budget *budget);
void script_budget_pause(struct script_budget *budget);

/* From now on every instruction raises an error: no pcall holds the script's end up. Only the first
 * call counts. line 0: the message is for the whole file. */
void script_budget_over(struct script_budget *budget, int code, unsigned int line, const char *why);

/* The line of the stack file that is being run; 0 when there is none. */
unsigned int script_line(lua_State *lua);

#endif
