/* SPDX-License-Identifier: Apache-2.0 */
/* A target that does what its input says: unit_replay looks at what comes of it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    volatile int *nothing = NULL;

    switch (size > 0 ? data[0] : 0) {
    case 'a':
        abort();
    case 's':
        *nothing = 1;
        break;
    case 'e':
        exit(0);
    case 'h':
        for (volatile unsigned int i = 0; i < 1; i = 0)
            continue;
        break;
    default:
        break;
    }
    return 0;
}
