/* SPDX-License-Identifier: MIT
 * The table of numbers that are not finite in dmattn/attention.h: forward and gradients at every level against the
 * reference. Decoding is in tests/decode. */
#include "low_precision.h"
#include "reference/element.h"
#include "support/harness.h"

#include "gradients.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than one tile of queries and of keys at every level, and rows and keys that share a tile without seeing each
 * other. */
#define QUERIES 40
#define KEYS    72
#define SIZES   .batch = 1, .queries = QUERIES, .keys = KEYS, .heads = 2, .kv_heads = 1, .head_dim = 16, .lse = true
#define INF     ((double)INFINITY)
#define SINK    .sink = true

typedef struct entry {
    const char *name;
    dmattn_attention_desc desc;
    void (*change)(problem *p);
    bool f32_only; /* its numbers are beyond f16 */
    bool no_gradients;
} entry;

/* ---- inputs -------------------------------------------------------------------------------------------------- */

/* Sets element i of a row (sequence, head) of q, k, v or dout. */
static void put(problem *p, tensor_id t, uint32_t sequence, uint32_t head, uint32_t i, double x)
{
    const tensor_box box = problem_box(p, t);
    element_store(p->desc.type, p->tensor[t], tensor_box_at(&box, sequence * (uint64_t)box.extent[2] + head) + i, x);
}

/* Sets all of a row. */
static void put_row(problem *p, tensor_id t, uint32_t sequence, uint32_t head, double x)
{
    for (uint32_t i = 0; i < 16; i++)
        put(p, t, sequence, head, i, x);
}

static void nan_in_q(problem *p)
{
    put(p, TENSOR_Q, 7, 0, 3, NAN);
    put(p, TENSOR_Q, 20, 1, 0, INF); /* whose scores are infinite, of either sign */
}

/* Query t stands at t + 32: key 50 is hidden from queries before 18, in the same tile. */
static void nan_in_k(problem *p)
{
    put(p, TENSOR_K, 50, 0, 5, NAN);
}

static void nan_in_v(problem *p)
{
    put(p, TENSOR_V, 50, 0, 5, NAN);
    put(p, TENSOR_V, 51, 0, 6, -INF);
}

static void nan_in_dout(problem *p)
{
    put(p, TENSOR_DOUT, 7, 0, 3, NAN);
    put(p, TENSOR_DOUT, 20, 1, 0, INF);
}

/* Keys that no query sees. */
static void hidden_keys_interval(problem *p)
{
    int32_t *begin = p->tensor[TENSOR_BEGIN], *end = p->tensor[TENSOR_END];
    for (uint32_t j = 0; j < KEYS; j++) {
        begin[j] = j % 5 == 2 ? 0 : (int32_t)(j % 7);
        end[j] = j % 5 == 2 ? 0 : QUERIES;
        for (int t = TENSOR_K; t <= TENSOR_V && j % 5 == 2; t++)
            put_row(p, (tensor_id)t, j, 0, j % 2 ? NAN : INF);
    }
}

static void hidden_keys_dense(problem *p)
{
    uint8_t *mask = p->tensor[TENSOR_MASK];
    for (uint32_t j = 0; j < KEYS; j++) {
        mask[j] = j % 5 != 2;
        for (int t = TENSOR_K; t <= TENSOR_V && !mask[j]; t++)
            put_row(p, (tensor_id)t, j, 0, j % 2 ? NAN : INF);
    }
}

/* Queries that see no key, beside others that do; and one that is NaN, which sees half of the keys. */
static void hidden_queries(problem *p)
{
    uint8_t *mask = p->tensor[TENSOR_MASK];
    for (uint32_t t = 0; t < QUERIES; t++) {
        for (uint32_t j = 0; j < KEYS; j++)
            mask[t * KEYS + j] = t % 3 != 1 && (j + t) % 2;
        for (uint32_t head = 0; head < 2 && t % 3 == 1; head++) {
            put_row(p, TENSOR_Q, t, head, t % 2 ? NAN : INF);
            put_row(p, TENSOR_DOUT, t, head, t % 2 ? INF : NAN);
        }
    }
    put(p, TENSOR_Q, 3, 0, 0, NAN);
}

