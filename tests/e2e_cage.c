/* SPDX-License-Identifier: Apache-2.0 */
/* The cage as the kernel shows it from outside, and what users see of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mezz_process.h"
#include "proc.h"
#include "runner.h"

#define NOBODY    65534
#define LOOP      "local s = mezz.stack {}\ns:l1 { image = 'l1_loop.elf', memory = '4M' }\n"
#define FOREVER   LOOP "s:run { timeout = '60s' }\n"
#define BRIEFLY   LOOP "s:run { timeout = '100ms', may_die = true }\n"
#define WAIT_MS   20000

#define INHERITED 77 /* the number of a file that is none of mezz's */

static void nap(void)
{
    usleep(2000);
}

static int unfiltered;

static void count_unfiltered(pid_t process, pid_t thread)
{
    unfiltered += !proc_says(proc_status(process, thread), "Seccomp", "2");
}

/* Two threads of ours; some kernels add one of their own to whoever runs a VM. */
static bool is_filtered(pid_t process)
{
    unfiltered = 0;
    return proc_each_thread(process, count_unfiltered) >= 2 && unfiltered == 0;
}

/* A mezz that runs a guest for ever; *inside is the process that does so, in its cage. */
static pid_t start_loop_with(struct mezz_process *mezz, pid_t *inside, int inherited, rlim_t files)
{
    char *const argv[] = {getenv("MEZZ_BIN"), (char *)(uintptr_t) "run",
                          (char *)(uintptr_t) "t.lua", NULL};
    pid_t parent;

    mezz_write(mezz, "t.lua", FOREVER, sizeof(FOREVER) - 1);
    parent = fork();
    if (parent == 0) {
        int out = open("/dev/null", O_RDWR);
        int err;

        mezz_usual_signals();
        if (chdir(mezz->directory) < 0 || (err = open("err", O_WRONLY | O_CREAT, 0600)) < 0 ||
            dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0 ||
            dup2(out, inherited) < 0 ||
            setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, files}) < 0)
            _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    *inside = 0;
    for (int i = 0; i < WAIT_MS / 2; i++, nap()) {
        *inside = proc_child(parent);
        if (*inside != 0 && is_filtered(*inside))
            return parent;
    }
    ck_abort_msg("no process in a cage after %d ms", WAIT_MS);
}

static pid_t start_loop(struct mezz_process *mezz, pid_t *inside)
{
    return start_loop_with(mezz, inside, INHERITED, 1024);
}

/* The status that ended it. What it wrote to stderr is in text. */
static int end_of(struct mezz_process *mezz, pid_t parent, char *text)
{
    char path[128];
    int status;

    ck_assert_int_eq(waitpid(parent, &status, 0), parent);
    snprintf(path, sizeof(path), "%s/err", mezz->directory);
    snprintf(text, PROC_TEXT_MAX, "%s", proc_text(path));
    return status;
}

static void look_at_thread(pid_t process, pid_t thread)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
    const char *status = proc_status(process, thread);

    ck_assert_msg(proc_says(status, "NoNewPrivs", "1") && proc_says(status, "Seccomp", "2"),
                  "thread %d:\n%s", thread, status);
    for (size_t i = 0; i < ELEMENTS(sets); i++)
        ck_assert_msg(proc_says(status, sets[i], "0000000000000000"), "%s of thread %d:\n%s",
                      sets[i], thread, status);
    if (geteuid() == 0)
        ck_assert(proc_says(status, "CapBnd", "0000000000000000"));
}

/* Only what is of the machine, the outputs and the way to the report. */
static void look_at_files(pid_t process, int inherited)
{
    static const char *const due[] = {"/dev/null", "anon_inode:kvm", "/memfd:mezz-memory",
                                      "socket:", "/dev/kvm"};
    char path[64];
    DIR *files;
    const struct dirent *entry;

    if (geteuid() != 0)
        return; /* a process that leaves no core shows its files to root alone */
    snprintf(path, sizeof(path), "/proc/%d/fd", process);
    files = opendir(path);
    ck_assert_ptr_nonnull(files);
    while ((entry = readdir(files)) != NULL) {
        char link[512];
        char to[256];
        ssize_t length;
        bool known = strcmp(entry->d_name, "2") == 0 || entry->d_name[0] == '.';

        snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
        length = readlink(link, to, sizeof(to) - 1);
        to[length < 0 ? 0 : length] = '\0';
        for (size_t i = 0; i < ELEMENTS(due); i++)
            known = known || strncmp(to, due[i], strlen(due[i])) == 0;
        ck_assert_msg(known, "file %s is %s", entry->d_name, to);
        ck_assert_msg(strtol(entry->d_name, NULL, 10) != inherited, "an inherited file is open");
    }
    closedir(files);
}

