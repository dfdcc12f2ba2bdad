/* SPDX-License-Identifier: MIT
 * Runs the cases, one after the other, tells how long it will take, and keeps to a suite's time. */
#ifndef DMATTN_BENCH_RUNNER_H
#define DMATTN_BENCH_RUNNER_H

#include "cases/case_list.h"
#include "measure/outcome.h"
#include "report/report.h"
#include "report/rows.h"
#include "timing/settings.h"

typedef struct runner {
    measure_settings settings; /* settings.seconds is what a case may take at most */
    const case_list *cases;
    uint32_t repeats;
    double budget;   /* seconds for each repeat, 0: no limit; */
    double spent;    /* of which so many are gone before the first one */
    double longest;  /* a case of which one run may take longer is skipped; 0: none is */
    row_table *rows; /* if not NULL, each case is printed when it is done */
    progress *progress;
} runner;

/* What is said before it starts: seconds. Needs settings.ceilings to be worth much. */
double runner_estimate(const runner *r);

/* Runs until all is done, the device fails or the program is interrupted. What is found before is in *o. False:
 * something failed or was wrong, and was told. */
bool runner_run(const runner *r, outcomes *o);

#endif
