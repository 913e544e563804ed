/* SPDX-License-Identifier: Apache-2.0 */
/* A guarded call with which something happens inside, by the name that agent-waits.elf is given;
 * then one with which nothing does. */
#include "api/api.h"
#include "lib/tiny.h"

int main(int argc, char **argv)
{
    static const char text[4096];
    const char *name = argc > 1 ? argv[1] : "nothing";
    /* The third argument is a number for the function, and the function for the agent. */
    int64_t result = api_append(name, text, (uint64_t)api_append);

    tiny_print("inside: %s: %d\n", name, (int)result);
    tiny_print("inside: afterwards: %d\n", (int)api_append("after", "ok", 2));
    return 0;
}
