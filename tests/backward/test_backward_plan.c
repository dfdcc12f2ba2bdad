/* SPDX-License-Identifier: MIT
 * What a backward plan decides without a device: its descriptor, tiles, constants, grids, memory. */
#include "backward/backward.h"
#include "support/capabilities_fixture.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <string.h>

#define SIZES        .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 24
#define BIAS         .bias = true
#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef dmattn_attention_backward_desc backward_desc;

static backward_desc resolved(backward_desc desc)
{
    backward_desc b;
    sentences s = {0};
    const dmattn_status status = dmattn_attention_backward_desc_resolve(&desc, &b, &(messenger){sentences_keep, &s});
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", s.text);
    return b;
}

static void expect_refusal(const backward_desc *desc, const char *part)
{
    backward_desc b;
    sentences s = {0};
    cr_expect_eq(dmattn_attention_backward_desc_resolve(desc, &b, &(messenger){sentences_keep, &s}),
                 DMATTN_ERROR_INVALID);
    cr_expect_eq(s.count, 1, "%s: %u sentences", part, s.count);
    cr_expect(strstr(s.text, part), "no '%s' in: %s", part, s.text);
}

/* ---- descriptor ------------------------------------------------------------------------------------------------ */

Test(backward_plan, defaults)
{
    backward_desc b = resolved((backward_desc){.attention = {SIZES}});
    cr_expect_eq(b.gradients, DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V);
    cr_expect_eq(b.dout_strides.sequence, 4 * 24);
    cr_expect_eq(b.dq_strides.sequence, 4 * 16);
    cr_expect_eq(b.dk_strides.sequence, 2 * 16);
    cr_expect_eq(b.dv_strides.sequence, 2 * 24);
    cr_expect_eq(b.dv_strides.batch, 7 * 2 * 24);
    b = resolved((backward_desc){.attention = {SIZES, BIAS, .sink = true}});
    cr_expect_eq(b.gradients, ATTENTION_GRADIENTS);
}

Test(backward_plan, refusals)
{
    expect_refusal(NULL, "NULL");
    expect_refusal(
        &(backward_desc){.attention = {.batch = 1, .queries = 5, .keys = 7, .heads = 3, .kv_heads = 2, .head_dim = 16}},
        "heads");
    expect_refusal(&(backward_desc){.attention = {SIZES}, .gradients = DMATTN_GRADIENT_BIAS}, "no bias");
    expect_refusal(&(backward_desc){.attention = {SIZES, BIAS}, .gradients = DMATTN_GRADIENT_SINK}, "no sink");
    expect_refusal(&(backward_desc){.attention = {SIZES, BIAS, .slopes = true}, .gradients = DMATTN_GRADIENT_BIAS},
                   "without slopes");
    expect_refusal(&(backward_desc){.attention = {SIZES, BIAS}, .gradients = DMATTN_GRADIENT_A}, "0x40");
    expect_refusal(&(backward_desc){.attention = {SIZES, .type = DMATTN_TYPE_F16, .q_f32 = true}}, "q_f32");
    expect_refusal(&(backward_desc){.attention = {SIZES, .type = DMATTN_TYPE_F16, .out_f32 = true}}, "out_f32");
    expect_refusal(&(backward_desc){.attention = {SIZES, .k_format = DMATTN_FORMAT_BF16}}, "k_format is bf16");
    expect_refusal(&(backward_desc){.attention = {SIZES, .v_format = DMATTN_FORMAT_INT8}}, "v_format is int8");
    expect_refusal(&(backward_desc){.attention = {SIZES, .page_size = 16, .pages = 9}}, "page_size is set");
    expect_refusal(&(backward_desc){.attention = {SIZES, .counts = true}}, "counts is set");
    expect_refusal(&(backward_desc){.attention = {SIZES}, .dq_strides = {0, 64, 16}}, "dq_strides");
    expect_refusal(&(backward_desc){.attention = {SIZES}, .dk_strides = {7 * 32, 16, 16}}, "dk_strides");
    expect_refusal(&(backward_desc){.attention = {SIZES}, .dv_strides = {7 * 48, 48, 8}}, "dv_strides");
    const uint32_t many = (1u << 30) - 1;
    expect_refusal(&(backward_desc){.attention = {.batch = 1,
                                                  .queries = many,
                                                  .keys = many,
                                                  .heads = 16,
                                                  .head_dim = 8,
                                                  BIAS,
                                                  .bias_shape = {.heads = 16, .queries = many, .batch_stride = 1}}},
                   "dbias");
}

