/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/views.h"

#include "lib/machine.h"
#include "mezz/abi.h"
#include "mezz/calls.h"
#include "mezz/guest.h"

bool views_init(struct views *views, struct arena *arena)
{
    views->count = 0;
    views->list = arena_take(arena, MEZZ_PAGE_SIZE, MEZZ_PAGE_SIZE);
    return views->list != 0;
}

bool views_add(struct views *views, const struct ept *ept, uint64_t flags)
{
    uint64_t *list = pointer_at(views->list);

    if (views->count == MEZZ_MAX_VIEWS)
        return false;
    list[views->count++] = MEZZ_EPTP(ept->root) | flags;
    return true;
}

uint64_t views_eptp(const struct views *views, uint32_t index)
{
    return ((const uint64_t *)pointer_at(views->list))[index];
}

int64_t views_set(const struct views *views, uint32_t l2, uint64_t *bad)
{
    struct mezz_result result = mezz_call_value(MEZZ_CALL_EPTP_LIST, l2, views->list, views->count);

    *bad = result.value;
    return result.status;
}

int64_t views_set_gate_sites(uint32_t l2, const struct mezz_gate_site *sites, uint32_t count)
{
    return mezz_call(MEZZ_CALL_GATE_SITES, l2, address_of(sites), count);
}
