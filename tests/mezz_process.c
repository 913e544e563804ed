/* SPDX-License-Identifier: Apache-2.0 */
#include "mezz_process.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY     65534
#define ARGV_LIMIT 16
#define OUT_FILE   ".stdout"
#define ERR_FILE   ".stderr"
#define COPY       ".mezz"

const char *mezz_obstacle(void)
{
    if (getenv("MEZZ_BIN") == NULL || getenv("MEZZ_IMAGES") == NULL ||
        getenv("MEZZ_STACKS") == NULL)
        return "MEZZ_BIN, MEZZ_IMAGES and MEZZ_STACKS are not set (meson test sets them)";
    if (access("/dev/kvm", R_OK | W_OK) != 0)
        return "no usable /dev/kvm";
    return NULL;
}

void mezz_begin(struct mezz_process *mezz)
{
    *mezz = (struct mezz_process){.directory = "/tmp/mezz_e2e.XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(mezz->directory));
    ck_assert_int_eq(chmod(mezz->directory, 0755), 0);
}

static const char *path_of(const struct mezz_process *mezz, const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", mezz->directory, name);
    return path;
}

void mezz_write(const struct mezz_process *mezz, const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(path_of(mezz, name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t length = 0;
    size_t capacity = 4096;
    char *text = malloc(capacity);

    ck_assert_ptr_nonnull(file);
    for (;;) {
        ck_assert_ptr_nonnull(text);
        length += fread(text + length, 1, capacity - length - 1, file);
        if (length < capacity - 1)
            break;
        capacity *= 2;
        text = realloc(text, capacity);
    }
    text[length] = '\0';
    fclose(file);
    return text;
}

char *mezz_read(const struct mezz_process *mezz, const char *name)
{
    return access(path_of(mezz, name), F_OK) == 0 ? read_file(path_of(mezz, name)) : NULL;
}

/* A pipe whose reader is gone. */
static void redirect_to_nobody(int to)
{
    int ends[2];

    if (pipe(ends) < 0 || dup2(ends[1], to) < 0)
        _exit(126);
    close(ends[0]);
    close(ends[1]);
}

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

    if (fd < 0 || dup2(fd, to) < 0)
        _exit(126);
    close(fd);
}

void mezz_usual_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_DFL);
}

_Noreturn static void become_mezz(const struct mezz_process *mezz, const char *const *argv)
{
    char *words[ARGV_LIMIT] = {getenv("MEZZ_BIN")};

    for (size_t i = 0; argv[i] != NULL && i + 2 < ARGV_LIMIT; i++)
        words[i + 1] = (char *)(size_t)argv[i];
    setpgid(0, 0);
    for (size_t i = 0; mezz->environment[i] != NULL; i++)
        putenv((char *)(size_t)mezz->environment[i]);
    if (chdir(mezz->directory) < 0)
        _exit(126);
    redirect(ERR_FILE, STDERR_FILENO);
    if (mezz->out_to == NULL)
        redirect(OUT_FILE, STDOUT_FILENO);
    else if (mezz->out_to[0] == '\0')
        close(STDOUT_FILENO);
    else if (strcmp(mezz->out_to, "|") == 0)
        redirect_to_nobody(STDOUT_FILENO);
    else
        redirect(mezz->out_to, STDOUT_FILENO);
    if (mezz->err_closed)
        close(STDERR_FILENO);
    if (mezz->limit.rlim_max != 0 &&
        setrlimit((__rlimit_resource_t)mezz->resource, &mezz->limit) < 0)
        _exit(126);
    if (mezz->as_nobody && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        _exit(126);
    execv(mezz->as_nobody ? "./" COPY : words[0], words);
    _exit(127);
}

/* Without signals in between: Check's handlers, which a child has until then, end the test, too. */
static pid_t fork_mezz(const struct mezz_process *mezz, const char *const *argv)
{
    sigset_t all, before;
    pid_t child;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    child = fork();
    if (child == 0) {
        mezz_usual_signals();
        if (mezz->ignores_interrupt)
            signal(SIGINT, SIG_IGN);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become_mezz(mezz, argv);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return child;
}

/* The program may stand where nobody cannot read it. */
static void copy_program(const struct mezz_process *mezz)
{
    char command[1024];

    snprintf(command, sizeof(command), "cp '%s' '%s/" COPY "' && chmod 755 '%s/" COPY "'",
             getenv("MEZZ_BIN"), mezz->directory, mezz->directory);
    ck_assert_int_eq(system(command), 0);
}

/* In a moment: LeakSanitizer has a process of its own, which ends when it notices that it is alone,
 * and is then ours to bury. */
static bool group_is_gone(pid_t group)
{
    for (int i = 0; i < 100 && kill(-group, 0) == 0; i++) {
        if (waitpid(-group, NULL, WNOHANG) <= 0)
            usleep(10000);
    }
    return kill(-group, 0) < 0 && errno == ESRCH;
}

/* Until then the child has Check's handlers. */
static bool is_mezz(pid_t child)
{
    char path[64], its[1024], ours[1024];
    ssize_t length, our_length;

    snprintf(path, sizeof(path), "/proc/%d/exe", (int)child);
    length = readlink(path, its, sizeof(its));
    our_length = readlink("/proc/self/exe", ours, sizeof(ours));
    return length != our_length || length < 0 || memcmp(its, ours, (size_t)length) != 0;
}

/* SIGINT is caught, or ignored; or the process is over. */
static bool minds_interrupts(pid_t child)
{
    char path[64], line[256], state = 'Z';
    unsigned long long caught = 0, ignored = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "SigIgn: %llx", &ignored);
        sscanf(line, "SigCgt: %llx", &caught);
    }
    if (file != NULL)
        fclose(file);
    return state == 'Z' || ((caught | ignored) & 1ULL << (SIGINT - 1)) != 0;
}

