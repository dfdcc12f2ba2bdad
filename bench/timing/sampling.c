/* SPDX-License-Identifier: MIT */
#include "sampling.h"

#include "interrupt.h"
#include "message.h"
#include "runtime/platform.h"

#include <math.h>

static void keep_sample(timing *t, double seconds)
{
    insert_sorted(t->sorted, t->sample_count, seconds);
    if (t->samples)
        t->samples[t->sample_count] = seconds;
    t->sample_count++;
    t->time = summarize(t->sorted, t->sample_count);
}

static dmattn_status calibrate(timing *t)
{
    double seconds;
    if (!t->calibration || t->calibration_count == MOST_CALIBRATIONS)
        return DMATTN_SUCCESS;
    TRY(calibration_run(t->calibration, &seconds));
    insert_sorted(t->calibrated, t->calibration_count++, seconds);
    return DMATTN_SUCCESS;
}

dmattn_status take_samples(const measure_settings *s, const recording *what, double limit, timing *t)
{
    const double start = dmattn_clock_seconds(), warm = start + fmin(limit / 5, 0.25), least = warm + limit / 20;
    double one, next = start + limit / 4;
    t->sample_count = t->calibration_count = 0;
    TRY(time_runs(what, 1, &one));
    t->runs = choose_runs(one, s->least_sample);
    if (dmattn_clock_seconds() - start > limit) { /* one run fills the limit; the check's run was the warm-up */
        keep_sample(t, one);
        return calibrate(t);
    }
    /* Warm-up: clocks rise under load, and the first runs are slower than the rest. */
    while (dmattn_clock_seconds() < warm && !interrupted()) {
        TRY(time_runs(what, t->runs, &one));
        t->runs = choose_runs(one, s->least_sample);
    }
    TRY(calibrate(t));
    do {
        TRY(time_runs(what, t->runs, &one));
        keep_sample(t, one);
        if (t->sample_count >= 10 && summary_uncertainty(&t->time) <= PRECISION && dmattn_clock_seconds() >= least)
            break;
        if (dmattn_clock_seconds() >= next) {
            TRY(calibrate(t));
            next += limit / 4;
        }
    } while (!interrupted() && t->sample_count < s->max_samples
             && (t->sample_count < 3 || dmattn_clock_seconds() - start < limit));
    return calibrate(t);
}

double timing_calibrated(const timing *t)
{
    return t->calibration_count ? quantile(t->calibrated, t->calibration_count, 0.5) : 0;
}
