/* SPDX-License-Identifier: Apache-2.0 */
/* Trigger conditions: what the check accepts can be evaluated on any exit, and says which one
 * failed. */
#include <stdlib.h>
#include <string.h>

#include "vmm/callbacks/conditions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t field_of(void *context, unsigned int field)
{
    const uint64_t *inputs = context;

    return inputs[field];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mezz_callback_registration registration;
    uint64_t inputs[MEZZ_FIELD_END] = {0};
    int failed;

    if (size < sizeof(registration))
        return 0;
    memcpy(&registration, data, sizeof(registration));
    data += sizeof(registration);
    size -= sizeof(registration);
    memcpy(inputs, data, size < sizeof(inputs) ? size : sizeof(inputs));
    registration.condition_count %= MEZZ_MAX_CONDITIONS + 2;
    if (conditions_check(&registration) != 0)
        return 0;
    failed = conditions_evaluate(&registration, field_of, inputs);
    if (failed < -1 || failed >= (int)registration.condition_count)
        abort();
    return 0;
}
