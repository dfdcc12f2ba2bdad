/* SPDX-License-Identifier: MIT
 * vkbench's backward pass without a device: the check of gradients, operation counts and roofline limits. */
#include "app/options.h"
#include "cases/parse.h"
#include "check/check_gradients.h"
#include "measure/planning.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* ---- the check ----------------------------------------------------------------------------------------------- */

static bench_case make_case(const char *mask, bool bias)
{
    sweep s = {.n = {1, {50}},
               .batch = {1, {2}},
               .heads = {1, {4}},
               .kv_heads = {1, {2}},
               .head_dim = {1, {16}},
               .value_dim = {1, {24}},
               .mask_count = 1,
               .bias = bias,
               .pass = PASS_BACKWARD};
    bench_case c;
    cr_assert(parse_mask(mask, &s.mask[0]));
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    sweep_case(&s, 0, &c);
    return c;
}

/* A problem with its mask, its forward results, the rows to check, and the right gradients. */
typedef struct fixture {
    problem problem;
    float *out, *lse;
    checker rows;
    gradients right;
} fixture;

static float *to_floats(double *values, uint64_t count)
{
    float *floats = malloc(count * sizeof *floats);
    for (uint64_t i = 0; i < count; i++)
        floats[i] = (float)values[i];
    free(values);
    return floats;
}

static fixture make_fixture(const char *mask, bool bias)
{
    fixture f = {0};
    const bench_case c = make_case(mask, bias);
    cr_assert_eq(case_create(&c, NULL, &f.problem), DMATTN_SUCCESS);
    case_fill(&f.problem, &c.mask, 3);
    cr_assert(!f.problem.dma || !problem_make_mask(&f.problem));
    const reference_inputs in = problem_inputs(&f.problem);
    const uint64_t rows = 2 * 50 * 4;
    double *out = malloc(rows * 24 * sizeof *out), *lse = malloc(rows * sizeof *lse);
    cr_assert_eq(reference_attention(&f.problem.desc, &in, out, lse), DMATTN_SUCCESS);
    f.out = to_floats(out, rows * 24);
    f.lse = to_floats(lse, rows);
    cr_assert_eq(checker_create(&f.problem, count_visible_pairs(&f.problem), 1, NULL, &f.rows), DMATTN_SUCCESS);
    cr_assert_eq(gradients_create(&f.problem, &f.right), DMATTN_SUCCESS);
    cr_assert_eq(gradients_on_cpu(&f.problem, &f.right), DMATTN_SUCCESS);
    return f;
}

static gradient_checker check(const fixture *f, uint64_t visible_pairs)
{
    gradient_checker c;
    cr_assert_eq(
        gradient_checker_create(&f->problem, &(forward_results){f->out, f->lse}, &f->rows, visible_pairs, 1, NULL, &c),
        DMATTN_SUCCESS);
    return c;
}

static void destroy_fixture(fixture *f)
{
    gradients_destroy(&f->right);
    checker_destroy(&f->rows);
    free(f->out);
    free(f->lse);
    problem_destroy(&f->problem);
}

/* An error in the last checked row of a gradient is found. */
static void expect_found(const gradient_checker *c, tensor_id t, float *got, const char *mask)
{
    const gradient_rows *r = &c->rows[t];
    float *element = &got[r->at[r->count - 1] * r->dim + r->dim - 1];
    const float right = *element;
    const double scale = sqrt(r->square[r->count - 1]);
    *element = right + (float)(1e-3 * (scale > 0 ? scale : 1));
    cr_expect_gt(gradient_error(c, t, got), tolerance(DMATTN_TYPE_F32), "%s, %s", mask, dmattn_tensor_name(t));
    *element = NAN;
    cr_expect(isinf(gradient_error(c, t, got)), "%s, %s", mask, dmattn_tensor_name(t));
    *element = right;
}

/* With all keys checked, the expected gradients agree with the reference, which does not use forward results. */
Test(gradients, all_keys)
{
    static const char *const masks[] = {"none",       "causal", "additive", "dense:0.3", "causal+dense:0.2",
                                        "interval:9", "topw:10"};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
        fixture f = make_fixture(masks[m], m % 2);
        gradient_checker c = check(&f, count_visible_pairs(&f.problem));
        cr_expect(c.all_keys && c.key_count == 50);
        for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++) {
            const tensor_id t = (tensor_id)i;
            cr_expect_eq(c.rows[t].count > 0, gradient_count(&f.problem, t) > 0, "%s: %s is not checked", masks[m],
                         dmattn_tensor_name(t));
            if (!c.rows[t].count)
                continue;
            const double error = gradient_error(&c, t, f.right.tensor[t]);
            cr_expect_leq(error, 2e-6, "%s, %s: %g", masks[m], dmattn_tensor_name(t), error);
            expect_found(&c, t, f.right.tensor[t], masks[m]);
        }
        gradient_checker_destroy(&c);
        destroy_fixture(&f);
    }
}

