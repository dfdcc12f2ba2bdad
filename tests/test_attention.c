/* SPDX-License-Identifier: MIT
 * The attention kernels against the reference, case by case. */
#include "attention_cases.h"
#include "guarded.h"
#include "harness.h"
#include "low_precision.h"
#include "reference/element.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values that nobody may use ------------------------------------------------------------------------------ */

/* Whether every query is kept from a key of a kv head by its interval and causality, or by a mask that is the same for
 * all queries.
 */
static bool is_hidden_from_all(const problem *p, uint32_t b, uint32_t kv_head, uint32_t j)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    const uint32_t group = d->heads / d->kv_heads;
    if (d->mask == DMATTN_MASK_NONE || s->queries > 1)
        return false;
    for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        uint64_t at = (s->batch > 1 ? b : 0) * s->batch_stride
                      + dmattn_score_head(s, head, d->heads, d->kv_heads) * s->head_stride + j;
        if (d->mask == DMATTN_MASK_DENSE) {
            if (((const uint8_t *)p->tensor[TENSOR_MASK])[at])
                return false;
        } else {
            int32_t begin = ((const int32_t *)p->tensor[TENSOR_BEGIN])[at];
            int32_t end = ((const int32_t *)p->tensor[TENSOR_END])[at];
            int32_t causal = d->causal ? (int32_t)j + (int32_t)d->queries - (int32_t)d->keys : 0;
            begin = begin > causal ? begin : causal;
            if ((begin > 0 ? begin : 0) < (end < (int32_t)d->queries ? end : (int32_t)d->queries))
                return false;
        }
    }
    return true;
}

/* Makes the rows of hidden keys NaN, in k or in v. */
static void poison_rows(problem *p, tensor_id tensor, const dmattn_strides *s, uint32_t dim)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t size = dmattn_type_size(d->type), bytes = dmattn_attention_tensor_bytes(d, tensor);
    unsigned char *rows = p->tensor[tensor], *original = malloc(bytes);
    memcpy(original, rows, bytes);
    for (int hidden = 1; hidden >= 0; hidden--) /* those that are seen last: rows may be shared by stride 0 */
        for (uint32_t b = 0; b < d->batch; b++)
            for (uint32_t j = 0; j < d->keys; j++)
                for (uint32_t head = 0; head < d->kv_heads; head++) {
                    uint64_t at = size * (b * s->batch + j * s->sequence + head * s->head);
                    bool now = is_hidden_from_all(p, b, head, j);
                    if (hidden && now)
                        memset(rows + at, 0xff, size * dim);
                    else if (!hidden && !now)
                        memcpy(rows + at, original + at, size * dim);
                }
    free(original);
}

/* ---- one case ------------------------------------------------------------------------------------------------ */

static void describe_out(const dmattn_attention_desc *d, uint64_t at, char *text, size_t size)
{
    uint64_t row = at / d->value_dim;
    snprintf(text, size, "out[b=%llu, t=%llu, h=%llu, i=%llu]", (unsigned long long)(row / d->heads / d->queries),
             (unsigned long long)(row / d->heads % d->queries), (unsigned long long)(row % d->heads),
             (unsigned long long)(at % d->value_dim));
}

static void describe_lse(const dmattn_attention_desc *d, uint64_t at, char *text, size_t size)
{
    snprintf(text, size, "lse[b=%llu, h=%llu, t=%llu]", (unsigned long long)(at / d->queries / d->heads),
             (unsigned long long)(at / d->queries % d->heads), (unsigned long long)(at % d->queries));
}

typedef struct results {
    float *out, *lse;
    double *want_out, *want_lse;
} results;

static void compare_case(const char *name, const problem *p, const results *r)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    cr_assert_eq(reference_attention(d, &in, r->want_out, r->want_lse), DMATTN_SUCCESS);

    float *low_out = malloc(rows * d->value_dim * sizeof *low_out), *low_lse = malloc(rows * sizeof *low_lse);
    low_precision_attention(d, &in, low_out, low_lse);
    const errors low = compare_results(d, low_out, low_lse, r->want_out, r->want_lse);
    cr_expect(!low.out_mismatch && !low.lse_mismatch, "%s: the low-precision evaluation is not the same thing", name);
    free(low_out);
    free(low_lse);

    const tolerances tolerance = derive_tolerances(d, &low);
    const errors e = compare_results(d, r->out, d->lse ? r->lse : NULL, r->want_out, r->want_lse);
    char where[96];
    describe_out(d, e.out_at, where, sizeof where);
    cr_expect(!e.out_mismatch && e.out <= tolerance.out, "%s: %s is %.9g instead of %.9g; error %.3g, allowed %.3g",
              name, where, r->out[e.out_at], r->want_out[e.out_at], e.out, tolerance.out);
    describe_lse(d, e.lse_at, where, sizeof where);
    cr_expect(!e.lse_mismatch && e.lse <= tolerance.lse, "%s: %s is %.9g instead of %.9g; error %.3g, allowed %.3g",
              name, where, r->lse[e.lse_at], r->want_lse[e.lse_at], e.lse, tolerance.lse);
}

