/* SPDX-License-Identifier: MIT
 * What follows from a descriptor and a tile without a device: the shaders' constants, grids and bitmaps. */
#include "attention/stage.h"
#include "sentences.h"

#include <criterion/criterion.h>
#include <string.h>

static const attention_tile tile_64 = {.level = DMATTN_LEVEL_PORTABLE,
                                       .form = FORM_PORTABLE,
                                       .workgroup = 128,
                                       .rows = 64,
                                       .keys = 64,
                                       .pack = 1,
                                       .subgroup_size = 32,
                                       .key_lanes = 8,
                                       .depth = 16,
                                       .value_keys = 16};

static dmattn_attention_desc resolved(dmattn_attention_desc desc)
{
    dmattn_attention_desc d;
    sentences s = {0};
    cr_assert_eq(dmattn_attention_desc_resolve(&desc, &d, &(messenger){sentences_keep, &s}), DMATTN_SUCCESS, "%s",
                 s.text);
    return d;
}

static uint64_t stride(const uint32_t *c, int id)
{
    return c[id] | (uint64_t)c[id + 1] << 32;
}

Test(constants, packed)
{
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    const dmattn_attention_desc d = resolved((dmattn_attention_desc){.type = DMATTN_TYPE_BF16,
                                                                     .batch = 2,
                                                                     .queries = 5,
                                                                     .keys = 7,
                                                                     .heads = 6,
                                                                     .kv_heads = 2,
                                                                     .head_dim = 16,
                                                                     .value_dim = 24,
                                                                     .causal = true,
                                                                     .lse = true,
                                                                     .mask = DMATTN_MASK_DENSE,
                                                                     .mask_shape = {.heads = 2, .queries = 5},
                                                                     .bias = true,
                                                                     .bias_type = DMATTN_TYPE_F16,
                                                                     .bias_shape = {.batch = 2, .heads = 6}});
    dmattn_attention_constants(&d, &tile_64, true, c);
    cr_expect_eq(c[CONSTANT_WORKGROUP], 128);
    cr_expect_eq(c[CONSTANT_KEY_LANES], 8);
    cr_expect_eq(c[CONSTANT_TILE_ROWS], 64);
    cr_expect_eq(c[CONSTANT_TILE_KEYS], 64);
    cr_expect_eq(c[CONSTANT_SUBGROUP], 32);
    cr_expect_eq(c[CONSTANT_DEPTH], 16);
    cr_expect_eq(c[CONSTANT_VALUE_KEYS], 16);
    cr_expect_eq(c[CONSTANT_HEAD_DIM], 16);
    cr_expect_eq(c[CONSTANT_VALUE_DIM], 24);
    cr_expect_eq(c[CONSTANT_GROUP], 3);
    cr_expect_eq(c[CONSTANT_TYPE], TYPE_BF16);
    cr_expect_eq(c[CONSTANT_BIAS_TYPE], TYPE_F16);
    cr_expect_eq(c[CONSTANT_MASK], MASK_DENSE);
    cr_expect_eq(c[CONSTANT_BIAS], 1);
    cr_expect_eq(c[CONSTANT_CAUSAL], 1);
    cr_expect_eq(c[CONSTANT_SOFT_CAP], 0);
    cr_expect_eq(c[CONSTANT_LSE], 1);
    cr_expect_eq(c[CONSTANT_ALIGNED], 1);
    cr_expect_eq(c[CONSTANT_PACKED], PACKED_Q | PACKED_K | PACKED_V | PACKED_OUT | PACKED_MASK | PACKED_BIAS);
    cr_expect_eq(c[CONSTANT_MASK_BATCHES], 0);
    cr_expect_eq(c[CONSTANT_MASK_HEADS], SCORE_HEADS_KV);
    cr_expect_eq(c[CONSTANT_MASK_QUERIES], 1);
    cr_expect_eq(c[CONSTANT_BIAS_BATCHES], 1);
    cr_expect_eq(c[CONSTANT_BIAS_HEADS], SCORE_HEADS_ALL);
    cr_expect_eq(c[CONSTANT_BIAS_QUERIES], 0);
    cr_expect_eq(stride(c, CONSTANT_Q_SEQUENCE_LOW), 2 * 6 * 16);
    cr_expect_eq(stride(c, CONSTANT_Q_HEAD_LOW), 2 * 16);
    cr_expect_eq(stride(c, CONSTANT_V_SEQUENCE_LOW), 2 * 2 * 24);
    cr_expect_eq(stride(c, CONSTANT_OUT_HEAD_LOW), 2 * 24);
    cr_expect_eq(stride(c, CONSTANT_K_BATCH_LOW), 0);
}

