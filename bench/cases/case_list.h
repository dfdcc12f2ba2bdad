/* SPDX-License-Identifier: MIT
 * The cases that are to run. Pure functions. */
#ifndef DMATTN_BENCH_CASE_LIST_H
#define DMATTN_BENCH_CASE_LIST_H

#include "cases.h"

typedef struct case_list {
    bench_case *item; /* owned */
    uint32_t count, room;
} case_list;

/* Adds all cases of a sweep whose name has `filter` in it (NULL: all), with `once` those that are not there yet. False
 * without memory. */
bool case_list_add(case_list *list, const sweep *s, const char *filter, bool once);
void case_list_destroy(case_list *list);

#endif
