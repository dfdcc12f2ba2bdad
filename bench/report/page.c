/* SPDX-License-Identifier: MIT */
#include "page.h"

#include "format.h"
#include "report.h"
#include "results/provenance.h"
#include "timing/calibration.h"

#include <math.h>
#include <string.h>

/* ---- the head ------------------------------------------------------------------------------------------------ */

static void print_device(FILE *stream, const page *p)
{
    fprintf(stream, "vkbench %s, commit %s, suite %s\n", bench_version(), bench_commit(), p->suite);
    print_paragraph(stream, "device  ", p->info->name);
    print_paragraph(stream, "driver  ", p->info->driver);
    fprintf(stream, "type    %s, %.1f GiB, levels up to %s\n\n", device_type_string(p->info->type),
            (double)p->info->device_memory / 0x1p30, dmattn_level_string(p->info->level));
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static const outcome *first_of(const outcomes *o, uint32_t index)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->item[i].index == index)
            return &o->item[i];
    return NULL;
}

static void print_group(FILE *stream, const page *p, const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    const uint32_t kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    fprintf(stream, "\n%s%s%u heads, %u kv, D %u, %s\n", c->model ? c->model : "", c->model ? ": " : "", d->heads,
            kv_heads, d->head_dim, dmattn_type_string(d->type));
    fprintf(stream, "%-8s %-16s %8s %7s%s %4s %14s %5s %6s\n", "pass", "mask", "size", "ms", p->cold ? " cold ms" : "",
            p->repeats > 1 ? "run%" : "+-%", "rate", "ceiling", "dense");
}

/* Of arithmetic, or of memory where that is what a pass is about. */
static void print_rate(FILE *stream, const bench_case *c, const measurement *m, double median)
{
    const double tflops = measurement_tflops(m) * m->time.median / median;
    const double gbytes = measurement_gbytes(m) * m->time.median / median;
    if (c->pass == PASS_DECODE || c->pass == PASS_MASK)
        fprintf(stream, " %6s %-7s", number(gbytes, 6).text, "GB/s");
    else if (tflops < 0.1)
        fprintf(stream, " %6s %-7s", number(1e3 * tflops, 6).text, "GFLOP/s");
    else
        fprintf(stream, " %6s %-7s", number(tflops, 6).text, "TFLOP/s");
}

static void print_times(FILE *stream, const page *p, const outcome *x)
{
    const measurement *m = &x->m;
    const case_times t = outcomes_of_case(p->outcomes, x->index);
    const outcome *dense = outcome_dense(p->outcomes, x);
    const double percent = p->repeats > 1 ? 50 * t.range : 100 * summary_uncertainty(&m->time);
    const double speedup = dense ? outcomes_of_case(p->outcomes, dense->index).median / t.median : 0;
    fprintf(stream, " %7s", number(1e3 * t.median, 7).text);
    if (p->cold)
        fprintf(stream, " %7s", t.cold > 0 ? number(1e3 * t.cold, 7).text : "-");
    if (isfinite(percent) && (p->repeats == 1 || t.count > 1))
        fprintf(stream, " %4.*f", percent < 99.95, percent);
    else
        fprintf(stream, " %4s", "-");
    print_rate(stream, &x->c, m, t.median);
    if (m->roofline_seconds > 0)
        fprintf(stream, " %4.0f%%", 100 * m->roofline_seconds / t.median);
    else
        fprintf(stream, " %5s", "-");
    if (speedup > 0)
        fprintf(stream, " %5.*fx", speedup < 9.95, speedup);
    else
        fprintf(stream, " %6s", "-");
    fprintf(stream, " %s\n", outcome_marks(p->outcomes, x));
}

/* The first repeat that has figures stands for all of them. */
static const outcome *representative(const outcomes *o, uint32_t index)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->item[i].index == index && o->item[i].m.time.median > 0)
            return &o->item[i];
    return first_of(o, index);
}

static void print_row(FILE *stream, const page *p, const outcome *x)
{
    const dmattn_attention_desc *d = &x->c.desc;
    char mask[MASK_NAME_SIZE], size[32], what[640];
    mask_name(&x->c.mask, mask);
    snprintf(size, sizeof size, d->batch > 1 ? "%ux%u" : "%.0u%u", d->batch > 1 ? d->batch : 0, d->keys);
    fprintf(stream, "%-8s %-16s %8s", pass_name(x->c.pass), mask, size);
    if (x->m.status == CASE_OK) {
        print_times(stream, p, x);
        return;
    }
    fputs("\n", stream);
    snprintf(what, sizeof what, "%s: %s", x->m.status == CASE_WRONG ? "WRONG" : case_status_string(x->m.status),
             x->m.sentence);
    print_paragraph(stream, "         ", what);
}

static bool same_group(const bench_case *a, const bench_case *b)
{
    return a->model == b->model && a->desc.type == b->desc.type && a->desc.heads == b->desc.heads
           && a->desc.kv_heads == b->desc.kv_heads && a->desc.head_dim == b->desc.head_dim;
}

/* ---- what stands below --------------------------------------------------------------------------------------- */