/* Queries that lie outside all documents. */
static void queries_before_keys(problem *p)
{
    for (uint32_t t = 0; t < 4; t++)
        put_row(p, TENSOR_Q, t, 0, NAN);
    for (uint32_t j = 0; j < KEYS; j++) {
        ((int32_t *)p->tensor[TENSOR_BEGIN])[j] = 4 + (int32_t)(j % 3);
        ((int32_t *)p->tensor[TENSOR_END])[j] = QUERIES;
    }
}

static void put_bias(problem *p, const double *x, uint32_t count)
{
    const uint64_t all = problem_bytes(p, TENSOR_BIAS) / dmattn_type_size(p->desc.bias_type);
    for (uint64_t i = 0; i < all; i++)
        if (x[i % count] != 0)
            element_store(p->desc.bias_type, p->tensor[TENSOR_BIAS], i, x[i % count]);
}

/* Most keys keep their bias. */
static void hiding_bias(problem *p)
{
    put_bias(p, (double[]){0, -INF, 0, NAN, 0}, 5);
}

/* One key for each query, from query 31 on where causal: its bias counts as FLT_MAX. */
static void infinite_bias(problem *p)
{
    double x[KEYS] = {[9] = -INF, [29] = NAN, [63] = INF};
    put_bias(p, x, KEYS);
}

static void nothing_but_hiding_bias(problem *p)
{
    put_bias(p, (double[]){-INF, NAN}, 2);
}

/* Beside so large a bias nothing is left of scores: the key that has it has all of the weight. */
static void large_bias(problem *p)
{
    double x[KEYS] = {[3] = 1e9, [40] = 3e9, [71] = -FLT_MAX, [70] = -3e38};
    put_bias(p, x, KEYS);
}

/* Rows of the case that torch.finfo.min as a mask makes: all the lowest number, all but one, and others near the ends
 * of the range. */
static void lowest_bias(problem *p)
{
    static const double rows[6][2] = {{-FLT_MAX, -FLT_MAX}, {-FLT_MAX, -1e38}, {-2.5e38, -2.5e38},
                                      {-1e38, -9e37},       {6e37, 3e38},      {FLT_MAX, -FLT_MAX}};
    float *bias = p->tensor[TENSOR_BIAS];
    for (uint32_t t = 0; t < QUERIES; t++)
        for (uint32_t j = 0; j < KEYS; j++)
            bias[t * KEYS + j] = (float)rows[t % 6][j == t + 10];
}

/* The same, with one bias for all queries. */
static void lowest_bias_of_keys(problem *p)
{
    double x[KEYS];
    for (int j = 0; j < KEYS; j++)
        x[j] = -FLT_MAX;
    x[5] = -1e38;
    x[50] = -2.5e38;
    put_bias(p, x, KEYS);
}

/* q . k is 1e40 or -1e40 for query 3, -1e40 with every key for query 4, and 0 for others. */
static void product_overflow(problem *p)
{
    for (uint32_t t = 0; t < QUERIES; t++)
        for (uint32_t head = 0; head < 2; head++) {
            put_row(p, TENSOR_Q, t, head, 0);
            put(p, TENSOR_Q, t, head, t % 2, t == 3 ? 1e20 : t == 4 ? -1e20 : 0);
        }
    for (uint32_t j = 0; j < KEYS; j++) {
        put(p, TENSOR_K, j, 0, 0, 1e20);
        put(p, TENSOR_K, j, 0, 1, j % 2 ? 1e20 : -1e20);
    }
}

/* The sum of a score and its bias overflows. */
static void sum_overflow(problem *p)
{
    double x[KEYS] = {[5] = 3e38, [6] = -3e38};
    put_bias(p, x, KEYS);
    for (uint32_t t = 0; t < QUERIES; t++)
        put_row(p, TENSOR_Q, t, 0, 0);
    put(p, TENSOR_Q, 11, 0, 0, 2e19);
    put(p, TENSOR_K, 5, 0, 0, 1e19);
    put(p, TENSOR_K, 6, 0, 0, -1e19);
}

