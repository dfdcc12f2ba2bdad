/* SPDX-License-Identifier: MIT */
#include "case_index.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const case_result *x = *(const case_result *const *)a, *y = *(const case_result *const *)b;
    const int order = strcmp(x->identity, y->identity);
    return order ? order : (x > y) - (x < y);
}

bool case_index_make(const results *all, case_index *index)
{
    *index = (case_index){all, malloc((all->count + 1) * sizeof *index->sorted)};
    if (!index->sorted)
        return false;
    for (size_t i = 0; i < all->count; i++)
        index->sorted[i] = &all->items[i];
    if (all->count)
        qsort(index->sorted, all->count, sizeof *index->sorted, compare);
    return true;
}

void case_index_destroy(case_index *index)
{
    free(index->sorted);
    *index = (case_index){0};
}

/* The number of results before `identity`; with `and_it`, before or equal. */
static size_t count_before(const case_index *index, const char *identity, bool and_it)
{
    size_t low = 0, high = index->all->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(index->sorted[middle]->identity, identity);
        if (order < 0 || (and_it && !order))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

case_group case_index_find(const case_index *index, const char *identity)
{
    const size_t first = count_before(index, identity, false);
    return (case_group){index->sorted + first, count_before(index, identity, true) - first};
}

const case_result *case_group_first(case_group group, bool ok)
{
    for (size_t i = 0; i < group.count; i++)
        if (result_is_ok(group.item[i]) == ok)
            return group.item[i];
    return group.count ? *group.item : NULL;
}
