/* SPDX-License-Identifier: MIT */
#include "tune.h"

#include "check/check_gradients.h"
#include "context.h"
#include "kernel.h"
#include "measure/decode_measure.h"
#include "report/format.h"
#include "timing/interrupt.h"
#include "timing/sampling.h"
#include "tune_tiles.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TILES 4096

typedef struct trial {
    tuned_tile tile;
    uint32_t table; /* number of the table of the tile, in the order of their first tiles */
    case_status status;
    double seconds;
    char sentence[160];
} trial;

/* The problem that all tiles run; its reference is computed once, except in decoding with a cache. */
typedef struct tuning {
    const measure_settings *settings;
    const messenger *log;
    const bench_case *c;
    tuned_problem what;
    problem problem;
    uint32_t all_gradients;
    checker check;
    device_problem forward; /* for gradients: by the default tile */
    check_result of_forward;
    gradient_checker gradients;
    uint64_t visible_pairs;
    double *sorted;
} tuning;

static dmattn_status record_attention(const void *user, VkCommandBuffer commands)
{
    return device_problem_record(user, commands, true);
}

static dmattn_status record_gradients(const void *user, VkCommandBuffer commands)
{
    return device_gradients_record(user, commands);
}

/* ---- one tile -------------------------------------------------------------------------------------------------- */

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

static dmattn_status expect_gradients(tuning *t)
{
    const dmattn_attention_desc *d = &t->problem.desc;
    const size_t rows = (size_t)d->batch * d->queries * d->heads;
    float *out = malloc(rows * d->value_dim * sizeof *out), *lse = malloc(rows * sizeof *lse);
    dmattn_status status = out && lse ? device_problem_download(&t->forward, out, lse)
                                      : dmattn_fail(t->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for out");
    if (!status)
        status = gradient_checker_create(&t->problem, &(forward_results){out, lse}, &t->check, t->visible_pairs,
                                         t->settings->seed, t->log, &t->gradients);
    free(out);
    free(lse);
    return status;
}

/* Runs forward, and computes the reference of the gradients from its result, once. */
static dmattn_status prepare_gradients(tuning *t)
{
    if (t->gradients.problem)
        return DMATTN_SUCCESS;
    t->problem.tile = NULL;
    t->problem.backward.gradients = t->all_gradients;
    if (!t->forward.device)
        TRY(device_problem_create(&t->problem, t->settings->device, &t->forward));
    TRY(device_problem_run(&t->forward));
    TRY(prepare_reference(t, &t->forward));
    t->of_forward = (check_result){0};
    TRY(checker_compare(&t->check, &t->forward, t->log, &t->of_forward));
    return expect_gradients(t);
}

static void judge(const tuning *t, const check_result *r, trial *x)
{
    double worst = 0;
    if (check_passed(r, t->problem.desc.type))
        return;
    for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++)
        worst = r->gradient_error[i] > worst ? r->gradient_error[i] : worst;
    x->status = CASE_WRONG;
    snprintf(x->sentence, sizeof x->sentence, "WRONG: error %.1e in out, %.1e in lse, %.1e in gradients", r->error,
             r->lse_error, worst);
}

static dmattn_status try_forward(tuning *t, device_problem *dp, trial *x)
{
    const recording what = {t->settings->device, record_attention, dp};
    timing time = {.sorted = t->sorted};
    check_result result = {0};
    t->problem.tile = &x->tile.forward;
    TRY(device_problem_create(&t->problem, t->settings->device, dp));
    TRY(device_problem_run(dp));
    TRY(prepare_reference(t, dp));
    TRY(take_samples(t->settings, &what, t->settings->seconds, &time));
    TRY(checker_compare(&t->check, dp, t->log, &result));
    x->seconds = time.time.median;
    judge(t, &result, x);
    return DMATTN_SUCCESS;
}