/* The kernel's own word on each thread, while a guest runs. */
START_TEST(as_the_kernel_shows_it)
{
    struct mezz_process mezz;
    char text[PROC_TEXT_MAX];
    pid_t inside;
    pid_t parent;
    int status;

    mezz_begin(&mezz);
    parent = start_loop(&mezz, &inside);
    ck_assert_int_ge(proc_each_thread(inside, look_at_thread), 2);
    look_at_files(inside, INHERITED);
    kill(parent, SIGINT);
    status = end_of(&mezz, parent, text);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT, "0x%x",
                  (unsigned)status);
    ck_assert_msg(strstr(text, "ended by SIGINT") != NULL, "%s", text);
    ck_assert(proc_is_gone(inside));
    mezz_end(&mezz, 2);
}
END_TEST

/* With other limits, and numbers beyond them. */
START_TEST(no_inherited_file)
{
    static const int numbers[] = {INHERITED, 1000};
    static const rlim_t limits[] = {256, 64};
    struct mezz_process mezz;
    char text[PROC_TEXT_MAX];
    pid_t inside;
    pid_t parent;

    mezz_begin(&mezz);
    parent = start_loop_with(&mezz, &inside, numbers[_i], limits[_i]);
    look_at_files(inside, numbers[_i]);
    kill(parent, SIGINT);
    end_of(&mezz, parent, text);
    mezz_end(&mezz, 2);
}
END_TEST

/* A root that dies is told of, whatever killed it. */
START_TEST(death_inside)
{
    static const int signals[] = {SIGQUIT, SIGKILL, SIGSYS};
    struct mezz_process mezz;
    char text[PROC_TEXT_MAX];
    char words[64];
    pid_t inside;
    pid_t parent;
    int status;

    mezz_begin(&mezz);
    parent = start_loop(&mezz, &inside);
    kill(inside, signals[_i]);
    status = end_of(&mezz, parent, text);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signals[_i], "0x%x: %s",
                  (unsigned)status, text);
    snprintf(words, sizeof(words), "mezz: t.lua:3: the root died of SIG%s",
             sigabbrev_np(signals[_i]));
    ck_assert_msg(strstr(text, words) == text, "%s", text);
    ck_assert_int_eq(mezz_lines(text), 1);
    mezz_end(&mezz, 2);
}
END_TEST

START_TEST(no_orphan)
{
    struct mezz_process mezz;
    char text[PROC_TEXT_MAX];
    pid_t inside;
    pid_t parent;

    mezz_begin(&mezz);
    parent = start_loop(&mezz, &inside);
    kill(parent, SIGKILL);
    ck_assert(WIFSIGNALED(end_of(&mezz, parent, text)));
    ck_assert(proc_is_gone(inside));
    mezz_end(&mezz, 2);
}
END_TEST

/* A signal may come to either, and from a terminal it comes to both. A machine that somebody has
 * stopped ends all the same. */
START_TEST(signal_to_either)
{
    struct mezz_process mezz;
    char text[PROC_TEXT_MAX];
    pid_t inside;
    pid_t parent;
    int status;

    mezz_begin(&mezz);
    parent = start_loop(&mezz, &inside);
    kill(inside, _i == 2 ? SIGSTOP : SIGTERM);
    if (_i != 0)
        kill(parent, SIGTERM);
    status = end_of(&mezz, parent, text);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM, "0x%x: %s",
                  (unsigned)status, text);
    mezz_end(&mezz, 2);
}
END_TEST

static json_t *run_with(struct mezz_process *mezz, const char *option)
{
    const char *const argv[] = {"run", "t.lua", "--json", "out.json", option, NULL};

    mezz_write(mezz, "t.lua", BRIEFLY, sizeof(BRIEFLY) - 1);
    mezz_run(mezz, argv);
    ck_assert_msg(mezz->status == 0, "status %d: %s", mezz->status, mezz->err);
    return mezz_json(mezz);
}

START_TEST(in_the_report)
{
    struct mezz_process mezz;
    json_t *caged;
    json_t *free_one;

    mezz_begin(&mezz);
    caged = run_with(&mezz, NULL);
    ck_assert(json_is_true(mezz_at(caged, "cage.on")));
    ck_assert(json_is_true(mezz_at(caged, "cage.no_new_privs")));
    ck_assert(json_is_true(mezz_at(caged, "cage.no_capabilities")));
    ck_assert_int_eq(json_integer_value(mezz_at(caged, "cage.filtered_threads")), 2);
    ck_assert_uint_le(json_array_size(mezz_at(caged, "cage.system_calls.vcpu")), 20);
    ck_assert_uint_lt(json_array_size(mezz_at(caged, "cage.system_calls.main")),
                      json_array_size(mezz_at(caged, "cage.system_calls.vcpu")));
    free_one = run_with(&mezz, "--no-cage");
    ck_assert(json_is_false(mezz_at(free_one, "cage.on")));
    ck_assert_str_eq(json_string_value(mezz_at(caged, "status")),
                     json_string_value(mezz_at(free_one, "status")));
    json_decref(caged);
    json_decref(free_one);
    mezz_end(&mezz, 2);
}
END_TEST