static void interrupt(pid_t child, int after_ms)
{
    for (int i = 0; i < 1000 && !(is_mezz(child) && minds_interrupts(child)); i++)
        usleep(10000);
    usleep((useconds_t)after_ms * 1000);
    kill(child, SIGINT);
}

void mezz_run(struct mezz_process *mezz, const char *const *argv)
{
    int status;
    pid_t child;

    free(mezz->out);
    free(mezz->err);
    mezz_write(mezz, OUT_FILE, "", 0);
    mezz_write(mezz, ERR_FILE, "", 0);
    if (mezz->as_nobody)
        copy_program(mezz);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    child = fork_mezz(mezz, argv);
    ck_assert_int_ge(child, 0);
    setpgid(child, child);
    if (mezz->interrupt_after_ms != 0)
        interrupt(child, mezz->interrupt_after_ms);
    if (mezz->during != NULL)
        mezz->during(mezz, child);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    mezz->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    ck_assert_msg(group_is_gone(child), "a process was left behind");
    mezz->out = read_file(path_of(mezz, OUT_FILE));
    mezz->err = read_file(path_of(mezz, ERR_FILE));
    unlink(path_of(mezz, OUT_FILE));
    unlink(path_of(mezz, ERR_FILE));
    if (mezz->as_nobody)
        unlink(path_of(mezz, COPY));
}

void mezz_run_text(struct mezz_process *mezz, const char *text)
{
    static const char *const argv[] = {"run", "t.lua", NULL};

    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
}

json_t *mezz_json(const struct mezz_process *mezz)
{
    json_error_t error;
    json_t *json = json_load_file(path_of(mezz, "out.json"), JSON_ALLOW_NUL, &error);

    ck_assert_msg(json != NULL, "out.json: line %d: %s; stderr: %s", error.line, error.text,
                  mezz->err);
    return json;
}

json_t *mezz_run_stack(struct mezz_process *mezz, const char *name)
{
    char path[512];
    const char *argv[] = {"run", path, "--json", "out.json", NULL};
    const json_t *one;
    json_t *json;
    size_t i;

    snprintf(path, sizeof(path), "%s/%s", getenv("MEZZ_STACKS"), name);
    mezz_run(mezz, argv);
    json = mezz_json(mezz);
    json_array_foreach(mezz_at(json, "expectations"), i, one)
    {
        ck_assert_msg(json_is_true(mezz_at(one, "passed")), "%s",
                      json_string_value(mezz_at(one, "text")));
    }
    return json;
}

const json_t *mezz_at(const json_t *json, const char *path)
{
    char names[128];
    char *rest = names;
    const char *name;

    snprintf(names, sizeof(names), "%s", path);
    while ((name = strsep(&rest, ".")) != NULL) {
        json = json_object_get(json, name);
        ck_assert_msg(json != NULL, "no \"%s\" of %s", name, path);
    }
    return json;
}

size_t mezz_occurrences(const char *text, const char *part)
{
    size_t count = 0;

    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part))
        count++;
    return count;
}

long long mezz_count_at(const json_t *json, const char *path)
{
    return json_integer_value(mezz_at(json, path));
}

bool mezz_tiny_says(const json_t *json, const char *text)
{
    return strstr(json_string_value(mezz_at(json, "levels.l2.tiny.console")), text) != NULL;
}

void mezz_end(struct mezz_process *mezz, int files)
{
    DIR *directory = opendir(mezz->directory);
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        ck_assert_int_eq(unlink(path_of(mezz, entry->d_name)), 0);
    }
    closedir(directory);
    ck_assert_int_eq(rmdir(mezz->directory), 0);
    ck_assert_msg(files < 0 || count == files, "%d files in the place of %d", count, files);
    free(mezz->out);
    free(mezz->err);
}

void mezz_expect(const struct mezz_process *mezz, int status, const char *err)
{
    ck_assert_msg(mezz->status == status && strcmp(mezz->err, err) == 0,
                  "status %d, expected %d; stderr:\n%s\nexpected:\n%s\nstdout:\n%s", mezz->status,
                  status, mezz->err, err, mezz->out);
}

int mezz_lines(const char *text)
{
    int lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}