/* With some keys checked, the last key is among them, and sums over all keys are not checked. */
Test(gradients, some_keys)
{
    fixture f = make_fixture("topw:10", false);
    gradient_checker c = check(&f, UINT64_C(1) << 50);
    cr_expect(!c.all_keys && c.key_count < 50);
    cr_expect_eq(c.rows[TENSOR_DK].at[0], 49 * 2);
    cr_expect(!c.rows[TENSOR_DDT_WEIGHT].count && !c.rows[TENSOR_DA].count);
    for (int t = TENSOR_DQ; t <= TENSOR_DV; t++) {
        cr_expect_leq(gradient_error(&c, (tensor_id)t, f.right.tensor[t]), 2e-6);
        expect_found(&c, (tensor_id)t, f.right.tensor[t], "some keys");
    }
    gradient_checker_destroy(&c);
    destroy_fixture(&f);
}

/* An f16 below 2^-14 may differ by its rounding. */
Test(gradients, small_f16)
{
    double want[] = {1e-6, 4e-6}, square = 0;
    uint64_t at = 0;
    problem p = {.desc = {.type = DMATTN_TYPE_F16}};
    gradient_checker c = {.problem = &p};
    c.rows[TENSOR_DK] = (gradient_rows){.dim = 2, .count = 1, .at = &at, .want = want, .square = &square};
    c.rows[TENSOR_DSINK] = c.rows[TENSOR_DK];
    const float rounded[] = {1.02e-6f, 4e-6f}, wrong[] = {1.2e-6f, 4e-6f}, none[] = {NAN, 4e-6f};
    cr_expect_eq(gradient_error(&c, TENSOR_DK, rounded), 0);
    cr_expect_gt(gradient_error(&c, TENSOR_DK, wrong), tolerance(DMATTN_TYPE_F16));
    cr_expect(isinf(gradient_error(&c, TENSOR_DK, none)));
    cr_expect_gt(gradient_error(&c, TENSOR_DSINK, rounded), tolerance(DMATTN_TYPE_F16), "dsink is f32");
    p.desc.type = DMATTN_TYPE_BF16;
    cr_expect_gt(gradient_error(&c, TENSOR_DK, rounded), tolerance(DMATTN_TYPE_F16));
}

Test(gradients, passed)
{
    check_result r = {0};
    cr_expect(check_passed(&r, DMATTN_TYPE_F32));
    r.gradient_error[TENSOR_DDT_WEIGHT] = 2 * tolerance(DMATTN_TYPE_F32);
    cr_expect_not(check_passed(&r, DMATTN_TYPE_F32));
    r.gradient_error[TENSOR_DDT_WEIGHT] = NAN;
    cr_expect_not(check_passed(&r, DMATTN_TYPE_F32));
}

/* ---- passes -------------------------------------------------------------------------------------------------- */

Test(passes, flops)
{
    static const char *const masks[] = {"none", "causal", "additive", "dense:0.3", "interval:9", "topw:10"};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
        const bench_case c = make_case(masks[m], false);
        dmattn_attention_backward_desc desc;
        cr_assert_eq(case_resolve(&c, NULL, &desc), DMATTN_SUCCESS);
        cr_expect_float_eq(flops_of_pair(&desc, PASS_FORWARD), 2 * 16 + 2 * 24, 1e-9, "%s", masks[m]);
        cr_expect_float_eq(flops_of_pair(&desc, PASS_BACKWARD), 6 * 16 + 4 * 24, 1e-9, "%s", masks[m]);
    }
}

/* Operations, bytes and roofline limits of both passes add up; each pass has its own level. */
Test(passes, sums)
{
    ceilings p = {
        .of = {[CEILING_COPY] = {.rate = 1e3}, [CEILING_FMA] = {.rate = 10}, [CEILING_F16_MATRIX] = {.rate = 100}}};
    measurement m = {.desc.type = DMATTN_TYPE_F16,
                     .visible_pairs = 10,
                     .time.median = 2,
                     .planned = {{.level = DMATTN_LEVEL_MATRIX, .flops_of_pair = 40, .bytes = 1e3},
                                 {.level = DMATTN_LEVEL_PORTABLE, .flops_of_pair = 100, .bytes = 2e3}}};
    cr_expect_float_eq(measurement_tflops(&m), 700e-12, 1e-18);
    cr_expect_float_eq(measurement_gbytes(&m), 1500e-9, 1e-15);
    cr_expect_eq(measurement_roofline_seconds(&m, &p), 4 + 100);
    p.of[CEILING_F16_MATRIX].rate = 0;
    cr_expect_eq(measurement_roofline_seconds(&m, &p), 0);
    m.planned[0] = (planned_pass){0}; /* only backward */
    cr_expect_eq(measurement_roofline_seconds(&m, &p), 100);
    cr_expect_float_eq(measurement_tflops(&m), 500e-12, 1e-18);
}
