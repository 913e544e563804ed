/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/cli.h"
#include "vmm/cli/cli_output.h"
#include "vmm/cli/info.h"

/* mezz info */

static int write_json(const struct info *info, const char *path)
{
    char *text = info_json(info);
    struct error error = {"out of memory for the JSON"};
    int code = text == NULL ? -1 : output_write(path, text, strlen(text), &error);

    free(text);
    if (code == 0)
        return CLI_DONE;
    cli_complain("%s", error.text);
    return CLI_HOST;
}

/* Without a KVM: what is known all the same, and then why. */
static int show(const char *device, const char *json)
{
    struct info info;
    struct error error;
    int status;

    if (json != NULL && output_check(json, &error) != 0) {
        cli_complain("--json: %s", error.text);
        return CLI_BAD_INPUT;
    }
    info_collect(&info, device);
    if (json != NULL) {
        status = write_json(&info, json);
    } else {
        info_print(stdout, &info);
        status = cli_finish_stdout(0);
    }
    if (!info.has_kvm) {
        cli_complain("%s", info.kvm_error.text);
        status = CLI_HOST;
    }
    info_release(&info);
    return status;
}

int cli_info(int argc, char **argv, const struct cli_command *command)
{
    const char *json = NULL;
    const char *kvm = NULL;
    const struct cli_option options[] = {
        {"json", NULL, "[OUT]", "as JSON, to the standard output or to this file", .text = &json,
         .optional = true},
        {"kvm", NULL, "DEVICE", "ask this KVM (also: MEZZ_KVM; default: /dev/kvm)", .text = &kvm},
        {.name = NULL},
    };
    int count = cli_parse(argc, argv, command, options, NULL, 0);

    if (count < 0)
        return cli_parse_status(count);
    return show(cli_kvm_device(kvm), json);
}
