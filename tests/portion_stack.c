/* SPDX-License-Identifier: Apache-2.0 */
#include "portion_stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void portion_run_way(struct mezz_process *mezz, const struct portion_run *wanted, const char *way,
                     const char *log)
{
    const char *argv[] = {"run", "t.lua", "--json", "out.json", log != NULL ? "--log" : NULL,
                          log,   NULL};
    char declaration[512] = "";
    char programs[64];
    char text[2048];

    if (wanted->more != NULL)
        snprintf(declaration, sizeof(declaration), PORTION_PROTECT, wanted->attack, wanted->more);
    snprintf(programs, sizeof(programs), "'vault%s.elf%s'", wanted->attack, way);
    snprintf(text, sizeof(text), PORTION_STACK, wanted->l1 != NULL ? wanted->l1 : "",
             wanted->engine != NULL ? ", engine = '" : "",
             wanted->engine != NULL ? wanted->engine : "", wanted->engine != NULL ? "'" : "",
             programs, declaration, wanted->may_die ? "true" : "false");
    mezz_begin(mezz);
    mezz_write(mezz, "t.lua", text, strlen(text));
    mezz_run(mezz, argv);
}

void portion_run(struct mezz_process *mezz, const struct portion_run *wanted, const char *log)
{
    portion_run_way(mezz, wanted, "", log);
}

bool portion_lane_is_host(void)
{
    const char *lane = getenv("MEZZ_LANE");

    return lane != NULL && strcmp(lane, "host") == 0;
}
