/* SPDX-License-Identifier: MIT
 * Comparison of results: ratios, verdicts, missing cases. */
#include "commands/compare.h"
#include "problem.h"
#include "result_documents.h"
#include "timing/statistics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ratios ---------------------------------------------------------------------------------------------------- */

/* The number of orders of a + b samples with `inversions` pairs in which b's sample is smaller. */
static double orders(int a, int b, int inversions)
{
    if (inversions < 0)
        return 0;
    if (!a || !b)
        return inversions == 0;
    return orders(a - 1, b, inversions - b)
           + orders(a, b - 1, inversions); /* the largest sample is one of a, or one of b */
}

/* In the exact distribution, the interval excludes at most 2.5 % at each end, and not much less than that. */
Test(ratios, confidence)
{
    for (int a = 1; a <= 9; a++)
        for (int b = 1; b <= 9; b++) {
            const double outside = ratio_outside((size_t)a, (size_t)b);
            double all = 0, left_out = 0, next = 0;
            for (int i = 0; i <= a * b; i++) {
                const double count = orders(a, b, i);
                all += count;
                left_out += i < outside + 0.5 && outside >= 0 ? count : 0;
                next += i < outside + 2.5 ? count : 0;
            }
            cr_expect_leq(left_out / all, 0.025, "%d and %d samples: %g", a, b, left_out / all);
            cr_expect_gt(next / all, 0.025, "%d and %d samples: %g", a, b, next / all);
        }
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The interval agrees with the sorted list of all ratios. */
Test(ratios, interval)
{
    enum { A = 13, B = 17 };
    double a[A], b[B], all[A * B];
    for (int i = 0; i < A; i++)
        a[i] = 1 + 0.01 * ((i * 7) % A);
    for (int i = 0; i < B; i++)
        b[i] = 1.5 + 0.02 * ((i * 5) % B);
    qsort(a, A, sizeof *a, compare_numbers);
    qsort(b, B, sizeof *b, compare_numbers);
    for (int i = 0; i < A * B; i++)
        all[i] = b[i % B] / a[i / B];
    qsort(all, A * B, sizeof *all, compare_numbers);
    const ratio r = ratio_of((sample_set){a, A}, (sample_set){b, B});
    const int outside = (int)ratio_outside(A, B);
    cr_assert(outside > 0 && outside < A * B / 2);
    cr_expect_float_eq(r.low, all[outside], 1e-9);
    cr_expect_float_eq(r.high, all[A * B - 1 - outside], 1e-9);
    cr_expect_float_eq(r.estimate, all[A * B / 2], 1e-9);
    const ratio few = ratio_of((sample_set){a, 1}, (sample_set){b, 2});
    cr_expect(few.low == 0 && isinf(few.high) && few.estimate > 1);
    /* equal samples: no width, and the search ends */
    const double same[5] = {3, 3, 3, 3, 3};
    const ratio one = ratio_of((sample_set){same, 5}, (sample_set){same, 5});
    cr_expect_float_eq(one.low, 1, 1e-9);
    cr_expect_float_eq(one.high, 1, 1e-9);
}

static verdict compare_texts(const char *before, const char *after, double *estimate)
{
    results a = {0}, b = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&a, before, why) && add_document(&b, after, why), "%s", why);
    case_index of_a, of_b;
    comparison c;
    cr_assert(case_index_make(&a, &of_a) && case_index_make(&b, &of_b));
    const char *identity = a.items[0].identity;
    cr_assert(compare_case(case_index_find(&of_a, identity), case_index_find(&of_b, identity), 0.02, &c));
    if (!isnan(c.ratio.estimate))
        cr_expect(c.ratio.low <= c.ratio.estimate && c.ratio.estimate <= c.ratio.high,
                  "the ratio %g is outside its interval from %g to %g", c.ratio.estimate, c.ratio.low, c.ratio.high);
    *estimate = c.ratio.estimate;
    case_index_destroy(&of_a);
    case_index_destroy(&of_b);
    results_destroy(&a);
    results_destroy(&b);
    return c.verdict;
}

static verdict verdict_of(const char *before, const char *after)
{
    double estimate;
    return compare_texts(before, after, &estimate);
}

#define SAMPLES(list) \
    HEAD "{" SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\",\"median_ms\":1,\"samples_ms\":[" list "]}"

/* If the samples form two groups, the ratio of the medians may be outside the interval. */
Test(compare, estimate)
{
    double estimate;
    compare_texts(SAMPLES("1,1,1,1,1,2,2,2,2") "]}", SAMPLES("1,1,1,1,2,2,2,2,2") "]}", &estimate);
    cr_expect_float_eq(estimate, 1, 1e-9); /* and not 2 */
    compare_texts(SAMPLES("4,4,4,4") "]}", SAMPLES("2,2,3,3") "]}", &estimate);
    cr_expect_float_eq(estimate, 0.625, 1e-9);
    /* every sample of both repeats counts: 2/1 four times, 3/1 eight times */
    compare_texts(SAMPLES("1,1,1,1") "]}",
                  SAMPLES("2") ",{" SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\","
                                              "\"median_ms\":3,\"samples_ms\":[3,3]}]}",
                  &estimate);
    cr_expect_float_eq(estimate, 3, 1e-9);
}

