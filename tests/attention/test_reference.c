/* SPDX-License-Identifier: MIT
 * Conversion of elements, and the reference on cases with results computed by hand. */
#include "problem.h"
#include "reference/element.h"
#include "reference/reference.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- elements ------------------------------------------------------------------------------------------------ */

static uint16_t stored(dmattn_type type, double value)
{
    uint16_t bits = 0x5555;
    element_store(type, &bits, 0, value);
    return bits;
}

static double loaded(dmattn_type type, uint16_t bits)
{
    return element_load(type, &bits, 0);
}

/* The magnitude of a 16-bit float, from the definition of IEEE formats. */
static double decode(uint32_t bits, int mantissa_bits, int bias)
{
    int exponent = (int)(bits >> mantissa_bits), mantissa = (int)(bits & ((1u << mantissa_bits) - 1));
    if (exponent == 2 * bias + 1)
        return mantissa ? NAN : INFINITY;
    if (exponent == 0)
        return ldexp(mantissa, 1 - bias - mantissa_bits);
    return ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

Test(element, all_values_of_16_bits)
{
    for (int type = DMATTN_TYPE_F16; type <= DMATTN_TYPE_BF16; type++)
        for (uint32_t bits = 0; bits < 65536; bits++) {
            double value = loaded((dmattn_type)type, (uint16_t)bits);
            double magnitude = type == DMATTN_TYPE_F16 ? decode(bits & 0x7fff, 10, 15) : decode(bits & 0x7fff, 7, 127);
            if (isnan(magnitude)) {
                cr_expect(isnan(value), "%x", bits);
                cr_expect(isnan(loaded((dmattn_type)type, stored((dmattn_type)type, value))), "%x", bits);
                continue;
            }
            cr_expect_eq(fabs(value), magnitude, "%x: %g", bits, value);
            cr_expect_eq(!signbit(value), !(bits & 0x8000), "%x", bits);
            cr_expect_eq(stored((dmattn_type)type, value), bits, "%x: %x", bits, stored((dmattn_type)type, value));
        }
}

/* Numbers between two neighbours become the nearer one, and numbers in the middle the even one. */
Test(element, rounding)
{
    for (int type = DMATTN_TYPE_F16; type <= DMATTN_TYPE_BF16; type++) {
        const uint32_t last = type == DMATTN_TYPE_F16 ? 0x7bff : 0x7f7f;
        for (uint32_t bits = 0; bits < last; bits++) {
            double low = loaded((dmattn_type)type, (uint16_t)bits),
                   high = loaded((dmattn_type)type, (uint16_t)(bits + 1));
            double middle = (low + high) / 2, step = (high - low) * 0x1p-30;
            uint32_t even = bits & 1 ? bits + 1 : bits;
            cr_expect_eq(stored((dmattn_type)type, middle), even, "%x", bits);
            cr_expect_eq(stored((dmattn_type)type, middle - step), bits, "%x", bits);
            cr_expect_eq(stored((dmattn_type)type, middle + step), bits + 1, "%x", bits);
            cr_expect_eq(stored((dmattn_type)type, -middle), even | 0x8000, "%x", bits);
        }
    }
}

Test(element, ends_of_the_range)
{
    cr_expect_eq(stored(DMATTN_TYPE_F16, 65519.999), 0x7bff);
    cr_expect_eq(stored(DMATTN_TYPE_F16, 65520), 0x7c00);
    cr_expect_eq(stored(DMATTN_TYPE_F16, -1e300), 0xfc00);
    cr_expect_eq(stored(DMATTN_TYPE_F16, 0x1p-25), 0);
    cr_expect_eq(stored(DMATTN_TYPE_F16, 0x1.000001p-25), 1);
    cr_expect_eq(stored(DMATTN_TYPE_F16, -1e-300), 0x8000);
    cr_expect_eq(stored(DMATTN_TYPE_F16, -0.0), 0x8000);
    cr_expect_eq(stored(DMATTN_TYPE_F16, INFINITY), 0x7c00);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, 0x1.fep127), 0x7f7f);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, 0x1.fefffffp127), 0x7f7f);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, 0x1.ffp127), 0x7f80);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, -1e300), 0xff80);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, -INFINITY), 0xff80);
    cr_expect_eq(stored(DMATTN_TYPE_BF16, -1e-300), 0x8000);
    cr_expect(isnan(loaded(DMATTN_TYPE_BF16, stored(DMATTN_TYPE_BF16, NAN))));
    cr_expect(isnan(loaded(DMATTN_TYPE_F16, stored(DMATTN_TYPE_F16, -NAN))));
    float f[2] = {0, 7};
    element_store(DMATTN_TYPE_F32, f, 0, 1.0 / 3);
    cr_expect(f[0] == 1.0f / 3 && f[1] == 7 && element_load(DMATTN_TYPE_F32, f, 1) == 7);
}

