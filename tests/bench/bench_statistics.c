/* SPDX-License-Identifier: MIT
 * vkbench's statistics: medians, confidence intervals, throttling, estimates. */
#include "measure/outcome.h"
#include "problem.h"
#include "report/estimate.h"
#include "timing/calibration.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* ---- samples ------------------------------------------------------------------------------------------------- */

Test(samples, insert_sorted)
{
    double sorted[100];
    uint64_t state = 3;
    for (uint32_t n = 0; n < 100; n++) {
        insert_sorted(sorted, n, (double)(random_bits(&state) % 20));
        for (uint32_t i = 1; i <= n; i++)
            cr_assert_leq(sorted[i - 1], sorted[i]);
    }
}

Test(samples, summarize)
{
    summary s = summarize((const double[]){7}, 1);
    cr_expect(s.median == 7 && s.min == 7 && s.spread == 0);
    s = summarize((const double[]){1, 3}, 2);
    cr_expect(s.median == 2 && s.min == 1);
    s = summarize((const double[]){1, 2, 3, 4, 100}, 5); /* quartiles 2 and 4 */
    cr_expect(s.median == 3 && s.min == 1);
    cr_expect_float_eq(s.spread, 2 / (2 * 3.0), 1e-12);
    s = summarize((const double[]){0, 0, 0}, 3);
    cr_expect(s.median == 0 && s.spread == 0);
}

Test(samples, choose_runs)
{
    cr_expect_eq(choose_runs(0.01, 0.001), 1);
    cr_expect_eq(choose_runs(0.001, 0.001), 1);
    cr_expect_eq(choose_runs(0.001, 0.0101), 11);
    cr_expect_geq(choose_runs(0, 0.001), 1);
    cr_expect_eq(choose_runs(1e-12, 1), choose_runs(0, 1)); /* bounded */
    cr_expect_geq(choose_runs(-1, 1), 1);
}

