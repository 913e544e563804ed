/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: one address space and one frame each, run round-robin. */
#ifndef TINY_KERNEL_PROCESS_H
#define TINY_KERNEL_PROCESS_H

#include "kernel/file.h"
#include "kernel/image.h"
#include "kernel/trap.h"

#include <stdbool.h>

#define PROCESS_MAX      16
#define PROCESS_NAME_MAX 32

enum process_state {
    UNUSED,
    RUNNABLE,
    SLEEPING,
    ENDED
};
enum process_end {
    ENDED_BY_EXIT,
    ENDED_BY_FAULT
};

struct process {
    struct frame frame; /* TSS.rsp0 points at its end while this process runs */
    uint64_t cr3;
    uint64_t wake_tick; /* when SLEEPING */
    enum process_state state;
    int pid;
    char name[PROCESS_NAME_MAX];
    struct handle handles[TINY_HANDLES];
    struct message *mail; /* NULL: has never received */
} __attribute__((aligned(16)));

/* The library that later processes get, too; NULL or why it is refused. */
const char *process_set_api(const struct image *image);

/* The agent that later processes get, too: of its code the same pages, of its data their own. */
const char *process_set_agent(const struct image *image);

/* A process that will run the program; NULL or why there is none. Nothing is kept on refusal. */
const char *process_create(const struct image *image);

unsigned process_count(void);
struct process *process_current(void);

/* NULL if there never was one. */
struct process *process_of_number(uint64_t pid);

/* NULL if there is none or it has ended. */
struct process *process_living(uint64_t pid);

void process_count_call(void);

/* These may change process_current(). All of them keep interrupts off. */
void process_yield(void);
void process_sleep(uint64_t until_tick);
void process_end(enum process_end how, int status);

/* Runs all processes; when all have ended, reports and powers off. */
_Noreturn void process_run(void);

#endif
