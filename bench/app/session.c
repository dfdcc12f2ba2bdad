/* SPDX-License-Identifier: MIT */
#include "session.h"

#include "ceilings/calibration_kernel.h"
#include "ceilings/ceiling_measure.h"
#include "check/threads.h"
#include "plan_times.h"
#include "report/estimate.h"
#include "report/page.h"
#include "runner.h"
#include "runtime/platform.h"
#include "save.h"
#include "timing/cold.h"
#include "timing/interrupt.h"
#include "tune.h"

#include <stdio.h>

/* ---- ceilings ------------------------------------------------------------------------------------------------ */

/* By the best calibration so far. */
static bool is_throttled(const calibration *c, const ceiling *p)
{
    return c && calibration_throttled(calibration_clock(c->best, p->calibrated));
}

static int measure_ceilings(const measure_settings *settings, ceilings *p, bool print)
{
    int status = FINE;
    if (print)
        report_ceiling_head(stdout);
    for (int i = 0; i < CEILING_COUNT; i++) {
        ceiling *x = &p->of[i];
        if (interrupted())
            snprintf(x->why, sizeof x->why, "interrupted");
        else if (!ceiling_measure(settings, (ceiling_id)i, x)) {
            status = FAILED;
            if (!print)
                complain(FAILED, "%s: %s", ceiling_name((ceiling_id)i), x->why);
        }
        if (print)
            report_ceiling(stdout, (ceiling_id)i, x, is_throttled(settings->calibration, x));
    }
    return status;
}

/* ---- the cases ----------------------------------------------------------------------------------------------- */

static int run_tuning(const case_list *cases, const char *filter, const measure_settings *settings, progress *p)
{
    int status = FINE;
    p->count = cases->count;
    for (p->index = 0; p->index < p->count && !interrupted(); p->index++) {
        report_tuned_case(stdout, &cases->item[p->index]);
        if (!tune(stdout, settings, &cases->item[p->index], filter))
            status = FAILED;
        progress_erase(p);
    }
    return status;
}

static bool is_cpu(const dmattn_device_info *info)
{
    return info->type == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static bool add_results(const bench_options *o, const ceilings *p, const outcomes *found, json_report *json)
{
    return (!o->suite || json_add_suite(json, suite_name(o->suite))) && (!p || json_add_ceilings(json, p))
           && json_add_outcomes(json, found, o->reuse_mask) && (!interrupted() || json_add_interrupted(json));
}

/* Prints what will run and the estimated time. */
static void announce(const bench_options *o, const runner *r, uint32_t devices)
{
    char duration[DURATION_SIZE];
    duration_text(runner_estimate(r), duration);
    progress_erase(r->progress);
    if (devices > 1)
        fprintf(stderr, "There are %u devices; --list shows them, --device selects one.\n", devices);
    fprintf(stderr, "Suite %s: %u case%s on %s, about %s", suite_name(o->suite), r->cases->count * r->repeats,
            r->cases->count * r->repeats > 1 ? "s" : "", r->settings.info->name, duration);
    fputs(is_cpu(r->settings.info) ? ", less if the driver has cached the kernels.\n" : ".\n", stderr);
}

/* Whether all cases are unsupported. */
static bool nothing_ran(const outcomes *o)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->item[i].m.status != CASE_UNSUPPORTED)
            return false;
    return o->count;
}

static int run_cases(const bench_options *o, runner *r, const ceilings *p, outcomes *found)
{
    row_table rows = {.stream = stdout, .outcomes = found, .cold = o->cold, .details = true};
    rows_fit(&rows, r->cases);
    r->rows = o->suite ? NULL : &rows;
    int status = runner_run(r, found) ? FINE : FAILED;
    if (o->suite)
        page_print(stdout, &(page){.suite = suite_name(o->suite),
                                   .info = r->settings.info,
                                   .ceilings = p,
                                   .cases = r->cases,
                                   .outcomes = found,
                                   .repeats = o->repeats,
                                   .cold = o->cold,
                                   .serving = o->suite == SUITE_SERVING});
    else
        print_notes(stdout, found, r->cases, o->repeats);
    fflush(stdout);
    if (nothing_ran(found) && !interrupted())
        status = complain(FAILED, "the device supports none of these cases");
    return interrupted() ? complain(INTERRUPTED_STATUS, "interrupted; finished results are above%s",
                                    save_is_wanted(o) ? " and in the file" : "")
                         : status;
}

