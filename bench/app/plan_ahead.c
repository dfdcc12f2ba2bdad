/* SPDX-License-Identifier: MIT */
#include "plan_ahead.h"

#include "check/threads.h"
#include "timing/interrupt.h"

/* What a thread plans: every step-th case from `first` on. */
typedef struct planner {
    const measure_settings *settings;
    planned_case *cases;
    uint32_t count, first, step;
} planner;

static void *plan_cases(void *user)
{
    const planner *p = user;
    for (uint32_t i = p->first; i < p->count && !interrupted(); i += p->step) {
        planned_case *x = &p->cases[i];
        x->done = x->c && !case_plans(p->settings, x->c, x->plan);
    }
    return NULL;
}

void plan_ahead(const measure_settings *settings, planned_case *cases, uint32_t count, uint32_t threads)
{
    planner planners[MOST_THREADS];
    const uint32_t step = threads < MOST_THREADS ? threads : MOST_THREADS;
    for (uint32_t i = 0; i < step; i++)
        planners[i] = (planner){settings, cases, count, i, step};
    settings->log->ignores = true; /* threads must not write it at the same time */
    run_in_threads(plan_cases, planners, sizeof *planners, step);
    settings->log->ignores = false;
}

void planned_case_destroy(planned_case *p)
{
    for (int i = 0; i < MOST_CASE_PLANS; i++)
        dmattn_plan_destroy(p->plan[i]);
    *p = (planned_case){.c = p->c};
}
