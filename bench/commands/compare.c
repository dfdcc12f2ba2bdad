/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include "commands.h"
#include "complain.h"
#include "report/format.h"
#include "report/sources.h"
#include "timing/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: vkbench compare A.json B.json ... [--threshold P%] [--strict]\n"
                            "\n"
                            "Compares the time of each case in B, and in every further file, with that in A.\n"
                            "B / A is the median of all ratios of a sample of B to a sample of A. The\n"
                            "interval is its 95 % confidence interval (Mann-Whitney test on all samples). If\n"
                            "a case was run several times, the interval covers those of all pairs of runs.\n"
                            "\n"
                            "Verdicts:\n"
                            "  slower    if the whole interval is above 1 + P (default: 2%)\n"
                            "  faster    if the whole interval is below 1 / (1 + P)\n"
                            "  same      if the whole interval is between the two\n"
                            "  unclear   otherwise, also with too few samples or a throttled device\n"
                            "  broken    if the result in A is ok and the one in B is not\n"
                            "\n"
                            "Options:\n"
                            "  --threshold P%  what counts as a change (default: 2%)\n"
                            "  --strict        exit status 3 if all verdicts are unclear: the files cannot\n"
                            "                  show that nothing is slower\n"
                            "  -h, --help      print this text and exit\n"
                            "\n"
                            "Exit status:\n"
                            "  0  nothing is slower or broken\n"
                            "  1  something is, or the machine failed\n"
                            "  2  a file or an option is wrong, or the files have no case in common\n"
                            "  3  with --strict: all verdicts are unclear\n";

/* ---- one case ------------------------------------------------------------------------------------------------ */

/* All pairs of repeats are compared, so their number is limited. */
enum { MOST_REPEATS = 256 };

/* Without samples, the median counts as the only sample. */
static sample_set samples_of(const case_result *r)
{
    return r->sample_count ? (sample_set){r->samples, r->sample_count} : (sample_set){&r->median_ms, 1};
}

