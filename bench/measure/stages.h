/* SPDX-License-Identifier: MIT
 * Times the stages of dynamic mask attention separately, on the buffers of the complete operator. */
#ifndef DMATTN_BENCH_STAGES_H
#define DMATTN_BENCH_STAGES_H

#include "measurement.h"
#include "timing/settings.h"

/* Times each stage alone. `dp` must have run, so that each stage finds the results of the previous ones. `sorted` has
 * room for settings->max_samples. */
dmattn_status time_stages(const measure_settings *settings, const device_problem *dp, double *sorted, measurement *m);

/* Times the computation of the mask (all stages except attention) as a case, and fills m->planned. Then runs attention
 * once with the computed lists, so that its result shows whether they are right. */
dmattn_status time_mask(const measure_settings *settings, const device_problem *dp, const messenger *log,
                        measurement *m);

#endif
