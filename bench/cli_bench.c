/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "instructions.h"
#include "result.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/cli_images.h"
#include "vmm/cli/cli_output.h"
#include "vmm/cli/info.h"

#define L1_IMAGE  "bench_l1.elf"
#define SECOND_NS 1000000000ULL
#define HELP_LINE "\n                          "

struct bench_options {
    const char *json;
    struct cli_words only;
    const char *images;
    const char *kvm;
    bool quick;
    bool views;
};

/* --only's words that are no paths. */
static const char only_boot[] = "boot";
static const char only_instructions[] = "instructions";
static const char only_views[] = "views";
static const char *const only_engine[ENGINE_KINDS] = {
    [ENGINE_FLIP] = "view.flip",
    [ENGINE_REMAP] = "view.remap",
    [ENGINE_SLOTS] = "view.slots",
};
static const char only_forced[] = "view.forced";

static const struct effort efforts[] = {
    {.rounds = 200, .fewest_rounds = 9, .cycles = 48, .budget_ns = 40 * SECOND_NS},
    {.rounds = 5, .fewest_rounds = 3, .cycles = 16, .budget_ns = 5 * SECOND_NS},
};
static const unsigned int boot_runs[] = {15, 3};
static const unsigned int call_samples[] = {500, 100};
static const struct view_effort view_efforts[] = {
    {.rounds = 500, .fewest_rounds = 3, .budget_us = 1.5e6},
    {.rounds = 100, .fewest_rounds = 3, .budget_us = 0.3e6},
};

static int status_of(int code)
{
    static const int bad_input[] = {EINVAL, ENOENT, EACCES, EPERM,   EISDIR,
                                    ELOOP,  ENXIO,  EFBIG,  ENOTDIR, ENAMETOOLONG};

    if (code == 0)
        return CLI_DONE;
    if (code == -EPROTO)
        return CLI_DIED;
    for (size_t i = 0; i < sizeof(bad_input) / sizeof(bad_input[0]); i++)
        if (code == -bad_input[i])
            return CLI_BAD_INPUT;
    return CLI_HOST;
}

static bool is_asked(const struct bench_options *options, const char *word)
{
    return only_asks(&options->only, word);
}

/* Of the engines' own rows. */
static bool is_view_row(const char *word)
{
    for (int engine = 0; engine < ENGINE_KINDS; engine++)
        if (strcmp(word, only_engine[engine]) == 0)
            return true;
    return strcmp(word, only_forced) == 0 || strcmp(word, only_views) == 0;
}

/* A path, a row of calls or a group of them, or one of the words. */
static bool is_measurement(const char *word)
{
    char row[PATH_ROW];

    if (strcmp(word, only_boot) == 0 || strcmp(word, only_instructions) == 0 || is_view_row(word) ||
        call_figures_named(word))
        return true;
    for (size_t i = 0; i < path_count; i++) {
        path_row(&paths[i], row);
        if (only_word_asks(word, row))
            return true;
    }
    return false;
}

static int check_only(const struct cli_words *only)
{
    for (size_t i = 0; i < only->count; i++) {
        if (is_measurement(only->word[i]))
            continue;
        cli_complain("bench: --only %s: no such measurement; there are io, mmio, view, "
                     "conditions_held, conditions_failed, l2s_reflect, l2s_callback (or one of "
                     "their rows, as io.root), view.flip, view.remap, view.slots, view.forced, "
                     "guard, portion, views, boot and instructions",
                     only->word[i]);
        return CLI_BAD_INPUT;
    }
    return 0;
}

static int find_image(char *path, const struct bench_options *options, struct error *error)
{
    struct cli_images images;
    int code = -ENOENT;

    if (cli_images_find(&images, options->images) != 0)
        return error_set(error, ENOMEM, "out of memory");
    error_set(error, ENOENT, "no image " L1_IMAGE " where images are searched for");
    for (size_t i = 0; code != 0 && images.directories[i] != NULL; i++) {
        snprintf(path, PATH_MAX, "%s/%s", images.directories[i], L1_IMAGE);
        code = access(path, R_OK) == 0 ? 0 : -errno;
        if (code != 0)
            error_set(error, -code, "%s: %s", path, strerror(-code));
    }
    cli_images_release(&images);
    return code;
}

static int measure_paths(struct bench_result *result, const struct bench_options *options,
                         const struct kvm *kvm, const char *image, struct error *error)
{
    const char *device = cli_kvm_device(options->kvm);
    int code = rounds_create(&result->rounds, kvm, device, image, &options->only, error);

    if (code == 0)
        code = rounds_run(&result->rounds, &efforts[options->quick], error);
    return code;
}

static void count_instructions(struct bench_result *result, const struct bench_options *options,
                               const char *image)
{
    struct subject subject;
    int code = subject_create(&subject, image, "callback io", cli_kvm_device(options->kvm),
                              &result->instructions_why);

    if (code != 0)
        return;
    if (instructions_per_callback(&subject, &result->instructions, &result->instructions_why) != 0)
        result->instructions = 0;
    subject_destroy(&subject);
}