/* Only the gradients of the kernel that has the tile. */
static dmattn_status try_gradients(tuning *t, device_gradients *dg, trial *x)
{
    const recording what = {t->settings->device, record_gradients, dg};
    const uint32_t of_queries = DMATTN_GRADIENT_Q;
    timing time = {.sorted = t->sorted};
    TRY(prepare_gradients(t));
    check_result result = t->of_forward;
    t->problem.gradient_tiles = &x->tile.tiles;
    t->problem.backward.gradients = x->tile.kernel == TUNED_QUERIES ? of_queries : t->all_gradients & ~of_queries;
    TRY(device_gradients_create(&t->forward, dg));
    TRY(device_gradients_run(dg));
    TRY(take_samples(t->settings, &what, t->settings->seconds, &time));
    TRY(gradient_checker_compare(&t->gradients, dg, t->log, &result));
    x->seconds = time.time.median;
    judge(t, &result, x);
    return DMATTN_SUCCESS;
}

static dmattn_status try_decoding(tuning *t, trial *x)
{
    measurement m = {.status = CASE_OK};
    bool planned;
    const dmattn_status status = measure_decoding(t->settings, t->c, &x->tile.decode, t->log, &m, &planned);
    x->seconds = m.time.median;
    x->status = m.status;
    if (m.status == CASE_WRONG)
        snprintf(x->sentence, sizeof x->sentence, "WRONG: %.140s", m.sentence);
    t->visible_pairs = m.visible_pairs;
    measurement_destroy(&m);
    return status;
}

static void try_tile(tuning *t, trial *x)
{
    device_problem dp = {0};
    device_gradients dg = {0};
    *t->settings->log->text = 0;
    const dmattn_status status = x->tile.kernel == TUNED_FORWARD  ? try_forward(t, &dp, x)
                                 : x->tile.kernel == TUNED_DECODE ? try_decoding(t, x)
                                                                  : try_gradients(t, &dg, x);
    if (status) {
        x->status = status == DMATTN_ERROR_VULKAN ? CASE_DEVICE_FAILED : CASE_FAILED;
        snprintf(x->sentence, sizeof x->sentence, "failed: %s", error_log_sentence(t->settings->log, status));
    }
    device_gradients_destroy(&dg);
    device_problem_destroy(&dp);
}

/* ---- the report ------------------------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    const trial *x = a, *y = b;
    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if ((x->status == CASE_OK) != (y->status == CASE_OK))
        return x->status == CASE_OK ? -1 : 1;
    return x->seconds < y->seconds ? -1 : x->seconds > y->seconds;
}

/* A table for each table of the library, in lines of PAGE_WIDTH. */
static bool report(FILE *stream, const tuning *t, trial *trials, uint32_t count)
{
    bool fine = true, marked = false;
    qsort(trials, count, sizeof *trials, by_time);
    for (uint32_t i = 0; i < count; i++) {
        const trial *x = &trials[i];
        char name[TILE_TABLE], row[TILE_ROW], first[32], text[TILE_ROW + sizeof x->sentence + 1];
        if (!i || x->table != trials[i - 1].table) {
            tuned_tile_table(&x->tile, name);
            fprintf(stream, "%s:\n", name);
            print_paragraph(stream, "        ms  TFLOP/s    ", tuned_tile_columns(&x->tile));
        }
        tuned_tile_row(&x->tile, &t->what, row);
        const double flops = tuned_tile_flops(&x->tile, &t->what) * (double)t->visible_pairs;
        if (x->status == CASE_OK)
            snprintf(first, sizeof first, "%10.4f %8.3g  %c ", 1e3 * x->seconds, 1e-12 * flops / x->seconds,
                     x->tile.chosen ? '*' : ' ');
        else
            snprintf(first, sizeof first, "%10s %8s  %c ", "-", "-", x->tile.chosen ? '*' : ' ');
        snprintf(text, sizeof text, "%s%s%s", row, x->status == CASE_OK ? "" : " ", x->sentence);
        print_paragraph(stream, first, text);
        fine = fine && x->status == CASE_OK;
        marked = marked || x->tile.chosen;
    }
    if (marked)
        fputs("* the tile that plans choose at this level\n", stream);
    return fine;
}

/* ---- all tiles ------------------------------------------------------------------------------------------------- */

