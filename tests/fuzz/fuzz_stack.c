/* SPDX-License-Identifier: Apache-2.0 */
/* Stack files: whatever the text is, it ends within its limits, and says where it went wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/protect/hooks/guard_event.h"
#include "vmm/protect/hooks/policy.h"
#include "vmm/stack/script.h"
#include "vmm/stack/script_limits.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wreserved-id-macro"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

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

/* A guard of the machine asks, and tells of a call. */
static void tell_guard_events(const struct machine_config *config, unsigned int l2)
{
    static struct guard_event event = {
        .number = 1,
        .arguments = 2,
        .argument = {{.kind = MEZZ_GUARD_CSTRING, .value = 0x1000, .length = 5},
                     {.kind = MEZZ_GUARD_VALUE, .value = UINT64_MAX}},
        .place = "hello.elf:main+0x12",
        .bytes = 5,
        .data = "notes"};
    bool heard = false;

    if (config->listener == NULL || config->l2[l2].guard == NULL || !config->l2[l2].guard->heard)
        return;
    event.l2 = l2;
    for (uint32_t i = 0; i < 2 && !config->listener->over(config->listener->context); i++) {
        event.reason = i == 0 ? HOOK_REASON_ASKED : HOOK_REASON_CALL;
        event.function = i == 0 ? 0 : MEZZ_GUARD_FUNCTIONS;
        if (!guard_event_is_sound(&event, guard_event_size(&event)))
            abort();
        config->listener->event(config->listener->context, &event, 1000000, &heard);
    }
}

/* What the machine would have been told has to make sense. Each L2 has run and said something. */
static int run(void *context, const struct machine_config *config, struct script_run *kept,
               struct error *error)
{
    static const char said[] = "hello\n4 of 4 answers are right\n";
    static const struct callback_report callbacks[2] = {{.id = 1, .conditions = 2}, {.id = 2}};
    static struct l2_report l2[MEZZ_MAX_L2];
    static struct machine_report report = {.last_words = "", .l2 = l2};

    (void)context;
    if (config->l1_image == NULL || config->timeout_ns == 0 || config->l2_count > MEZZ_MAX_L2)
        abort();
    for (unsigned int i = 0; i < config->l2_count; i++)
        if (config->l2[i].name == NULL || config->l2[i].name[0] == '\0' ||
            config->l2[i].image.path == NULL || config->l2[i].memory % (2U << 20) != 0)
            abort();
    if (config->l2_count == 3)
        return error_set(error, EINVAL, "three are refused here");
    for (unsigned int i = 0; i < config->l2_count; i++) {
        l2[i] = (struct l2_report){.name = config->l2[i].name,
                                   .end = i == 0 ? L2_DONE : L2_DIED,
                                   .last_words = i == 0 ? "" : "words",
                                   .console = {said, sizeof(said) - 1, i},
                                   .callbacks = callbacks,
                                   .callback_count = 2};
        l2[i].portions.declared = config->l2[i].portions != NULL;
        l2[i].guard.declared = config->l2[i].guard != NULL;
        tell_guard_events(config, i);
    }
    report.l1.console = (struct console_text){said, sizeof(said) - 1, 0};
    report.l2_count = config->l2_count;
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

/* 0, or what the script came to. */
static int run_script(const uint8_t *data, size_t size, struct error *error)
{
    static const struct script_limits limits = {.memory = 1U << 20,
                                                .instructions = 50000,
                                                .time_ns = 4000000000ULL,
                                                .library_ns = 16000000000ULL,
                                                .output = 4096,
                                                .runs = 4,
                                                .expectations = 16};
    /* Rules are found from the source's directory. */
    static const char *const directories[] = {FUZZ_IMAGES, "stacks", NULL};
    size_t seen = 0;
    const struct script_host host = {&seen, run, print, failed};
    char path[64];
    const struct script_config config = {
        .path = path, .directories = directories, .limits = &limits, .host = &host};
    struct script *script;
    static int fd = -1;
    int code;

    if (fd < 0)
        fd = memfd_create("stack", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    in_script = true;
    if (script_create(&script, &config, error) != 0)
        abort();
    code = script_execute(script, error);
    if (code > 0 || (code != 0) != (error->text[0] != '\0'))
        abort();
    if (code != 0 && strncmp(error->text, path, strlen(path)) != 0)
        abort();
    if (script_record(script)->run_count > limits.runs)
        abort();
    script_destroy(script);
    in_script = false;
    return code;
}

/* One that needs images has to work, or nothing behind stack:run is reached. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const path = "tests/fuzz/seeds/fuzz_stack/small.lua";
    uint8_t text[4096];
    struct error error = {""};
    FILE *file = fopen(path, "r");
    size_t length = 0;

    (void)argc;
    (void)argv;
    if (file != NULL) {
        length = fread(text, 1, sizeof(text), file);
        fclose(file);
    }
    if (length == 0 || run_script(text, length, &error) != 0) {
        fprintf(stderr, "%s: %s (run this in the source's directory)\n", path, error.text);
        exit(2);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {""};

    run_script(data, size, &error);
    return 0;
}
