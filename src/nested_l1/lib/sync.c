/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/sync.h"

#include <stddef.h>

static bool apply_vmcs(struct mezz_vmcs12 *vmcs, const struct mezz_sync_record *record)
{
    uint32_t offset = MEZZ_FIELD_OFFSET(record->key);
    uint32_t width = MEZZ_FIELD_WIDTH(record->key);
    void *field = (uint8_t *)vmcs + offset;

    if (offset > offsetof(struct mezz_vmcs12, reserved3) - 8 || !width || offset % width)
        return false;
    switch (width) {
    case 2:
        *(uint16_t *)field = (uint16_t)record->to;
        return true;
    case 4:
        *(uint32_t *)field = (uint32_t)record->to;
        return true;
    case 8:
        *(uint64_t *)field = record->to;
        return true;
    default:
        return false;
    }
}

static bool apply_ept(struct ept *ept, const struct mezz_sync_record *record)
{
    uint64_t *leaf = ept_leaf(ept, record->key);

    if (leaf && *leaf == record->from)
        *leaf = record->to;
    return true;
}

bool sync_apply(struct mezz_vmcs12 *vmcs, struct ept *ept, const struct mezz_sync_record *record,
                uint32_t count)
{
    for (; count; count--, record++) {
        bool applied = false;

        if (record->object == MEZZ_SYNC_VMCS)
            applied = apply_vmcs(vmcs, record);
        else if (record->object == MEZZ_SYNC_EPT)
            applied = apply_ept(ept, record);
        if (!applied)
            return false;
    }
    return true;
}
