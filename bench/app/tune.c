/* SPDX-License-Identifier: MIT */
#include "tune.h"

#include "context.h"
#include "kernel.h"
#include "measure/measurement.h"
#include "timing/interrupt.h"
#include "timing/sampling.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TILES   2048
#define DESCRIPTION 128

typedef struct trial {
    attention_tile tile;
    case_status status;
    double seconds;
    char sentence[160];
} trial;

/* The problem that all tiles run; its reference is computed once. */
typedef struct tuning {
    const measure_settings *settings;
    const messenger *log;
    problem problem;
    checker check;
    uint64_t visible_pairs;
    double *sorted;
} tuning;

static void describe(const attention_tile *t, const dmattn_attention_desc *d, char text[DESCRIPTION])
{
    static const char *const forms[] = {"portable", "shared", "reduced", "fragments"};
    const uint32_t subgroups = t->workgroup / t->subgroup_size;
    const uint32_t head_blocks = (d->head_dim + t->matrix.k - 1) / t->matrix.k;
    snprintf(text, DESCRIPTION, "%s %s {MANY, MANY, %u, %u, %u, %u, %u, %s, ANY_KEYS, 0},",
             dmattn_level_string(t->level), forms[t->form], d->head_dim > d->value_dim ? d->head_dim : d->value_dim,
             subgroups, t->rows / (subgroups * t->matrix.m), t->keys, (head_blocks - t->query_blocks) * t->matrix.k,
             t->guarded ? "true" : "false");
}

static dmattn_status record_attention(const void *user, VkCommandBuffer commands)
{
    return device_problem_record(user, commands, true);
}

static dmattn_status prepare_reference(tuning *t, const device_problem *dp)
{
    problem *p = &t->problem;
    if (t->check.row_count)
        return DMATTN_SUCCESS;
    if (p->dma)
        TRY(device_problem_download_mask(dp, p));
    t->visible_pairs = count_visible_pairs(p);
    return checker_create(p, t->visible_pairs, t->settings->seed, t->log, &t->check);
}

static dmattn_status try_on_device(tuning *t, device_problem *dp, trial *x)
{
    const recording what = {t->settings->device, record_attention, dp};
    timing time = {.sorted = t->sorted};
    check_result result = {0};
    TRY(device_problem_create(&t->problem, t->settings->device, dp));
    TRY(device_problem_run(dp));
    TRY(prepare_reference(t, dp));
    TRY(take_samples(t->settings, &what, t->settings->seconds, &time));
    TRY(checker_compare(&t->check, dp, t->log, &result));
    x->seconds = time.time.median;
    if (!check_passed(&result, t->problem.desc.type)) {
        x->status = CASE_WRONG;
        snprintf(x->sentence, sizeof x->sentence, "WRONG: error %.1e in out, %.1e in lse", result.error,
                 result.lse_error);
    }
    return DMATTN_SUCCESS;
}

static void try_tile(tuning *t, trial *x)
{
    device_problem dp = {0};
    *t->settings->log->text = 0;
    t->problem.tile = &x->tile;
    const dmattn_status status = try_on_device(t, &dp, x);
    if (status) {
        x->status = status == DMATTN_ERROR_VULKAN ? CASE_DEVICE_FAILED : CASE_FAILED;
        snprintf(x->sentence, sizeof x->sentence, "failed: %s", error_log_sentence(t->settings->log, status));
    }
    device_problem_destroy(&dp);
}

static int by_time(const void *a, const void *b)
{
    const trial *x = a, *y = b;
    if ((x->status == CASE_OK) != (y->status == CASE_OK))
        return x->status == CASE_OK ? -1 : 1;
    return x->seconds < y->seconds ? -1 : x->seconds > y->seconds;
}

static bool report(FILE *stream, const tuning *t, const trial *trials, uint32_t count)
{
    const dmattn_attention_desc *d = &t->problem.desc;
    bool fine = true;
    fprintf(stream,
            "%10s %8s  level, form, {most rows, most keys, largest dim, subgroups, row blocks, keys, shared query "
            "elements, guarded, keys, fewest workgroups}\n",
            "ms", "TFLOP/s");
    for (uint32_t i = 0; i < count; i++) {
        const trial *x = &trials[i];
        char text[DESCRIPTION];
        describe(&x->tile, d, text);
        const double flops = 2.0 * ((double)d->head_dim + d->value_dim) * (double)t->visible_pairs;
        if (x->status == CASE_OK)
            fprintf(stream, "%10.4f %8.1f  %s\n", 1e3 * x->seconds, 1e-12 * flops / x->seconds, text);
        else
            fprintf(stream, "%10s %8s  %s %s\n", "-", "-", text, x->sentence);
        fine = fine && x->status == CASE_OK;
    }
    return fine;
}

/* Collects the tiles to try at the requested level, or at all matrix levels. */
static uint32_t collect(const capabilities *caps, const dmattn_attention_desc *d, const char *filter, trial *trials)
{
    static attention_tile found[MAX_TILES];
    uint32_t count = 0;
    for (dmattn_level level = DMATTN_LEVEL_MATRIX2; level > DMATTN_LEVEL_PORTABLE; level--) {
        if (d->level && d->level != level)
            continue;
        const uint32_t n = dmattn_tile_search(caps, d, level, found, MAX_TILES);
        for (uint32_t i = 0; i < n && count < MAX_TILES; i++) {
            char text[DESCRIPTION], kernel_name[KERNEL_NAME];
            describe(&found[i], d, text);
            dmattn_tile_kernel(&found[i], "attention", kernel_name);
            if (dmattn_kernel_find(kernel_name, level) && (!filter || strstr(text, filter)))
                trials[count++].tile = found[i];
        }
    }
    return count;
}

static bool tune_problem(FILE *stream, tuning *t, const capabilities *caps, const char *filter, trial *trials)
{
    const uint32_t count = collect(caps, &t->problem.desc, filter, trials);
    if (!count) {
        fputs("  this device and build can run no tile of cooperative matrices that fits\n", stream);
        return true;
    }
    uint32_t tried = 0;
    for (; tried < count; tried++) {
        char phase[32];
        snprintf(phase, sizeof phase, "tile %u of %u", tried + 1, count);
        tell_phase(t->settings, phase);
        try_tile(t, &trials[tried]);
        if (trials[tried].status == CASE_DEVICE_FAILED)
            return report(stream, t, trials, tried + 1);
        if (interrupted()) /* the timing of this tile is incomplete */
            break;
    }
    qsort(trials, tried, sizeof *trials, by_time);
    return report(stream, t, trials, tried);
}

bool tune(FILE *stream, const measure_settings *settings, const bench_case *c, const char *filter)
{
    const capabilities *caps = &dmattn_device_context(settings->device)->caps;
    const messenger log = {error_log_keep, settings->log};
    tuning t = {.settings = settings, .log = &log, .sorted = malloc(settings->max_samples * sizeof *t.sorted)};
    trial *trials = calloc(MAX_TILES, sizeof *trials);
    bool fine = false;
    *settings->log->text = 0;
    const dmattn_status status = t.sorted && trials ? case_create(c, &log, &t.problem) : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        case_fill(&t.problem, &c->mask, settings->seed);
        fine = tune_problem(stream, &t, caps, filter, trials);
    } else
        complain(0, "%s", error_log_sentence(settings->log, status));
    checker_destroy(&t.check);
    problem_destroy(&t.problem);
    free(t.sorted);
    free(trials);
    return fine;
}
