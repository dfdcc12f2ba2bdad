/* SPDX-License-Identifier: MIT
 * Fills values that must not be used with NaN. */
#ifndef DMATTN_TESTS_POISON_H
#define DMATTN_TESTS_POISON_H

#include "problem.h"

/* Sets rows of k or v to NaN if no query sees the key, according to its interval and causality or a dense mask. A dense
 * mask with a query dimension counts only if `masked_by_query`. */
void poison_hidden_keys(problem *p, tensor_id tensor, bool masked_by_query);

#endif
