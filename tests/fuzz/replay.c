/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target without libFuzzer: usage: TARGET SECONDS DIRECTORY...
 * It is run on each file of the directories, one after the other in one process. Where that process
 * ends before its time, or one file takes longer than so many seconds, the file is named, and
 * another process goes on with the next one. Exit status: 0, 1 when there was such a file, 2 when
 * there is nothing to run.
 */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* What both processes see. */
struct progress {
    size_t at; /* the input that runs */
    bool is_over;
};

struct input {
    char path[PATH_MAX];
};

static struct input *input;
static size_t inputs;
static unsigned int seconds; /* for one of them */

/* For targets that have a mutator of their own: here nothing is made up. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most)
{
    (void)data;
    (void)size;
    (void)most;
    abort();
}

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* In an order that is always the same. */
static void list(const char *directory)
{
    struct dirent **entry;
    struct stat status;
    int count = scandir(directory, &entry, NULL, alphasort);

    if (count < 0)
        fail(directory);
    input = realloc(input, (inputs + (size_t)count) * sizeof(*input));
    if (input == NULL)
        fail(directory);
    for (int i = 0; i < count; i++) {
        char *path = input[inputs].path;

        if (snprintf(path, PATH_MAX, "%s/%s", directory, entry[i]->d_name) >= PATH_MAX ||
            stat(path, &status) != 0)
            fail(entry[i]->d_name);
        if (S_ISREG(status.st_mode))
            inputs++;
        free(entry[i]);
    }
    free(entry);
}

/* As long as it is, so that a sanitizer sees what is read behind it. */
static void run_input(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    uint8_t *data;
    size_t size;

    if (file == NULL || fstat(fileno(file), &status) != 0)
        fail(path);
    size = (size_t)status.st_size;
    data = malloc(size);
    if ((data == NULL && size > 0) || fread(data, 1, size, file) != size)
        fail(path);
    fclose(file);
    alarm(seconds);
    LLVMFuzzerTestOneInput(data, size);
    alarm(0);
    free(data);
}

/* A sanitizer looks for leaks when the process exits. */
__attribute__((noreturn)) static void run_from(size_t first, struct progress *progress)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (progress->at = first; progress->at < inputs; progress->at++)
        run_input(input[progress->at].path);
    progress->is_over = true;
    exit(0);
}

static void tell(const struct progress *progress, int status)
{
    const char *path = progress->is_over ? "after all of them" : input[progress->at].path;

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fprintf(stderr, "%s: takes longer than %u s\n", path, seconds);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "%s: ended by signal %d (%s)\n", path, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else
        fprintf(stderr, "%s: ended with status %d\n", path, WEXITSTATUS(status));
}

/* True if something was found. Goes on behind it. */
static bool run_all(struct progress *progress)
{
    bool found = false;
    int status;

    for (size_t next = 0; !progress->is_over && next < inputs; next = progress->at + 1) {
        pid_t child;

        progress->at = next;
        fflush(NULL);
        child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            run_from(next, progress);
        if (waitpid(child, &status, 0) != child)
            fail("waitpid");
        if (!progress->is_over || status != 0) {
            tell(progress, status);
            found = true;
        }
    }
    return found;
}

/* As long as those of Check's programs. */
static void set_limit(const char *text)
{
    const char *stretch = getenv("CK_TIMEOUT_MULTIPLIER");

    seconds = (unsigned int)strtoul(text, NULL, 10);
    if (stretch != NULL && strtoul(stretch, NULL, 10) > 0)
        seconds *= (unsigned int)strtoul(stretch, NULL, 10);
}

int main(int argc, char **argv)
{
    struct progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (progress == MAP_FAILED)
        fail("mmap");
    if (argc > 1)
        set_limit(argv[1]);
    for (int i = 2; i < argc; i++)
        list(argv[i]);
    if (inputs == 0 || seconds == 0) {
        fprintf(stderr, "%s: nothing to run; usage: %s SECONDS DIRECTORY...\n", argv[0], argv[0]);
        return 2;
    }
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    return run_all(progress) ? 1 : 0;
}
