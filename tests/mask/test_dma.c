/* SPDX-License-Identifier: MIT
 * Dynamic mask attention against the reference; and separate mask and attention plans against it. At every level. */
#include "dma_cases.h"
#include "low_precision.h"
#include "support/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- importance ---------------------------------------------------------------------------------------------- */

static void check_importance(const char *name, const problem *p)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    const float *got = p->tensor[TENSOR_IMPORTANCE];
    float *low = malloc(problem_bytes(p, TENSOR_IMPORTANCE));
    const double allowed = low_precision_importance(p, low);
    double worst = 0;
    free(low);
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t head = 0; head < d->kv_heads; head++)
            for (uint32_t j = 0; j < d->keys; j++, got++) {
                const double want = reference_importance(d, &in, b, head, j);
                worst = fmax(worst, fabs(*got - want) / fabs(want));
                cr_assert(isfinite(*got), "%s: importance[%u, %u, %u] is %g", name, b, head, j, *got);
            }
    cr_expect_leq(worst, allowed, "%s: importance has an error of %.3g, allowed %.3g", name, worst, allowed);
}

/* ---- a case -------------------------------------------------------------------------------------------------- */

typedef struct results {
    uint64_t count;
    float *out, *lse;
} results;

static results make_results(const dmattn_attention_desc *d)
{
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    return (results){rows * d->value_dim, malloc(rows * d->value_dim * sizeof(float)), calloc(rows, sizeof(float))};
}

static void free_results(results *r)
{
    free(r->out);
    free(r->lse);
}

/* The intervals must be exactly right for the importance that the device computed or was given. */
static void check_intervals(const char *name, const problem *p)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    const uint64_t bytes = problem_bytes(p, TENSOR_BEGIN);
    int32_t *begin = malloc(bytes), *end = malloc(bytes);
    ASSERT_OK(reference_intervals(d, &in, p->tensor[TENSOR_IMPORTANCE], begin, end));
    cr_expect_eq(memcmp(begin, p->tensor[TENSOR_BEGIN], bytes), 0, "%s: begin", name);
    cr_expect_eq(memcmp(end, p->tensor[TENSOR_END], bytes), 0, "%s: end", name);
    free(begin);
    free(end);
}

static void check_attention(const char *name, const problem *p, const results *got)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    double *out = malloc(got->count * sizeof *out), *lse = malloc(got->count * sizeof *lse);
    results low = make_results(d);
    ASSERT_OK(reference_attention(d, &in, out, lse));
    low_precision_attention(d, &in, low.out, low.lse);
    const errors plain = compare_results(d, low.out, low.lse, out, lse);
    const tolerances tolerance = derive_tolerances(d, &plain);
    const errors e = compare_results(d, got->out, got->lse, out, lse);
    cr_expect(!plain.out_mismatch && !plain.lse_mismatch, "%s", name);
    cr_expect(!e.out_mismatch && e.out <= tolerance.out,
              "%s: out[%llu] is %.9g instead of %.9g; error %.3g, allowed %.3g", name, (unsigned long long)e.out_at,
              got->out[e.out_at], out[e.out_at], e.out, tolerance.out);
    cr_expect(!e.lse_mismatch && e.lse <= tolerance.lse,
              "%s: lse[%llu] is %.9g instead of %.9g; error %.3g, allowed %.3g", name, (unsigned long long)e.lse_at,
              got->lse[e.lse_at], lse[e.lse_at], e.lse, tolerance.lse);
    free_results(&low);
    free(out);
    free(lse);
}

static void expect_same(const char *name, const char *what, const problem *p, const device_problem *dp,
                        const results *r)
{
    results again = make_results(&p->desc);
    ASSERT_OK(device_problem_download(dp, again.out, again.lse));
    cr_expect_eq(memcmp(r->out, again.out, r->count * sizeof(float)), 0, "%s: %s gives different bits in out", name,
                 what);
    cr_expect_eq(memcmp(r->lse, again.lse, r->count / p->desc.value_dim * sizeof(float)), 0,
                 "%s: %s gives different bits in lse", name, what);
    free_results(&again);
}