/* What only the kernels by matrices read. */
Test(constants, of_matrices)
{
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    const attention_tile tile = {.level = DMATTN_LEVEL_MATRIX2,
                                 .form = FORM_REDUCED,
                                 .workgroup = 64,
                                 .rows = 96,
                                 .keys = 48,
                                 .pack = 3,
                                 .subgroup_size = 16,
                                 .matrix = {8, 16, 24},
                                 .query_blocks = 5,
                                 .lazy = true};
    const dmattn_attention_desc d = resolved((dmattn_attention_desc){
        .type = DMATTN_TYPE_F16, .batch = 1, .queries = 5, .keys = 7, .heads = 6, .kv_heads = 2, .head_dim = 256});
    dmattn_attention_constants(&d, &tile, true, c);
    cr_expect_eq(c[CONSTANT_WORKGROUP], 64);
    cr_expect_eq(c[CONSTANT_TILE_ROWS], 96);
    cr_expect_eq(c[CONSTANT_TILE_KEYS], 48);
    cr_expect_eq(c[CONSTANT_PACK], 3);
    cr_expect_eq(c[CONSTANT_LIST_QUERIES], 32);
    cr_expect_eq(c[CONSTANT_SUBGROUP], 16);
    cr_expect_eq(c[CONSTANT_MATRIX_M], 8);
    cr_expect_eq(c[CONSTANT_MATRIX_N], 16);
    cr_expect_eq(c[CONSTANT_MATRIX_K], 24);
    cr_expect_eq(c[CONSTANT_QUERY_BLOCKS], 5);
    cr_expect_eq(c[CONSTANT_LAZY], 1);
    cr_expect_eq(c[CONSTANT_GUARDED], 0);
}

/* Problems that differ in length alone share a pipeline. */
Test(constants, lengths_do_not_matter)
{
    uint32_t c[2][ATTENTION_CONSTANT_COUNT];
    static const uint32_t lengths[2][3] = {{2, 100, 130}, {5, 1000, 77}};
    for (int mask = DMATTN_MASK_NONE; mask <= DMATTN_MASK_INTERVALS; mask++) {
        for (int i = 0; i < 2; i++) {
            const dmattn_attention_desc d = resolved(
                (dmattn_attention_desc){.batch = lengths[i][0],
                                        .queries = lengths[i][1],
                                        .keys = lengths[i][2],
                                        .heads = 4,
                                        .kv_heads = 2,
                                        .head_dim = 64,
                                        .mask = (dmattn_mask)mask,
                                        .mask_shape = {.batch = lengths[i][0],
                                                       .heads = 2,
                                                       .queries = mask == DMATTN_MASK_DENSE ? lengths[i][1] : 1},
                                        .bias = true,
                                        .bias_shape = {.batch = lengths[i][0], .heads = 4}});
            dmattn_attention_constants(&d, &tile_64, dmattn_attention_is_aligned(&d), c[i]);
        }
        cr_expect_arr_eq(c[0], c[1], sizeof c[0]);
    }
}

Test(constants, strided)
{
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    const uint64_t far = UINT64_C(0x123456789); /* elements: beyond 32 bits in bytes */
    const dmattn_attention_desc d = resolved(
        (dmattn_attention_desc){.batch = 2,
                                .queries = 5,
                                .keys = 7,
                                .heads = 4,
                                .kv_heads = 1,
                                .head_dim = 16,
                                .soft_cap = 2,
                                .q_strides = {far, 100, 20},
                                .k_strides = {0, 16, 999},
                                .v_strides = {7 * 32, 32, 5},
                                .out_strides = {16, 128, 32},
                                .mask = DMATTN_MASK_INTERVALS,
                                .mask_shape = {.batch = 2, .heads = 4, .batch_stride = far, .head_stride = 11},
                                .bias = true,
                                .bias_type = DMATTN_TYPE_BF16,
                                .bias_shape = {.batch = 2, .batch_stride = 0, .head_stride = 3, .query_stride = 5}});
    dmattn_attention_constants(&d, &tile_64, false, c);
    cr_expect_eq(c[CONSTANT_ALIGNED], 0);
    cr_expect_eq(c[CONSTANT_SOFT_CAP], 1);
    cr_expect_eq(c[CONSTANT_PACKED], PACKED_V);
    cr_expect_eq(stride(c, CONSTANT_Q_BATCH_LOW), 4 * far);
    cr_expect_eq(stride(c, CONSTANT_Q_SEQUENCE_LOW), 400);
    cr_expect_eq(stride(c, CONSTANT_Q_HEAD_LOW), 80);
    cr_expect_eq(stride(c, CONSTANT_K_BATCH_LOW), 0);
    cr_expect_eq(stride(c, CONSTANT_K_SEQUENCE_LOW), 64);
    cr_expect_eq(stride(c, CONSTANT_K_HEAD_LOW), 0); /* of one head */
    cr_expect_eq(stride(c, CONSTANT_V_SEQUENCE_LOW), 128);
    cr_expect_eq(stride(c, CONSTANT_OUT_BATCH_LOW), 64);
    cr_expect_eq(stride(c, CONSTANT_MASK_BATCH_LOW), 4 * far);
    cr_expect_eq(stride(c, CONSTANT_MASK_HEAD_LOW), 44);
    cr_expect_eq(c[CONSTANT_MASK_HEADS], SCORE_HEADS_ALL);
    cr_expect_eq(c[CONSTANT_MASK_BATCHES], 1);
    cr_expect_eq(c[CONSTANT_BIAS_BATCHES], 1); /* repeated by its stride of 0 */
    cr_expect_eq(c[CONSTANT_BIAS_HEADS], SCORE_HEADS_ONE);
    cr_expect_eq(stride(c, CONSTANT_BIAS_BATCH_LOW), 0);
}

