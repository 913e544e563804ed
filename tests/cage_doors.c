/* SPDX-License-Identifier: Apache-2.0 */
#include "cage_doors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DOOR(name, ...)                            \
    {                                              \
#name, SYS_##name, .argument = __VA_ARGS__ \
    }
#define WORD(pointer) (long)(uintptr_t)(pointer)
#define TEXT(text)    WORD(&(text)[0])

static const char passwd[] = "/etc/passwd";
static const char root[] = "/";
static const char program[] = "/bin/true";
static char *const arguments[] = {(char *)(uintptr_t)program, NULL};
static struct clone_args clone_args = {.exit_signal = SIGCHLD};
static struct sock_fprog no_filter;
static char page[4096] __attribute__((aligned(4096)));
static const char key = 'x'; /* to a terminal, as if it had been typed */

const struct cage_door cage_doors[] = {
    /* Files */
    DOOR(open, {TEXT(passwd), O_RDONLY}),
    DOOR(openat, {AT_FDCWD, TEXT(passwd), O_RDONLY}),
    DOOR(openat2, {AT_FDCWD, TEXT(passwd), TEXT(page), 24}),
    DOOR(creat, {TEXT(passwd), 0600}),
    DOOR(open_by_handle_at, {AT_FDCWD, TEXT(page), O_RDONLY}),
    DOOR(unlink, {TEXT(passwd)}),
    DOOR(rename, {TEXT(passwd), TEXT(root)}),
    DOOR(chmod, {TEXT(passwd), 0666}),
    DOOR(chdir, {TEXT(root)}),
    DOOR(chroot, {TEXT(root)}),
    DOOR(mount, {TEXT(root), TEXT(root), TEXT(root), 0, 0}),
    DOOR(stat, {TEXT(passwd), TEXT(page)}),
    DOOR(read, {0, TEXT(page), 1}),
    DOOR(pread64, {0, TEXT(page), 1, 0}),
    DOOR(sendfile, {1, 0, 0, 1}),
    DOOR(ftruncate, {1, 0}),
    DOOR(dup, {1}),
    DOOR(fcntl, {1, F_GETFL}),
    /* write goes to outputs only: not to standard input, not to what was opened for the machine */
    DOOR(write, {0, TEXT(page), 0}),
    DOOR(write, {9, TEXT(page), 0}),
    DOOR(memfd_create, {TEXT(root), 0}),
    DOOR(io_uring_setup, {1, TEXT(page)}),
    /* Programs and processes */
    DOOR(execve, {TEXT(program), WORD(arguments), 0}),
    DOOR(execveat, {AT_FDCWD, TEXT(program), WORD(arguments), 0, 0}),
    DOOR(fork, {0}),
    DOOR(clone, {SIGCHLD}),
    DOOR(clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}),
    DOOR(clone3, {WORD(&clone_args), sizeof(clone_args)}),
    DOOR(ptrace, {PTRACE_TRACEME}),
    DOOR(ptrace, {PTRACE_ATTACH, 1}),
    DOOR(process_vm_readv, {1, 0, 0, 0, 0, 0}),
    DOOR(process_vm_writev, {1, 0, 0, 0, 0, 0}),
    DOOR(kill, {1, 0}),
    DOOR(kill, {-1, 0}),
    DOOR(tgkill, {1, 1, 0}),
    DOOR(tkill, {1, 0}),
    DOOR(pidfd_open, {1, 0}),
    DOOR(setuid, {0}),
    DOOR(capset, {0, 0}),
    DOOR(unshare, {CLONE_NEWUSER}),
    DOOR(setns, {0, 0}),
    DOOR(prctl, {PR_SET_DUMPABLE, 1}),
    DOOR(arch_prctl, {0x1002, 0}),
    DOOR(modify_ldt, {1, TEXT(page), 16}),
    DOOR(rt_sigaction, {SIGSYS, TEXT(page), 0, 8}),
    /* The network */
    DOOR(socket, {AF_INET, SOCK_STREAM, 0}),
    DOOR(socket, {AF_UNIX, SOCK_STREAM, 0}),
    DOOR(socket, {AF_NETLINK, SOCK_RAW, 0}),
    DOOR(socketpair, {AF_UNIX, SOCK_STREAM, 0, TEXT(page)}),
    DOOR(sendto, {1, TEXT(page), 1, 0, 0, 0}),
    /* Code */
    DOOR(mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}),
    DOOR(mmap, {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}),
    DOOR(mprotect, {TEXT(page), 4096, PROT_READ | PROT_WRITE | PROT_EXEC}),
    DOOR(pkey_mprotect, {TEXT(page), 4096, PROT_EXEC, -1}),
    DOOR(shmget, {0, 4096, 0600}),
    /* The kernel */
    DOOR(bpf, {0, TEXT(page), 64}),
    DOOR(perf_event_open, {TEXT(page), 0, -1, -1, 0}),
    DOOR(userfaultfd, {0}),
    DOOR(add_key, {TEXT(root), TEXT(root), 0, 0, 0}),
    DOOR(init_module, {TEXT(page), 0, TEXT(root)}),
    DOOR(reboot, {0}),
    /* The cage itself */
    DOOR(seccomp, {SECCOMP_SET_MODE_FILTER, 0, WORD(&no_filter)}),
    DOOR(landlock_create_ruleset, {0, 0, 1}),
    /* Foreign requests on every file that may be there, and requests of KVM that no run makes */
    DOOR(ioctl, {0, TIOCSTI, WORD(&key)}),
    DOOR(ioctl, {1, TIOCSTI, WORD(&key)}),
    DOOR(ioctl, {2, TIOCSTI, WORD(&key)}),
    DOOR(ioctl, {3, FIOCLEX}),
    DOOR(ioctl, {4, FIOCLEX}),
    DOOR(ioctl, {5, FIOCLEX}),
    DOOR(ioctl, {6, FIOCLEX}),
    DOOR(ioctl, {7, FIOCLEX}),
    DOOR(ioctl, {8, FIOCLEX}),
    DOOR(ioctl, {9, FIOCLEX}),
    DOOR(ioctl, {3, FIONREAD, TEXT(page)}),
    DOOR(ioctl, {4, (long)KVM_CREATE_DEVICE, TEXT(page)}),
    DOOR(ioctl, {5, KVM_CREATE_IRQCHIP}),
    DOOR(ioctl, {6, (long)KVM_SET_GSI_ROUTING, TEXT(page)}),
    DOOR(ioctl, {7, (long)KVM_SET_LAPIC, TEXT(page)}),
    DOOR(ioctl, {8, (long)KVM_SET_NESTED_STATE, TEXT(page)}),
    /* The kernel looks at 32 bits of a request; the cage at all. */
    DOOR(ioctl, {8, 0x100000000L | KVM_RUN}),
};

const int cage_door_count = sizeof(cage_doors) / sizeof(cage_doors[0]);

long cage_door_open(const struct cage_door *door)
{
    const long *a = door->argument;
    long result = syscall(door->number, a[0], a[1], a[2], a[3], a[4], a[5]);

    return result < 0 ? -errno : result;
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

int cage_runtime_call(long number)
{
#ifdef SANITIZED
    static const long calls[] = {SYS_sigaltstack,  SYS_gettid, SYS_sched_yield, SYS_prlimit64,
                                 SYS_rt_sigaction, SYS_getpid, SYS_openat,      SYS_open,
                                 SYS_readlink,     SYS_stat,   SYS_pipe,        SYS_fstat,
                                 SYS_newfstatat,   SYS_lseek};

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i] == number)
            return 1;
#endif
    (void)number;
    return 0;
}
