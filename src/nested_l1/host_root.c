/* SPDX-License-Identifier: Apache-2.0 */
/* Hosting by the root's calls. */
#include "host.h"
#include "l1.h"
#include "lib/machine.h"
#include "mezz/guest.h"

static const char *create(struct l2 *l2, const struct guest_config *config, int64_t *error)
{
    struct mezz_l2_parameters parameters = {.reserved = {0}};

    copy_words(parameters.name, config->name, sizeof(parameters.name));
    *error = mezz_call(MEZZ_CALL_L2_CREATE, address_of(&parameters), 0, 0);
    if (*error < 0)
        return "L2_CREATE";
    l2->number = (uint32_t)*error;
    return NULL;
}

static const char *create_vcpu(struct l1 *l1, struct l2 *l2, int64_t *error)
{
    (void)l1;
    *error = mezz_call(MEZZ_CALL_VCPU_CREATE, l2->number, address_of(l2->shared), 0);
    if (*error < 0)
        return "VCPU_CREATE";
    l2->vcpu = (uint32_t)*error;
    return NULL;
}

static int64_t enter(struct l2 *l2)
{
    return mezz_call(MEZZ_CALL_ENTER, l2->vcpu, 0, 0);
}

static void destroy(struct l2 *l2, uint32_t status)
{
    mezz_call(MEZZ_CALL_L2_DESTROY, l2->number, status, 0);
}

static uint64_t time(void)
{
    return (uint64_t)mezz_call(MEZZ_CALL_TIME, 0, 0, 0);
}

const struct host host_root = {
    .found = "root hypervisor found",
    .ept = CONFIG_EPT_DIRTY | CONFIG_EPT_COW,
    .create = create,
    .create_vcpu = create_vcpu,
    .enter = enter,
    .destroy = destroy,
    .time = time,
};
