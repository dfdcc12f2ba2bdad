/* SPDX-License-Identifier: MIT
 * Dynamic mask attention taken apart: each stage planned and timed by itself, on the buffers of the whole. */
#ifndef DMATTN_BENCH_STAGES_H
#define DMATTN_BENCH_STAGES_H

#include "measurement.h"
#include "timing/settings.h"

/* `dp` has run, so that each stage finds what the ones before it make. `sorted`: room for settings->max_samples. */
dmattn_status time_stages(const measure_settings *settings, const device_problem *dp, double *sorted, measurement *m);

/* Making the mask, all stages but attention, as a case of its own: fills m->planned, too. Attention is run once by the
 * lists that were made, so that its result tells whether they are right. */
dmattn_status time_making(const measure_settings *settings, const device_problem *dp, const messenger *log,
                          measurement *m);

#endif
