/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for three files: one that anybody may open, one that the agent denies, one that ends it. */
#include "api/api.h"
#include "lib/tiny.h"

__attribute__((noinline)) static void ask_for(const char *name)
{
    int64_t handle = api_open(name, TINY_OPEN_CREATE);

    if (handle >= 0) {
        tiny_print("denied: %s: opened\n", name);
        api_close(handle);
    } else {
        tiny_print("denied: %s: refused with %d\n", name, (int)handle);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    ask_for("public.txt");
    ask_for("secret.txt");
    ask_for("forbidden.txt");
    return 0;
}