/* Suites plan the next cases in threads if there are processors for it. In a grid, --plan-threads asks for that. */
static uint32_t planning_threads(const bench_options *o)
{
    const uint32_t processors = processor_count();
    if (o->ahead)
        return o->ahead;
    return !o->suite || processors <= 2 ? 1 : processors < MOST_THREADS ? processors : MOST_THREADS;
}

static runner make_runner(const session *s)
{
    const bench_options *o = s->options;
    const bool cpu = is_cpu(s->info);
    return (runner){
        .settings = {.device = s->device,
                     .info = s->info,
                     .log = s->log,
                     .seconds = o->seconds > 0                   ? o->seconds
                                : o->suite == SUITE_SERVING      ? 0.5
                                : cpu || o->suite == SUITE_QUICK ? 1
                                                                 : 2,
                     /* Without timestamps the host's clock also measures the submission, which must be negligible. */
                     .least_sample = s->info->timestamps ? 1e-3 : 2e-2,
                     .max_samples = o->max_samples,
                     .seed = o->seed,
                     .reuse_mask = o->reuse_mask,
                     .lengths = o->lengths,
                     .phase = progress_phase,
                     .phase_user = s->progress},
        .cases = s->cases,
        .repeats = o->repeats,
        .budget = o->seconds > 0 ? 0 : suite_budget(o->suite, s->info->type),
        .longest = o->suite ? 10 : 0,
        .threads = planning_threads(o),
        .progress = s->progress};
}

/* Measures the ceilings if requested, then the cases. */
static int measure_all(const bench_options *o, runner *r, uint32_t devices, ceilings *all, outcomes *found)
{
    const double start = dmattn_clock_seconds();
    int status = FINE, of_cases;
    if (!o->suite)
        report_title(stdout, r->settings.info);
    else
        tell_phase(&r->settings, "measuring the ceilings");
    if (o->ceilings || o->suite) {
        status = measure_ceilings(&r->settings, all, !o->suite);
        r->settings.ceilings = all;
    }
    r->spent = dmattn_clock_seconds() - start;
    if (o->tune)
        return run_tuning(r->cases, o->tune_filter, &r->settings, r->progress) ? FAILED : status;
    if (o->ceilings_only)
        return status;
    if (o->suite)
        announce(o, r, devices);
    of_cases = run_cases(o, r, r->settings.ceilings, found);
    return of_cases ? of_cases : status;
}

int session_run(const session *s)
{
    const bench_options *o = s->options;
    runner r = make_runner(s);
    const messenger log = {error_log_keep, s->log};
    cold_cache cold = {0};
    ceilings all = {0};
    outcomes found = {0};
    if (o->plans)
        return (o->plan_threads ? print_parallel_plans(stdout, r.cases, &r.settings, o->plan_threads)
                                : print_plan_times(stdout, r.cases, &r.settings))
                   ? FINE
                   : FAILED;
    if (o->cold && cold_create(&r.settings, &log, &cold))
        return complain(FAILED, "%s", error_log_sentence(s->log, DMATTN_ERROR_OUT_OF_MEMORY));
    r.settings.cold = o->cold ? &cold : NULL;
    r.settings.calibration = calibration_create(&r.settings);
    if (!r.settings.calibration)
        complain(FINE, "warning: no calibration, so throttling is not detected: %s",
                 error_log_sentence(s->log, DMATTN_ERROR_OUT_OF_MEMORY));
    int status = measure_all(o, &r, s->devices, &all, &found);
    if (s->json && !add_results(o, r.settings.ceilings, &found, s->json))
        status = complain(FAILED, "no memory for the result files");
    else if (s->json && !save_results(o, s->json))
        status = FAILED;
    calibration_destroy(r.settings.calibration);
    if (o->cold)
        cold_destroy(&cold);
    outcomes_destroy(&found);
    return interrupted() && !status ? INTERRUPTED_STATUS : status; /* in the ceilings or tiles, say */
}
