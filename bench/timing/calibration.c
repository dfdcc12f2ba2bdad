/* SPDX-License-Identifier: MIT */
#include "calibration.h"

#include "message.h"

#include <math.h>

double calibration_clock(double best, double seconds)
{
    return best > 0 && seconds > 0 ? fmin(best / seconds, 1) : 0;
}

bool calibration_throttled(double clock)
{
    return clock > 0 && clock * (1 + CALIBRATION_TOLERANCE) < 1;
}

dmattn_status calibration_run(calibration *c, double *seconds)
{
    *seconds = INFINITY;
    for (int i = 0; i < 3; i++) {
        double one;
        TRY(time_runs(&c->kernel, 1, &one));
        *seconds = fmin(*seconds, one);
    }
    c->best = c->best > 0 ? fmin(c->best, *seconds) : *seconds;
    c->worst = fmax(c->worst, *seconds);
    return DMATTN_SUCCESS;
}