/* The number of the table of a new trial: that of an earlier one of the same table, or a new number. */
static uint32_t number_table(const trial *trials, uint32_t count, const char *table)
{
    uint32_t tables = 0;
    for (uint32_t i = 0; i < count; i++) {
        char name[TILE_TABLE];
        tuned_tile_table(&trials[i].tile, name);
        if (!strcmp(name, table))
            return trials[i].table;
        tables = trials[i].table >= tables ? trials[i].table + 1 : tables;
    }
    return tables;
}

/* Collects the tiles to try at the requested level, or at all levels. */
static uint32_t collect(const capabilities *caps, const tuning *t, const char *filter, trial *trials)
{
    static tuned_tile found[MAX_TILES];
    uint32_t count = 0;
    for (dmattn_level level = DMATTN_LEVEL_MATRIX2; level >= DMATTN_LEVEL_PORTABLE; level--) {
        if (t->c->desc.level && t->c->desc.level != level)
            continue;
        const uint32_t n = tuned_tiles(caps, &t->what, level, found, MAX_TILES);
        for (uint32_t i = 0; i < n && count < MAX_TILES; i++) {
            char table[TILE_TABLE], row[TILE_ROW], text[TILE_TABLE + TILE_ROW], kernel_name[KERNEL_NAME];
            tuned_tile_kernel(&found[i], &t->what, kernel_name);
            tuned_tile_table(&found[i], table);
            tuned_tile_row(&found[i], &t->what, row);
            snprintf(text, sizeof text, "%s %s", table, row);
            if (!dmattn_kernel_find(kernel_name, level) || (filter && !strstr(text, filter)))
                continue;
            trials[count] = (trial){.tile = found[i], .table = number_table(trials, count, table)};
            count++;
        }
    }
    return count;
}

static bool tune_problem(FILE *stream, tuning *t, const capabilities *caps, const char *filter, trial *trials)
{
    const uint32_t count = collect(caps, t, filter, trials);
    if (!count) {
        fputs("this device and build can run no such tile for this case\n", stream);
        return false;
    }
    for (uint32_t tried = 0; tried < count; tried++) {
        char phase[32];
        snprintf(phase, sizeof phase, "tile %u of %u", tried + 1, count);
        tell_phase(t->settings, phase);
        try_tile(t, &trials[tried]);
        if (trials[tried].status == CASE_DEVICE_FAILED)
            return report(stream, t, trials, tried + 1);
        if (interrupted()) /* the timing of this tile is incomplete */
            return report(stream, t, trials, tried);
    }
    return report(stream, t, trials, count);
}

/* Creates what all tiles use. */
static dmattn_status begin(tuning *t)
{
    TRY(tuned_problem_of(t->c, t->log, &t->what));
    if (t->what.cache) /* measure_decoding() makes the data */
        return DMATTN_SUCCESS;
    TRY(case_create(t->c, t->log, &t->problem));
    case_fill(&t->problem, &t->c->mask, t->settings->seed);
    t->all_gradients = t->problem.backward.gradients;
    return DMATTN_SUCCESS;
}

bool tune(FILE *stream, const measure_settings *settings, const bench_case *c, const char *filter)
{
    const capabilities *caps = &dmattn_device_context(settings->device)->caps;
    const messenger log = {error_log_keep, settings->log};
    tuning t = {.settings = settings, .log = &log, .c = c};
    t.sorted = malloc(settings->max_samples * sizeof *t.sorted);
    trial *trials = calloc(MAX_TILES, sizeof *trials);
    bool fine = false;
    *settings->log->text = 0;
    const dmattn_status status = t.sorted && trials ? begin(&t) : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status)
        fine = tune_problem(stream, &t, caps, filter, trials);
    else
        complain(0, "%s", error_log_sentence(settings->log, status));
    gradient_checker_destroy(&t.gradients);
    checker_destroy(&t.check);
    device_problem_destroy(&t.forward);
    problem_destroy(&t.problem);
    free(t.sorted);
    free(trials);
    return fine;
}
