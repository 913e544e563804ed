/* SPDX-License-Identifier: Apache-2.0 */
#ifndef L1_PERSONALITY_H
#define L1_PERSONALITY_H

#include <stdbool.h>

#include "lib/text.h"
#include "mezz/exit.h"

struct l1;
struct l2;

enum outcome {
    OUTCOME_GO_ON,  /* the guest can run on */
    OUTCOME_HALTED, /* it waits for an interrupt */
    OUTCOME_ENDED
};

typedef enum outcome exit_handler(struct l1 *l1, struct l2 *l2);

#define EXIT_INDEX_COUNT (MEZZ_EXIT_SDM_COUNT + (MEZZ_EXIT_OWN_END - MEZZ_EXIT_OWN_FIRST))
#define EXIT_INDEX(reason) \
    ((reason) < MEZZ_EXIT_OWN_FIRST ? (reason) : MEZZ_EXIT_SDM_COUNT + (reason)-MEZZ_EXIT_OWN_FIRST)

/* How L1 deals with its guests' exits: exits=NAME on the command line. */
struct personality {
    const char *name;
    uint32_t features;             /* MEZZ_FEATURE_... that the root must have */
    exit_handler *const *handlers; /* EXIT_INDEX_COUNT of them, for the exits that are reflected */
    /* Once, when the guest exists; or NULL. Answers NULL, or what went wrong: if it set error, the
     * call that the root refused. */
    const char *(*attach)(struct l1 *l1, struct l2 *l2, int64_t *error);
    void (*fetch)(struct l2 *l2); /* after each exit: fills l2->vmcs; or NULL */
    void (*store)(struct l2 *l2); /* before each entry: the opposite; or NULL */
};

const struct personality *personality_find(struct text name);
/* The best of those that a root with these features, or none, lets L1 have. */
const struct personality *personality_default(uint32_t features);

/* exits.c */
extern exit_handler *const reflected_exits[EXIT_INDEX_COUNT];
enum outcome exit_dispatch(struct l1 *l1, struct l2 *l2);

/* guest.c */
const char *pass_uart_through(struct l1 *l1, struct l2 *l2, int64_t *error);

/* callback.c */
const char *callback_attach(struct l1 *l1, struct l2 *l2, int64_t *error);
const char *observe_attach(struct l1 *l1, struct l2 *l2, int64_t *error);
const char *guard_attach(struct l1 *l1, struct l2 *l2, uint32_t how, int64_t *error);
const char *portions_attach(struct l1 *l1, struct l2 *l2, bool allow, int64_t *error);

/* classic.c */
const char *classic_attach(struct l1 *l1, struct l2 *l2, int64_t *error);
void classic_fetch(struct l2 *l2);
void classic_store(struct l2 *l2);

#endif
