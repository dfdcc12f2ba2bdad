/* SPDX-License-Identifier: MIT
 * Finishes a chart when all its points are known: unique labels, exponents, guides. */
#include "chart.h"

#include "report/sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool same_file(const chart_series *a, const chart_series *b)
{
    return !strcmp(a->run->file, b->run->file);
}

/* If the chart shows several files, each label names its file. If a file has the same label twice, of two commits, each
 * of these labels names its commit. */
static void tell_sources_apart(const results *all, chart *c)
{
    bool by_file = false, by_commit[256] = {false};
    const size_t count = c->series_count < 256 ? c->series_count : 256;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            const bool files = !same_file(&c->series[i], &c->series[j]);
            by_file = by_file || files;
            by_commit[i] = by_commit[i] || (i != j && !files && !strcmp(c->series[i].label, c->series[j].label));
        }
    for (size_t i = 0; i < count; i++) {
        if (!by_file && !by_commit[i])
            continue;
        chart_series *s = &c->series[i];
        const size_t length = strlen(s->label);
        char name[SOURCE_NAME_SIZE] = "";
        if (by_file)
            source_name(all, s->run, name);
        snprintf(s->label + length, sizeof s->label - length, " (%s%s%.40s)", name, by_file && by_commit[i] ? " " : "",
                 by_commit[i] ? s->run->commit : "");
    }
}

static void add_guide(chart *c, double factor, double exponent, double from, double to, const char *format,
                      double value)
{
    if (c->guide_count == CHART_GUIDES)
        return;
    chart_guide *g = &c->guides[c->guide_count++];
    *g = (chart_guide){.factor = factor, .exponent = exponent, .from = from, .to = to};
    snprintf(g->label, sizeof g->label, format, value);
}

/* Whether the chart has a series of the ceiling's type. */
static bool has_type(const chart *c, ceiling_id id)
{
    const char *type = id == CEILING_F16_MATRIX ? "f16" : id == CEILING_BF16_MATRIX ? "bf16" : "";
    for (size_t i = 0; i < c->series_count; i++)
        if (!*type || !strcmp(c->series[i].of[0]->type, type))
            return true;
    return false;
}

/* Adds the ceilings of the first run on the chart's device that has them. */
static void add_roofs(const results *all, chart *c)
{
    static const char *const formats[CEILING_COUNT] = {"copy, %.4g GB/s", "f32 FMA, %.4g TFLOP/s",
                                                       "f16 matrices, %.4g TFLOP/s", "bf16 matrices, %.4g TFLOP/s"};
    const result_run *run = all->runs;
    while (run && !(run->ceiling[CEILING_COPY] > 0 && !strcmp(run->device, c->device)))
        run = run->next;
    if (!run)
        return;
    const double copy = run->ceiling[CEILING_COPY] * 1e-3;
    double highest = 0;
    for (int i = CEILING_FMA; i < CEILING_COUNT; i++)
        if (run->ceiling[i] > highest && has_type(c, (ceiling_id)i))
            highest = run->ceiling[i];
    add_guide(c, copy, 1, 0, highest > 0 ? highest / copy : INFINITY, formats[CEILING_COPY],
              run->ceiling[CEILING_COPY]);
    const double f16 = run->ceiling[CEILING_F16_MATRIX], bf16 = run->ceiling[CEILING_BF16_MATRIX];
    const bool alike =
        f16 > 0 && fabs(bf16 / f16 - 1) < 0.01 && has_type(c, CEILING_F16_MATRIX) && has_type(c, CEILING_BF16_MATRIX);
    for (int i = CEILING_FMA; i < CEILING_COUNT; i++)
        if (alike
            && i >= CEILING_F16_MATRIX) { /* nearly equal ceilings share a line, so that their labels do not overlap */
            if (i == CEILING_F16_MATRIX)
                add_guide(c, f16, 0, f16 / copy, INFINITY, "f16 and bf16 matrices, %.4g TFLOP/s", f16);
        } else if (run->ceiling[i] > 0 && has_type(c, (ceiling_id)i))
            add_guide(c, run->ceiling[i], 0, run->ceiling[i] / copy, INFINITY, formats[i], run->ceiling[i]);
}

void chart_finish(const results *all, chart *c)
{
    tell_sources_apart(all, c);
    for (size_t i = 0; c->id == CHART_TIME && i < c->series_count; i++) {
        const double exponent = fit_exponent(c->series[i].points, c->series[i].count);
        if (isfinite(exponent))
            snprintf(c->series[i].note, sizeof c->series[i].note, "%.2f",
                     round(100 * exponent) / 100 + 0.0); /* no -0.00 */
    }
    if (c->id == CHART_SPEEDUP) {
        add_guide(c, 1, -1, 0, 1, "work proportional to visible pairs", 0);
        add_guide(c, 1, 0, 0, INFINITY, "dense", 0);
    } else if (c->id == CHART_ROOFLINE)
        add_roofs(all, c);
}