/* Fills out with NaN, because a run with other arguments must write all of it again. */
static void poison_out(const problem *p, const device_problem *dp)
{
    const uint64_t bytes = problem_bytes(p, TENSOR_OUT);
    void *poison = malloc(bytes);
    memset(poison, 0xff, bytes);
    ASSERT_OK(dmattn_upload(h.device, device_problem_buffer(dp, TENSOR_OUT), 0, poison, bytes));
    free(poison);
}

static void run_again(const problem *p, const device_problem *dp, bool reuse_mask)
{
    VkCommandBuffer commands;
    poison_out(p, dp);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(device_problem_record(dp, commands, reuse_mask));
    ASSERT_OK(dmattn_commands_submit(h.device));
}

static dmattn_buffer make_buffer(uint64_t bytes)
{
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    return buffer;
}

/* Runs a mask plan, then an attention plan with its bias, intervals and lists. */
static void run_parts(const problem *p, const device_problem *dp)
{
    const dmattn_dma_args *whole = &dp->dma_args;
    dmattn_mask_desc mask_desc = p->mask_desc;
    dmattn_plan *attention, *mask;
    dmattn_plan_info info;
    ASSERT_OK(dmattn_attention_plan_tile(h.context, &p->desc, p->tile, &attention));
    dmattn_plan_get_info(attention, &info);
    mask_desc.list_queries = info.list_queries;
    const uint64_t of_attention = info.workspace_size;
    ASSERT_OK(dmattn_mask_plan(h.context, &mask_desc, &mask));
    dmattn_plan_get_info(mask, &info);
    cr_expect_eq(info.list_queries, mask_desc.list_queries);
    const uint64_t plane = problem_bytes(p, TENSOR_BEGIN);
    const uint64_t bytes = info.workspace_size > of_attention ? info.workspace_size : of_attention;
    dmattn_buffer lists = make_buffer(info.lists_size),
                  workspace = make_buffer(bytes + 1); /* for both plans, one after the other */
    dmattn_buffer importance = p->dma_desc.importance_given ? whole->importance : make_buffer(plane);
    dmattn_buffer begin = make_buffer(plane), end = make_buffer(plane);
    const dmattn_mask_args mask_args = {
        .v = whole->v,
        .dt_weight = whole->dt_weight,
        .a = whole->a,
        .dt_bias = whole->dt_bias,
        .key_valid = whole->key_valid,
        .query_offsets = whole->query_offsets,
        .key_offsets = whole->key_offsets,
        .importance = importance,
        .begin = begin,
        .end = end,
        .lists = lists,
        .workspace = workspace,
    };
    const dmattn_attention_args args = {.q = whole->q,
                                        .k = whole->k,
                                        .v = whole->v,
                                        .out = whole->out,
                                        .lse = whole->lse,
                                        .begin = begin,
                                        .end = end,
                                        .bias = importance,
                                        .sink = whole->sink,
                                        .lists = lists,
                                        .workspace = workspace};
    VkCommandBuffer commands;
    poison_out(p, dp);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_mask_record(mask, commands, &mask_args));
    dmattn_commands_barrier(h.device);
    ASSERT_OK(dmattn_attention_record(attention, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_plan_destroy(attention);
    dmattn_plan_destroy(mask);
    dmattn_buffer *const made[] = {&lists, &workspace, &begin, &end, &importance};
    for (int i = 0; i < (p->dma_desc.importance_given ? 4 : 5); i++)
        dmattn_buffer_destroy(h.device, made[i]);
}

static void run_at_level(const char *case_name, const dmattn_dma_desc *of, dmattn_type type, dmattn_level level)
{
    problem p;
    device_problem dp;
    const messenger m = {harness_message, &h};
    dmattn_dma_desc desc = *of;
    dmattn_plan_info info;
    char name[128];
    desc.attention.type = type;
    desc.attention.level = level;
    snprintf(name, sizeof name, "%s, %s at level %s", case_name, dmattn_type_string(type), dmattn_level_string(level));
    ASSERT_OK(problem_create_dma(&desc, &m, &p));
    problem_randomize(&p, 7);
    attention_tile tile;
    p.tile = harness_tile(&p.desc, &tile);
    const dmattn_status status = device_problem_create(&p, h.device, &dp);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    dmattn_plan_get_info(dp.plan, &info);
    cr_expect_eq(info.level, level, "%s: it runs at the wrong level %s", name, dmattn_level_string(info.level));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download_mask(&dp, &p));
    results r = make_results(&p.desc);
    ASSERT_OK(device_problem_download(&dp, r.out, r.lse));
    if (!desc.importance_given)
        check_importance(name, &p);
    check_intervals(name, &p);
    check_attention(name, &p, &r);

    run_again(&p, &dp, false);
    expect_same(name, "a second run", &p, &dp, &r);
    run_again(&p, &dp, true);
    expect_same(name, "a run that reuses the mask", &p, &dp, &r);
    dmattn_dma_args kept = dp.dma_args; /* without buffers for the mask, which is then in the workspace */
    dp.dma_args.begin = dp.dma_args.end = (dmattn_buffer){0};
    if (!desc.importance_given)
        dp.dma_args.importance = (dmattn_buffer){0};
    run_again(&p, &dp, false);
    expect_same(name, "a run with the mask in the workspace", &p, &dp, &r);
    dp.dma_args = kept;
    if (!problem_is_stored(&p)) { /* a mask plan reads v in its type */
        run_parts(&p, &dp);
        expect_same(name, "a mask plan and an attention plan", &p, &dp, &r);
    }
    device_problem_destroy(&dp);
    problem_destroy(&p);
    free_results(&r);
}