/* A NaN with payload bits only in its lower half must stay NaN in bf16. */
Test(element, nan_payloads)
{
    const uint32_t bits = 0x7f800001;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    cr_expect(isnan(loaded(DMATTN_TYPE_BF16, stored(DMATTN_TYPE_BF16, nan))));
    cr_expect(isnan(loaded(DMATTN_TYPE_F16, stored(DMATTN_TYPE_F16, nan))));
}

/* ---- the operator -------------------------------------------------------------------------------------------- */

#define MOST 64
static double out[MOST * 8], lse[MOST];

static problem make(dmattn_attention_desc desc)
{
    problem p;
    cr_assert_eq(problem_create(&desc, NULL, &p), DMATTN_SUCCESS);
    cr_assert(desc.batch * desc.queries * desc.heads <= MOST && desc.head_dim == 8);
    return p;
}

static void run(problem *p)
{
    const reference_inputs in = problem_inputs(p);
    cr_assert_eq(reference_attention(&p->desc, &in, out, lse), DMATTN_SUCCESS);
}

Test(reference, one_key_is_its_value)
{
    problem p = make((dmattn_attention_desc){.batch = 2, .queries = 3, .keys = 1, .heads = 2, .head_dim = 8});
    problem_randomize(&p, 1);
    run(&p);
    const float *q = p.tensor[TENSOR_Q], *k = p.tensor[TENSOR_K], *v = p.tensor[TENSOR_V];
    for (int b = 0; b < 2; b++)
        for (int t = 0; t < 3; t++)
            for (int head = 0; head < 2; head++) {
                double dot = 0;
                for (int i = 0; i < 8; i++) {
                    cr_expect_eq(out[((b * 3 + t) * 2 + head) * 8 + i], v[(b * 2 + head) * 8 + i]);
                    dot += (double)q[((b * 3 + t) * 2 + head) * 8 + i] * k[(b * 2 + head) * 8 + i];
                }
                cr_expect_float_eq(lse[(b * 2 + head) * 3 + t], dot / sqrt(8), 1e-6);
            }
    problem_destroy(&p);
}

Test(reference, equal_scores_give_the_mean)
{
    problem p = make((dmattn_attention_desc){.batch = 1, .queries = 2, .keys = 5, .heads = 1, .head_dim = 8});
    float *v = p.tensor[TENSOR_V]; /* q and k are 0 */
    for (int i = 0; i < 5 * 8; i++)
        v[i] = (float)(i * i);
    run(&p);
    for (int i = 0; i < 8; i++) {
        double mean = 0;
        for (int j = 0; j < 5; j++)
            mean += v[j * 8 + i] / 5.0;
        cr_expect_float_eq(out[i], mean, 1e-9);
        cr_expect_float_eq(out[8 + i], mean, 1e-9);
    }
    cr_expect_float_eq(lse[0], log(5), 1e-12);
    problem_destroy(&p);
}

Test(reference, causal_with_dead_rows)
{
    problem p =
        make((dmattn_attention_desc){.batch = 1, .queries = 5, .keys = 3, .heads = 1, .head_dim = 8, .causal = true});
    float *v = p.tensor[TENSOR_V];
    for (int i = 0; i < 3 * 8; i++)
        v[i] = (float)(i / 8 + 1); /* 1, 2, 3 */
    run(&p);
    const double want[5] = {0, 0, 1, 1.5, 2};
    for (int t = 0; t < 5; t++) {
        cr_expect_float_eq(out[t * 8 + t % 8], want[t], 1e-12, "%d: %g", t, out[t * 8]);
        cr_expect_eq(isfinite(lse[t]) != 0, t >= 2);
    }
    cr_expect_eq(lse[0], -INFINITY);
    problem_destroy(&p);

    p = make((dmattn_attention_desc){.batch = 1, .queries = 2, .keys = 4, .heads = 1, .head_dim = 8, .causal = true});
    run(&p);
    cr_expect_float_eq(lse[0], log(3), 1e-12);
    cr_expect_float_eq(lse[1], log(4), 1e-12);
    problem_destroy(&p);
}

/* Scores of +-1e6, capped at 3, differ by 6; the bias comes after the cap. */
Test(reference, soft_cap_and_bias)
{
    problem p = make((dmattn_attention_desc){
        .batch = 1, .queries = 1, .keys = 2, .heads = 1, .head_dim = 8, .scale = 1, .soft_cap = 3, .bias = true});
    float *q = p.tensor[TENSOR_Q], *k = p.tensor[TENSOR_K], *v = p.tensor[TENSOR_V], *bias = p.tensor[TENSOR_BIAS];
    q[0] = 1000;
    k[0] = 1000;
    k[8] = -1000;
    v[0] = 1;
    run(&p);
    cr_expect_float_eq(out[0], 1 / (1 + exp(-6)), 1e-12);
    cr_expect_float_eq(lse[0], log(exp(3) + exp(-3)), 1e-12);
    bias[0] = -6;
    run(&p);
    cr_expect_float_eq(out[0], 0.5, 1e-12);
    bias[1] = -INFINITY;
    run(&p);
    cr_expect_eq(out[0], 1);
    cr_expect_float_eq(lse[0], -3, 1e-12);
    problem_destroy(&p);
}

