/* SPDX-License-Identifier: MIT
 * vkbench: times attention on a Vulkan device, and checks every result that it times. */
#define _POSIX_C_SOURCE 200809L
#include "complain.h"
#include "json.h"
#include "options.h"
#include "peak_measure.h"
#include "report.h"
#include "tune.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FINE = 0, FAILED = 1, BAD_USAGE = 2 };

/* Hears what the library says: errors are kept for whom they concern, warnings are printed, each once in a row (a case
 * is planned twice). */
typedef struct listener {
    error_log log;
    progress progress;
    char warning[512];
} listener;

static void hear(void *user, dmattn_severity severity, const char *text)
{
    listener *l = user;
    error_log_keep(&l->log, severity, text);
    if (severity != DMATTN_SEVERITY_WARNING || !strncmp(l->warning, text, sizeof l->warning - 1))
        return;
    snprintf(l->warning, sizeof l->warning, "%s", text);
    progress_erase(&l->progress);
    complain(FINE, "warning: %s", text);
}

static int end_output(int status)
{
    return fflush(stdout) || ferror(stdout) ? complain(FAILED, "the output cannot be written") : status;
}

/* ---- ceilings ------------------------------------------------------------------------------------------------ */

static int find_peaks(const measure_settings *settings, peaks *p, json_report *json)
{
    int status = FINE;
    report_peak_head(stdout);
    for (int i = 0; i < PEAK_COUNT; i++) {
        if (!peak_measure(settings, (peak_id)i, &p->of[i]))
            status = FAILED;
        report_peak(stdout, (peak_id)i, &p->of[i]);
    }
    return json && !json_add_peaks(json, p) ? complain(FAILED, "no memory for the JSON of the ceilings") : status;
}

/* ---- the sweep ----------------------------------------------------------------------------------------------- */

/* The seconds of dense causal attention of the latest sizes, of the pass that is timed. */
typedef struct baseline {
    dmattn_attention_desc desc;
    double seconds;
} baseline;

static bool same_sizes(const dmattn_attention_desc *a, const dmattn_attention_desc *b)
{
    return a->type == b->type && a->batch == b->batch && a->queries == b->queries && a->keys == b->keys
           && a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim
           && a->value_dim == b->value_dim && a->level == b->level;
}

/* Runs every case. What is found before a failure is reported. */
static int run_sweep(const sweep *s, const measure_settings *settings, progress *p, json_report *json)
{
    int status = FINE;
    baseline causal = {0};
    p->count = sweep_count(s);
    for (p->index = 0; p->index < p->count; p->index++) {
        bench_case c;
        measurement m;
        sweep_case(s, p->index, &c);
        measure(settings, &c, &m);
        progress_erase(p);
        report_row(stdout, &c, &m, settings->peaks);
        report_details(stdout, &c, &m, same_sizes(&causal.desc, &m.desc) ? causal.seconds : 0);
        if (m.status == CASE_OK && c.mask.causal && c.mask.mask == DMATTN_MASK_NONE)
            causal = (baseline){m.desc, m.time.median};
        if (m.status != CASE_OK && m.status != CASE_UNSUPPORTED)
            status = FAILED;
        if (json && !json_add(json, &c, &m, settings->reuse_mask))
            status = complain(FAILED, "no memory for the JSON of a case");
        const bool lost = m.status == CASE_DEVICE_FAILED;
        measurement_destroy(&m);
        if (lost)
            return complain(FAILED, "the device failed; the cases after this one were not run");
    }
    return status;
}

static int run_tuning(const bench_options *o, const measure_settings *settings, progress *p)
{
    int status = FINE;
    p->count = sweep_count(&o->sweep);
    for (p->index = 0; p->index < p->count; p->index++) {
        bench_case c;
        sweep_case(&o->sweep, p->index, &c);
        report_tuned_case(stdout, &c);
        if (!tune(stdout, settings, &c, o->tune_filter))
            status = FAILED;
        progress_erase(p);
    }
    return status;
}