/* The samples of all repeats that are ok, ascending. The caller frees the values, which are NULL if out of memory. */
static sample_set all_samples(case_group group)
{
    sample_set all = {0};
    size_t count = 0;
    for (size_t i = 0; i < group.count; i++)
        count += result_is_ok(group.item[i]) ? samples_of(group.item[i]).count : 0;
    double *value = malloc(count * sizeof *value);
    for (size_t i = 0; value && i < group.count; i++) {
        const sample_set s = samples_of(group.item[i]);
        if (!result_is_ok(group.item[i]))
            continue;
        memcpy(value + all.count, s.value, s.count * sizeof *value);
        all.count += s.count;
    }
    if (value)
        sort_ascending(value, all.count);
    all.value = value;
    return all;
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

/* Both groups have a result that is ok. False if out of memory. */
static bool compare_repeats(case_group a, case_group b, comparison *c)
{
    const sample_set of_a = all_samples(a), of_b = all_samples(b);
    const bool ok = of_a.value && of_b.value;
    if (ok)
        c->ratio.estimate = ratio_of(of_a, of_b).estimate;
    for (size_t i = 0; ok && i < a.count; i++)
        for (size_t j = 0; j < b.count && result_is_ok(a.item[i]); j++) {
            if (!result_is_ok(b.item[j]))
                continue;
            const ratio r = ratio_of(samples_of(a.item[i]), samples_of(b.item[j]));
            c->ratio.low = fmin(c->ratio.low, r.low);
            c->ratio.high = fmax(c->ratio.high, r.high);
            c->throttled = c->throttled || a.item[i]->throttled || b.item[j]->throttled;
        }
    free((void *)of_a.value);
    free((void *)of_b.value);
    return ok;
}

bool compare_case(case_group a, case_group b, double threshold, comparison *c)
{
    *c = (comparison){.a = case_group_first(a, true), .b = case_group_first(b, false), .ratio = {NAN, INFINITY, 0}};
    if (!result_is_ok(c->a) || !result_is_ok(c->b)) {
        c->verdict = result_is_ok(c->a) ? VERDICT_BROKEN : VERDICT_UNCLEAR;
        return true;
    }
    if (!compare_repeats(a, b, c))
        return false;
    c->verdict = judge(c, threshold);
    return true;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

/* False if out of memory. */
static bool print_runs(const char *which, const results *all)
{
    char run[RUN_TEXT_SIZE], text[RUN_TEXT_SIZE + 600];
    size_t count;
    run_group *groups = runs_group(all, &count);
    for (size_t i = 0; groups && i < count; i++) {
        const result_run *of = groups[i].run;
        run_group_text(&groups[i], run);
        snprintf(text, sizeof text, "%.300s: %.200s, %s", of->file, *of->device ? of->device : "unnamed device", run);
        print_paragraph(stdout, which, text);
    }
    free(groups);
    return groups;
}

static void print_case(const char *identity, const comparison *c)
{
    static const char *const words[VERDICT_COUNT] = {"same", "faster", "slower", "unclear", "broken"};
    puts(identity);
    if (isnan(c->ratio.estimate)) {
        const case_result *wrong = result_is_ok(c->a) ? c->b : c->a;
        char text[1024];
        snprintf(text, sizeof text, "%s: %s in %s: %.900s", words[c->verdict], wrong->status, wrong == c->a ? "A" : "B",
                 wrong->sentence);
        print_paragraph(stdout, "  ", text);
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

/* The results of the i-th result's case, if it is the case's first result; else none. */
static case_group group_at(const case_index *index, size_t i)
{
    const case_result *r = &index->all->items[i];
    const case_group group = case_index_find(index, r->identity);
    return *group.item == r ? group : (case_group){0};
}

void compare_print_missing(FILE *stream, const char *which, const case_index *has, const case_index *lacks)
{
    const case_result *missing[MISSING_NAMED] = {0};
    size_t count = 0;
    for (size_t i = 0; i < has->all->count; i++) {
        const case_result *r = &has->all->items[i];
        if (!group_at(has, i).count || case_index_find(lacks, r->identity).count)
            continue;
        if (count < MISSING_NAMED)
            missing[count] = r;
        count++;
    }
    if (count > MISSING_NAMED)
        fprintf(stream, "only in %s: %zu cases\n", which, count);
    for (size_t i = 0; i < count && count <= MISSING_NAMED; i++)
        fprintf(stream, "only in %s: %s\n", which, missing[i]->identity);
}

static bool have_a_case_in_common(const case_index *a, const case_index *b)
{
    for (size_t i = 0; i < a->all->count; i++)
        if (case_index_find(b, a->all->items[i].identity).count)
            return true;
    return false;
}

static int compare_two(const case_index *a, const case_index *b, const command_line *line)
{
    const double threshold = line->threshold;
    size_t count[VERDICT_COUNT] = {0};
    if (!have_a_case_in_common(a, b))
        return complain(COMMAND_BAD, "%s and %s have no case in common", a->all->runs->file, b->all->runs->file);
    if (!print_runs("A: ", a->all) || !print_runs("B: ", b->all))
        return complain(COMMAND_FAILED, "no memory to compare");
    printf("\n%9s %9s %7s  %-16s  %s\n", "A ms", "B ms", "B / A", "95 % interval", "verdict");
    for (size_t i = 0; i < a->all->count; i++) {
        comparison c;
        const case_group of_a = group_at(a, i), of_b = case_index_find(b, a->all->items[i].identity);
        if (!of_a.count || !of_b.count)
            continue;
        if (!compare_case(of_a, of_b, threshold, &c))
            return complain(COMMAND_FAILED, "no memory to compare");
        print_case(a->all->items[i].identity, &c);
        count[c.verdict]++;
    }
    compare_print_missing(stdout, "A", a, b);
    compare_print_missing(stdout, "B", b, a);
    printf("\n%zu slower, %zu faster, %zu same, %zu unclear, %zu broken; threshold %g %%\n", count[VERDICT_SLOWER],
           count[VERDICT_FASTER], count[VERDICT_SAME], count[VERDICT_UNCLEAR], count[VERDICT_BROKEN], 100 * threshold);
    if (count[VERDICT_SLOWER] || count[VERDICT_BROKEN])
        return COMMAND_SLOWER;
    const bool all_unclear = !count[VERDICT_SAME] && !count[VERDICT_FASTER];
    return line->strict && all_unclear ? COMMAND_UNCLEAR : COMMAND_FINE;
}

/* Complains if a case has too many results, or results of two devices, which cannot be repeats of one run. */
static int check_repeats(const case_index *index)
{
    for (size_t i = 0; i < index->all->count; i++) {
        const case_result *r = &index->all->items[i];
        const case_group group = case_index_find(index, r->identity);
        const char *device = (*group.item)->run->device;
        if (strcmp(device, r->run->device))
            return complain(COMMAND_BAD, "%s has results of %s and of %s for %s, but compare needs one device per side",
                            index->all->runs->file, device, r->run->device, r->identity);
        if (group.count > MOST_REPEATS)
            return complain(COMMAND_BAD, "%s has %zu results for %s, but compare takes at most %d",
                            index->all->runs->file, group.count, r->identity, MOST_REPEATS);
    }
    return COMMAND_FINE;
}

/* Reads a file and indexes it. The caller destroys both in any case. Returns an exit status. */
static int read_one(const char *path, results *all, case_index *index)
{
    const command_line line = {.files = &path, .file_count = 1};
    const int status = command_read(&line, 0, all);
    if (status)
        return status;
    return case_index_make(all, index) ? check_repeats(index) : complain(COMMAND_FAILED, "no memory to compare");
}

/* The exit status for two comparisons: something wrong counts most, something slower more than all unclear. */
static int worse(int a, int b)
{
    static const int order[] = {COMMAND_BAD, COMMAND_SLOWER, COMMAND_UNCLEAR};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return COMMAND_FINE;
}

static int compare(const command_line *line)
{
    results all = {0};
    case_index a = {0};
    int status = read_one(line->files[0], &all, &a);
    bool go_on = !status;
    for (size_t i = 1; i < line->file_count && go_on; i++) {
        results other = {0};
        case_index b = {0};
        if (i > 1)
            putchar('\n');
        int next = read_one(line->files[i], &other, &b);
        go_on = !next;
        if (!next)
            next = compare_two(&a, &b, line);
        go_on = go_on && next != COMMAND_BAD;
        status = worse(status, next);
        case_index_destroy(&b);
        results_destroy(&other);
    }
    case_index_destroy(&a);
    results_destroy(&all);
    if (fflush(stdout) || ferror(stdout))
        return complain(COMMAND_FAILED, "the output cannot be written");
    return status;
}

const command compare_command = {"compare", usage, TAKES_THRESHOLD, 2, compare};
