/* SPDX-License-Identifier: MIT
 * The specialization constants, grids and bitmaps that follow from a descriptor and a tile. No device is needed. */
#include "attention/stage.h"
#include "mask/importance_backward.h"
#include "mask/union_lists.h"
#include "support/sentences.h"
#include "support/tile_64.h"

#include <criterion/criterion.h>
#include <string.h>

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
                                                                     .sink = true,
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
    cr_expect_eq(c[CONSTANT_SCALE], 0x3e800000, "0.25");
    cr_expect_eq(c[CONSTANT_SOFT_CAP], 0);
    cr_expect_eq(c[CONSTANT_LSE], 1);
    cr_expect_eq(c[CONSTANT_SINK], 1);
    cr_expect_eq(c[CONSTANT_ALIGNED], 1);
    cr_expect_eq(c[CONSTANT_DERIVED_STRIDES],
                 DERIVED_Q | DERIVED_K | DERIVED_V | DERIVED_OUT | DERIVED_MASK | DERIVED_BIAS);
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

/* Constants that only the kernels at matrix levels read. */
Test(constants, of_matrices)
{
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    const attention_tile tile = {.level = DMATTN_LEVEL_MATRIX2,
                                 .form = FORM_REDUCED,
                                 .workgroup = 64,
                                 .rows = 96,
                                 .keys = 48,
                                 .heads_per_tile = 3,
                                 .subgroup_size = 16,
                                 .matrix = {8, 16, 24},
                                 .query_blocks = 5,
                                 .guarded = true};
    const dmattn_attention_desc d = resolved((dmattn_attention_desc){
        .type = DMATTN_TYPE_F16, .batch = 1, .queries = 5, .keys = 7, .heads = 6, .kv_heads = 2, .head_dim = 256});
    dmattn_attention_constants(&d, &tile, true, c);
    cr_expect_eq(c[CONSTANT_WORKGROUP], 64);
    cr_expect_eq(c[CONSTANT_TILE_ROWS], 96);
    cr_expect_eq(c[CONSTANT_TILE_KEYS], 48);
    cr_expect_eq(c[CONSTANT_HEADS_PER_TILE], 3);
    cr_expect_eq(c[CONSTANT_LIST_QUERIES], 32);
    cr_expect_eq(c[CONSTANT_SUBGROUP], 16);
    cr_expect_eq(c[CONSTANT_MATRIX_M], 8);
    cr_expect_eq(c[CONSTANT_MATRIX_N], 16);
    cr_expect_eq(c[CONSTANT_MATRIX_K], 24);
    cr_expect_eq(c[CONSTANT_QUERY_BLOCKS], 5);
    cr_expect_eq(c[CONSTANT_GUARDED], 1);
}