Test(constants, alignment)
{
#define SIZES .batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 8
    const struct {
        bool aligned;
        dmattn_attention_desc desc;
    } rows[] = {
        {true, {SIZES}},
        {true, {SIZES, .type = DMATTN_TYPE_F16}},
        {true, {SIZES, .q_strides = {400, 36, 8}}},
        {false, {SIZES, .q_strides = {400, 34, 8}}},
        {false, {SIZES, .type = DMATTN_TYPE_F16, .q_strides = {400, 36, 8}}},
        {false, {SIZES, .k_strides = {401, 36, 8}}},
        {false, {SIZES, .v_strides = {400, 36, 9}}},
        {false, {SIZES, .out_strides = {401, 36, 8}}},
        {true, {.batch = 1, .queries = 5, .keys = 7, .heads = 1, .head_dim = 8, .q_strides = {3, 8, 3}}},
        {true, {.batch = 2, .queries = 1, .keys = 7, .heads = 4, .head_dim = 8, .q_strides = {400, 3, 8}}},
        {true, {SIZES, .k_strides = {0, 8, 0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_attention_desc d = resolved(rows[i].desc);
        cr_expect_eq(dmattn_attention_is_aligned(&d), rows[i].aligned, "row %zu", i);
    }
}

static void expect_grid(grid g, uint32_t x, uint32_t y, uint32_t z)
{
    cr_expect(g.x == x && g.y == y && g.z == z, "%u x %u x %u instead of %u x %u x %u", g.x, g.y, g.z, x, y, z);
}

Test(grids, of_attention_and_masks)
{
    const struct {
        dmattn_attention_desc desc;
        grid attention, mask;
    } rows[] = {
        {{.batch = 3, .queries = 64, .keys = 64, .heads = 4, .head_dim = 8}, {1, 4, 3}, {0, 0, 0}},
        {{.batch = 3, .queries = 65, .keys = 64, .heads = 4, .head_dim = 8}, {2, 4, 3}, {0, 0, 0}},
        {{SIZES, .mask = DMATTN_MASK_DENSE}, {1, 4, 2}, {1, 1, 1}},
        {{.batch = 2,
          .queries = 129,
          .keys = 2048,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_DENSE,
          .mask_shape = {.batch = 2, .heads = 2, .queries = 129}},
         {3, 4, 2},
         {3, 1, 4}},
        {{.batch = 2,
          .queries = 129,
          .keys = 2049,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_DENSE,
          .mask_shape = {.batch = 2, .heads = 4}}, /* by key: one row of tiles for all queries */
         {3, 4, 2},
         {1, 2, 8}},
        {{.batch = 2,
          .queries = 129,
          .keys = 1,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_INTERVALS,
          .mask_shape = {.heads = 2}},
         {3, 4, 2},
         {0, 0, 0}}, /* they have lists instead */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_attention_desc d = resolved(rows[i].desc);
        const grid mask = rows[i].mask;
        expect_grid(dmattn_attention_grid(&d, &tile_64), rows[i].attention.x, rows[i].attention.y, rows[i].attention.z);
        expect_grid(dmattn_mask_tiles_grid(&d, &tile_64), mask.x, mask.y, mask.z);
        cr_expect_eq(dmattn_mask_tiles_bytes(&d, &tile_64), UINT64_C(8) * mask.x * mask.y * mask.z);
    }
}