static int run_on_device(int argc, char **argv, const bench_options *o, const dmattn_device_info *info,
                         dmattn_device *device, listener *l)
{
    const bool cpu = info->type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    measure_settings settings = {
        .device = device,
        .info = info,
        .log = &l->log,
        .seconds = o->seconds > 0 ? o->seconds
                   : cpu          ? 1
                                  : 2,
        /* The host's clock sees the submission, too, which must not weigh. */
        .least_sample = info->timestamps ? 1e-3 : 2e-2,
        .max_samples = o->max_samples,
        .seed = o->seed,
        .reuse_mask = o->reuse_mask,
        .phase = progress_phase,
        .phase_user = &l->progress,
    };
    json_report *json = NULL;
    const char *why = "";
    if (o->json && !json_can_write(o->json, &why))
        return complain(FAILED, "%s cannot be written: %s", o->json, why);
    if (o->json && !(json = json_create(argc, argv, o->seed, info)))
        return complain(FAILED, "no memory for the JSON");
    int status = FINE;
    peaks ceilings;
    report_title(stdout, info);
    if (o->peak) {
        status = find_peaks(&settings, &ceilings, json);
        settings.peaks = &ceilings;
    }
    if (o->tune)
        status = run_tuning(o, &settings, &l->progress) ? FAILED : status;
    else if (!o->peak_alone) {
        if (o->peak)
            puts("");
        report_head(stdout, o->sweep.pass, o->peak);
        if (run_sweep(&o->sweep, &settings, &l->progress, json))
            status = FAILED;
    }
    if (json && !json_write(json, o->json, &why))
        status = complain(FAILED, "%s cannot be written: %s", o->json, why);
    json_destroy(json);
    return end_output(status);
}

/* ---- devices ------------------------------------------------------------------------------------------------- */

static int run_best(int argc, char **argv, bench_options *o, dmattn_runtime *runtime, listener *l)
{
    error_log *log = &l->log;
    uint32_t index;
    dmattn_device_info info;
    dmattn_status status = dmattn_runtime_find_device(runtime, o->device, &index);
    if (status) /* there are devices, but none of this name */
        return complain(o->device && dmattn_runtime_device_count(runtime) ? BAD_USAGE : FAILED, "%s",
                        error_log_sentence(log, status));
    if ((status = dmattn_runtime_device_info(runtime, index, &info)))
        return complain(FAILED, "%s", error_log_sentence(log, status));
    sweep_set_defaults(&o->sweep, info.type);
    if (!sweep_check(&o->sweep, &(messenger){error_log_keep, log}))
        return complain(BAD_USAGE, "%s", log->text);
    dmattn_device *device;
    if ((status = dmattn_device_create(runtime, index, &device)))
        return complain(FAILED, "%s", error_log_sentence(log, status));
    int result = run_on_device(argc, argv, o, &info, device, l);
    dmattn_device_destroy(device);
    return result;
}

/* Whether the options make no sense on any device; said before one is looked for. */
static bool makes_no_sense(const sweep *s, error_log *log)
{
    const messenger m = {error_log_keep, log};
    sweep cpu = *s, gpu = *s;
    sweep_set_defaults(&cpu, VK_PHYSICAL_DEVICE_TYPE_CPU);
    sweep_set_defaults(&gpu, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    bool bad = !sweep_check(&cpu, &m) && !sweep_check(&gpu, &m);
    if (!bad)
        *log->text = 0;
    return bad;
}

int main(int argc, char **argv)
{
    complain_as("vkbench");
    bench_options o;
    char why[OPTIONS_WHY_SIZE];
    listener l = {.progress.terminal = isatty(STDERR_FILENO)};
    const bench_action action = options_parse(argc, argv, &o, why);
    switch (action) {
    case ACTION_BAD: return complain(BAD_USAGE, "%s", why);
    case ACTION_HELP: printf("%s%s", bench_usage, bench_usage_notes); return end_output(FINE);
    case ACTION_VERSION: printf("vkbench %s (%s)\n", bench_version(), DMATTN_COMMIT); return end_output(FINE);
    default: break;
    }
    if (action == ACTION_RUN && makes_no_sense(&o.sweep, &l.log))
        return complain(BAD_USAGE, "%s", l.log.text);
    dmattn_runtime *runtime;
    const dmattn_runtime_desc desc = {.message = hear, .message_user = &l};
    dmattn_status status = dmattn_runtime_create(&desc, &runtime);
    if (status)
        return complain(FAILED, "%s", error_log_sentence(&l.log, status));
    int result = FINE;
    if (action == ACTION_LIST) {
        report_devices(stdout, runtime);
        result = end_output(FINE);
    } else
        result = run_best(argc, argv, &o, runtime, &l);
    dmattn_runtime_destroy(runtime);
    return result;
}
