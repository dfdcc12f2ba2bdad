/* SPDX-License-Identifier: MIT
 * Plans cases in threads. As long as a plan of a case exists, planning the case again compiles nothing. */
#ifndef DMATTN_BENCH_PLAN_AHEAD_H
#define DMATTN_BENCH_PLAN_AHEAD_H

#include "measure/planning.h"

typedef struct planned_case {
    const bench_case *c;                /* borrowed; NULL: nothing is planned */
    dmattn_plan *plan[MOST_CASE_PLANS]; /* owned; NULL where there is none */
    bool done;                          /* all plans that the case needs exist */
} planned_case;

/* Makes the plans of `count` cases in up to `threads` threads, and waits for them. Plans that fail are left out,
 * without a message: the case says why when it runs. Stops early if the program is interrupted. */
void plan_ahead(const measure_settings *settings, planned_case *cases, uint32_t count, uint32_t threads);

/* Destroys the plans of a case. */
void planned_case_destroy(planned_case *p);

#endif