/* One sink that counts as FLT_MAX, and one that is beside all scores. */
static void infinite_sink(problem *p)
{
    ((float *)p->tensor[TENSOR_SINK])[0] = INFINITY;
    ((float *)p->tensor[TENSOR_SINK])[1] = 500;
}

static void hiding_sink(problem *p)
{
    ((float *)p->tensor[TENSOR_SINK])[0] = -INFINITY;
    ((float *)p->tensor[TENSOR_SINK])[1] = NAN;
    put(p, TENSOR_Q, 7, 0, 3, NAN);
}

/* Some scores are NaN or infinite, and some queries have no other ones than -infinity. */
static void sink_beside_infinities(problem *p)
{
    nan_in_q(p);
    float *bias = p->tensor[TENSOR_BIAS];
    for (uint32_t t = 0; t < QUERIES; t++)
        for (uint32_t j = 0; j < KEYS; j++)
            if (t % 5 == 1)
                bias[t * KEYS + j] = j % 2 ? -INFINITY : NAN;
}

/* With a sink, q of a query that sees no key may hold anything; its dout is finite. */
static void hidden_queries_with_sink(problem *p)
{
    hidden_queries(p);
    for (uint32_t t = 1; t < QUERIES; t += 3)
        for (uint32_t head = 0; head < 2; head++)
            put_row(p, TENSOR_DOUT, t, head, 3);
}

/* dsink of head 0 is NaN, and that of head 1 is not. */
static void hidden_queries_with_bad_dout(problem *p)
{
    hidden_queries_with_sink(p);
    put(p, TENSOR_Q, 3, 0, 0, 1);
    put(p, TENSOR_DOUT, 7, 0, 5, NAN);
}

static void not_finite_dlse(problem *p)
{
    float *dlse = p->tensor[TENSOR_DLSE];
    dlse[7] = NAN;
    dlse[QUERIES + 20] = INFINITY;
}

/* Slopes of NaN and infinity: only the key at the query's own position, whose distance is 0, is left. */
static void odd_slopes(problem *p)
{
    ((float *)p->tensor[TENSOR_SLOPES])[0] = NAN;
    ((float *)p->tensor[TENSOR_SLOPES])[1] = INFINITY;
}

/* All other keys count as FLT_MAX. */
static void negative_slopes(problem *p)
{
    ((float *)p->tensor[TENSOR_SLOPES])[0] = -INFINITY;
    ((float *)p->tensor[TENSOR_SLOPES])[1] = -1e38f;
}

/* An additive mask hides key 50 from the first 30 queries, and most keys from query 3. In a tile, hidden keys of NaN
 * are beside visible ones. */
static void hidden_by_additive(problem *p)
{
    float *bias = p->tensor[TENSOR_BIAS];
    for (uint32_t t = 0; t < QUERIES; t++)
        for (uint32_t j = 0; j < KEYS; j++)
            bias[t * KEYS + j] = (j == 50 && t < 30) || (t == 3 && j > 2) ? t % 2 ? -INFINITY : NAN : 0;
    put(p, TENSOR_K, 50, 0, 5, NAN);
}

/* With slopes, elements of 0 and of -infinity stay what they are. */
static void sloped_mask(problem *p)
{
    hidden_by_additive(p);
    odd_slopes(p);
}

#define BIAS(...) .bias = true, .bias_shape = {__VA_ARGS__}