/* The table of dmattn/attention.h: two keys, and what their scores and biases count as. */
Test(reference, not_finite)
{
    static const struct {
        float q, k[2], bias[2];
        double out, lse;
    } rows[] = {
        {1, {0, 0}, {INFINITY, 0}, 1, FLT_MAX},
        {1, {0, 0}, {INFINITY, FLT_MAX}, 1.5, FLT_MAX},
        {1, {0, 0}, {NAN, 5}, 2, 5},
        {1, {0, 0}, {-INFINITY, -FLT_MAX}, 2, -FLT_MAX},
        {1, {0, 0}, {-INFINITY, NAN}, 0, -INFINITY},
        {1e20f, {1e20f, 0}, {0, 0}, NAN, NAN},
        {1e20f, {-1e20f, 0}, {0, 0}, 2, 0},
        {1e20f, {-1e20f, -1e20f}, {0, 0}, 0, -INFINITY},
        {1, {3e38f, 0}, {3e38f, 0}, NAN, NAN},
        {NAN, {0, 0}, {0, 0}, NAN, NAN},
        {1, {0, NAN}, {0, 0}, NAN, NAN},
        {INFINITY, {1, 1}, {0, 0}, NAN, NAN},
        {INFINITY, {-1, -2}, {0, 0}, 0, -INFINITY},
    };
    problem p = make((dmattn_attention_desc){
        .batch = 1, .queries = 1, .keys = 2, .heads = 1, .head_dim = 8, .scale = 1, .bias = true});
    float *q = p.tensor[TENSOR_Q], *k = p.tensor[TENSOR_K], *v = p.tensor[TENSOR_V], *bias = p.tensor[TENSOR_BIAS];
    v[0] = 1;
    v[8] = 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int j = 0; j < 2; j++) {
            for (int c = 0; c < 8; c++)
                k[8 * j + c] = rows[i].k[j] / 8;
            bias[j] = rows[i].bias[j];
        }
        for (int c = 0; c < 8; c++)
            q[c] = rows[i].q;
        run(&p);
        cr_expect(isnan(rows[i].out) ? isnan(out[0]) : out[0] == rows[i].out, "%u: out is %g", (unsigned)i, out[0]);
        cr_expect(isnan(rows[i].lse) ? isnan(lse[0]) : lse[0] == rows[i].lse, "%u: lse is %g", (unsigned)i, lse[0]);
    }
    problem_destroy(&p);
}

/* Two batch items, four query heads, two kv heads; a mask for each item and kv head, intervals for each query head. */
Test(reference, masks_and_their_heads)
{
    problem p = make((dmattn_attention_desc){.batch = 2,
                                             .queries = 2,
                                             .keys = 3,
                                             .heads = 4,
                                             .kv_heads = 2,
                                             .head_dim = 8,
                                             .mask = DMATTN_MASK_DENSE,
                                             .mask_shape = {.batch = 2, .heads = 2, .queries = 2}});
    uint8_t *mask = p.tensor[TENSOR_MASK];
    mask[((1 * 2 + 1) * 2 + 0) * 3 + 2] = 255; /* item 1, kv head 1, query 0, key 2 */
    run(&p);
    for (int b = 0; b < 2; b++)
        for (int head = 0; head < 4; head++)
            for (int t = 0; t < 2; t++)
                cr_expect_eq(lse[(b * 4 + head) * 2 + t], b == 1 && head >= 2 && t == 0 ? 0 : -INFINITY);
    problem_destroy(&p);

    p = make((dmattn_attention_desc){.batch = 2,
                                     .queries = 2,
                                     .keys = 3,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .head_dim = 8,
                                     .mask = DMATTN_MASK_INTERVALS,
                                     .mask_shape = {.heads = 4}});
    int32_t *begin = p.tensor[TENSOR_BEGIN], *end = p.tensor[TENSOR_END];
    begin[3 * 3 + 1] = 1; /* head 3, key 1: from query 1 on */
    end[3 * 3 + 1] = 100;
    run(&p);
    for (int b = 0; b < 2; b++)
        for (int head = 0; head < 4; head++)
            for (int t = 0; t < 2; t++)
                cr_expect_eq(lse[(b * 4 + head) * 2 + t], head == 3 && t == 1 ? 0 : -INFINITY);
    problem_destroy(&p);
}