Test(backward_plan, bytes)
{
    const backward_desc b =
        resolved((backward_desc){.attention = {SIZES, BIAS, .sink = true, .type = DMATTN_TYPE_F16,
                                               .bias_shape = {.heads = 4, .queries = 5, .batch = 2}},
                                 .dlse = true,
                                 .dk_strides = {1000, 100, 20}});
    const struct {
        tensor_id tensor;
        uint64_t bytes;
    } rows[] = {
        {TENSOR_Q, 2 * 2 * 5 * 4 * 16},
        {TENSOR_OUT, 2 * 2 * 5 * 4 * 24},
        {TENSOR_LSE, 4 * 2 * 4 * 5},
        {TENSOR_DOUT, 2 * 2 * 5 * 4 * 24},
        {TENSOR_DQ, 2 * 2 * 5 * 4 * 16},
        {TENSOR_DK, 2 * (1000 + 600 + 20 + 16)},
        {TENSOR_DV, 2 * 2 * 7 * 2 * 24},
        {TENSOR_DBIAS, 4 * 2 * 4 * 5 * 7},
        {TENSOR_SINK, 4 * 4},
        {TENSOR_DSINK, 4 * 4},
        {TENSOR_DLSE, 4 * 2 * 4 * 5},
        {TENSOR_MASK, 0},
        {TENSOR_DA, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_eq(dmattn_attention_backward_tensor_bytes(&b, rows[i].tensor), rows[i].bytes, "%s",
                     dmattn_tensor_name(rows[i].tensor));
    const backward_desc q = resolved((backward_desc){.attention = {SIZES, BIAS}, .gradients = DMATTN_GRADIENT_Q});
    for (int t = TENSOR_DK; t <= TENSOR_DSINK; t++)
        cr_expect_eq(dmattn_attention_backward_tensor_bytes(&q, (tensor_id)t), 0);
    cr_expect_eq(dmattn_attention_backward_tensor_bytes(&q, TENSOR_DLSE), 0);
}

/* All gradients take 5/2 of forward's work: 5 products instead of 2. */
Test(backward_plan, work)
{
    const backward_desc b = resolved(
        (backward_desc){.attention = {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 16}});
    cr_expect_eq(dmattn_backward_flops(&b), 2.5 * dmattn_attention_flops(&b.attention));
    const backward_desc v = resolved((backward_desc){.attention = {SIZES}, .gradients = DMATTN_GRADIENT_V});
    cr_expect_eq(dmattn_backward_flops(&v), 2.0 * (16 + 24) * 5 * 7 * 2 * 4);
    const double inputs = dmattn_attention_bytes(&b.attention);
    cr_expect_eq(dmattn_backward_bytes(&b), inputs + 4 * (2 * 2 * 5 * 4 * 16 + 2 * 2 * 7 * 2 * 16));
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

/* What backward_*.comp assume. */
static void expect_tile(const attention_tile *t, const capabilities *caps, uint32_t rows, uint32_t columns,
                        uint32_t shared)
{
    const uint32_t row_lanes = t->workgroup / t->key_lanes;
    cr_expect_eq(t->level, DMATTN_LEVEL_PORTABLE);
    cr_expect_leq(t->workgroup, caps->max_invocations);
    cr_expect_eq(t->workgroup % t->subgroup_size, 0);
    cr_expect_leq(t->key_lanes, t->subgroup_size);
    cr_expect(rows >= row_lanes && rows % row_lanes == 0, "%u rows, %u lanes", rows, row_lanes);
    cr_expect(columns >= t->key_lanes && columns % t->key_lanes == 0);
    cr_expect(t->key_lanes % 4 == 0); /* units of weights */
    cr_expect_eq(columns % t->value_keys, 0);
    cr_expect_eq(t->value_keys % 4, 0);
    cr_expect_eq(t->depth % 8, 0);
    cr_expect_eq(t->keys % 4, 0); /* mask_tiles.comp */
    cr_expect(t->heads_per_tile >= 1 && t->heads_per_tile <= t->rows);
    cr_expect_leq(t->keys, t->workgroup); /* each invocation loads at most one key */
    cr_expect_leq(shared, caps->shared_memory);
    cr_expect_leq(t->splits, 1);
}

static void expect_tiles(const backward_tiles *t, const capabilities *caps, const dmattn_attention_desc *d)
{
    expect_tile(&t->query, caps, t->query.rows, t->query.keys, dmattn_backward_query_shared_memory(&t->query, d));
    expect_tile(&t->key, caps, t->key.keys, t->key.rows, dmattn_backward_key_shared_memory(&t->key, d));
    /* backward_bias.comp has queries as rows */
    expect_tile(&t->key, caps, t->key.rows, t->key.keys, dmattn_backward_key_shared_memory(&t->key, d));
}

Test(backward_plan, tiles_on_every_device)
{
    static const uint32_t dims[] = {8, 64, 72, 128, 136, 256}, shared[] = {16384, 32768, 49152};
    static const uint32_t invocations[] = {128, 256, 1024};
    for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2)
        for (size_t s = 0; s < COUNT(shared); s++)
            for (size_t n = 0; n < COUNT(invocations); n++)
                for (size_t i = 0; i < COUNT(dims) * COUNT(dims) * 2; i++) {
                    capabilities caps = usual_capabilities();
                    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
                    caps.shared_memory = shared[s];
                    caps.max_invocations = invocations[n];
                    const backward_desc b =
                        resolved((backward_desc){.attention = {.batch = 1,
                                                               .queries = i % 2 ? 3 : 300,
                                                               .keys = 300,
                                                               .heads = 12,
                                                               .kv_heads = 4,
                                                               .head_dim = dims[i / 2 % COUNT(dims)],
                                                               .value_dim = dims[i / 2 / COUNT(dims)]}});
                    backward_tiles t;
                    char why[200] = "";
                    const bool found =
                        dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why);
                    cr_assert(found, "subgroup %u, %u bytes, %u invocations: %s", subgroup, shared[s], invocations[n],
                              why);
                    expect_tiles(&t, &caps, &b.attention);
                    if (dmattn_backward_tiles_least(&caps, &b, DMATTN_LEVEL_PORTABLE, &t))
                        expect_tiles(&t, &caps, &b.attention);
                    else
                        cr_expect_gt(subgroup, 32);
                }
}

/* Heads that see different keys, or need separate dbias, do not share tiles of queries. */
Test(backward_plan, packs)
{
    const capabilities caps = usual_capabilities();
    const struct {
        dmattn_attention_desc d;
        uint32_t gradients, heads_per_tile;
    } rows[] = {
        {{SIZES}, 0, 2},
        {{SIZES, BIAS, .bias_shape = {.heads = 2}}, 0, 2},
        {{SIZES, BIAS, .bias_shape = {.heads = 4}}, 0, 1},
        {{SIZES, BIAS, .bias_shape = {.heads = 4}}, DMATTN_GRADIENT_K, 2},
        {{SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = 4}}, 0, 1},
        {{SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}}, 0, 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const backward_desc b = resolved((backward_desc){.attention = rows[i].d, .gradients = rows[i].gradients});
        backward_tiles t;
        char why[200];
        cr_assert(dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
        cr_expect_eq(t.key.heads_per_tile, rows[i].heads_per_tile, "row %zu: %u", i, t.key.heads_per_tile);
    }
}

/* ---- constants and grids --------------------------------------------------------------------------------------- */

static uint64_t stride(const uint32_t *c, uint32_t id)
{
    return (uint64_t)c[id + 1] << 32 | c[id];
}

Test(backward_plan, constants)
{
    const capabilities caps = usual_capabilities();
    const backward_desc b =
        resolved((backward_desc){.attention = {SIZES, BIAS, .type = DMATTN_TYPE_BF16, .bias_shape = {.queries = 5}},
                                 .dq_strides = {5 * 4 * 40, 4 * 40, 40},
                                 .dk_strides = {7 * 2 * 48, 48, 7 * 48},
                                 .dv_strides = {10000, 100, 50},
                                 .dout_strides = {0, 0, 1}});
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    backward_tiles t;
    char why[200];
    cr_assert(dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);

    dmattn_backward_query_constants(&b, &t.query, true, c);
    cr_expect_eq(c[CONSTANT_GRADIENTS], GRADIENT_Q);
    cr_expect_eq(stride(c, CONSTANT_OUT_SEQUENCE_LOW), 2 * 4 * 40);
    cr_expect_eq(stride(c, CONSTANT_OUT_HEAD_LOW), 2 * 40);
    cr_expect_eq(stride(c, CONSTANT_DOUT_SEQUENCE_LOW), 0);
    cr_expect_eq(stride(c, CONSTANT_DOUT_HEAD_LOW), 2);
    cr_expect_eq(c[CONSTANT_DERIVED_STRIDES] & DERIVED_OUT, DERIVED_OUT);

    dmattn_backward_key_constants(&b, &t.key, true, c);
    cr_expect_eq(c[CONSTANT_GRADIENTS], GRADIENT_K | GRADIENT_V); /* the bias has its own kernel */
    cr_expect_eq(stride(c, CONSTANT_OUT_SEQUENCE_LOW), 2 * 48);
    cr_expect_eq(stride(c, CONSTANT_OUT_HEAD_LOW), 2 * 7 * 48);
    cr_expect_eq(stride(c, CONSTANT_DV_BATCH_LOW), 2 * 10000);
    cr_expect_eq(stride(c, CONSTANT_DV_SEQUENCE_LOW), 2 * 100);
    cr_expect_eq(stride(c, CONSTANT_DV_HEAD_LOW), 2 * 50);
    cr_expect_eq(c[CONSTANT_DERIVED_STRIDES] & (DERIVED_OUT | DERIVED_DV), 0);

    dmattn_backward_rows_constants(&b, &caps, true, c);
    cr_expect_eq(c[CONSTANT_KEY_LANES], 2); /* a row of 24 elements has three units of 8 */
    cr_expect_eq(stride(c, CONSTANT_OUT_SEQUENCE_LOW), 2 * 4 * 24);
    cr_expect_eq(c[CONSTANT_DERIVED_STRIDES] & DERIVED_OUT, DERIVED_OUT);
    const grid rows = dmattn_backward_rows_grid(&b, &caps);
    cr_expect(rows.x * (c[CONSTANT_WORKGROUP] / 2) >= 5 && rows.y == 4 && rows.z == 2);
}

Test(backward_plan, grids)
{
    const backward_desc b =
        resolved((backward_desc){.attention = {.batch = 3,
                                               .queries = 100,
                                               .keys = 130,
                                               .heads = 4,
                                               .kv_heads = 2,
                                               .head_dim = 16,
                                               BIAS,
                                               .bias_shape = {.batch = 3, .heads = 2, .queries = 100}}});
    const attention_tile t = {.rows = 32, .keys = 64, .heads_per_tile = 2};
    const grid ranges = dmattn_backward_ranges_grid(&b, &t), bias = dmattn_backward_bias_grid(&b, &t);
    cr_expect(ranges.x == 3 && ranges.y == 2 && ranges.z == 3);
    cr_expect(bias.x == 3 && bias.y == 4 && bias.z == 6);
}
