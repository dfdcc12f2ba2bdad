/* SPDX-License-Identifier: MIT
 * The plans whose kernels are compiled for many devices. */
#ifndef DMATTN_TESTS_PLANS_H
#define DMATTN_TESTS_PLANS_H

#include <dmattn/core.h>

#include <stdbool.h>

#define PLAN_NAME_SIZE 96

typedef struct plan_listener {
    void (*begin)(void *user, const char *plan); /* its name is unique and shorter than PLAN_NAME_SIZE */
    void (*end)(void *user, dmattn_status status);
    void *user;
} plan_listener;

/* Makes and destroys plans at each level up to `best`: a few whose kernels have the largest tiles, or all others. A
 * level above portable that a plan does not support is left out. */
void make_plans(dmattn_context *context, dmattn_level best, bool few, const plan_listener *listener);

/* Makes and destroys many plans of a pass, at the level that the library chooses: "forward", "backward" or "decoding".
 * Only those whose names contain `part`. False: there is no such pass. */
bool make_sweep(dmattn_context *context, const char *pass, const char *part, const plan_listener *listener);

#endif
