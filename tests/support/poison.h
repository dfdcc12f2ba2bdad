/* SPDX-License-Identifier: MIT
 * Values that nobody may use. */
#ifndef DMATTN_TESTS_POISON_H
#define DMATTN_TESTS_POISON_H

#include "problem.h"

/* Makes rows of k or of v NaN whose key no query sees by its interval and causality or by a dense mask; by one that has
 * a query dimension only if `masked_by_query`. */
void poison_hidden_keys(problem *p, tensor_id tensor, bool masked_by_query);

#endif