/* Problems that differ only in lengths share a pipeline. */
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
    const uint64_t far = UINT64_C(0x123456789); /* in elements; in bytes, it needs more than 32 bits */
    const dmattn_attention_desc d = resolved(
        (dmattn_attention_desc){.batch = 2,
                                .queries = 5,
                                .keys = 7,
                                .heads = 4,
                                .kv_heads = 1,
                                .head_dim = 16,
                                .scale = -3,
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
    cr_expect(c[CONSTANT_SCALE] == 0xc0400000 && c[CONSTANT_SOFT_CAP] == 0x40000000, "-3 and 2");
    cr_expect_eq(c[CONSTANT_DERIVED_STRIDES], DERIVED_V);
    cr_expect_eq(stride(c, CONSTANT_Q_BATCH_LOW), 4 * far);
    cr_expect_eq(stride(c, CONSTANT_Q_SEQUENCE_LOW), 400);
    cr_expect_eq(stride(c, CONSTANT_Q_HEAD_LOW), 80);
    cr_expect_eq(stride(c, CONSTANT_K_BATCH_LOW), 0);
    cr_expect_eq(stride(c, CONSTANT_K_SEQUENCE_LOW), 64);
    cr_expect_eq(stride(c, CONSTANT_K_HEAD_LOW), 0); /* there is only one head */
    cr_expect_eq(stride(c, CONSTANT_V_SEQUENCE_LOW), 128);
    cr_expect_eq(stride(c, CONSTANT_OUT_BATCH_LOW), 64);
    cr_expect_eq(stride(c, CONSTANT_MASK_BATCH_LOW), 4 * far);
    cr_expect_eq(stride(c, CONSTANT_MASK_HEAD_LOW), 44);
    cr_expect_eq(c[CONSTANT_MASK_HEADS], SCORE_HEADS_ALL);
    cr_expect_eq(c[CONSTANT_MASK_BATCHES], 1);
    cr_expect_eq(c[CONSTANT_BIAS_BATCHES], 1); /* the stride of 0 repeats it */
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
        {{SIZES, .mask = DMATTN_MASK_DENSE}, {1, 4, 2}, {1, 4, 1}},
        {{.batch = 2,
          .queries = 129,
          .keys = 2048,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_DENSE,
          .mask_shape = {.batch = 2, .heads = 2, .queries = 129}},
         {3, 4, 2},
         {3, 4, 4}},
        {{.batch = 2,
          .queries = 129,
          .keys = 2049,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_DENSE,
          .mask_shape = {.batch = 2, .heads = 4}}, /* without a query dimension: one row of tiles for all queries */
         {3, 4, 2},
         {1, 8, 8}},
        {{.batch = 2,
          .queries = 129,
          .keys = 1,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 8,
          .mask = DMATTN_MASK_INTERVALS,
          .mask_shape = {.heads = 2}},
         {3, 4, 2},
         {0, 0, 0}}, /* intervals have tile lists instead */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_attention_desc d = resolved(rows[i].desc);
        const grid mask = rows[i].mask;
        expect_grid(dmattn_attention_grid(&d, &tile_64), rows[i].attention.x, rows[i].attention.y, rows[i].attention.z);
        expect_grid(dmattn_mask_tiles_grid(&d, &tile_64), mask.x, mask.y, mask.z);
        cr_expect_eq(dmattn_mask_tiles_bytes(&d, &tile_64), UINT64_C(4) * mask.x * mask.y * mask.z);
    }
}

/* 256 invocations, or as many as the device has, in no more than 32 subgroups. */
Test(constants, workgroup_of_bitmaps)
{
    static const struct {
        uint32_t most, subgroup, expected;
    } rows[] = {{1024, 32, 256}, {1536, 64, 256}, {128, 32, 128}, {1024, 4, 128}, {128, 4, 128}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const capabilities caps = {.max_invocations = rows[i].most};
        const attention_tile tile = {.subgroup_size = rows[i].subgroup};
        cr_expect_eq(dmattn_mask_tiles_workgroup(&caps, &tile), rows[i].expected, "row %zu", i);
    }
}

/* Additive masks have a kernel for rows that only hide, unless slopes may turn their zeros into something else. */
Test(constants, kernels_of_additive_masks)
{
    static const struct {
        const char *kernel;
        bool slopes, counts;
    } rows[] = {{"attention_additive", false, false}, {"attention", true, false}, {"attention_counted", false, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[KERNEL_NAME];
        const dmattn_attention_desc d = resolved((dmattn_attention_desc){.batch = 1,
                                                                         .queries = 9,
                                                                         .keys = 9,
                                                                         .heads = 1,
                                                                         .kv_heads = 1,
                                                                         .head_dim = 8,
                                                                         .mask = DMATTN_MASK_ADDITIVE,
                                                                         .slopes = rows[i].slopes,
                                                                         .counts = rows[i].counts});
        dmattn_attention_kernel(&tile_64, &d, name);
        cr_expect_str_eq(name, rows[i].kernel);
    }
}

/* ---- the gradients of the importance --------------------------------------------------------------------------- */

static dmattn_mask_desc importance_of(uint32_t batch, uint32_t keys, uint32_t heads, uint32_t value_dim)
{
    const dmattn_mask_desc desc = {.stages = DMATTN_STAGE_IMPORTANCE,
                                   .batch = batch,
                                   .keys = keys,
                                   .kv_heads = heads,
                                   .type = DMATTN_TYPE_BF16,
                                   .value_dim = value_dim,
                                   .importance = {.parameter_type = DMATTN_TYPE_F16}};
    dmattn_mask_desc d;
    cr_assert_eq(dmattn_mask_desc_resolve(&desc, &d, NULL), DMATTN_SUCCESS);
    return d;
}

Test(importance_backward, constants)
{
    uint32_t c[IMPORTANCE_BACKWARD_CONSTANT_COUNT];
    const dmattn_mask_desc d = importance_of(2, 70, 12, 24);
    dmattn_importance_backward_constants(&d, &d.v_strides, c);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_WORKGROUP], 128);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_COLUMN_LANES], 8);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_LANE_KEYS], 4);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_BLOCK_HEADS], 8);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_KV_HEADS], 12);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_VALUE_DIM], 24);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_TYPE], TYPE_BF16);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_PARAMETER_TYPE], TYPE_F16);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_ALIGNED], 1);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_DERIVED_STRIDES], 1);
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_BATCH_LOW), 0);
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_SEQUENCE_LOW), 2 * 12 * 24);
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_HEAD_LOW), 2 * 24);
    /* dv has its own strides */
    dmattn_importance_backward_constants(&d, &(dmattn_strides){UINT64_C(0x123456789), 301, 25}, c);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_ALIGNED], 0);
    cr_expect_eq(c[IMPORTANCE_BACKWARD_DERIVED_STRIDES], 0);
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_BATCH_LOW), 2 * UINT64_C(0x123456789));
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_SEQUENCE_LOW), 602);
    cr_expect_eq(stride(c, IMPORTANCE_BACKWARD_HEAD_LOW), 50);
}

