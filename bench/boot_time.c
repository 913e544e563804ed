/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_time.h"
#include "host/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS  60000
#define OUTPUT_SIZE (1U << 20)
#define GREETING    "hello from ring 3"

/* L1 with one L2 whose program greets from ring 3. */
static const char stack_text[] =
    "local stack = mezz.stack {}\n"
    "local l1 = stack:l1 { image = mezz.image 'nested_l1.elf', memory = '32M' }\n"
    "l1:l2 { name = 'tiny', image = mezz.image 'tiny-os.elf', memory = '16M',\n"
    "        programs = { 'hello.elf' } }\n"
    "stack:run { timeout = '30s' }\n";

struct child {
    pid_t pid;
    int output[2]; /* the JSON, and the consoles */
    char *text[2];
    size_t length[2];
    uint64_t started_ns;
    uint64_t greeted_ns;
};

static int create_stack_file(struct error *error)
{
    int fd = memfd_create("bench.lua", 0);

    if (fd < 0)
        return error_set(error, errno, "memfd_create: %s", strerror(errno));
    if (write(fd, stack_text, sizeof(stack_text) - 1) != (ssize_t)sizeof(stack_text) - 1) {
        int code = error_set(error, errno, "the stack file: %s", strerror(errno));

        close(fd);
        return code;
    }
    return fd;
}

_Noreturn static void run_child(const int *json, const int *consoles, int stack, const char *images,
                                const char *device)
{
    char path[32];
    const char *arguments[12] = {"mezz", "run", path, "--json", "-"};
    unsigned int count = 5;
    sigset_t none;

    if (images != NULL) {
        arguments[count++] = "--images";
        arguments[count++] = images;
    }
    if (device != NULL) {
        arguments[count++] = "--kvm";
        arguments[count++] = device;
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", stack);
    dup2(json[1], STDOUT_FILENO);
    dup2(consoles[1], STDERR_FILENO);
    execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static int start(struct child *child, int stack, const char *images, const char *device,
                 struct error *error)
{
    int json[2], consoles[2];

    if (pipe2(json, O_CLOEXEC) < 0)
        return error_set(error, errno, "pipe: %s", strerror(errno));
    if (pipe2(consoles, O_CLOEXEC) < 0) {
        close(json[0]);
        close(json[1]);
        return error_set(error, errno, "pipe: %s", strerror(errno));
    }
    child->started_ns = clock_now_ns();
    child->pid = fork();
    if (child->pid == 0)
        run_child(json, consoles, stack, images, device);
    close(json[1]);
    close(consoles[1]);
    child->output[0] = json[0];
    child->output[1] = consoles[0];
    if (child->pid > 0)
        return 0;
    close(json[0]);
    close(consoles[0]);
    return error_set(error, errno, "fork: %s", strerror(errno));
}

/* Reads what is there; 0 at the end. */
static int take(struct child *child, int i)
{
    ssize_t length = read(child->output[i], child->text[i] + child->length[i],
                          OUTPUT_SIZE - 1 - child->length[i]);

    if (length <= 0)
        return 0;
    child->length[i] += (size_t)length;
    child->text[i][child->length[i]] = '\0';
    if (i == 1 && child->greeted_ns == 0 && strstr(child->text[1], GREETING) != NULL)
        child->greeted_ns = clock_now_ns();
    return 1;
}

/* Until both pipes have ended. 0, or -ETIMEDOUT. */
static int read_all(struct child *child)
{
    struct pollfd polled[2] = {{child->output[0], POLLIN, 0}, {child->output[1], POLLIN, 0}};

    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        if (poll(polled, 2, TIMEOUT_MS) <= 0)
            return -ETIMEDOUT;
        for (int i = 0; i < 2; i++)
            if (polled[i].fd >= 0 && polled[i].revents != 0 && !take(child, i))
                polled[i].fd = -1;
    }
    return 0;
}

/* The last line of what the run complained about. */
static const char *last_line(char *text)
{
    char *end = text + strlen(text);
    char *line;

    while (end > text && end[-1] == '\n')
        *--end = '\0';
    line = strrchr(text, '\n');
    return line != NULL ? line + 1 : text;
}

static int evaluate(struct child *child, struct boot_times *times, struct error *error)
{
    json_t *root = json_loads(child->text[0], 0, NULL);
    const json_t *value = json_object_get(root, "first_l2_output_ms");
    int code = 0;

    if (!json_is_number(value) || child->greeted_ns == 0)
        code = error_set(error, EPROTO, "mezz run gave no greeting: %s", last_line(child->text[1]));
    else if (series_add(&times->inside_ms, json_number_value(value)) != 0 ||
             series_add(&times->outside_ms,
                        (double)(child->greeted_ns - child->started_ns) / 1e6) != 0)
        code = error_set(error, ENOMEM, "out of memory");
    json_decref(root);
    return code;
}

static int run_once(struct child *child, struct boot_times *times, int stack, const char *images,
                    const char *device, struct error *error)
{
    int code = start(child, stack, images, device, error);

    if (code != 0)
        return code;
    code = read_all(child);
    if (code != 0)
        kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(child->output[0]);
    close(child->output[1]);
    if (code != 0)
        return error_set(error, -code, "mezz run said nothing for %d s", TIMEOUT_MS / 1000);
    return evaluate(child, times, error);
}

int boot_times_measure(struct boot_times *times, unsigned int runs, const char *images,
                       const char *device, struct error *error)
{
    char *text = calloc(2, OUTPUT_SIZE);
    int stack = create_stack_file(error);
    int code = 0;

    *times = (struct boot_times){.inside_ms = {NULL, 0, 0}};
    if (stack < 0)
        code = stack;
    else if (text == NULL)
        code = error_set(error, ENOMEM, "out of memory");
    for (unsigned int i = 0; code == 0 && i < runs; i++) {
        struct child child = {.text = {text, text + OUTPUT_SIZE}};

        code = run_once(&child, times, stack, images, device, error);
    }
    if (stack >= 0)
        close(stack);
    free(text);
    return code;
}

void boot_times_release(struct boot_times *times)
{
    series_release(&times->inside_ms);
    series_release(&times->outside_ms);
}
