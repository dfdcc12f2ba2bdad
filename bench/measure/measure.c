/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include "check/check_gradients.h"
#include "decode_measure.h"
#include "merge_measure.h"
#include "planning.h"
#include "prefill_measure.h"
#include "samples.h"
#include "select_measure.h"
#include "stages.h"
#include "timing/interrupt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a case -------------------------------------------------------------------------------------------------- */

/* The state of a measurement. */
typedef struct case_run {
    const measure_settings *settings;
    const messenger *log;
    bench_pass pass;
    bool time_mask; /* times the computation of the mask; forward only runs for its check */
    problem problem;
    device_problem forward;
    device_gradients backward; /* if the pass includes backward */
    checker check;
    gradient_checker gradients;
} case_run;

static void describe_error(measurement *m)
{
    const check_result *r = &m->check;
    const double most = tolerance(m->desc.type);
    const char *after = m->sample_count ? ", after the timing" : "", *what = "out";
    double error = r->error;
    if (r->importance_error > importance_tolerance()) {
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in importance, above %.0e%s", r->importance_error,
                 importance_tolerance(), after);
        return;
    }
    if (r->wrong_keys || r->not_finite) {
        snprintf(m->sentence, sizeof m->sentence,
                 r->wrong_keys ? "intervals of %llu keys are wrong for sampled queries%s"
                               : "%llu elements are NaN or infinite%s",
                 (unsigned long long)(r->wrong_keys ? r->wrong_keys : r->not_finite), after);
        return;
    }
    if (error <= most) {
        what = "lse";
        error = r->lse_error;
    }
    for (int t = TENSOR_DQ; t < TENSOR_COUNT && error <= most; t++) {
        what = dmattn_tensor_name((tensor_id)t);
        error = r->gradient_error[t];
    }
    snprintf(m->sentence, sizeof m->sentence, "error %.1e in %s, above %.0e%s", error, what, most, after);
}

/* Compares the last run with the reference. Sets m->status to CASE_WRONG if it is wrong. */
static dmattn_status compare(case_run *run, measurement *m)
{
    problem *p = &run->problem;
    if (p->dma) {
        TRY(device_problem_download_mask(&run->forward, p));
        TRY(check_mask(p, run->settings->seed, &m->check));
    }
    TRY(checker_compare(&run->check, &run->forward, run->log, &m->check));
    if (run->pass & PASS_BACKWARD)
        TRY(gradient_checker_compare(&run->gradients, &run->backward, run->log, &m->check));
    if (check_passed(&m->check, m->desc.type))
        return DMATTN_SUCCESS;
    m->status = CASE_WRONG;
    describe_error(m);
    return DMATTN_SUCCESS;
}

static dmattn_status record_passes(const void *user, VkCommandBuffer commands)
{
    const case_run *run = user;
    if (run->pass & PASS_FORWARD)
        TRY(device_problem_record(&run->forward, commands, run->settings->reuse_mask));
    if (run->pass == PASS_BOTH)
        dmattn_commands_barrier(run->settings->device);
    return run->pass & PASS_BACKWARD ? device_gradients_record(&run->backward, commands) : DMATTN_SUCCESS;
}

static dmattn_status time_case(const case_run *run, measurement *m)
{
    const measure_settings *s = run->settings;
    const recording what = {s->device, record_passes, run};
    timing t;
    if (run->time_mask)
        return time_mask(s, &run->forward, run->log, m);
    dmattn_status status = keep_samples(s, &what, run->log, m, &t);
    /* a mask plan alone reads neither formats nor pages */
    if (!status && run->problem.dma && run->pass == PASS_FORWARD && !problem_is_stored(&run->problem))
        status = time_stages(s, &run->forward, t.sorted, m);
    free(t.sorted);
    return status;
}

