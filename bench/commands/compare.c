/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include "commands.h"
#include "complain.h"
#include "report/format.h"
#include "timing/statistics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "Usage: vkbench compare A.json B.json ... [--threshold P%]\n"
                            "\n"
                            "Compares the time of each case in B, and in every further file, with that in A.\n"
                            "B / A is the ratio of the medians. The interval is the 95 % confidence interval\n"
                            "of the ratio (Mann-Whitney test on all samples). If a case was run several\n"
                            "times, the interval covers those of all pairs of runs. The verdict is\n"
                            "\n"
                            "  slower    if the whole interval is above 1 + P (default: 2%)\n"
                            "  faster    if the whole interval is below 1 / (1 + P)\n"
                            "  same      if the whole interval is between the two\n"
                            "  unclear   otherwise, also with too few samples or a throttled device\n"
                            "  broken    if the result in A is ok and the one in B is not\n"
                            "\n"
                            "Exit status: 0 nothing is slower or broken, 1 something is, 2 a file or an\n"
                            "option is wrong, or the files have no case in common.\n";

/* ---- one case ------------------------------------------------------------------------------------------------ */

static bool is_of(const case_result *r, const char *identity)
{
    return !strcmp(r->identity, identity);
}

/* Without samples, the median counts as the only sample. */
static sample_set samples_of(const case_result *r)
{
    return r->sample_count ? (sample_set){r->samples, r->sample_count} : (sample_set){&r->median_ms, 1};
}

/* The median of the repeats' medians. */
static double median_of_repeats(const results *all, const char *identity)
{
    double medians[256] = {0};
    size_t count = 0;
    for (size_t i = 0; i < all->count && count < sizeof medians / sizeof *medians; i++)
        if (result_is_ok(&all->items[i]) && is_of(&all->items[i], identity))
            insert_sorted(medians, (uint32_t)count++, median_of(samples_of(&all->items[i])));
    return median_of((sample_set){medians, count});
}

/* The case's first result for which result_is_ok() == ok; else its first result; NULL if there is none. */
static const case_result *find(const results *all, const char *identity, bool ok)
{
    const case_result *first = NULL;
    for (size_t i = 0; i < all->count; i++)
        if (is_of(&all->items[i], identity)) {
            if (result_is_ok(&all->items[i]) == ok)
                return &all->items[i];
            first = first ? first : &all->items[i];
        }
    return first;
}

static verdict judge(const comparison *c, double threshold)
{
    const double above = 1 + threshold, below = 1 / above;
    return c->throttled                                      ? VERDICT_UNCLEAR
           : c->ratio.low > above                            ? VERDICT_SLOWER
           : c->ratio.high < below                           ? VERDICT_FASTER
           : c->ratio.low >= below && c->ratio.high <= above ? VERDICT_SAME
                                                             : VERDICT_UNCLEAR;
}

comparison compare_case(const results *a, const results *b, const char *identity, double threshold)
{
    comparison c = {.a = find(a, identity, true), .b = find(b, identity, false), .ratio = {NAN, INFINITY, 0}};
    if (!result_is_ok(c.a) || !result_is_ok(c.b)) {
        c.verdict = result_is_ok(c.a) ? VERDICT_BROKEN : VERDICT_UNCLEAR;
        return c;
    }
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count && result_is_ok(&a->items[i]) && is_of(&a->items[i], identity); j++) {
            const case_result *x = &a->items[i], *y = &b->items[j];
            if (!result_is_ok(y) || !is_of(y, identity))
                continue;
            const ratio r = ratio_of(samples_of(x), samples_of(y));
            c.ratio.low = fmin(c.ratio.low, r.low);
            c.ratio.high = fmax(c.ratio.high, r.high);
            c.throttled = c.throttled || x->throttled || y->throttled;
        }
    c.ratio.estimate = median_of_repeats(b, identity) / median_of_repeats(a, identity);
    c.verdict = judge(&c, threshold);
    return c;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static void print_run(const char *which, const results *all)
{
    char text[1024];
    for (const result_run *run = all->runs; run; run = run->next) {
        snprintf(text, sizeof text, "%.300s: %.200s, %.50s %.50s%s%.50s%s%.50s%s", run->file,
                 *run->device ? run->device : "unnamed device", run->program, run->version,
                 *run->commit ? ", commit " : "", run->commit, *run->date ? ", " : "", run->date,
                 run->interrupted ? ", interrupted" : "");
        print_paragraph(stdout, which, text);
    }
}

