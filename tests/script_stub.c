/* SPDX-License-Identifier: Apache-2.0 */
#include "script_stub.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/unit_script.XXXXXX";

/* Outside of a test, where Check's assertions are not to be had. */
static void must(bool fine)
{
    if (!fine) {
        perror(directory);
        abort();
    }
}

void enter_directory(void)
{
    static const char *const images[] = {"l1.elf", "os.elf", "hello.elf", "firmware.bin"};

    must(mkdtemp(directory) != NULL && chdir(directory) == 0 && mkdir("images", 0700) == 0);
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "images/%s", images[i]);
        file = fopen(path, "w");
        must(file != NULL && fclose(file) == 0);
    }
}

void leave_directory(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", directory);
    must(system(command) == 0);
}

void write_file(const char *text, size_t length)
{
    FILE *file = fopen(FILE_NAME, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    fclose(file);
}

static int stub_run(void *context, const struct machine_config *config, struct script_run *run,
                    struct error *error)
{
    struct stub *stub = context;

    stub->calls++;
    stub->config = *config;
    for (unsigned int i = 0; i < config->l2_count; i++)
        for (unsigned int j = 0; j < config->l2[i].module_count; j++)
            snprintf(stub->programs + strlen(stub->programs),
                     sizeof(stub->programs) - strlen(stub->programs), "%s=%s;", config->l2[i].name,
                     config->l2[i].modules[j].command_line);
    if (stub->code != 0)
        return error_set(error, stub->code, "the stub refuses");
    return report_copy(&run->report, &stub->report);
}

static void stub_print(void *context, const char *text, size_t length)
{
    struct stub *stub = context;
    size_t used = strlen(stub->printed);

    if (length < sizeof(stub->printed) - used)
        memcpy(stub->printed + used, text, length);
}

static void stub_failed(void *context, unsigned int line, const char *what)
{
    (void)what;
    ((struct stub *)context)->failed_line = line;
}

struct script_host stub_host(struct stub *stub)
{
    return (struct script_host){stub, stub_run, stub_print, stub_failed};
}

int run_bytes(struct script **script, struct stub *stub, const struct script_limits *limits,
              const char *text, size_t length, struct error *error)
{
    static const char *const directories[] = {"images", NULL};
    static struct script_host host;
    struct script_config config = {
        .path = FILE_NAME, .directories = directories, .limits = limits, .host = &host};

    host = stub_host(stub);
    write_file(text, length);
    error->text[0] = '\0';
    ck_assert_int_eq(script_create(script, &config, error), 0);
    return script_execute(*script, error);
}

int run_text(struct stub *stub, const struct script_limits *limits, const char *text,
             struct error *error)
{
    struct script *script;
    int code = run_bytes(&script, stub, limits, text, strlen(text), error);

    script_destroy(script);
    return code;
}
