/* SPDX-License-Identifier: Apache-2.0 */
#include "personality.h"

#include <stddef.h>

static const struct personality personalities[] = {
    {
        .name = "callback",
        .features = MEZZ_FEATURE_CALLBACKS,
        .handlers = reflected_exits,
        .attach = callback_attach,
    },
    {
        .name = "observe",
        .features = MEZZ_FEATURE_CALLBACKS,
        .handlers = reflected_exits,
        .attach = observe_attach,
    },
    {
        .name = "root",
        .handlers = reflected_exits,
        .attach = pass_uart_through,
    },
    {
        .name = "reflect",
        .handlers = reflected_exits,
    },
    {
        .name = "classic",
        .features = MEZZ_FEATURE_CLASSIC,
        .handlers = reflected_exits,
        .attach = classic_attach,
        .fetch = classic_fetch,
        .store = classic_store,
    },
};

const struct personality *personality_find(struct text name)
{
    for (unsigned int i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
        if (text_equal(name, text_of(personalities[i].name)))
            return &personalities[i];
    return NULL;
}

const struct personality *personality_default(uint32_t features)
{
    return personality_find(features & MEZZ_FEATURE_CALLBACKS ? TEXT("callback") : TEXT("reflect"));
}
