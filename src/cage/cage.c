/* SPDX-License-Identifier: Apache-2.0 */
#include "cage/cage.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cage/filters.h"
#include "cage/landlock.h"

struct cage {
    scmp_filter_ctx filter[CAGE_THREADS];
    struct cage_facts facts;
};

static int advise(struct error *error)
{
    return error_prefix(error, -ENODEV, "the cage cannot be closed (--no-cage runs without)");
}

/* The bounding set is only for the privileged to give up; without it no_new_privs has to do. */
static int drop_capabilities(struct cage_facts *facts)
{
    capng_select_t sets = CAPNG_SELECT_CAPS;

    if (capng_get_caps_process() < 0)
        return -EPERM;
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        sets = CAPNG_SELECT_BOTH;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(sets) < 0 || capng_get_caps_process() < 0)
        return -EPERM;
    facts->no_capabilities = capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
    return facts->no_capabilities ? 0 : -EPERM;
}

int cage_create(struct cage **created, const struct cage_config *config, struct error *error)
{
    struct cage *cage = calloc(1, sizeof(*cage));

    if (cage == NULL)
        return error_set(error, ENOMEM, "out of memory");
    for (int kind = 0; kind < CAGE_THREADS; kind++) {
        cage->filter[kind] = filter_make((enum cage_thread)kind, config);
        if (cage->filter[kind] == NULL) {
            cage_destroy(cage);
            error_set(error, ENODEV, "no seccomp filter can be made");
            return advise(error);
        }
    }
    *created = cage;
    return 0;
}

void cage_destroy(struct cage *cage)
{
    for (int kind = 0; kind < CAGE_THREADS; kind++)
        if (cage->filter[kind] != NULL)
            seccomp_release(cage->filter[kind]);
    free(cage);
}

/* A core would be a file that the process writes after all, guests and environment in it; or it is
 * piped to a program of the system's that trusts what it reads. */
static int forbid_core(void)
{
    const struct rlimit none = {0, 0};

    return setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int close_all(struct cage *cage, struct error *error)
{
    unsigned int abi = landlock_abi();
    int code;

    /* One heap for all threads: another would want mprotect, and to know how many processors
     * there are. */
    mallopt(M_ARENA_MAX, 1);
    if (drop_capabilities(&cage->facts) != 0)
        return error_set(error, ENODEV, "capabilities: cannot be dropped");
    code = forbid_core();
    if (code != 0)
        return error_set(error, ENODEV, "core dumps: %s", strerror(-code));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(error, ENODEV, "no_new_privs: %s", strerror(errno));
    cage->facts.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    if (abi != 0) {
        code = landlock_forbid(abi);
        if (code != 0)
            return error_set(error, ENODEV, "Landlock: %s", strerror(-code));
    }
    cage->facts.landlock_abi = abi;
    return 0;
}

int cage_close(struct cage *cage, struct error *error)
{
    return close_all(cage, error) == 0 ? 0 : advise(error);
}

int cage_enter(struct cage *cage, enum cage_thread kind, struct error *error)
{
    int code = seccomp_load(cage->filter[kind]);

    if (code != 0) {
        error_set(error, ENODEV, "seccomp: %s", strerror(-code));
        return advise(error);
    }
    cage->facts.filtered++;
    cage->facts.on = 1;
    return 0;
}

struct cage_facts cage_facts(const struct cage *cage)
{
    return cage != NULL ? cage->facts : (struct cage_facts){.on = 0};
}

struct cage_offer cage_offer(void)
{
    uint32_t kill = SECCOMP_RET_KILL_PROCESS;

    return (struct cage_offer){
        .landlock_abi = landlock_abi(),
        .filters = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &kill) == 0,
    };
}