Test(importance_backward, grids)
{
    const struct {
        dmattn_mask_desc desc;
        uint32_t chunks;
        grid weights, values;
    } rows[] = {
        {importance_of(1, 1, 1, 8), 1, {1, 1, 1}, {1, 1, 1}},
        {importance_of(3, 64, 1, 64), 7, {1, 1, 7}, {1, 1, 3}},
        {importance_of(3, 65, 2, 40), 7, {2, 1, 7}, {2, 2, 3}},
        {importance_of(1, 1000, 12, 24), 2, {5, 2, 2}, {16, 5, 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const key_chunks chunks = {.count = rows[i].chunks};
        const grid w = rows[i].weights, v = rows[i].values;
        expect_grid(dmattn_importance_weights_grid(&rows[i].desc, &chunks), w.x, w.y, w.z);
        expect_grid(dmattn_importance_values_grid(&rows[i].desc), v.x, v.y, v.z);
    }
}

/* Every tile is in a chunk, no chunk is empty. */
Test(importance_backward, chunks)
{
    static const uint32_t batches[] = {1, 2, 5, 1024, 1u << 20}, keys[] = {1, 63, 64, 65, 1000, 4097, 1u << 20};
    static const uint64_t workgroups[] = {1, 3, 8, 1000, 1024, UINT64_C(1) << 33};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            for (size_t w = 0; w < sizeof workgroups / sizeof *workgroups; w++) {
                const key_chunks c = dmattn_key_chunks(batches[b], keys[k], 64, workgroups[w]);
                const uint64_t tiles = (uint64_t)batches[b] * ((keys[k] + 63) / 64);
                if (tiles > UINT32_MAX) { /* too many, the plan is refused */
                    cr_expect_eq(c.tiles, UINT32_MAX);
                    continue;
                }
                cr_expect_eq(c.item_tiles, (keys[k] + 63) / 64);
                cr_expect_eq(c.tiles, tiles);
                cr_expect(c.count >= 1 && c.count <= 256, "%u chunks", c.count);
                cr_expect_geq((uint64_t)c.count * c.chunk_tiles, tiles);
                cr_expect_lt((uint64_t)(c.count - 1) * c.chunk_tiles, tiles);
                cr_expect(workgroups[w] < 1024 || c.count == 1);
            }
    cr_expect_eq(dmattn_key_chunks(1, 1u << 20, 64, 1).count, 256);
    cr_expect_eq(dmattn_key_chunks(1, 1u << 20, 64, 8).count, 128);
    cr_expect_eq(dmattn_key_chunks(1, 4096, 64, 8).count, 32);
}

/* The scratch memory has two numbers for each key and head. The chunks need little more. */
Test(importance_backward, scratch)
{
    static const uint32_t shapes[][4] = {
        {1, 1, 1, 8},     {2, 1000, 5, 24}, {1, 1u << 20, 4, 128}, {1024, 1u << 20, 1, 64}, {16, 1u << 20, 64, 256},
        {1, 100, 64, 256}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const dmattn_mask_desc d = importance_of(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        const uint64_t plane = UINT64_C(4) * d.batch * d.keys * d.kv_heads, heads = 4 * d.kv_heads;
        const importance_backward_layout all = dmattn_importance_backward_layout(&d, IMPORTANCE_GRADIENTS);
        const grid g = dmattn_importance_weights_grid(&d, &all.weights);
        const uint64_t partials = all.weights.count > 1 ? all.weights.count * heads * d.kv_heads * d.value_dim : 0;
        cr_expect_leq(partials, UINT64_C(2048) * (1024 + g.x * g.y), "shape %zu: %llu bytes", i,
                      (unsigned long long)partials);
        cr_expect_eq(all.dz, 0);
        cr_expect_eq(all.da_terms, plane);
        cr_expect_eq(all.ddt_weight, 2 * plane);
        cr_expect_eq(all.ddt_bias, 2 * plane + partials);
        const uint64_t head_partials = all.sums.count > 1 ? all.sums.count * heads : 0;
        cr_expect_eq(all.da, 2 * plane + partials + head_partials);
        cr_expect_eq(all.bytes, 2 * plane + partials + 2 * head_partials);
        cr_expect_eq(dmattn_importance_backward_layout(&d, DMATTN_GRADIENT_V).bytes, plane);
        cr_expect_eq(dmattn_importance_backward_layout(&d, DMATTN_GRADIENT_A).bytes, plane + head_partials);
        cr_expect_eq(dmattn_importance_backward_layout(&d, DMATTN_GRADIENT_Q).bytes, 0);
    }
}

/* The memory of the lists of selected keys follows from the shapes. */
Test(constants, union_lists)
{
    union_lists_desc d = {
        .batch = 2, .heads = 3, .queries = 100, .keys = 1000, .count = 10, .block = 1, .list_queries = 16};
    cr_expect_eq(dmattn_union_lists_capacity(&d), 160, "no more keys than the lists of a tile have");
    cr_expect_eq(dmattn_union_lists_grid(&d).x, 7);
    cr_expect_eq(dmattn_union_lists_grid(&d).y, 6);
    cr_expect_eq(dmattn_union_lists_bytes(&d), 704 + 42 * 160 * 8,
                 "headers at 64 bytes, a word and 32 bits for an entry");
    d.list_queries = 64;
    cr_expect_eq(dmattn_union_lists_capacity(&d), 640);
    cr_expect_eq(dmattn_union_lists_bytes(&d), 192 + 12 * 640 * 12, "64 bits");
    d.block = 64;
    cr_expect_eq(dmattn_union_lists_capacity(&d), 16, "no more than there are blocks");
    d.queries = 1;
    d.block = 1;
    cr_expect_eq(dmattn_union_lists_capacity(&d), 16, "one query");
}

/* Large workgroups for many queries, as far as the device has registers and invocations. */
Test(constants, workgroup_of_union_lists)
{
    static const struct {
        VkDriverId driver;
        uint32_t most, subgroup, queries, expected;
    } rows[] = {{VK_DRIVER_ID_NVIDIA_PROPRIETARY, 1024, 32, 9, 1024},
                {VK_DRIVER_ID_NVIDIA_PROPRIETARY, 1024, 32, 8, 256},
                {VK_DRIVER_ID_MESA_TURNIP, 1024, 64, 100, 512},
                {VK_DRIVER_ID_MESA_TURNIP, 1024, 64, 1, 256},
                {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 1024, 16, 100, 512},
                {VK_DRIVER_ID_MESA_RADV, 1024, 32, 100, 1024},
                {VK_DRIVER_ID_MESA_LLVMPIPE, 1024, 8, 100, 256},
                {VK_DRIVER_ID_GOOGLE_SWIFTSHADER, 128, 4, 100, 128}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const capabilities caps = {.driver = rows[i].driver,
                                   .max_invocations = rows[i].most,
                                   .subgroup_size = rows[i].subgroup,
                                   .min_subgroup_size = rows[i].subgroup,
                                   .max_subgroup_size = rows[i].subgroup};
        const union_lists_desc d = {.queries = rows[i].queries};
        cr_expect_eq(dmattn_union_lists_workgroup(&caps, &d), rows[i].expected, "row %zu", i);
    }
}
