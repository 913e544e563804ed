/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cli.h"

int cli_info(int argc, char **argv, const struct cli_command *command)
{
    (void)argc;
    (void)argv;
    (void)command;
    return CLI_DONE;
}