/* Copies what a user may not be able to reach. */
static void copy_image(const struct mezz_process *mezz, const char *name)
{
    char command[1024];

    snprintf(command, sizeof(command), "cp '%s/%s' '%s/%s' && chmod 644 '%s/%s'",
             getenv("MEZZ_IMAGES"), name, mezz->directory, name, mezz->directory, name);
    ck_assert_int_eq(system(command), 0);
}

/* A device of its own that only the group may use, as /dev/kvm is where udev has made it. */
static bool make_device(const struct mezz_process *mezz, const char *name)
{
    struct stat kvm;
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", mezz->directory, name);
    if (stat("/dev/kvm", &kvm) < 0 || mknod(path, S_IFCHR | 0660, kvm.st_rdev) < 0)
        return false;
    ck_assert_int_eq(chmod(path, 0660), 0);
    ck_assert_int_eq(chown(path, 0, NOBODY), 0);
    fd = open(path, O_RDWR);
    if (fd < 0)
        unlink(path); /* devices do not work on this file system */
    else
        close(fd);
    return fd >= 0;
}

/* No root needed: a user of the group that may use the device. */
START_TEST(as_an_ordinary_user)
{
    static const char text[] =
        "local s = mezz.stack {}\n"
        "local l1 = s:l1 { image = 'nested_l1.elf', memory = '32M' }\n"
        "local t = l1:l2 { name = 't', image = 'tiny-os.elf', memory = '8M',\n"
        "    programs = { 'hello.elf' } }\n"
        "s:run {}\n"
        "mezz.expect(t.console:find 'hello from ring 3', 'a guest ran')\n";
    static const char *const images[] = {"nested_l1.elf", "tiny-os.elf", "hello.elf",
                                         "firmware.bin"};
    static const char *const argv[] = {"run", "t.lua", "--json", "-", NULL};
    struct mezz_process mezz;
    json_t *json;

    if (geteuid() != 0)
        return; /* the other tests are of an ordinary user then */
    mezz_begin(&mezz);
    if (!make_device(&mezz, "kvm")) {
        mezz_end(&mezz, 0);
        return;
    }
    for (size_t i = 0; i < ELEMENTS(images); i++)
        copy_image(&mezz, images[i]);
    mezz_write(&mezz, "t.lua", text, sizeof(text) - 1);
    mezz.environment[0] = "MEZZ_KVM=./kvm";
    mezz.environment[1] = "MEZZ_IMAGES=.";
    mezz.as_nobody = true;
    mezz_run(&mezz, argv);
    ck_assert_msg(mezz.status == 0, "status %d: %s", mezz.status, mezz.err);
    json = json_loads(strchr(mezz.out, '{'), JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_msg(json != NULL, "%s", mezz.out);
    ck_assert(json_is_true(mezz_at(json, "cage.on")));
    ck_assert(json_is_true(mezz_at(json, "cage.no_capabilities")));
    json_decref(json);
    mezz_end(&mezz, 6);
}
END_TEST

/* Without the permission there is advice, and what does without KVM. */
START_TEST(without_permission)
{
    static const char *const argv[] = {"run", "t.lua", NULL};
    struct mezz_process mezz;

    mezz_begin(&mezz);
    mezz_write(&mezz, "kvm", "", 0);
    mezz_write(&mezz, "t.lua", BRIEFLY, sizeof(BRIEFLY) - 1);
    copy_image(&mezz, "l1_loop.elf");
    copy_image(&mezz, "firmware.bin");
    mezz.environment[0] = "MEZZ_KVM=/dev/kvm-of-nobody";
    mezz_run(&mezz, argv);
    ck_assert_msg(mezz.status == 3 && strstr(mezz.err, "--lane svm") != NULL, "%s", mezz.err);
    if (geteuid() == 0) {
        char path[128];

        snprintf(path, sizeof(path), "%s/kvm", mezz.directory);
        ck_assert_int_eq(chmod(path, 0600), 0);
        mezz.environment[0] = "MEZZ_KVM=./kvm";
        mezz.environment[1] = "MEZZ_IMAGES=.";
        mezz.as_nobody = true;
        mezz_run(&mezz, argv);
        ck_assert_msg(mezz.status == 3 && strstr(mezz.err, "group") != NULL &&
                          strstr(mezz.err, "--lane svm") != NULL,
                      "%s", mezz.err);
    }
    mezz_end(&mezz, 4);
}
END_TEST

RUN_CASES_IF(mezz_obstacle, "cage_of_a_run", 90, ONCE(as_the_kernel_shows_it),
             EACH(no_inherited_file, 2), EACH(death_inside, 3), ONCE(no_orphan),
             EACH(signal_to_either, 3), ONCE(in_the_report), ONCE(as_an_ordinary_user),
             ONCE(without_permission))
