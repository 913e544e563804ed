/* SPDX-License-Identifier: Apache-2.0 */
/* Stack files: whatever the text is, it ends within its limits, and says where it went wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/stack/script.h"
#include "vmm/stack/script_limits.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A script has a thread, that ends the process when a library function takes too long. To start one
 * for each input and to wait until it runs is most of what an input costs, and libFuzzer has a time
 * limit of its own. By the linker's --wrap; threads of libFuzzer are real.
 */
static bool in_script;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *context)
{
    if (!in_script)
        return __real_pthread_create(thread, attributes, start, context);
    ((struct script_budget *)context)->started = true;
    return 0;
}

int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    return in_script ? 0 : __real_pthread_join(thread, result);
}

/* What the machine would have been told has to make sense. */
static int run(void *context, const struct machine_config *config, struct script_run *kept,
               struct error *error)
{
    static const struct machine_report report = {.last_words = ""};

    (void)context;
    if (config->l1_image == NULL || config->timeout_ns == 0 || config->l2_count > MEZZ_MAX_L2)
        abort();
    for (unsigned int i = 0; i < config->l2_count; i++)
        if (config->l2[i].name == NULL || config->l2[i].name[0] == '\0' ||
            config->l2[i].image.path == NULL || config->l2[i].memory % (2U << 20) != 0)
            abort();
    if (config->l2_count == 3)
        return error_set(error, EINVAL, "three are refused here");
    return report_copy(&kept->report, &report);
}

static void print(void *context, const char *text, size_t length)
{
    *(size_t *)context += length + (text[0] == '\0');
}

static void failed(void *context, unsigned int line, const char *what)
{
    *(size_t *)context += line + strlen(what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script_limits limits = {.memory = 1U << 20,
                                                .instructions = 50000,
                                                .time_ns = 4000000000ULL,
                                                .library_ns = 16000000000ULL,
                                                .output = 4096,
                                                .runs = 4,
                                                .expectations = 16};
    /* Rules are found from the source's directory. */
    static const char *const directories[] = {FUZZ_GUESTS, FUZZ_L1, "stacks", NULL};
    size_t seen = 0;
    const struct script_host host = {&seen, run, print, failed};
    char path[64];
    const struct script_config config = {
        .path = path, .directories = directories, .limits = &limits, .host = &host};
    struct script *script;
    struct error error = {""};
    static int fd = -1;
    int code;

    if (fd < 0)
        fd = memfd_create("stack", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    in_script = true;
    if (script_create(&script, &config, &error) != 0)
        abort();
    code = script_execute(script, &error);
    if (code > 0 || (code != 0) != (error.text[0] != '\0'))
        abort();
    if (code != 0 && strncmp(error.text, path, strlen(path)) != 0)
        abort();
    if (script_record(script)->run_count > limits.runs)
        abort();
    script_destroy(script);
    in_script = false;
    return 0;
}
