/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "measure.h"

#include "stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- samples ------------------------------------------------------------------------------------------------- */

void insert_sorted(double *sorted, uint32_t count, double value)
{
    uint32_t at = count;
    while (at && sorted[at - 1] > value)
        at--;
    memmove(sorted + at + 1, sorted + at, (count - at) * sizeof *sorted);
    sorted[at] = value;
}

/* Between the two nearest ranks, linearly. */
static double quantile(const double *sorted, uint32_t count, double part)
{
    double rank = part * (count - 1);
    uint32_t low = (uint32_t)rank, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (rank - low) * (sorted[high] - sorted[low]);
}

summary summarize(const double *sorted, uint32_t count)
{
    summary s = {.median = quantile(sorted, count, 0.5), .min = sorted[0]};
    if (s.median > 0)
        s.spread = (quantile(sorted, count, 0.75) - quantile(sorted, count, 0.25)) / (2 * s.median);
    return s;
}

uint32_t choose_runs(double seconds_of_one, double least)
{
    const double most = 1000; /* however fast, or where the clock did not tick at all */
    double runs = seconds_of_one > 0 ? ceil(least / seconds_of_one) : most;
    return runs < 1 ? 1 : runs > most ? (uint32_t)most : (uint32_t)runs;
}

static double measurement_flops(const measurement *m)
{
    return 2.0 * ((double)m->desc.head_dim + m->desc.value_dim) * (double)m->visible_pairs;
}

double measurement_tflops(const measurement *m)
{
    return m->time.median > 0 ? measurement_flops(m) / m->time.median * 1e-12 : 0;
}

double measurement_gbytes(const measurement *m)
{
    return m->time.median > 0 ? m->bytes / m->time.median * 1e-9 : 0;
}

double measurement_share(const measurement *m)
{
    return m->time.median > 0 ? m->bound / m->time.median : 0;
}

/* ---- timing -------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

dmattn_status time_runs(const recording *what, uint32_t runs, double *seconds)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(what->device, &commands));
    dmattn_commands_timestamp(what->device, 0);
    for (uint32_t i = 0; i < runs; i++) {
        if (i)
            dmattn_commands_barrier(what->device);
        dmattn_status status = what->record(what->user, commands);
        if (status) {
            dmattn_commands_cancel(what->device);
            return status;
        }
    }
    dmattn_commands_timestamp(what->device, 1);
    TRY(dmattn_commands_submit(what->device));
    TRY(dmattn_elapsed(what->device, 0, 1, seconds));
    *seconds /= runs;
    return DMATTN_SUCCESS;
}

static void keep_sample(timing *t, double seconds)
{
    insert_sorted(t->sorted, t->sample_count, seconds);
    if (t->samples)
        t->samples[t->sample_count] = seconds;
    t->sample_count++;
    t->time = summarize(t->sorted, t->sample_count);
}

dmattn_status take_samples(const measure_settings *s, const recording *what, double limit, timing *t)
{
    const double start = now(), warm = start + fmin(limit / 5, 0.25), least = warm + limit / 20;
    double one;
    t->sample_count = 0;
    TRY(time_runs(what, 1, &one));
    t->runs = choose_runs(one, s->least_sample);
    if (now() - start > limit) { /* the check's run has warmed it up */
        keep_sample(t, one);
        return DMATTN_SUCCESS;
    }
    while (now() < warm) { /* clocks rise under load, and the first runs were slower than what is to come */
        TRY(time_runs(what, t->runs, &one));
        t->runs = choose_runs(one, s->least_sample);
    }
    do {
        TRY(time_runs(what, t->runs, &one));
        keep_sample(t, one);
        if (t->sample_count >= 10 && t->time.spread < 0.01 && now() >= least)
            break;
    } while (t->sample_count < s->max_samples && (t->sample_count < 3 || now() - start < limit));
    return DMATTN_SUCCESS;
}

/* ---- a case -------------------------------------------------------------------------------------------------- */

static void tell(const measure_settings *s, const char *phase)
{
    if (s->phase)
        s->phase(s->phase_user, phase);
}

/* Refused before minutes are spent on data that the device cannot hold. */
static dmattn_status check_memory(const measure_settings *s, const measurement *m, const messenger *log)
{
    double all = (double)m->workspace_bytes;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t bytes = dmattn_attention_tensor_bytes(&m->desc, (tensor_id)t);
        all += (double)bytes;
        if (bytes > s->info->max_allocation)
            return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "%s has %.1f GiB, but the device allocates at most %.1f",
                               dmattn_tensor_name((tensor_id)t), (double)bytes / 0x1p30,
                               (double)s->info->max_allocation / 0x1p30);
    }
    if (all > (double)s->info->device_memory)
        return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "it needs %.1f GiB, but the device has %.1f", all / 0x1p30,
                           (double)s->info->device_memory / 0x1p30);
    return DMATTN_SUCCESS;
}

