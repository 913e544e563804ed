/* SPDX-License-Identifier: Apache-2.0 */
#include "cage/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As newer kernels have it than the headers may know (Documentation/userspace-api/landlock.rst). */
struct ruleset {
    uint64_t files;  /* ABI 1 */
    uint64_t net;    /* ABI 4 */
    uint64_t scoped; /* ABI 6 */
};

#define FILES_ABI_1  ((1ULL << 13) - 1)
#define FILE_REFER   (1ULL << 13) /* ABI 2 */
#define FILE_TRUNC   (1ULL << 14) /* ABI 3 */
#define FILE_IOCTL   (1ULL << 15) /* ABI 5: of devices opened from now on */
#define NET_TCP      3ULL         /* ABI 4: bind, connect */
#define SCOPED_BOTH  3ULL         /* ABI 6: abstract Unix sockets, signals */
#define LATEST_KNOWN 6U

unsigned int landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? 0 : (unsigned int)abi;
}

int landlock_forbid(unsigned int abi)
{
    struct ruleset rules = {.files = FILES_ABI_1};
    size_t size = offsetof(struct ruleset, net);
    long fd;
    long code;

    if (abi >= 2)
        rules.files |= FILE_REFER;
    if (abi >= 3)
        rules.files |= FILE_TRUNC;
    if (abi >= 4) {
        rules.net = NET_TCP;
        size = offsetof(struct ruleset, scoped);
    }
    if (abi >= 5)
        rules.files |= FILE_IOCTL;
    if (abi >= LATEST_KNOWN) {
        rules.scoped = SCOPED_BOTH;
        size = sizeof(rules);
    }
    /* All is handled and nothing is allowed: no rule follows. */
    fd = syscall(SYS_landlock_create_ruleset, &rules, size, 0U);
    if (fd < 0)
        return -errno;
    code = syscall(SYS_landlock_restrict_self, fd, 0U) < 0 ? -errno : 0;
    close((int)fd);
    return (int)code;
}
