/* SPDX-License-Identifier: MIT */
#include "measurement.h"

#include <stdlib.h>

const char *const stage_names[STAGE_COUNT] = {"importance", "intervals", "lists", "attention"};

const char *case_status_string(case_status status)
{
    switch (status) {
    case CASE_OK: return "ok";
    case CASE_WRONG: return "wrong";
    case CASE_UNSUPPORTED: return "unsupported";
    case CASE_SKIPPED: return "skipped";
    case CASE_INTERRUPTED: return "interrupted";
    default: return "failed";
    }
}

static double measurement_flops(const measurement *m)
{
    double flops = 0;
    for (int i = 0; i < PASS_COUNT; i++)
        flops += m->planned[i].flops_of_pair * (double)m->visible_pairs;
    return flops;
}

static double measurement_bytes(const measurement *m)
{
    double bytes = 0;
    for (int i = 0; i < PASS_COUNT; i++)
        bytes += m->planned[i].bytes;
    return bytes;
}

double measurement_tflops(const measurement *m)
{
    return m->time.median > 0 ? measurement_flops(m) / m->time.median * 1e-12 : 0;
}

double measurement_gbytes(const measurement *m)
{
    return m->time.median > 0 ? measurement_bytes(m) / m->time.median * 1e-9 : 0;
}

double measurement_roofline_share(const measurement *m)
{
    return m->time.median > 0 ? m->roofline_seconds / m->time.median : 0;
}

double measurement_roofline_seconds(const measurement *m, const ceilings *p)
{
    double sum = 0;
    for (int i = 0; i < PASS_COUNT; i++) {
        const planned_pass *pass = &m->planned[i];
        if (!pass->level)
            continue;
        const double bound =
            roofline_seconds(p, pass->level, m->desc.type, pass->flops_of_pair * (double)m->visible_pairs, pass->bytes);
        if (bound <= 0)
            return 0;
        sum += bound;
    }
    return sum;
}

void measurement_destroy(measurement *m)
{
    free(m->samples);
    *m = (measurement){0};
}
