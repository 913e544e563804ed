/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/stack/script_limits.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"

#define HOOK_INSTRUCTIONS 10000
#define MILLISECOND_NS    1000000ULL
#define STATUS_BAD_INPUT  2
#define STATUS_HOST       3
#define STATUS_SIGNAL     128

/* A script that was interrupted ends by itself, but not in a library function. */
#define LOOK_EVERY_NS (SECOND_NS / 4)
#define PATIENCE_NS   SECOND_NS

const struct script_limits script_default_limits = {
    .memory = 32UL << 20,
    .instructions = 100000000,
    .time_ns = 10 * SECOND_NS,
    .library_ns = 5 * SECOND_NS,
    .output = 1UL << 20,
    .runs = 256,
    .expectations = 10000,
};

unsigned int script_line(lua_State *lua)
{
    lua_Debug frame;

    for (int level = 0; lua_getstack(lua, level, &frame); level++)
        if (lua_getinfo(lua, "l", &frame) && frame.currentline > 0)
            return (unsigned int)frame.currentline;
    return 0;
}

void *script_allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct script_budget *budget = context;
    void *moved;

    if (block == NULL)
        old_size = 0; /* a type tag then, not a size */
    if (new_size == 0) {
        free(block);
        budget->memory -= old_size;
        return NULL;
    }
    if (new_size > old_size && new_size - old_size > budget->limits->memory - budget->memory) {
        budget->host_out = false;
        if (budget->lua != NULL)
            budget->memory_line = script_line(budget->lua);
        return NULL;
    }
    moved = realloc(block, new_size);
    if (moved == NULL && new_size <= old_size)
        return block; /* Lua does not expect that a block cannot shrink */
    if (moved == NULL)
        budget->host_out = true;
    else
        budget->memory = budget->memory - old_size + new_size;
    return moved;
}

static void on_count(lua_State *lua, lua_Debug *frame);

void script_budget_over(struct script_budget *budget, int code, unsigned int line, const char *why)
{
    if (budget->over != 0)
        return;
    budget->over = code;
    if (line != 0)
        error_set(&budget->why, code, "%s:%u: %s", budget->path, line, why);
    else
        error_set(&budget->why, code, "%s: %s", budget->path, why);
    lua_sethook(budget->lua, on_count, LUA_MASKCOUNT, 1);
}

static void check_budget(struct script_budget *budget)
{
    uint64_t used_ns = clock_now_ns() - budget->started_ns;
    unsigned int line = script_line(budget->lua);
    char why[96];

    budget->instructions += HOOK_INSTRUCTIONS;
    if (budget->interrupted != NULL && *budget->interrupted)
        script_budget_over(budget, EINTR, line, "interrupted");
    if (budget->instructions > budget->limits->instructions) {
        snprintf(why, sizeof(why), "used more than %llu instructions at a stretch",
                 (unsigned long long)budget->limits->instructions);
        script_budget_over(budget, EINVAL, line, why);
    }
    if (used_ns > budget->limits->time_ns) {
        snprintf(why, sizeof(why), "used more than %llu ms at a stretch",
                 (unsigned long long)(budget->limits->time_ns / MILLISECOND_NS));
        script_budget_over(budget, EINVAL, line, why);
    }
}

static void on_count(lua_State *lua, lua_Debug *frame)
{
    void *context;
    struct script_budget *budget;

    (void)frame;
    lua_getallocf(lua, &context);
    budget = context;
    if (budget->over == 0)
        check_budget(budget);
    if (budget->over != 0) {
        lua_pushstring(lua, budget->why.text);
        lua_error(lua);
    }
}

static void end_process(const struct script_budget *budget, const char *why, int status)
{
    char text[512];
    int length =
        snprintf(text, sizeof(text),
                 "mezz: %s: a library function (a text pattern, string.rep, table.move?) %s\n",
                 budget->path, why);

    if (length > (int)sizeof(text) - 1)
        length = (int)sizeof(text) - 1;
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(status);
    _exit(status);
}

static void end_late(const struct script_budget *budget)
{
    char why[64];

    snprintf(why, sizeof(why), "ran for more than %llu ms",
             (unsigned long long)((budget->limits->time_ns + budget->limits->library_ns) /
                                  MILLISECOND_NS));
    end_process(budget, why, STATUS_BAD_INPUT);
}

