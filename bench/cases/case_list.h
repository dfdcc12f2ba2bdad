/* SPDX-License-Identifier: MIT
 * The list of cases to run. Pure functions. */
#ifndef DMATTN_BENCH_CASE_LIST_H
#define DMATTN_BENCH_CASE_LIST_H

#include "cases.h"

typedef struct case_list {
    bench_case *item; /* owned */
    uint32_t count, room;
    uint32_t left_out; /* cases that case_list_leave_out() removed */
} case_list;

/* Adds the cases of a sweep whose name contains `filter` (NULL: all). With `once`, skips cases that the list already
 * has. False if out of memory. */
bool case_list_add(case_list *list, const sweep *s, const char *filter, bool once);

/* Removes the cases whose cache has a buffer of more than `bytes`. */
void case_list_leave_out(case_list *list, uint64_t bytes);

void case_list_destroy(case_list *list);

#endif