/* The ranks are those of the sign test's tables. */
Test(confidence, ranks)
{
    static const uint32_t rows[][2] = {{1, 0}, {5, 0}, {6, 1}, {8, 1}, {9, 2}, {10, 2}, {20, 6}, {50, 18}, {100, 40}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(confidence_rank(rows[i][0]), rows[i][1], "%u samples: %u", rows[i][0],
                     confidence_rank(rows[i][0]));
    uint32_t before = 0;
    for (uint32_t n = 1; n < 3000; n++) { /* no jump at the start of the normal approximation */
        const uint32_t rank = confidence_rank(n);
        cr_expect(rank >= before && rank <= before + 1 && rank <= (n + 1) / 2, "%u samples: %u", n, rank);
        before = rank;
    }
}

/* The interval contains the true median, 1/2 of uniform numbers, as often as it should. */
Test(confidence, coverage)
{
    uint64_t state = 11;
    int inside = 0;
    const int trials = 4000;
    for (int trial = 0; trial < trials; trial++) {
        double sorted[25];
        for (uint32_t i = 0; i < 25; i++)
            insert_sorted(sorted, i, random_uniform(&state));
        const summary s = summarize(sorted, 25);
        inside += s.low <= 0.5 && 0.5 <= s.high;
    }
    cr_expect(inside > 0.95 * trials && inside < 0.975 * trials, "%d of %d", inside,
              trials); /* 95.7 % by the binomial */
}

Test(confidence, of_a_summary)
{
    double sorted[] = {1, 2, 3, 4, 5, 6};
    summary s = summarize(sorted, 6);
    cr_expect(s.low == 1 && s.high == 6);
    cr_expect_float_eq(summary_uncertainty(&s), 5 / (2 * 3.5), 1e-12);
    s = summarize(sorted, 5);
    cr_expect(s.low == 0 && s.high == 0 && isinf(summary_uncertainty(&s)));
}

Test(calibration, throttled)
{
    cr_expect_eq(calibration_clock(2, 2), 1);
    cr_expect_eq(calibration_clock(2, 4), 0.5);
    cr_expect_eq(calibration_clock(2, 1), 1); /* a later run may be faster than the best so far */
    cr_expect_eq(calibration_clock(0, 1), 0);
    cr_expect_eq(calibration_clock(1, 0), 0);
    cr_expect(!calibration_throttled(1) && !calibration_throttled(0.96) && calibration_throttled(0.94));
    cr_expect_not(calibration_throttled(0)); /* unknown */
}

/* ---- outcomes ------------------------------------------------------------------------------------------------ */

static void add(outcomes *o, bench_pass pass, const char *what, double median, uint32_t index, uint32_t repeat)
{
    bench_case c = {.pass = pass};
    measurement m = {.time = {.median = median, .low = median, .high = median}, .calibrated = 1};
    c.mask.dynamic = !strcmp(what, "topw");
    c.mask.causal = !strcmp(what, "causal");
    m.desc.keys = 64;
    cr_assert(outcomes_add(o, &c, &m, index, repeat));
}

Test(outcomes, speedup)
{
    outcomes o = {0};
    add(&o, PASS_FORWARD, "topw", 1, 0, 0);
    add(&o, PASS_FORWARD, "causal", 3, 1, 0);
    add(&o, PASS_BACKWARD, "topw", 1, 2, 0);
    add(&o, PASS_DECODE, "none", 4, 3, 0);
    add(&o, PASS_DECODE, "topw", 2, 4, 0);
    add(&o, PASS_FORWARD, "topw", 1, 0, 1);
    add(&o, PASS_FORWARD, "none", 5, 5, 0);
    cr_expect_eq(outcome_speedup(&o, &o.item[0]), 3); /* the order does not matter */
    cr_expect_eq(outcome_speedup(&o, &o.item[1]), 0); /* it is the dense case itself */
    cr_expect_eq(outcome_speedup(&o, &o.item[2]), 0); /* another pass */
    cr_expect_eq(outcome_speedup(&o, &o.item[4]), 2);
    cr_expect_eq(outcome_speedup(&o, &o.item[5]), 0); /* another repeat */
    o.item[0].m.desc.keys = 65;
    cr_expect_eq(outcome_speedup(&o, &o.item[0]), 0);
    outcomes_destroy(&o);
}

static void add_step(outcomes *o, uint32_t batch, uint32_t keys, uint32_t other_keys, dmattn_format format,
                     double median)
{
    bench_case c = {.desc = {.batch = batch, .heads = 4, .queries = 1, .keys = keys, .head_dim = 64},
                    .mask = {.paged = true, .plain = true},
                    .other_keys = other_keys,
                    .pass = PASS_DECODE};
    c.decode.attention.k_format = c.decode.attention.v_format = format;
    measurement m = {.time = {.median = median}};
    cr_assert(outcomes_add(o, &c, &m, o->count, 0));
}

/* A step of one long sequence and three short ones, beside both parts alone, of the same format. */
Test(outcomes, parts)
{
    outcomes o = {0};
    add_step(&o, 4, 1000, 10, DMATTN_FORMAT_INT8, 8);
    add_step(&o, 1, 1000, 0, DMATTN_FORMAT_INT8, 4);
    cr_expect_eq(outcome_parts(&o, &o.item[0]), 0);
    add_step(&o, 3, 10, 0, DMATTN_FORMAT_Q8_0, 9);
    add_step(&o, 4, 10, 0, DMATTN_FORMAT_INT8, 9);
    cr_expect_eq(outcome_parts(&o, &o.item[0]), 0);
    add_step(&o, 3, 10, 0, DMATTN_FORMAT_INT8, 1);
    cr_expect_eq(outcome_parts(&o, &o.item[0]), 5);
    cr_expect_eq(outcome_parts(&o, &o.item[1]), 0);
    outcomes_destroy(&o);
}

Test(outcomes, repeats)
{
    outcomes o = {0};
    cr_expect_eq(outcomes_of_case(&o, 0).count, 0);
    for (uint32_t repeat = 0; repeat < 3; repeat++) {
        add(&o, PASS_FORWARD, "topw", 4 + repeat, 0, repeat);
        add(&o, PASS_FORWARD, "causal", 9, 1, repeat);
    }
    case_times t = outcomes_of_case(&o, 0);
    cr_expect(t.count == 3 && t.median == 5 && t.range == 0.4 && t.cold == 0);
    t = outcomes_of_case(&o, 1);
    cr_expect(t.count == 3 && t.median == 9 && t.range == 0);
    cr_expect_eq(outcome_dense(&o, &o.item[2]), &o.item[3]);
    o.item[0].m.time.median = 0; /* it failed */
    o.item[2].m.cold = 7;
    t = outcomes_of_case(&o, 0);
    cr_expect(t.count == 2 && t.median == 5.5 && t.cold == 7);
    outcomes_destroy(&o);
}

Test(outcomes, marks)
{
    outcomes o = {.best_calibration = 1};
    add(&o, PASS_FORWARD, "topw", 4, 0, 0);
    cr_expect_str_eq(outcome_marks(&o, &o.item[0]), "");
    o.best_calibration = 0.5;
    cr_expect_str_eq(outcome_marks(&o, &o.item[0]), "*");
    o.item[0].m.time.high = 4.2;
    cr_expect_str_eq(outcome_marks(&o, &o.item[0]), "*~");
    o.best_calibration = 1;
    cr_expect_str_eq(outcome_marks(&o, &o.item[0]), "~");
    o.item[0].m.time.median = 0;
    cr_expect_str_eq(outcome_marks(&o, &o.item[0]), "");
    outcomes_destroy(&o);
}

/* ---- estimates ----------------------------------------------------------------------------------------------- */

static bench_case dense_case(uint32_t n)
{
    return (bench_case){.desc = {.batch = 1, .heads = 4, .queries = n, .keys = n, .head_dim = 64, .causal = true},
                        .mask = {.causal = true},
                        .pass = PASS_FORWARD};
}

Test(estimates, cases)
{
    const ceilings p = {.of = {[CEILING_COPY] = {.rate = 1e11}, [CEILING_FMA] = {.rate = 1e12}}};
    bench_case c = dense_case(4096);
    const estimate dense = estimate_case(&c, &p, false), unknown = estimate_case(&c, NULL, false);
    /* 4 D operations per pair, n^2 / 2 pairs per head, at 30 % of the ceiling */
    cr_expect_float_eq(dense.run, 4 * 64 * 4 * 4096.0 * 4097 / 2 / 0.3e12, 0.1 * dense.run);
    cr_expect(unknown.run == 0 && unknown.host == dense.host);
    c.pass = PASS_BACKWARD;
    const estimate backward = estimate_case(&c, &p, false);
    cr_expect(backward.run > 2.3 * dense.run && backward.host > dense.host);
    c = dense_case(4096);
    c.mask = (mask_choice){.dynamic = true, .window = 256};
    const estimate sparse = estimate_case(&c, &p, false);
    cr_expect(sparse.run < dense.run / 4 && sparse.run > dense.run / 16);
    cr_expect_gt(estimate_case(&c, &p, true).run, sparse.run);
    c = dense_case(8192);
    cr_expect_gt(estimate_case(&c, &p, false).run, 3.5 * dense.run);
}

/* The data of a cache takes less time than its bytes: tokens overlap on the host. */
Test(estimates, caches)
{
    const ceilings p = {.of = {[CEILING_COPY] = {.rate = 4e12}, [CEILING_FMA] = {.rate = 4e13}}};
    bench_case c = {.desc = {.type = DMATTN_TYPE_BF16, .batch = 64, .heads = 32, .kv_heads = 8, .queries = 1},
                    .mask = {.paged = true},
                    .pass = PASS_DECODE};
    c.desc.head_dim = 128;
    c.desc.keys = 1024;
    const estimate few = estimate_case(&c, &p, false);
    c.desc.keys = 32 * 1024;
    const estimate many = estimate_case(&c, &p, false);
    cr_expect(few.host < 1.2 && many.host < 3 && many.host > few.host);
    /* sixteen threads plan sixteen cases in the time of one; a case that has its plans needs no time for them */
    estimate shared = few;
    estimate_share_plan(&shared, 16);
    cr_expect_float_eq(shared.plan, few.plan / 16, 1e-12);
    cr_expect_float_eq(few.host - shared.host, few.plan * 15 / 16, 1e-12);
    cr_expect_float_eq(estimate_take_plan(&shared), few.plan / 16, 1e-12);
    cr_expect(shared.plan == 0 && few.plan > 0);
    cr_expect_float_eq(few.host - shared.host, few.plan, 1e-12);
    cr_expect_float_eq(many.run / few.run, 32, 1);
    c.other_keys = 1024;
    const estimate unequal = estimate_case(&c, &p, false);
    cr_expect(unequal.run > few.run && unequal.run < 2 * few.run);
}

Test(estimates, limits)
{
    const estimate e[] = {{.run = 0.01, .host = 1, .limits = 1}, {.run = 0.01, .host = 2, .limits = 2}};
    cr_expect_float_eq(estimate_limit(e, 2, 1, 6, 5), 1, 1e-12); /* 3 s on the host leave 3 s for 3 limits */
    cr_expect_float_eq(estimate_limit(e, 2, 1.5, 6, 5), 0.5, 1e-12);
    cr_expect_eq(estimate_limit(e, 2, 1, 100, 5), 5);
    cr_expect_eq(estimate_limit(e, 2, 1, 1, 5), 0.5); /* at least a tenth of the maximum */
    cr_expect_float_eq(estimate_seconds(&e[1], 1), 2 + 2 * 0.7, 1e-12);
    const estimate slow = {.run = 1, .host = 1, .limits = 1};
    cr_expect_float_eq(estimate_seconds(&slow, 1), 6, 1e-12);
}

Test(estimates, durations)
{
    static const struct {
        double seconds;
        const char *text;
    } rows[] = {{0, "1 s"},    {4.2, "5 s"},         {31, "35 s"},       {59.5, "1 min"},
                {60, "1 min"}, {95, "1 min 40 s"},   {119, "2 min"},     {600, "10 min"},
                {3599, "1 h"}, {7322, "2 h 10 min"}, {1e11, "1000000 h"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[DURATION_SIZE];
        duration_text(rows[i].seconds, text);
        cr_expect_str_eq(text, rows[i].text, "%g: %s", rows[i].seconds, text);
    }
}
