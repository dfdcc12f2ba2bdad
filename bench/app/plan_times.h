/* SPDX-License-Identifier: MIT
 * How long planning takes. */
#ifndef DMATTN_BENCH_PLAN_TIMES_H
#define DMATTN_BENCH_PLAN_TIMES_H

#include "cases/case_list.h"
#include "timing/settings.h"

#include <stdio.h>

/* Plans each case: its first plan, which compiles, then equal plans while that one exists, and
 * checks of its descriptor. Prints a row for each
 * case. False if a case cannot be planned. */
bool print_plan_times(FILE *stream, const case_list *cases, const measure_settings *settings);

/* Plans all cases, which are divided among threads, and prints how long it takes. False if a case cannot be planned. */
bool print_parallel_plans(FILE *stream, const case_list *cases, const measure_settings *settings, uint32_t threads);

#endif
