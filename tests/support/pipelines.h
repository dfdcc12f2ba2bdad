/* SPDX-License-Identifier: MIT
 * Pipelines that a test's plans share. A plan compiles its own pipelines, and many tests make plans with equal ones.
 * A CPU needs about 0.05 s for each, even if the driver has it in its cache. */
#ifndef DMATTN_TESTS_PIPELINES_H
#define DMATTN_TESTS_PIPELINES_H

#include "context.h"

/* From now on, plans of this context get equal pipelines only once. At most one context at a time; one thread at a time
 * may make or destroy its plans. */
void pipelines_share(dmattn_context *context);

/* Destroys all of these pipelines, after the last plan. */
void pipelines_destroy(void);

#endif