static const entry entries[] = {
    {"NaN in q", {SIZES, .causal = true}, nan_in_q, false, false},
    {"NaN in q, with a bias", {SIZES, .causal = true, BIAS(.queries = QUERIES)}, nan_in_q, false, false},
    {"NaN in q, with a soft cap", {SIZES, .soft_cap = 2}, nan_in_q, false, false},
    {"NaN in k", {SIZES}, nan_in_k, false, false},
    {"NaN in k, causal", {SIZES, .causal = true}, nan_in_k, false, true},
    {"NaN in v", {SIZES}, nan_in_v, false, false},
    {"NaN in dout", {SIZES}, nan_in_dout, false, false},
    {"NaN in dout, causal", {SIZES, .causal = true, BIAS(.heads = 2)}, nan_in_dout, false, false},
    {"hidden keys, intervals", {SIZES, .mask = DMATTN_MASK_INTERVALS}, hidden_keys_interval, false, false},
    {"hidden keys, intervals and soft cap",
     {SIZES, .soft_cap = 2, .mask = DMATTN_MASK_INTERVALS},
     hidden_keys_interval,
     false,
     false},
    {"hidden keys, intervals and bias",
     {SIZES, .mask = DMATTN_MASK_INTERVALS, BIAS(0)},
     hidden_keys_interval,
     false,
     false},
    {"hidden keys, dense", {SIZES, .mask = DMATTN_MASK_DENSE}, hidden_keys_dense, false, false},
    {"hidden queries, dense",
     {SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = QUERIES}},
     hidden_queries,
     false,
     false},
    {"hidden queries, intervals", {SIZES, .mask = DMATTN_MASK_INTERVALS}, queries_before_keys, false, false},
    {"biases that hide", {SIZES, .causal = true, BIAS(.heads = 2)}, hiding_bias, false, false},
    {"biases of pairs that hide", {SIZES, BIAS(.queries = QUERIES)}, hiding_bias, false, false},
    {"biases that hide all", {SIZES, BIAS(0)}, nothing_but_hiding_bias, false, false},
    {"infinite bias", {SIZES, .causal = true, BIAS(.heads = 2)}, infinite_bias, false, false},
    {"infinite bias of pairs", {SIZES, BIAS(.queries = QUERIES)}, infinite_bias, false, false},
    {"infinite bias in f16", {SIZES, BIAS(0), .bias_type = DMATTN_TYPE_F16}, infinite_bias, false, false},
    {"large bias", {SIZES, BIAS(0)}, large_bias, false, false},
    {"large bias, scale 2^-64", {SIZES, .scale = 0x1p-64f, BIAS(0)}, large_bias, false, false},
    {"large bias, scale -0.3", {SIZES, .scale = -0.3f, BIAS(.queries = QUERIES)}, large_bias, false, false},
    {"lowest bias", {SIZES, BIAS(.queries = QUERIES)}, lowest_bias, false, true},
    {"lowest bias of keys", {SIZES, .causal = true, BIAS(.heads = 2)}, lowest_bias_of_keys, false, false},
    {"product beyond f32", {SIZES}, product_overflow, true, false},
    {"product beyond f32, capped", {SIZES, .soft_cap = 3}, product_overflow, true, false},
    {"sum beyond f32", {SIZES, .scale = 1, BIAS(0)}, sum_overflow, true, false},
    {"slopes", {SIZES, .slopes = true}, odd_slopes, false, false},
    {"negative slopes", {SIZES, .slopes = true, .causal = true}, negative_slopes, false, true},
    {"hidden by an additive mask",
     {SIZES, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = QUERIES}},
     hidden_by_additive,
     false,
     true},
    {"additive mask with slopes",
     {SIZES, .slopes = true, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = QUERIES}},
     sloped_mask,
     false,
     true},
    {"infinite sink", {SIZES, SINK, .causal = true}, infinite_sink, false, false},
    {"sinks that hide", {SIZES, SINK, .causal = true}, hiding_sink, false, false},
    {"sinks that hide, queries without keys",
     {SIZES, SINK, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = QUERIES}},
     hiding_sink,
     false,
     false},
    {"sinks beside infinite scores", {SIZES, SINK, BIAS(.queries = QUERIES)}, sink_beside_infinities, false, false},
    {"hidden queries with a sink",
     {SIZES, SINK, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = QUERIES}},
     hidden_queries_with_sink,
     false,
     false},
    {"hidden queries with a sink and dout of NaN",
     {SIZES, SINK, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = QUERIES}},
     hidden_queries_with_bad_dout,
     false,
     false},
    {"gradient of lse not finite", {SIZES, .causal = true}, not_finite_dlse, false, false},
};