/* Runs a case at every level. At matrix levels, f32 cases run in f16, because of their selection and sizes. */
static void run_case(const dma_case *c)
{
    const dmattn_type type = c->desc.attention.type;
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        /* A CPU needs minutes to compile a matrix kernel of a wide head. */
        const bool slow = level > DMATTN_LEVEL_PORTABLE && c->desc.attention.head_dim > BAND;
        if (harness_takes(c->name, !slow && dma_is_chosen(c, level, false))
            && harness_has_kernels(&c->desc.attention, level))
            run_at_level(c->name, &c->desc,
                         type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE ? DMATTN_TYPE_F16 : type, level);
    }
}

#define GROUP_TEST(group)                                \
    DEVICE_TEST(dma, group)                              \
    {                                                    \
        for (size_t i = 0; i < cases_##group.count; i++) \
            run_case(&cases_##group.cases[i]);           \
    }
DMA_GROUPS(GROUP_TEST)

/* ---- formats of k and v, pages --------------------------------------------------------------------------------------
 */

/* The importance is computed from the values that attention reads. If it is given and there are pages, it is in them.
 */
static const dma_case formats[] = {
    {"q8_0", {.attention = {F16, FORMATS(Q8_0, Q8_0), SIZE(2, 70, 90, 4, 2, 32, 64), LSE}, TOPW(20)}},
    {"int8 and e4m3, odd rows",
     {.attention = {BF16, FORMATS(INT8, E4M3), SIZE(2, 70, 80, 4, 2, 16, 0), LSE, .k_strides = {80 * 35, 35, 17},
                    .v_strides = {80 * 39, 39, 19}},
      TOPW(20)}},
    {"v q4_0, importance given",
     {.attention = {F32, FORMATS(TYPE, Q4_0), SIZE(1, 60, 90, 4, 2, 16, 32), LSE}, TOPW(20), .importance_given = true}},
    {"pages of 16", {.attention = {F16, PAGES(16, 15), SIZE(2, 70, 90, 4, 2, 16, 0), LSE}, TOPW(20)}},
    {"pages of 4, int8, importance given",
     {.attention = {BF16, FORMATS(INT8, INT8), PAGES(4, 50), SIZE(2, 70, 90, 4, 2, 24, 16), LSE},
      TOPW(20, .sinks = 2, .sliding = 50),
      .importance_given = true}},
    {"pages of 64, q8_0, documents",
     {.attention = {F16, FORMATS(Q8_0, Q8_0), PAGES(64, 5), SIZE(2, 100, 150, 4, 2, 32, 0), LSE},
      ALL(.causal = true, .documents = 1)}},
    {"pages of 1, f32, sliding window",
     {.attention = {F32, PAGES(1, 200), SIZE(2, 40, 90, 4, 2, 16, 0), LSE}, ALL(.causal = true, .sliding = 30)}},
};

DEVICE_TEST(dma, formats)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
            const dmattn_dma_desc *d = &formats[i].desc;
            if ((level == DMATTN_LEVEL_PORTABLE || d->attention.type != DMATTN_TYPE_F32)
                && harness_takes(formats[i].name, level == DMATTN_LEVEL_PORTABLE)
                && harness_has_kernels(&d->attention, level))
                run_at_level(formats[i].name, d, d->attention.type, level);
        }
}