/* Which level each pass ran at. */
static void print_levels(FILE *stream, const outcomes *o)
{
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_DECODE, PASS_MASK};
    char text[256] = "";
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        bool found[DMATTN_LEVEL_MATRIX2 + 1] = {false};
        bool first = true;
        for (uint32_t k = 0; k < o->count; k++)
            for (int n = 0; n < PASS_COUNT; n++)
                if (o->item[k].c.pass == passes[i] && o->item[k].m.time.median > 0)
                    found[o->item[k].m.planned[n].level] = true;
        for (int level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++)
            if (found[level]) {
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%s", first ? *text ? "; " : "" : " and ",
                         first ? pass_name(passes[i]) : "", first ? " " : "");
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
                         dmattn_level_string((dmattn_level)level));
                first = false;
            }
    }
    if (*text)
        print_paragraph(stream, "Levels: ", text);
}

/* How much the same case differs from run to run. */
static void print_repeats(FILE *stream, const outcomes *o, const case_list *cases, uint32_t repeats)
{
    double worst = 0, sum = 0;
    uint32_t count = 0, which = 0;
    char name[CASE_NAME_SIZE], text[512];
    for (uint32_t i = 0; i < cases->count; i++) {
        const case_times t = outcomes_of_case(o, i);
        if (t.count < 2)
            continue;
        which = !count || t.range > worst ? i : which;
        worst = fmax(worst, t.range);
        sum += t.range;
        count++;
    }
    if (!count)
        return;
    case_name(&cases->item[which], name);
    snprintf(
        text, sizeof text,
        "%u repeats: medians of a case lie within %.1f %% of each other on an average, within %.1f %% at most (%s).",
        repeats, 100 * sum / count, 100 * worst, name);
    print_paragraph(stream, "Run to run: ", text);
}

void print_notes(FILE *stream, const outcomes *o, const case_list *cases, uint32_t repeats)
{
    uint32_t throttled = 0, unsure = 0, timed = 0;
    double slowest = 1;
    char text[512];
    for (uint32_t i = 0; i < o->count; i++) {
        const outcome *x = &o->item[i];
        const bool is_timed = x->m.time.median > 0;
        timed += is_timed;
        unsure += is_timed && !outcome_converged(x);
        if (is_timed && outcome_throttled(o, x)) {
            throttled++;
            slowest = fmin(slowest, outcome_clock(o, x));
        }
    }
    if (throttled) {
        snprintf(
            text, sizeof text,
            "%u of %u times were taken while the device was slower than at its best, down to %.0f %% of its speed: "
            "something else used it, or its clock was lower, to save power or for the heat. Take them for what it "
            "does now, not for what it can do.",
            throttled, timed, 100 * slowest);
        print_paragraph(stream, "* ", text);
    }
    if (unsure) {
        snprintf(text, sizeof text,
                 "%u of %u medians are not known to +-%g %% with %g %% confidence; more --time helps.", unsure, timed,
                 100 * PRECISION, 100 * CONFIDENCE_LEVEL);
        print_paragraph(stream, "~ ", text);
    }
    if (repeats > 1)
        print_repeats(stream, o, cases, repeats);
    if (o->count < cases->count * repeats) {
        snprintf(text, sizeof text, "It was stopped: %u of %u cases were not run.", cases->count * repeats - o->count,
                 cases->count * repeats);
        print_paragraph(stream, "! ", text);
    }
}

static bool ceiling_throttled(const page *p, const ceiling *x)
{
    return calibration_throttled(calibration_clock(p->outcomes->best_calibration, x->calibrated));
}

static void print_legend(FILE *stream, const page *p)
{
    char text[768];
    snprintf(
        text, sizeof text,
        "ms: the median of runs back to back, so that what fits in the caches stays there; %s%s. rate: arithmetic of "
        "the pairs that are visible, or bytes. ceiling: the least time that the ceilings allow as a part of it. dense: "
        "times faster than dense attention. All were checked against the CPU.",
        p->repeats > 1 ? "of the medians of all repeats, run% half their range" : "+-% its 95 % confidence",
        p->cold ? "; cold ms: with nothing in the caches" : "");
    print_paragraph(stream, "", text);
}

void page_print(FILE *stream, const page *p)
{
    const bench_case *group = NULL;
    print_device(stream, p);
    report_ceiling_head(stream);
    for (int i = 0; i < CEILING_COUNT; i++)
        report_ceiling(stream, (ceiling_id)i, &p->ceilings->of[i], ceiling_throttled(p, &p->ceilings->of[i]));
    for (uint32_t i = 0; i < p->cases->count; i++) {
        const outcome *x = representative(p->outcomes, i);
        if (!x)
            continue;
        if (!group || !same_group(group, &x->c))
            print_group(stream, p, &x->c);
        group = &x->c;
        print_row(stream, p, x);
    }
    fputs("\n", stream);
    print_levels(stream, p->outcomes);
    print_legend(stream, p);
    print_notes(stream, p->outcomes, p->cases, p->repeats);
    fflush(stream);
}
