/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the portion for ever: for measuring what a call costs. */
#include "programs/vault/portion.h"

#include "lib/tiny.h"

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (;;) {
        vault_sign(1, 0);
    }
}
