/* SPDX-License-Identifier: MIT
 * Estimates how long cases take, to announce the total and to divide a suite's time among its cases. The estimates are
 * rough; the caller corrects them by the time of previous cases. Pure functions. */
#ifndef DMATTN_BENCH_ESTIMATE_H
#define DMATTN_BENCH_ESTIMATE_H

#include "cases/cases.h"
#include "ceilings/ceiling.h"

typedef struct estimate {
    double run;    /* seconds of one run on the device; 0 if its ceilings are unknown */
    double host;   /* seconds for data, kernel compilation and checks */
    double plan;   /* the part of `host` for kernel compilation */
    double limits; /* how many times the sampling limit is used; 2 if the stages are timed separately */
} estimate;

/* `ceilings` may be NULL. */
estimate estimate_case(const bench_case *c, const ceilings *ceilings, bool cpu);

/* The case is planned beside others, in this many threads: they share the time of planning. */
void estimate_share_plan(estimate *e, uint32_t threads);

/* The case has its plans: planning takes no time any more. Returns the seconds that it would have taken. */
double estimate_take_plan(estimate *e);

/* Total seconds of a case whose sampling is limited to `limit` seconds. */
double estimate_seconds(const estimate *e, double limit);

/* The sampling limit, at most `most`, with which the `count` remaining cases e[] fit in `seconds`. `factor` corrects
 * the host estimates. */
double estimate_limit(const estimate *e, uint32_t count, double factor, double seconds, double most);

/* "1 min 40 s", rounded to the precision of an estimate. */
#define DURATION_SIZE 32
void duration_text(double seconds, char text[DURATION_SIZE]);

#endif