static bool asks_for_views(const struct bench_options *options)
{
    bool asked = is_asked(options, only_views) || is_asked(options, only_forced);

    for (int engine = 0; engine < ENGINE_KINDS && !asked; engine++)
        asked = is_asked(options, only_engine[engine]);
    return asked;
}

static int measure_views(struct bench_result *result, const struct bench_options *options,
                         const struct kvm *kvm, struct error *error)
{
    struct view_effort effort = view_efforts[options->quick];
    /* --views alone has them measured, whatever else is asked for. */
    const bool whole = is_asked(options, only_views) || !asks_for_views(options);

    effort.all = effort.told = options->views;
    effort.building = options->views && whole;
    effort.forced = whole || is_asked(options, only_forced);
    for (int engine = 0; engine < ENGINE_KINDS; engine++)
        effort.gate[engine] = whole || is_asked(options, only_engine[engine]);
    return view_figures_measure(&result->views, kvm, &effort, error);
}

static int measure(struct bench_result *result, const struct bench_options *options,
                   struct error *error)
{
    const char *device = cli_kvm_device(options->kvm);
    char image[PATH_MAX];
    char directory[PATH_MAX];
    struct kvm kvm;
    int code = find_image(image, options, error);

    if (code != 0)
        return code;
    strcpy(directory, image);
    code = kvm_open(&kvm, device != NULL ? device : KVM_DEFAULT_DEVICE, error);
    if (code != 0)
        return code;
    code = measure_paths(result, options, &kvm, image, error);
    if (code == 0 && (options->views || asks_for_views(options)))
        code = measure_views(result, options, &kvm, error);
    if (code == 0 && call_figures_asked(&options->only)) {
        *strrchr(directory, '/') = '\0';
        code = call_figures_measure(&result->calls, &kvm, device, directory, &options->only,
                                    call_samples[options->quick], error);
    }
    if (code == 0 && is_asked(options, only_instructions))
        count_instructions(result, options, image);
    if (code == 0 && is_asked(options, only_boot))
        code = boot_times_measure(&result->boot, boot_runs[options->quick], options->images, device,
                                  error);
    kvm_close(&kvm);
    return code;
}

static int show(const struct bench_result *result, const struct bench_options *options)
{
    bool json_to_stdout = options->json != NULL && strcmp(options->json, "-") == 0;
    struct error error;
    char *text;
    int code;

    result_table(json_to_stdout ? stderr : stdout, result);
    if (options->json == NULL)
        return cli_finish_stdout(0);
    text = result_json(result);
    if (text == NULL)
        code = error_set(&error, ENOMEM, "out of memory for the JSON");
    else
        code = output_write(options->json, text, strlen(text), &error);
    free(text);
    if (code != 0) {
        cli_complain("%s", error.text);
        return CLI_HOST;
    }
    return cli_finish_stdout(0);
}

static int bench(const struct bench_options *options)
{
    const char *lane = getenv("MEZZ_LANE");
    struct bench_result result = {
        .lane = lane != NULL && lane[0] != '\0' ? lane : "host",
        .kvm = info_kvm_name(),
    };
    struct error error;
    int status;
    int code;

    if (options->json != NULL && output_check(options->json, &error) != 0) {
        cli_complain("--json: %s", error.text);
        return CLI_BAD_INPUT;
    }
    code = measure(&result, options, &error);
    if (code != 0)
        cli_complain("bench: %s", error.text);
    status = code != 0 ? status_of(code) : show(&result, options);
    rounds_destroy(&result.rounds);
    boot_times_release(&result.boot);
    return status;
}

int cli_bench(int argc, char **argv, const struct cli_command *command)
{
    struct bench_options options = {.json = NULL};
    const struct cli_option list[] = {
        {"json", NULL, "OUT", "write the figures to this file; - or nothing: the standard output",
         .text = &options.json, .optional = true},
        {"quick", NULL, NULL, "fewer rounds: figures to look at, not to compare",
         .flag = &options.quick},
        {"views", NULL, NULL, "views of every size and number, which takes minutes",
         .flag = &options.views},
        {"only", NULL, "NAME",
         "a group of measurements or one of its rows, as io.callback; may be repeated: io, "
         "mmio," HELP_LINE
         "view, conditions_held, conditions_failed, l2s_reflect, l2s_callback, guard," HELP_LINE
         "portion, views, view.flip, view.remap, view.slots, view.forced, boot, instructions",
         .words = &options.only},
        {"images", NULL, "DIR", "search images here (also: MEZZ_IMAGES)", .text = &options.images},
        {"kvm", NULL, "DEVICE", "use this KVM (also: MEZZ_KVM; default: /dev/kvm)",
         .text = &options.kvm},
        {.name = NULL},
    };
    int count = cli_parse(argc, argv, command, list, NULL, 0);

    if (count < 0)
        return cli_parse_status(count);
    return check_only(&options.only) != 0 ? CLI_BAD_INPUT : bench(&options);
}