/* As mezz ends otherwise: a reader of its output that is gone is no signal to it. */
static void end_interrupted(const struct script_budget *budget, int number)
{
    char why[64];

    if (number == SIGPIPE)
        _exit(STATUS_HOST);
    snprintf(why, sizeof(why), "was running: ended by SIG%s", sigabbrev_np(number));
    end_process(budget, why, STATUS_SIGNAL + number);
}

/* Until when the thread may sleep; it does not come back where the process has to end. */
static uint64_t look(struct script_budget *budget)
{
    const uint64_t now = clock_now_ns();
    const int number = budget->interrupted != NULL ? *budget->interrupted : 0;

    if (number == 0)
        budget->seen_ns = 0;
    else if (budget->seen_ns == 0)
        budget->seen_ns = now;
    else if (now - budget->seen_ns >= PATIENCE_NS)
        end_interrupted(budget, number);
    if (now >= budget->deadline_ns)
        end_late(budget);
    return now + LOOK_EVERY_NS < budget->deadline_ns ? now + LOOK_EVERY_NS : budget->deadline_ns;
}

static void *watch(void *context)
{
    struct script_budget *budget = context;

    pthread_mutex_lock(&budget->lock);
    budget->started = true;
    pthread_cond_broadcast(&budget->changed);
    while (!budget->ending) {
        const uint64_t until_ns = budget->deadline_ns != 0 ? look(budget) : 0;
        const struct timespec until = {.tv_sec = (time_t)(until_ns / SECOND_NS),
                                       .tv_nsec = (long)(until_ns % SECOND_NS)};

        if (until_ns == 0)
            pthread_cond_wait(&budget->changed, &budget->lock);
        else
            pthread_cond_timedwait(&budget->changed, &budget->lock, &until);
    }
    pthread_mutex_unlock(&budget->lock);
    return NULL;
}

/* A machine's process is forked from this one. The thread waits by then: one that is being started
 * may hold a lock of the run time's memory, which the fork would never get back. */
static void await_start(struct script_budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    while (!budget->started)
        pthread_cond_wait(&budget->changed, &budget->lock);
    pthread_mutex_unlock(&budget->lock);
}

static void set_deadline(struct script_budget *budget, uint64_t deadline_ns)
{
    pthread_mutex_lock(&budget->lock);
    budget->deadline_ns = deadline_ns;
    budget->seen_ns = 0;
    pthread_cond_signal(&budget->changed);
    pthread_mutex_unlock(&budget->lock);
}

int script_budget_init(struct script_budget *budget, const struct script_config *config,
                       struct error *error)
{
    pthread_condattr_t monotonic;
    sigset_t all;
    sigset_t before;
    int code;

    *budget = (struct script_budget){
        .limits = config->limits != NULL ? config->limits : &script_default_limits,
        .path = config->path,
        .interrupted = config->interrupted,
    };
    pthread_mutex_init(&budget->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&budget->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Signals are for the thread that can do something about them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&budget->thread, NULL, watch, budget);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        pthread_cond_destroy(&budget->changed);
        pthread_mutex_destroy(&budget->lock);
        return error_set(error, code, "no thread for the script's time limit: %s", strerror(code));
    }
    await_start(budget);
    return 0;
}

void script_budget_destroy(struct script_budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    budget->ending = true;
    pthread_cond_signal(&budget->changed);
    pthread_mutex_unlock(&budget->lock);
    pthread_join(budget->thread, NULL);
    pthread_cond_destroy(&budget->changed);
    pthread_mutex_destroy(&budget->lock);
}

void script_budget_begin(struct script_budget *budget)
{
    uint64_t limit_ns = budget->limits->time_ns + budget->limits->library_ns;

    budget->instructions = 0;
    budget->started_ns = clock_now_ns();
    set_deadline(budget, budget->started_ns + limit_ns);
    if (budget->over == 0)
        lua_sethook(budget->lua, on_count, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
}

void script_budget_pause(struct script_budget *budget)
{
    set_deadline(budget, 0);
}