/* The estimate from all samples of all repeats is always within the interval, whatever the samples are. */
Test(compare, estimate_within_interval)
{
    uint64_t state = 5;
    for (int round = 0; round < 2000; round++) {
        enum { REPEATS = 3, MOST = 12 };
        case_result result[2 * REPEATS];
        const case_result *pointer[2 * REPEATS];
        double samples[2 * REPEATS][MOST];
        const size_t repeats[2] = {1 + random_bits(&state) % REPEATS, 1 + random_bits(&state) % REPEATS};
        for (size_t i = 0; i < 2 * REPEATS; i++) {
            const size_t count = 1 + random_bits(&state) % MOST;
            const double median = exp(random_normal(&state)), spread = 0.5 * random_uniform(&state);
            for (size_t k = 0; k < count; k++)
                samples[i][k] = median * exp(spread * random_normal(&state));
            sort_ascending(samples[i], count);
            result[i] = (case_result){.status = "ok", .samples = samples[i], .sample_count = count};
            pointer[i] = &result[i];
        }
        comparison c;
        cr_assert(
            compare_case((case_group){pointer, repeats[0]}, (case_group){pointer + REPEATS, repeats[1]}, 0.02, &c));
        cr_expect(c.ratio.low <= c.ratio.estimate * (1 + 1e-9) && c.ratio.estimate <= c.ratio.high * (1 + 1e-9),
                  "%g is outside of %g to %g", c.ratio.estimate, c.ratio.low, c.ratio.high);
    }
}

Test(compare, verdicts)
{
    static const char four[] = HEAD DENSE(64, 4) "]}";
    cr_expect_eq(verdict_of(four, four), VERDICT_SAME);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.04) "]}"), VERDICT_SAME);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "]}"), VERDICT_SLOWER);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 3.8) "]}"), VERDICT_FASTER);
    /* one of several runs is as fast as before, so not every pair is slower */
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "," DENSE(64, 4.2) "]}"), VERDICT_SLOWER);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "," DENSE(64, 4) "]}"), VERDICT_UNCLEAR);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4) ",{" SIZES(64) "\"mask\":\"causal\",\"status\":\"wrong\"}]}"),
                 VERDICT_BROKEN);
    /* one sample on each side is not enough */
    cr_expect_eq(verdict_of(HEAD SPARSE(64, 4) "]}", HEAD SPARSE(64, 9) "]}"), VERDICT_UNCLEAR);
    cr_expect_eq(verdict_of(four, HEAD "{" SIZES(64) "\"mask\":\"causal\",\"status\":\"wrong\"}]}"), VERDICT_BROKEN);
    cr_expect_eq(verdict_of(four,
                            HEAD "{\"disturbed\":true," SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\","
                                                                  "\"median_ms\":9,\"samples_ms\":[9,9,9,9,9]}]}"),
                 VERDICT_UNCLEAR);
}

typedef struct two_results {
    results has, lacks;
} two_results;

static void write_missing(FILE *stream, const void *user)
{
    const two_results *two = user;
    case_index has, lacks;
    cr_assert(case_index_make(&two->has, &has) && case_index_make(&two->lacks, &lacks));
    compare_print_missing(stream, "A", &has, &lacks);
    case_index_destroy(&has);
    case_index_destroy(&lacks);
}

Test(compare, missing_cases)
{
    static char why[RESULTS_WHY_SIZE];
    two_results two = {0};
    cr_assert(add_document(&two.has, HEAD DENSE(64, 4) "," DENSE(64, 4) "," DENSE(65, 4) "," DENSE(66, 4) "]}", why),
              "%s", why);
    cr_assert(add_document(&two.lacks, HEAD DENSE(65, 4) "]}", why), "%s", why);
    char *text = written_text(write_missing, &two);
    cr_expect_str_eq(text, "only in A: f16 B1 H4/2 N64 D64 causal forward\n"
                           "only in A: f16 B1 H4/2 N66 D64 causal forward\n");
    free(text);
    cr_assert(add_document(&two.has,
                           HEAD DENSE(1, 4) "," DENSE(2, 4) "," DENSE(3, 4) "," DENSE(4, 4) "," DENSE(5, 4) "," DENSE(
                               6, 4) "," DENSE(7, 4) "]}",
                           why),
              "%s", why);
    text = written_text(write_missing, &two);
    cr_expect_str_eq(text, "only in A: 9 cases\n");
    free(text);
    results_destroy(&two.has);
    results_destroy(&two.lacks);
}
