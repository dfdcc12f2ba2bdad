/* SPDX-License-Identifier: MIT
 * How long cases take, before they are run: what is said at the start, and what is left of a suite's time for each.
 * Rough, and so corrected by what the cases before took. Pure functions. */
#ifndef DMATTN_BENCH_ESTIMATE_H
#define DMATTN_BENCH_ESTIMATE_H

#include "cases/cases.h"
#include "ceilings/ceiling.h"

typedef struct estimate {
    double run;    /* seconds of one run on the device; 0 where its ceilings are not known */
    double host;   /* seconds for data, compilers and checks */
    double limits; /* how often the limit of the timing is reached: stages are timed besides */
} estimate;

/* `ceilings` may be NULL. */
estimate estimate_case(const bench_case *c, const ceilings *ceilings, bool cpu);

/* All seconds of a case whose timing is limited to `limit`. */
double estimate_seconds(const estimate *e, double limit);

/* Where cases before took `factor` times what was estimated for the host, `count` more are estimated so and `seconds`
 * are left: the limit of the timing, at most `most`. */
double estimate_limit(const estimate *e, uint32_t count, double factor, double seconds, double most);

/* "1 min 40 s", rounded to what such an estimate is worth. */
#define DURATION_SIZE 32
void duration_text(double seconds, char text[DURATION_SIZE]);

#endif