/* ---- comparisons --------------------------------------------------------------------------------------------- */

/* What rounding explains beside the low-precision evaluation's size of what is summed up. 16 bits: out, D, P, dS and
 * the result are each rounded to half a unit. f32: exp2 is off by 3 + 2 |x| units of 2^-23 as Vulkan lets it be, |x|
 * below 32, in P and in lse, and the sums have up to 72 terms. */
static double tolerance(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? 256 * 0x1p-23 : 5 * type_epsilon(type) + 256 * 0x1p-23;
}

/* A NaN for a NaN, the same infinity, or a number within `allowed`. */
static bool agrees(double got, double want, double allowed)
{
    return isnan(want) ? (bool)isnan(got) : isinf(want) ? got == want : fabs(got - want) <= allowed;
}

static void check_forward(const char *name, const problem *p, const float *out, const float *lse)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t rows = (uint64_t)d->queries * d->heads;
    double *want = malloc(rows * 17 * sizeof *want), *want_lse = want + rows * 16;
    ASSERT_OK(reference_attention(d, &in, want, want_lse));
    const double allowed = tolerance(d->type) * 8; /* |v| */
    for (uint64_t i = 0; i < rows * 16; i++) {
        /* An infinity in v: the sum is not finite. */
        const bool right = isinf(want[i]) ? !isfinite(out[i]) : agrees(out[i], want[i], allowed);
        cr_expect(right, "%s: out of query %u, head %u, element %u is %g instead of %g", name,
                  (unsigned)(i / 16 / d->heads), (unsigned)(i / 16 % d->heads), (unsigned)(i % 16), out[i], want[i]);
    }
    for (uint64_t i = 0; i < rows; i++)
        cr_expect(agrees(lse[i], want_lse[i], 256 * 0x1p-23 * fmax(1, fabs(want_lse[i]))),
                  "%s: lse of query %u, head %u is %g instead of %g", name, (unsigned)(i % d->queries),
                  (unsigned)(i / d->queries), lse[i], want_lse[i]);
    free(want);
}

static void check_gradients(const char *name, const device_problem *forward, const float *out)
{
    const problem *p = forward->problem;
    device_gradients dg;
    gradients got, want, low, size;
    ASSERT_OK(gradients_create(p, &got));
    ASSERT_OK(gradients_create(p, &want));
    ASSERT_OK(gradients_create(p, &low));
    ASSERT_OK(gradients_create(p, &size));
    ASSERT_OK(gradients_on_cpu(p, &want));
    low_precision_backward(p, out, &low, &size);
    const dmattn_status status = device_gradients_create(forward, &dg);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    ASSERT_OK(device_gradients_run(&dg));
    ASSERT_OK(device_gradients_download(&dg, &got));
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        for (uint64_t i = 0; i < gradient_count(p, (tensor_id)t); i++) {
            const double x = got.tensor[t][i], y = want.tensor[t][i];
            cr_expect(agrees(x, y, tolerance(p->desc.type) * (double)size.tensor[t][i]),
                      "%s: element %u of %s is %g instead of %g; allowed %g", name, (unsigned)i,
                      dmattn_tensor_name((tensor_id)t), x, y, tolerance(p->desc.type) * (double)size.tensor[t][i]);
        }
    device_gradients_destroy(&dg);
    gradients_destroy(&got);
    gradients_destroy(&want);
    gradients_destroy(&low);
    gradients_destroy(&size);
}

/* The inputs are there. */
static void run(const char *name, problem *p, bool with_gradients)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t rows = (uint64_t)d->queries * d->heads;
    float *out = malloc(rows * 17 * sizeof *out);
    attention_tile tile;
    device_problem dp;
    p->least_tiles = harness_small_tiles();
    p->tile = harness_tile(d, &tile);
    const dmattn_status status = device_problem_create(p, h.device, &dp);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, out, out + rows * 16));
    if (p->dma)
        ASSERT_OK(device_problem_download_mask(&dp, p));
    check_forward(name, p, out, out + rows * 16);
    if (with_gradients && harness_offers_backward(d->level))
        check_gradients(name, &dp, out);
    device_problem_destroy(&dp);
    free(out);
}

