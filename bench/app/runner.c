/* SPDX-License-Identifier: MIT */
#include "runner.h"

#include "complain.h"
#include "measure/measure.h"
#include "plan_ahead.h"
#include "report/estimate.h"
#include "runtime/platform.h"
#include "timing/calibration.h"
#include "timing/interrupt.h"

#include <math.h>
#include <stdlib.h>

static bool is_cpu(const runner *r)
{
    return r->settings.info->type == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static bool plans_ahead(const runner *r)
{
    return r->threads > 1 && !r->settings.lengths; /* plans for several lengths are not those of the cases */
}

static estimate estimate_of(const runner *r, uint32_t index)
{
    estimate e = estimate_case(&r->cases->item[index], r->settings.ceilings, is_cpu(r));
    if (plans_ahead(r))
        estimate_share_plan(&e, r->threads);
    return e;
}

double runner_estimate(const runner *r)
{
    double seconds = 0;
    for (uint32_t i = 0; i < r->cases->count; i++) {
        const estimate e = estimate_of(r, i);
        if (r->longest <= 0 || e.run <= r->longest)
            seconds += estimate_seconds(&e, r->settings.seconds);
    }
    if (r->budget > 0)
        seconds = fmin(seconds, r->budget - r->spent);
    return r->repeats * seconds;
}

/* The state of one repeat of all cases. */
typedef struct pass_through {
    const runner *r;
    outcomes *o;
    estimate *estimates;
    planned_case *planned; /* for each case */
    uint32_t ahead;        /* the cases before this one have had their plans made ahead */
    uint32_t repeat;
    double start;           /* clock time */
    double expected, taken; /* host seconds of the cases so far, estimated and measured */
    bool ok, lost;
} pass_through;

/* Measured over estimated host time so far, damped while there are few cases. */
static double factor(const pass_through *t)
{
    return fmin(fmax((t->taken + 2) / (t->expected + 2), 0.2), 5);
}

static double seconds_left(const pass_through *t, uint32_t index)
{
    const runner *r = t->r;
    double left = 0, all = 0;
    for (uint32_t i = 0; i < r->cases->count; i++) {
        const double one = factor(t) * t->estimates[i].host + estimate_seconds(&t->estimates[i], r->settings.seconds)
                           - t->estimates[i].host;
        left += i >= index ? one : 0;
        all += one;
    }
    if (r->budget > 0) {
        left = fmin(left, fmax(r->budget - (dmattn_clock_seconds() - t->start), 1));
        all = fmin(all, r->budget);
    }
    return left + (r->repeats - 1 - t->repeat) * all;
}

/* Whether there is no time for a case. If there is, *limit is the time limit of its samples. */
static bool has_no_time(const pass_through *t, uint32_t index, double *limit, measurement *m)
{
    const runner *r = t->r;
    const estimate *e = &t->estimates[index];
    const double left = r->budget - (dmattn_clock_seconds() - t->start);
    *limit = r->settings.seconds;
    if (r->longest > 0 && e->run > r->longest) {
        snprintf(m->sentence, sizeof m->sentence, "one run would take about %.0f s", e->run);
        return true;
    }
    if (r->budget <= 0)
        return false;
    if (factor(t) * e->host + 4 * e->run > left) {
        snprintf(m->sentence, sizeof m->sentence, "no time left of this suite's %.0f s; --time removes that limit",
                 r->budget);
        return true;
    }
    *limit = estimate_limit(e, r->cases->count - index, factor(t), left, r->settings.seconds);
    return false;
}

/* Plans the cases from `index` on, if they are not yet: a batch, which bounds the memory of the plans, and the time for
 * plans of cases that turn out to have no time. */
static void plan_batch(pass_through *t, uint32_t index)
{
    enum { CASES_OF_THREAD = 4 };
    const runner *r = t->r;
    const uint32_t left = r->cases->count - index, most = CASES_OF_THREAD * r->threads;
    const uint32_t count = left < most ? left : most;
    const uint64_t cases = r->progress->count;
    const double start = dmattn_clock_seconds();
    char text[64];
    if (!plans_ahead(r) || index < t->ahead)
        return;
    for (uint32_t i = index; i < index + count; i++) {
        double limit;
        measurement unused;
        t->planned[i].c = has_no_time(t, i, &limit, &unused) ? NULL : &r->cases->item[i];
    }
    snprintf(text, sizeof text, "planning the next %u case%s", count, count > 1 ? "s" : "");
    r->progress->count = 0; /* no case is running */
    tell_phase(&r->settings, text);
    plan_ahead(&r->settings, &t->planned[index], count, r->threads);
    progress_erase(r->progress);
    r->progress->count = cases;
    t->taken += dmattn_clock_seconds() - start;
    for (uint32_t i = index; i < index + count; i++)
        if (t->planned[i].c)
            t->expected += estimate_take_plan(&t->estimates[i]);
    t->ahead = index + count;
}

static void run_case(pass_through *t, uint32_t index)
{
    const runner *r = t->r;
    const bench_case *c = &r->cases->item[index];
    const double start = dmattn_clock_seconds();
    measure_settings settings = r->settings;
    measurement m = {.status = CASE_SKIPPED, .desc = c->desc};
    r->progress->index = (uint64_t)t->repeat * r->cases->count + index;
    r->progress->seconds_left = seconds_left(t, index);
    if (!has_no_time(t, index, &settings.seconds, &m)) {
        const estimate *e = &t->estimates[index];
        measure(&settings, c, &m);
        t->expected += e->host;
        t->taken += fmax(dmattn_clock_seconds() - start - (estimate_seconds(e, settings.seconds) - e->host), 0);
    }
    progress_erase(r->progress);
    t->lost = m.status == CASE_DEVICE_FAILED;
    t->ok = t->ok && m.status != CASE_WRONG && m.status != CASE_FAILED && !t->lost;
    if (m.status == CASE_INTERRUPTED) {
        measurement_destroy(&m);
        return;
    }
    if (r->settings.calibration) {
        t->o->best_calibration = r->settings.calibration->best;
        t->o->worst_calibration = r->settings.calibration->worst;
    }
    if (!outcomes_add(t->o, c, &m, index, t->repeat)) {
        complain(0, "no memory for the result of a case");
        t->ok = false;
    } else if (r->rows)
        rows_print(r->rows, &t->o->item[t->o->count - 1]);
}

bool runner_run(const runner *r, outcomes *o)
{
    const uint32_t count = r->cases->count;
    pass_through t = {.r = r,
                      .o = o,
                      .estimates = calloc(count, sizeof *t.estimates),
                      .planned = calloc(count, sizeof *t.planned),
                      .ok = true};
    if (!t.estimates || !t.planned) {
        free(t.estimates);
        free(t.planned);
        complain(0, "no memory for the estimates");
        return false;
    }
    r->progress->count = (uint64_t)count * r->repeats;
    for (; t.repeat < r->repeats; t.repeat++) {
        t.start = dmattn_clock_seconds() - (t.repeat ? 0 : r->spent);
        t.ahead = 0;
        for (uint32_t i = 0; i < count; i++)
            t.estimates[i] = estimate_of(r, i);
        for (uint32_t i = 0; i < count && !t.lost && !interrupted(); i++) {
            plan_batch(&t, i);
            if (!interrupted())
                run_case(&t, i);
            planned_case_destroy(&t.planned[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        planned_case_destroy(&t.planned[i]);
    free(t.planned);
    free(t.estimates);
    if (t.lost)
        complain(0, "the device failed; the cases after this one were not run");
    return t.ok;
}
