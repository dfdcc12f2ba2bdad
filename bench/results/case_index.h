/* SPDX-License-Identifier: MIT
 * Finds the results of a case by binary search. */
#ifndef DMATTN_BENCH_CASE_INDEX_H
#define DMATTN_BENCH_CASE_INDEX_H

#include "result.h"

/* Results of one case, in the order of the file. */
typedef struct case_group {
    const case_result *const *item;
    size_t count;
} case_group;

typedef struct case_index {
    const results *all;
    const case_result **sorted;
} case_index;

/* False if out of memory; then there is nothing to destroy. */
bool case_index_make(const results *all, case_index *index);
void case_index_destroy(case_index *index);

/* The results whose identity (from result_identity()) is equal; empty if there are none. */
case_group case_index_find(const case_index *index, const char *identity);

/* The first result for which result_is_ok() == ok; else the first result; NULL if the group is empty. */
const case_result *case_group_first(case_group group, bool ok);

#endif