/* Computes the reference of the gradients on the CPU. */
static dmattn_status expect_gradients(case_run *run, uint64_t visible_pairs)
{
    const dmattn_attention_desc *d = &run->problem.desc;
    const size_t rows = (size_t)d->batch * d->queries * d->heads;
    float *out = malloc(rows * d->value_dim * sizeof *out), *lse = malloc(rows * sizeof *lse);
    dmattn_status status = out && lse ? device_problem_download(&run->forward, out, lse)
                                      : dmattn_fail(run->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for out");
    if (!status)
        status = gradient_checker_create(&run->problem, &(forward_results){out, lse}, &run->check, visible_pairs,
                                         run->settings->seed, run->log, &run->gradients);
    free(out);
    free(lse);
    return status;
}

static dmattn_status prepare_gradients(case_run *run, measurement *m)
{
    TRY(device_gradients_create(&run->forward, &run->backward));
    TRY(device_gradients_run(&run->backward));
    TRY(expect_gradients(run, m->visible_pairs));
    m->checked_keys = run->gradients.key_count;
    return DMATTN_SUCCESS;
}

/* Checks, times and checks again; the problem has its data. */
static dmattn_status run_case(case_run *run, measurement *m)
{
    const measure_settings *s = run->settings;
    problem *p = &run->problem;
    tell_phase(s, "check");
    TRY(device_problem_create(p, s->device, &run->forward));
    TRY(device_problem_run(&run->forward));
    if (p->dma)
        TRY(device_problem_download_mask(&run->forward, p));
    m->visible_pairs = count_visible_pairs(p);
    TRY(checker_create(p, m->visible_pairs, s->seed, run->log, &run->check));
    m->checked_rows = run->check.row_count;
    if (run->pass & PASS_BACKWARD)
        TRY(prepare_gradients(run, m));
    TRY(compare(run, m));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell_phase(s, "timing");
    TRY(time_case(run, m));
    return compare(run, m);
}

/* All cases except decoding with a cache. Decoding without a cache and computing a mask run as a forward pass. */
static dmattn_status measure_passes(const measure_settings *s, const bench_case *asked, const messenger *log,
                                    measurement *m, bool *planned)
{
    bench_case forward = *asked;
    const bench_case *c = &forward;
    if (asked->pass & (PASS_DECODE | PASS_MASK))
        forward.pass = PASS_FORWARD;
    case_run run = {.settings = s, .log = log, .pass = c->pass, .time_mask = asked->pass == PASS_MASK};
    tell_phase(s, "plan");
    dmattn_status status = plan_case(s, c, m, log);
    *planned = !status;
    if (!status) {
        tell_phase(s, "data");
        status = case_create(c, log, &run.problem);
    }
    if (!status) {
        run.problem.longest = s->lengths;
        case_fill(&run.problem, &c->mask, s->seed);
        status = run_case(&run, m);
    }
    gradient_checker_destroy(&run.gradients);
    checker_destroy(&run.check);
    device_gradients_destroy(&run.backward);
    device_problem_destroy(&run.forward);
    problem_destroy(&run.problem);
    return status;
}

void measure(const measure_settings *s, const bench_case *c, measurement *m)
{
    const messenger log = {error_log_keep, s->log};
    bool planned = false;
    *m = (measurement){.status = CASE_OK};
    *s->log->text = 0;
    const dmattn_status status = case_has_cache(c)         ? measure_decoding(s, c, NULL, &log, m, &planned)
                                 : c->pass == PASS_MERGE   ? measure_merge(s, c, &log, m, &planned)
                                 : c->pass == PASS_PREFILL ? measure_prefill(s, c, &log, m, &planned)
                                 : c->pass == PASS_SELECT  ? measure_select(s, c, &log, m, &planned)
                                                           : measure_passes(s, c, &log, m, &planned);
    if (status) {
        m->status = status == DMATTN_ERROR_UNSUPPORTED         ? CASE_UNSUPPORTED
                    : status == DMATTN_ERROR_VULKAN && planned ? CASE_DEVICE_FAILED
                                                               : CASE_FAILED;
        snprintf(m->sentence, sizeof m->sentence, "%s", *s->log->text ? s->log->text : dmattn_status_string(status));
    }
    if (m->status == CASE_OK && interrupted()) {
        m->status = CASE_INTERRUPTED;
        snprintf(m->sentence, sizeof m->sentence, "interrupted");
    }
    if (m->status != CASE_OK) { /* a failed case has no times */
        m->sample_count = 0;
        m->time = (summary){0};
        m->cold = 0;
    } else if (s->ceilings)
        m->roofline_seconds = measurement_roofline_seconds(m, s->ceilings);
    if (m->cache_bytes)
        m->cache_bytes_per_token = (double)m->cache_bytes / case_average_keys(c);
    if (c->pass & (PASS_DECODE | PASS_PREFILL) && m->time.median > 0)
        m->tokens_per_second = (m->desc.queries + (m->desc.batch - 1.0) * case_queries(c, 1)) / m->time.median;
}