/* Whether one more run leaves the same bytes. */
static void expect_repeat(const char *name, guarded_problem *g, bool reuse_mask_tiles, uint64_t hash)
{
    ASSERT_OK(guarded_run(g, reuse_mask_tiles));
    cr_expect_eq(guarded_hash(g), hash, "%s: a second run%s gives other bits", name,
                 reuse_mask_tiles ? " that reuses the mask's tiles" : "");
}

static void run_problem(const char *name, const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    results r = {.out = malloc(rows * d->value_dim * sizeof(float)),
                 .lse = calloc(rows, sizeof(float)),
                 .want_out = malloc(rows * d->value_dim * sizeof(double)),
                 .want_lse = malloc(rows * sizeof(double))};
    char why[128];
    guarded_problem g;
    dmattn_status status = guarded_create(p, &g);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    status = guarded_run(&g, false);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    cr_expect(guarded_results(&g, r.out, r.lse, why, sizeof why), "%s: %s", name, why);
    compare_case(name, p, &r);

    uint64_t hash = guarded_hash(&g);
    if (d->mask)
        expect_repeat(name, &g, true, hash);
    expect_repeat(name, &g, false, hash);
    guarded_destroy(&g);
    free(r.out);
    free(r.lse);
    free(r.want_out);
    free(r.want_lse);
}

static void run_group(const char *group, const attention_group *g)
{
    char name[128];
    for (size_t i = 0; i < g->count; i++) {
        snprintf(name, sizeof name, "%s, %s", group, g->cases[i].name);
        problem p;
        const messenger m = {harness_message, &h};
        dmattn_status status = problem_create(&g->cases[i].desc, &m, &p);
        cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
        case_fill_inputs(&g->cases[i], &p);
        poison_rows(&p, TENSOR_K, &p.desc.k_strides, p.desc.head_dim);
        poison_rows(&p, TENSOR_V, &p.desc.v_strides, p.desc.value_dim);
        run_problem(name, &p);
        problem_destroy(&p);
    }
}

/* ---- rounding ------------------------------------------------------------------------------------------------ */

/* A 16-bit number that is finite, and half the time next to the one before it, so that their mean is a tie. */
static uint16_t random_element(dmattn_type type, uint64_t *state, uint16_t last)
{
    if (random_bits(state) % 2)
        return last ^ 1;
    uint16_t sign = random_bits(state) & 0x8000;
    if (type == DMATTN_TYPE_F16)
        return sign | (uint16_t)(random_bits(state) % 0x7c00);
    return sign | (uint16_t)(0x1000 + random_bits(state) % 0x6000); /* neither near overflow nor subnormal in f32 */
}

/* Two keys of equal scores: the mean of two values, which is exact in f32 and must be rounded to nearest, ties to even.
 */
static void try_rounding(dmattn_type type, bool aligned)
{
    dmattn_attention_desc desc = {
        .type = type, .batch = 64, .queries = 1, .keys = 2, .heads = 1, .head_dim = 8, .value_dim = 256};
    if (!aligned)
        desc.out_strides = (dmattn_strides){257, 257, 257};
    problem p;
    device_problem dp;
    static float got[64 * 256];
    ASSERT_OK(problem_create(&desc, NULL, &p)); /* q and k are 0 */
    uint16_t *v = p.tensor[TENSOR_V], last = 0x3c01;
    uint64_t state = 1;
    for (uint32_t b = 0; b < desc.batch; b++)
        for (uint32_t i = 0; i < desc.value_dim; i++)
            for (uint32_t j = 0; j < 2; j++)
                v[(b * 2 + j) * 256 + i] = last = random_element(type, &state, last);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, got, NULL));
    for (uint32_t b = 0; b < desc.batch; b++)
        for (uint32_t i = 0; i < desc.value_dim; i++) {
            const uint64_t at = b * 2 * 256 + i;
            const double mean = (element_load(type, v, at) + element_load(type, v, at + 256)) / 2;
            uint16_t bits;
            element_store(type, &bits, 0, mean);
            const float want = (float)element_load(type, &bits, 0);
            cr_expect_eq(got[b * 256 + i], want, "%s: %.9g is stored as %.9g instead of %.9g", dmattn_type_string(type),
                         mean, got[b * 256 + i], want);
        }
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

DEVICE_TEST(attention, rounding)
{
    for (int aligned = 0; aligned < 2; aligned++) {
        try_rounding(DMATTN_TYPE_F16, aligned);
        try_rounding(DMATTN_TYPE_BF16, aligned);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

#define GROUP_TEST(group)                  \
    DEVICE_TEST(attention, group)          \
    {                                      \
        run_group(#group, &cases_##group); \
    }
ATTENTION_GROUPS(GROUP_TEST)
