/* SPDX-License-Identifier: MIT
 * The results of a file by case, so that large files take no longer for each of their cases. */
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

/* False without memory; then there is nothing to destroy. */
bool case_index_make(const results *all, case_index *index);
void case_index_destroy(case_index *index);

/* By result_identity(). Empty if there is none. */
case_group case_index_find(const case_index *index, const char *identity);

/* The first result that is ok, or is not; else the first one; NULL if the group is empty. */
const case_result *case_group_first(case_group group, bool ok);

#endif