static void print_case(const char *identity, const comparison *c)
{
    static const char *const words[VERDICT_COUNT] = {"same", "faster", "slower", "unclear", "broken"};
    puts(identity);
    if (isnan(c->ratio.estimate)) {
        const case_result *wrong = result_is_ok(c->a) ? c->b : c->a;
        printf("  %s: %s in %s: %s\n", words[c->verdict], wrong->status, wrong == c->a ? "A" : "B", wrong->sentence);
        return;
    }
    printf("%9.4g %9.4g %7.3f  ", c->a->median_ms, c->b->median_ms, c->ratio.estimate);
    if (isfinite(c->ratio.high) && c->ratio.low > 0)
        printf("%6.3f to %-6.3f", c->ratio.low, c->ratio.high);
    else
        printf("%-16s", "too few samples");
    printf("  %s%s", words[c->verdict], c->throttled ? " (throttled)" : "");
    if (strcmp(c->a->level, c->b->level))
        printf(", %s became %s", c->a->level, c->b->level);
    putchar('\n');
}

/* Whether the result is the first of its case. */
static bool is_first(const results *all, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (is_of(&all->items[i], all->items[index].identity))
            return false;
    return true;
}

void compare_print_missing(FILE *stream, const char *which, const results *has, const results *lacks)
{
    size_t missing[MISSING_NAMED] = {0}, count = 0;
    for (size_t i = 0; i < has->count; i++)
        if (is_first(has, i) && !find(lacks, has->items[i].identity, true)) {
            if (count < MISSING_NAMED)
                missing[count] = i;
            count++;
        }
    if (count > MISSING_NAMED)
        fprintf(stream, "only in %s: %zu cases\n", which, count);
    for (size_t i = 0; i < count && count <= MISSING_NAMED; i++)
        fprintf(stream, "only in %s: %s\n", which, has->items[missing[i]].identity);
}

static bool have_a_case_in_common(const results *a, const results *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (find(b, a->items[i].identity, true))
            return true;
    return false;
}

static int compare_two(const results *a, const results *b, double threshold)
{
    size_t count[VERDICT_COUNT] = {0};
    if (!have_a_case_in_common(a, b))
        return complain(COMMAND_BAD, "%s and %s have no case in common", a->runs->file, b->runs->file);
    print_run("A: ", a);
    print_run("B: ", b);
    printf("\n%9s %9s %7s  %-16s  %s\n", "A ms", "B ms", "B / A", "95 % interval", "verdict");
    for (size_t i = 0; i < a->count; i++) {
        const char *identity = a->items[i].identity;
        if (!is_first(a, i) || !find(b, identity, true))
            continue;
        const comparison c = compare_case(a, b, identity, threshold);
        print_case(identity, &c);
        count[c.verdict]++;
    }
    compare_print_missing(stdout, "A", a, b);
    compare_print_missing(stdout, "B", b, a);
    printf("\n%zu slower, %zu faster, %zu same, %zu unclear, %zu broken; threshold %g %%\n", count[VERDICT_SLOWER],
           count[VERDICT_FASTER], count[VERDICT_SAME], count[VERDICT_UNCLEAR], count[VERDICT_BROKEN], 100 * threshold);
    return count[VERDICT_SLOWER] || count[VERDICT_BROKEN] ? COMMAND_SLOWER : COMMAND_FINE;
}

/* Complains if a case has results of two devices, which are not repeats of each other. */
static bool is_of_one_device(const results *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const char *identity = all->items[i].identity;
        const case_result *other = find(all, identity, true);
        if (strcmp(other->run->device, all->items[i].run->device)) {
            complain(COMMAND_BAD, "%s has results of %s and of %s for %s, but compare needs one device per side",
                     all->runs->file, other->run->device, all->items[i].run->device, identity);
            return false;
        }
    }
    return true;
}

static bool read_one(const char *path, results *all)
{
    const command_line line = {.files = &path, .file_count = 1};
    return command_read(&line, 0, all) && is_of_one_device(all);
}

static int compare(const command_line *line)
{
    results a = {0};
    int status = read_one(line->files[0], &a) ? COMMAND_FINE : COMMAND_BAD;
    for (size_t i = 1; i < line->file_count && status != COMMAND_BAD; i++) {
        results b = {0};
        if (i > 1)
            putchar('\n');
        const int next = read_one(line->files[i], &b) ? compare_two(&a, &b, line->threshold) : COMMAND_BAD;
        status = next > status ? next : status;
        results_destroy(&b);
    }
    results_destroy(&a);
    if (fflush(stdout) || ferror(stdout))
        return complain(COMMAND_FAILED, "the output cannot be written");
    return status;
}

const command compare_command = {"compare", usage, TAKES_THRESHOLD, 2, compare};
