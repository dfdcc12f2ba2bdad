/* SPDX-License-Identifier: MIT */
#include "page.h"

#include "format.h"
#include "kernel.h"
#include "report.h"
#include "results/provenance.h"
#include "rows.h"
#include "serving_rows.h"
#include "timing/calibration.h"
#include "timing/device_memory.h"

#include <math.h>
#include <string.h>

/* ---- the head ------------------------------------------------------------------------------------------------ */

static void print_device(FILE *stream, const page *p)
{
    char text[512];
    fprintf(stream, "vkbench %s, commit %s, suite %s\n", bench_version(), bench_commit(), p->suite);
    print_paragraph(stream, "device  ", p->info->name);
    print_paragraph(stream, "driver  ", p->info->driver);
    fprintf(stream, "type    %s, %.1f GiB, levels up to %s\n", device_type_string(p->info->type),
            (double)p->info->device_memory / 0x1p30, dmattn_level_string(p->info->level));
    if (report_missing_level(p->info, dmattn_kernel_highest_level(), text, sizeof text))
        print_paragraph(stream, "! ", text);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* The case's first repeat that has a time, else its first one; NULL if there is none. */
static const outcome *representative(const outcomes *o, uint32_t index)
{
    const outcome *first = NULL;
    for (uint32_t i = 0; i < o->count; i++) {
        const outcome *x = &o->item[i];
        if (x->index == index && x->m.time.median > 0)
            return x;
        first = first || x->index != index ? first : x;
    }
    return first;
}

/* Whether the row of a case is left out because it says the same as others: that there was no time. print_skipped()
 * says it once. */
static bool is_left_out(const page *p, const outcome *x)
{
    return p->serving && x->m.status == CASE_SKIPPED;
}

static void print_skipped(FILE *stream, const page *p)
{
    uint32_t count = 0;
    const char *why = "";
    char text[640];
    for (uint32_t i = 0; i < p->outcomes->count; i++)
        if (is_left_out(p, &p->outcomes->item[i])) {
            why = p->outcomes->item[i].m.sentence;
            count++;
        }
    if (!count)
        return;
    snprintf(text, sizeof text, "%u of %u cases were skipped, the last one because: %s.", count,
             p->cases->count * p->repeats, why);
    print_paragraph(stream, "! ", text);
}

static void print_too_large(FILE *stream, const page *p)
{
    char text[256];
    if (!p->cases->left_out)
        return;
    snprintf(text, sizeof text,
             "%u case%s left out: the device allocates at most %.1f GiB at once, and their caches "
             "need more.",
             p->cases->left_out, p->cases->left_out > 1 ? "s are" : " is",
             (double)device_largest_buffer(p->info) / 0x1p30);
    print_paragraph(stream, "! ", text);
}

/* ---- notes --------------------------------------------------------------------------------------------------- */

/* Why plans do not use the highest level, if the device has it: the reason of each pass once. */
static void print_why_not_higher(FILE *stream, const page *p)
{
    const char *told[4 * PASS_COUNT];
    size_t count = 0;
    for (uint32_t i = 0; i < p->outcomes->count; i++)
        for (int n = 0; n < PASS_COUNT; n++) {
            const planned_pass *planned = &p->outcomes->item[i].m.planned[n];
            bool is_new = planned->level && planned->level < p->info->level && *planned->why_not_higher
                          && count < sizeof told / sizeof *told;
            for (size_t k = 0; k < count; k++)
                is_new = is_new && strcmp(told[k], planned->why_not_higher) != 0;
            if (is_new) {
                told[count++] = planned->why_not_higher;
                print_paragraph(stream, "Not higher: ", planned->why_not_higher);
            }
        }
}

/* The levels that each pass ran at. */
static void print_levels(FILE *stream, const outcomes *o)
{
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_DECODE, PASS_PREFILL, PASS_MASK, PASS_SELECT};
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

/* How much repeats of the same case differ. */
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
    snprintf(text, sizeof text,
             "%u repeats. The range of a case's medians is %.1f %% on average and at most %.1f %% (%s).", repeats,
             100 * sum / count, 100 * worst, name);
    print_paragraph(stream, "Run to run: ", text);
}

