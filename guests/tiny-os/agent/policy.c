/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own part: what the API's functions may be called with. An example, and what the
 * attackers of this directory's programs are up against: no program may open a file whose name
 * begins with "secret", and one that asks for "forbidden" ends.
 */
#include "agent/agent.h"

guard_callback check_api_open, check_api_read, check_api_write, check_api_close, check_api_send,
    check_api_receive, check_api_sum, check_api_append;

/* What the attackers look for: made when the agent first runs, so that it is in no file, and in
 * memory nowhere but here. */
static char secret[32] __attribute__((aligned(256)));

static void make_secret(void)
{
    for (unsigned i = 0; i < sizeof(secret); i++) {
        ((volatile char *)secret)[i] = (char)(i * 37 + 101);
    }
}

static int begins(const char *text, const char *with)
{
    while (*with && *text == *with) {
        text++;
        with++;
    }
    return !*with;
}

static int64_t check_name(const char *name)
{
    make_secret();
    if (begins(name, "forbidden")) {
        return MEZZ_GUARD_KILL;
    }
    if (begins(name, "secret")) {
        return -TINY_EACCES;
    }
#ifdef AGENT_LETS_OTHERS_RUN
    /* Whoever is to alter the arguments gets his chance, between the check and the use. */
    if (begins(name, "wait")) {
        for (int i = 0; i < 64; i++) {
            int64_t ignored;
            __asm__ volatile("int $0x80" : "=a"(ignored) : "a"(TINY_CALL_YIELD) : "memory");
        }
    }
#endif
    return MEZZ_GUARD_ALLOW;
}

#ifdef AGENT_LETS_OTHERS_RUN
/* Callbacks that go wrong. "fault": touches what is not there. "nested" and "recurse": call the
 * function whose address is the third argument, which is guarded, five times or for ever. */
static void misbehave(const struct guard_call *call)
{
    static unsigned depth;
    const char *name = (const char *)call->argument[0];

    if (begins(name, "fault")) {
        *(volatile char *)call->length[0] = 0;
    }
    if ((begins(name, "nested") && depth < 5) || begins(name, "recurse")) {
        depth++;
        agent_run(call->argument[2], call->argument);
        depth--;
    }
}
#endif

int64_t check_api_open(const struct guard_call *call)
{
    return check_name((const char *)call->argument[0]);
}

int64_t check_api_append(const struct guard_call *call)
{
#ifdef AGENT_LETS_OTHERS_RUN
    misbehave(call);
#endif
    return check_name((const char *)call->argument[0]);
}

int64_t check_api_read(const struct guard_call *call)
{
    (void)call;
    return MEZZ_GUARD_ALLOW;
}

/* No program leaves the word in a file. */
int64_t check_api_write(const struct guard_call *call)
{
    const char *bytes = (const char *)call->argument[1];

    for (uint64_t i = 0; i + 6 <= call->length[1]; i++) {
        if (begins(bytes + i, "poison")) {
            return -TINY_EACCES;
        }
    }
    return MEZZ_GUARD_ALLOW;
}

int64_t check_api_close(const struct guard_call *call)
{
    (void)call;
    return MEZZ_GUARD_ALLOW;
}

int64_t check_api_send(const struct guard_call *call)
{
    (void)call;
    return MEZZ_GUARD_ALLOW;
}

int64_t check_api_receive(const struct guard_call *call)
{
    (void)call;
    return MEZZ_GUARD_ALLOW;
}

int64_t check_api_sum(const struct guard_call *call)
{
    (void)call;
    return MEZZ_GUARD_ALLOW;
}
