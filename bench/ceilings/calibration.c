/* SPDX-License-Identifier: MIT */
#include "calibration.h"

#include "ceiling_work.h"

#include <math.h>
#include <stdlib.h>

double calibration_clock(double best, double seconds)
{
    return best > 0 && seconds > 0 ? fmin(best / seconds, 1) : 0;
}

bool calibration_disturbed(double clock)
{
    return clock > 0 && clock * (1 + CALIBRATION_TOLERANCE) < 1;
}

struct calibration {
    messenger log;
    work work;
    uint64_t next;
    double best, worst;
};

static dmattn_status prepare(calibration *c)
{
    float input[PEAK_FMA_INPUTS];
    c->work.repeats = 1;
    TRY(work_create_fma(&c->work, input));
    return choose_size(&c->work, &c->work.repeats, MOST_REPEATS, 2e-3);
}

calibration *calibration_create(const measure_settings *s)
{
    calibration *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->log = (messenger){error_log_keep, s->log};
    c->work = (work){.settings = s, .next = &c->next, .ctx = dmattn_device_context(s->device), .log = &c->log};
    if (!prepare(c))
        return c;
    calibration_destroy(c);
    return NULL;
}

void calibration_destroy(calibration *c)
{
    if (c)
        work_destroy(&c->work);
    free(c);
}

dmattn_status calibration_run(calibration *c, double *seconds)
{
    *seconds = INFINITY;
    for (int i = 0; i < 3; i++) {
        double one;
        TRY(run_work(&c->work, &one));
        *seconds = fmin(*seconds, one);
    }
    c->best = c->best > 0 ? fmin(c->best, *seconds) : *seconds;
    c->worst = fmax(c->worst, *seconds);
    return DMATTN_SUCCESS;
}

double calibration_best(const calibration *c)
{
    return c->best;
}

double calibration_worst(const calibration *c)
{
    return c->worst;
}