static dmattn_status plan_case(const measure_settings *s, const bench_case *c, measurement *m, const messenger *log)
{
    dmattn_context *context = dmattn_device_context(s->device);
    dmattn_plan *plan;
    if (c->mask.dynamic) {
        dma_parts parts;
        TRY(dmattn_dma_desc_resolve(&c->dma, &parts, log));
        m->desc = parts.attention;
        TRY(dmattn_dma_plan(context, &c->dma, &plan));
    } else {
        TRY(dmattn_attention_desc_resolve(&c->desc, &m->desc, log));
        TRY(dmattn_attention_plan(context, &m->desc, &plan));
    }
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    m->level = info.level;
    m->workspace_bytes = info.workspace_size;
    m->bytes = info.bytes;
    snprintf(m->kernel, sizeof m->kernel, "%s", info.kernel);
    dmattn_plan_destroy(plan);
    return check_memory(s, m, log);
}

/* Sets m->status to CASE_WRONG where it is so. */
static dmattn_status compare(const measure_settings *s, problem *p, const checker *check, const device_problem *dp,
                             measurement *m, const messenger *log)
{
    if (p->dma) {
        TRY(device_problem_download_mask(dp, p));
        TRY(check_mask(p, s->seed, &m->check));
    }
    TRY(checker_compare(check, dp, log, &m->check));
    if (check_passed(&m->check, m->desc.type))
        return DMATTN_SUCCESS;
    m->status = CASE_WRONG;
    const bool lse = m->check.error <= tolerance(m->desc.type);
    const char *after = m->sample_count ? ", after the timing" : "";
    if (m->check.importance_error > importance_tolerance())
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in importance, above %.0e%s", m->check.importance_error,
                 importance_tolerance(), after);
    else if (m->check.wrong_keys)
        snprintf(m->sentence, sizeof m->sentence, "the intervals are wrong about %llu keys of sampled queries%s",
                 (unsigned long long)m->check.wrong_keys, after);
    else if (m->check.not_finite)
        snprintf(m->sentence, sizeof m->sentence, "%llu elements are NaN or infinite%s",
                 (unsigned long long)m->check.not_finite, after);
    else
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in %s, above %.0e%s",
                 lse ? m->check.lse_error : m->check.error, lse ? "lse" : "out", tolerance(m->desc.type), after);
    return DMATTN_SUCCESS;
}

typedef struct whole_run {
    const device_problem *dp;
    bool reuse_mask;
} whole_run;

static dmattn_status record_whole(const void *user, VkCommandBuffer commands)
{
    const whole_run *w = user;
    return device_problem_record(w->dp, commands, w->reuse_mask);
}

static dmattn_status time_case(const measure_settings *s, const device_problem *dp, measurement *m,
                               const messenger *log)
{
    const whole_run whole = {dp, s->reuse_mask};
    const recording what = {s->device, record_whole, &whole};
    timing t = {.samples = malloc(s->max_samples * sizeof *t.samples),
                .sorted = malloc(s->max_samples * sizeof *t.sorted)};
    m->samples = t.samples;
    dmattn_status status = t.samples && t.sorted
                               ? take_samples(s, &what, s->seconds, &t)
                               : dmattn_fail(log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for samples");
    m->runs = t.runs;
    m->sample_count = t.sample_count;
    m->time = t.time;
    if (!status && dp->problem->dma)
        status = time_stages(s, dp, t.sorted, m);
    free(t.sorted);
    return status;
}

/* From the problem's data on. */
static dmattn_status run_case(const measure_settings *s, problem *p, device_problem *dp, checker *check, measurement *m,
                              const messenger *log)
{
    tell(s, "check");
    TRY(device_problem_create(p, s->device, dp));
    TRY(device_problem_run(dp));
    if (p->dma)
        TRY(device_problem_download_mask(dp, p));
    m->visible_pairs = count_visible_pairs(p);
    TRY(checker_create(p, m->visible_pairs, s->seed, log, check));
    m->checked_rows = check->row_count;
    TRY(compare(s, p, check, dp, m, log));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell(s, "timing");
    TRY(time_case(s, dp, m, log));
    return compare(s, p, check, dp, m, log);
}

void measure(const measure_settings *s, const bench_case *c, measurement *m)
{
    const messenger log = {error_log_keep, s->log};
    problem p = {0};
    device_problem dp = {0};
    checker check = {0};
    *m = (measurement){.status = CASE_OK};
    *s->log->text = 0;
    tell(s, "plan");
    dmattn_status status = plan_case(s, c, m, &log);
    const bool planned = !status;
    if (!status) {
        tell(s, "data");
        status = case_create(c, &log, &p);
    }
    if (!status) {
        case_fill(&p, &c->mask, s->seed);
        status = run_case(s, &p, &dp, &check, m, &log);
    }
    if (status) {
        m->status = status == DMATTN_ERROR_UNSUPPORTED         ? CASE_UNSUPPORTED
                    : status == DMATTN_ERROR_VULKAN && planned ? CASE_DEVICE_FAILED
                                                               : CASE_FAILED;
        snprintf(m->sentence, sizeof m->sentence, "%s", *s->log->text ? s->log->text : dmattn_status_string(status));
    }
    if (m->status != CASE_OK) { /* times of what went wrong are nobody's figures */
        m->sample_count = 0;
        m->time = (summary){0};
    } else if (s->peaks)
        m->bound = peak_bound(s->peaks, m->level, m->desc.type, measurement_flops(m), m->bytes);
    checker_destroy(&check);
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

void measurement_destroy(measurement *m)
{
    free(m->samples);
    *m = (measurement){0};
}