/* ---- edges --------------------------------------------------------------------------------------------------- */

/* NaN in values gives keys no importance and does not change other keys. The importance is right for z far from 0,
 * too. */
DEVICE_TEST(dma, extreme_importance)
{
    const dmattn_dma_desc desc = {.attention = {F32, SIZE(1, 64, 64, 1, 1, 8, 0), LSE},
                                  TOPW(64),
                                  .importance = {.activation = DMATTN_ACTIVATION_SOFTPLUS}};
    problem p;
    device_problem dp;
    ASSERT_OK(problem_create_dma(&desc, NULL, &p));
    problem_randomize(&p, 1);
    float *v = p.tensor[TENSOR_V], *a = p.tensor[TENSOR_A], *weight = p.tensor[TENSOR_DT_WEIGHT];
    const float first[] = {NAN, INFINITY, -INFINITY, 0, 1e30f, -60, -80, 80, 100, 30, -30, 16.6f, -16.6f};
    const int count = sizeof first / sizeof *first;
    memset(v, 0, 64 * 8 * sizeof *v);
    for (int j = 0; j < 64; j++)
        v[8 * j] = first[j % count];
    for (int i = 0; i < 8; i++)
        weight[i] = i == 0;
    *a = 0.7f;
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download_mask(&dp, &p));
    const mask_inputs in = problem_mask_inputs(&p);
    for (uint32_t j = 0; j < 64; j++) {
        const float got = ((float *)p.tensor[TENSOR_IMPORTANCE])[j];
        const double want = reference_importance(&p.mask_desc, &in, 0, 0, j);
        if (isfinite(want))
            cr_expect_leq(fabs(got - want), 8 * 0x1p-24 * fabs(want) + 1e-37, "z = %g: %.9g instead of %.9g", v[8 * j],
                          got, want);
        else
            cr_expect_eq(got, (float)want, "z = %g: %g instead of %g", v[8 * j], got, want);
    }
    check_intervals("extreme", &p);
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

/* The app gives an importance of NaN. It counts as -infinity, as a bias of NaN does, so no query sees the key. */
static void try_nan_importance(dmattn_level level)
{
    const dmattn_dma_desc desc = {
        .attention = {F16, SIZE(2, 100, 100, 4, 2, 16, 0), LSE, .level = level}, TOPW(60), .importance_given = true};
    problem p;
    device_problem dp;
    ASSERT_OK(problem_create_dma(&desc, NULL, &p));
    problem_randomize(&p, 1);
    for (int i = 0; i < 2 * 2 * 100; i++)
        if (i % 3 == 0)
            ((float *)p.tensor[TENSOR_IMPORTANCE])[i] = i % 2 ? NAN : -INFINITY;
    results r = make_results(&p.desc);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download_mask(&dp, &p));
    ASSERT_OK(device_problem_download(&dp, r.out, r.lse));
    check_intervals(dmattn_level_string(level), &p);
    check_attention(dmattn_level_string(level), &p, &r);
    device_problem_destroy(&dp);
    problem_destroy(&p);
    free_results(&r);
}

DEVICE_TEST(dma, nan_importance)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
        try_nan_importance(level);
}
