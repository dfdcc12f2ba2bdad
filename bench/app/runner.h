/* SPDX-License-Identifier: MIT
 * Runs the cases one after the other, estimates how long they take, and keeps a suite within its time limit. */
#ifndef DMATTN_BENCH_RUNNER_H
#define DMATTN_BENCH_RUNNER_H

#include "cases/case_list.h"
#include "measure/outcome.h"
#include "report/report.h"
#include "report/rows.h"
#include "timing/settings.h"

typedef struct runner {
    measure_settings settings; /* settings.seconds is the upper limit of a case */
    const case_list *cases;
    uint32_t repeats;
    double budget;    /* seconds for one repeat of all cases; 0: no limit */
    double spent;     /* seconds of the first repeat's budget that are used up before it starts */
    double longest;   /* cases whose single run would take longer are skipped; 0: none */
    uint32_t threads; /* that plan the cases to come; 1: each case is planned when it runs */
    row_table *rows;  /* if not NULL, each case is printed when it is done */
    progress *progress;
} runner;

/* The estimated seconds of the whole run. Accurate only with settings.ceilings. */
double runner_estimate(const runner *r);

/* Runs until all cases are done, the device is lost or the program is interrupted; *o holds what was measured until
 * then. False if a case failed or was wrong. */
bool runner_run(const runner *r, outcomes *o);

#endif