void print_notes(FILE *stream, const outcomes *o, const case_list *cases, uint32_t repeats)
{
    uint32_t throttled = 0, unconverged = 0, timed = 0;
    double slowest = 1;
    char text[512];
    for (uint32_t i = 0; i < o->count; i++) {
        const outcome *x = &o->item[i];
        const bool is_timed = x->m.time.median > 0;
        timed += is_timed;
        unconverged += is_timed && !outcome_converged(x);
        if (is_timed && outcome_throttled(o, x)) {
            throttled++;
            slowest = fmin(slowest, outcome_clock(o, x));
        }
    }
    if (throttled) {
        snprintf(text, sizeof text,
                 "%u of %u times were measured while the device was throttled, down to %.0f %% of its best speed: "
                 "another program used it, or its clock was lower (power saving, heat). These times do not show what "
                 "the device can do.",
                 throttled, timed, 100 * slowest);
        print_paragraph(stream, "* ", text);
    }
    if (unconverged) {
        snprintf(text, sizeof text,
                 "%u of %u medians are not known to +-%g %% at %g %% confidence. A larger --time helps.", unconverged,
                 timed, 100 * PRECISION, 100 * CONFIDENCE_LEVEL);
        print_paragraph(stream, "~ ", text);
    }
    if (repeats > 1)
        print_repeats(stream, o, cases, repeats);
    if (o->count < cases->count * repeats) {
        snprintf(text, sizeof text, "vkbench was stopped: %u of %u cases did not run.",
                 cases->count * repeats - o->count, cases->count * repeats);
        print_paragraph(stream, "! ", text);
    }
}

/* ---- the page ------------------------------------------------------------------------------------------------ */

static bool ceiling_throttled(const page *p, const ceiling *x)
{
    return calibration_throttled(calibration_clock(p->outcomes->best_calibration, x->calibrated));
}

static void print_legend(FILE *stream, const page *p)
{
    char text[768];
    snprintf(
        text, sizeof text,
        "ms: median time of back-to-back runs, with warm caches%s%s. rate: arithmetic on visible pairs, or bytes "
        "of inputs and outputs. roof%%: percent of the roofline limit that the ceilings give. %s. Every result was "
        "checked against the CPU.",
        p->repeats > 1 ? ", over all repeats. run%: half the range of their medians"
                       : "; +-%: half the width of its 95 % confidence interval",
        p->cold ? ". cold ms: with cold caches" : "",
        p->serving ? "tokens/s: new tokens of one layer. B/token: bytes of a layer's cache for each token of the "
                     "context"
                   : "dense: speedup over dense attention");
    print_paragraph(stream, "", text);
}

void page_print(FILE *stream, const page *p)
{
    row_table rows = {.stream = stream, .outcomes = p->outcomes, .repeats = p->repeats, .cold = p->cold};
    rows_fit(&rows, p->cases);
    print_device(stream, p);
    report_ceiling_head(stream);
    for (int i = 0; i < CEILING_COUNT; i++)
        report_ceiling(stream, (ceiling_id)i, &p->ceilings->of[i], ceiling_throttled(p, &p->ceilings->of[i]));
    for (uint32_t i = 0; i < p->cases->count; i++) {
        const outcome *x = representative(p->outcomes, i);
        if (x && is_left_out(p, x))
            continue;
        if (x && p->serving)
            serving_print(&rows, x);
        else if (x)
            rows_print(&rows, x);
    }
    fputs("\n", stream);
    print_levels(stream, p->outcomes);
    print_why_not_higher(stream, p);
    print_legend(stream, p);
    print_too_large(stream, p);
    print_skipped(stream, p);
    print_notes(stream, p->outcomes, p->cases, p->repeats);
    fflush(stream);
}