static void run_entry(const entry *e, dmattn_type type, dmattn_level level)
{
    problem p;
    char name[128];
    dmattn_attention_desc desc = e->desc;
    desc.type = type;
    desc.level = level;
    snprintf(name, sizeof name, "%s, %s %s", e->name, dmattn_type_string(type), dmattn_level_string(level));
    ASSERT_OK(problem_create(&desc, NULL, &p));
    const bool dlse = desc.sink || e->change == not_finite_dlse;
    ASSERT_OK(problem_add_backward(&p, &(problem_backward){.dlse = dlse}, NULL));
    problem_randomize(&p, 1);
    e->change(&p);
    run(name, &p, !e->no_gradients);
    problem_destroy(&p);
}

static void run_all(dmattn_type type, dmattn_level level)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (harness_offers(level) && !(entries[i].f32_only && type != DMATTN_TYPE_F32)
            && harness_takes(entries[i].name, true))
            run_entry(&entries[i], type, level);
}

DEVICE_TEST(nonfinite, portable)
{
    run_all(DMATTN_TYPE_F32, DMATTN_LEVEL_PORTABLE);
}

DEVICE_TEST(nonfinite, matrix)
{
    run_all(DMATTN_TYPE_F16, DMATTN_LEVEL_MATRIX);
}

DEVICE_TEST(nonfinite, matrix2)
{
    run_all(DMATTN_TYPE_F16, DMATTN_LEVEL_MATRIX2);
}

/* ---- importance ---------------------------------------------------------------------------------------------- */

#define GRADIENTS (DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | DMATTN_GRADIENT_IMPORTANCE)

/* Computed: z of key 40 is 90, so that e^z is beyond f32. */
static void run_computed(dmattn_type type, dmattn_level level)
{
    const dmattn_dma_desc desc = {.attention = {SIZES, .type = type, .level = level},
                                  .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 30, .causal = true}};
    problem p;
    ASSERT_OK(problem_create_dma(&desc, NULL, &p));
    ASSERT_OK(problem_add_backward(
        &p, &(problem_backward){.gradients = GRADIENTS | DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A}, NULL));
    problem_randomize(&p, 1);
    float *weight = p.tensor[TENSOR_DT_WEIGHT];
    for (int i = 0; i < 16; i++)
        weight[i] = i == 0;
    ((float *)p.tensor[TENSOR_A])[0] = 1;
    put(&p, TENSOR_V, 40, 0, 0, 90);
    run("importance beyond f32", &p, true);
    cr_expect_eq(((float *)p.tensor[TENSOR_IMPORTANCE])[40], FLT_MAX, "%s", dmattn_level_string(level));
    problem_destroy(&p);
}

/* Given: the three that are not finite, each seen by some queries. */
static void run_given(dmattn_type type, dmattn_level level)
{
    const dmattn_dma_desc desc = {.attention = {SIZES, .type = type, .level = level},
                                  .importance_given = true,
                                  .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 50, .causal = true}};
    problem p;
    ASSERT_OK(problem_create_dma(&desc, NULL, &p));
    ASSERT_OK(problem_add_backward(&p, &(problem_backward){.gradients = GRADIENTS}, NULL));
    problem_randomize(&p, 1);
    float *importance = p.tensor[TENSOR_IMPORTANCE];
    importance[30] = -INFINITY;
    importance[34] = NAN;
    importance[45] = INFINITY;
    run("given importance", &p, true);
    problem_destroy(&p);
}

DEVICE_TEST(nonfinite, importance)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++)
        if (harness_offers(level)) {
            run_computed(DMATTN_TYPE_F16, level);
            run_given(DMATTN_TYPE_F16, level);
        }
    run_computed(DMATTN_TYPE_F32, DMATTN_LEVEL_PORTABLE);
    run_given(DMATTN_TYPE_F32, DMATTN_LEVEL_PORTABLE);
}
