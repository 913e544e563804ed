/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/process.h"

#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/timer.h"
#include "mezz/gate.h"

#define RFLAGS_USER  0x202 /* interrupts on, IOPL 0 */
#define SPACE_PAGES  4     /* and the gate's table */
#define STACK_TABLES 2

static struct process processes[PROCESS_MAX];
static unsigned n_processes;
static struct process *current;

static struct space api_space; /* not run: it owns the page table that all processes share */
static bool have_api;

static struct plan agent_plan; /* each process has pages of its own where it is writable */
static const struct image *agent;

static struct {
    unsigned exited, faulted;
    uint64_t calls;
} total;

extern struct {
    uint32_t reserved;
    uint64_t rsp0;
} __attribute__((packed)) kernel_tss;

const char *process_set_api(const struct image *image)
{
    struct plan plan;
    const char *why = image_plan(image, TINY_API_START, TINY_API_END, &plan);

    for (unsigned i = 0; !why && i < plan.n; i++) {
        if (plan.segments[i].writable) {
            why = "the library has writable segments, which processes would share";
        }
    }
    if (!why && have_api) {
        why = "there is a library already";
    }
    if (!why && memory_pages_left() < plan_pages(&plan) + SPACE_PAGES) {
        why = "not enough memory";
    }
    if (!why) {
        space_create(&api_space);
        space_map_plan(&api_space, &plan, image);
        have_api = true;
    }
    return why;
}

const char *process_set_agent(const struct image *image)
{
    const char *why = image_plan(image, TINY_AGENT_START, TINY_AGENT_END, &agent_plan);

    if (!why && agent) {
        why = "there is an agent already";
    }
    if (!why) {
        agent = image;
    }
    return why;
}

/* The command goes to the very top of the stack, below it the program's first frame. */
static uint64_t build_stack(struct space *space, const char *command)
{
    uint64_t page = 0;

    for (unsigned i = TINY_STACK_PAGES; i; i--) {
        page = space_map_zero(space, TINY_STACK_TOP - i * PAGE_SIZE);
    }
    char *to = (char *)physical(page, PAGE_SIZE) + PAGE_SIZE - IMAGE_COMMAND_MAX;
    while (*command) {
        *to++ = *command++;
    }
    return TINY_STACK_TOP - IMAGE_COMMAND_MAX;
}

static void set_name(struct process *p, const char *command)
{
    for (unsigned i = 0; i < PROCESS_NAME_MAX - 1 && command[i] && command[i] != ' '; i++) {
        p->name[i] = command[i];
    }
}

const char *process_create(const struct image *image)
{
    struct plan plan;
    const char *why = image_plan(image, TINY_IMAGE_START, TINY_IMAGE_END, &plan);

    if (why) {
        return why;
    }
    if (n_processes == PROCESS_MAX) {
        return "too many programs";
    }
    if (memory_pages_left() < plan_pages(&plan) + (agent ? plan_pages(&agent_plan) : 0) +
                                  SPACE_PAGES + TINY_STACK_PAGES + STACK_TABLES) {
        return "not enough memory";
    }
    struct process *p = &processes[n_processes++];
    struct space space;

    space_create(&space);
    space_map_plan(&space, &plan, image);
    if (have_api) {
        space_share_table(&space, &api_space, TINY_API_START);
    }
    if (agent) {
        space_map_plan(&space, &agent_plan, agent);
        space_map_device(&space, TINY_GATE, MEZZ_GATE_ADDRESS);
    }
    p->frame.rsp = build_stack(&space, image->command);
    p->frame.rdi = p->frame.rsp;
    p->frame.rip = plan.entry;
    p->frame.cs = SELECTOR_USER_CODE;
    p->frame.ss = SELECTOR_USER_DATA;
    p->frame.rflags = RFLAGS_USER;
    p->cr3 = space.pml4;
    p->state = RUNNABLE;
    p->pid = (int)n_processes;
    set_name(p, image->command);
    return NULL;
}

unsigned process_count(void)
{
    return n_processes;
}

struct process *process_current(void)
{
    return current;
}

struct process *process_of_number(uint64_t pid)
{
    return pid && pid <= n_processes ? &processes[pid - 1] : NULL;
}

struct process *process_living(uint64_t pid)
{
    struct process *p = process_of_number(pid);

    return p && p->state != ENDED ? p : NULL;
}

void process_count_call(void)
{
    total.calls++;
}

static void switch_to(struct process *p)
{
    if (p == current) {
        return;
    }
    current = p;
    kernel_tss.rsp0 = (uint64_t)(&p->frame + 1);
    write_cr3(p->cr3);
}

static bool is_runnable(struct process *p)
{
    if (p->state == SLEEPING && p->wake_tick <= timer_ticks()) {
        p->state = RUNNABLE;
    }
    return p->state == RUNNABLE;
}

_Noreturn static void all_ended(void)
{
    print("tiny-os: all programs ended (%u exited, %u faulted, %lu calls, %lu ticks)\n",
          total.exited, total.faulted, total.calls, timer_ticks());
    power_off(STATUS_OK);
}

/* The next runnable process after the current one, itself the last choice. */
static void schedule(void)
{
    for (;;) {
        bool someone_sleeps = false;
        unsigned at = current ? (unsigned)current->pid : 0; /* pid - 1 is the index */

        for (unsigned i = 0; i < n_processes; i++, at++) {
            struct process *p = &processes[at < n_processes ? at : at - n_processes];

            if (is_runnable(p)) {
                switch_to(p);
                return;
            }
            someone_sleeps |= p->state == SLEEPING;
        }
        if (!someone_sleeps) {
            all_ended();
        }
        wait_for_interrupt();
    }
}

void process_yield(void)
{
    schedule();
}

void process_sleep(uint64_t until_tick)
{
    current->state = SLEEPING;
    current->wake_tick = until_tick;
    schedule();
}

void process_end(enum process_end how, int status)
{
    if (how == ENDED_BY_FAULT) {
        total.faulted++;
    } else {
        total.exited++;
        if (status) {
            print("tiny-os: %s: exit status %d\n", current->name, status);
        }
    }
    current->state = ENDED;
    schedule();
}

void process_run(void)
{
    schedule();
    return_to(&current->frame);
}
