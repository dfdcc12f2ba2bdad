/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include "message.h"
#include "timing/cold.h"

#include <stdlib.h>

dmattn_status keep_samples(const measure_settings *s, const recording *what, const messenger *log, measurement *m,
                           timing *t)
{
    *t = (timing){.samples = malloc(s->max_samples * sizeof *t->samples),
                  .sorted = malloc(s->max_samples * sizeof *t->sorted),
                  .calibration = s->calibration};
    m->samples = t->samples;
    dmattn_status status = t->samples && t->sorted
                               ? take_samples(s, what, s->seconds, t)
                               : dmattn_fail(log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for samples");
    m->runs = t->runs;
    m->sample_count = t->sample_count;
    m->time = t->time;
    m->calibrated = timing_calibrated(t);
    if (!status && s->cold)
        status = cold_time(s->cold, what, s->seconds / 4, &m->cold);
    return status;
}
