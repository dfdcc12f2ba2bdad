/* SPDX-License-Identifier: MIT
 * What is planned without a device: the tile, the shaders' constants, grids and bitmaps. */
#include "attention/stage.h"
#include "facts.h"
#include "sentences.h"

#include <criterion/criterion.h>

/* ---- tiles --------------------------------------------------------------------------------------------------- */

/* What attention_forward.comp and mask_tiles.comp take for granted. */
static void expect_sound(const attention_tile *t, uint32_t value_dim, const char *device)
{
    cr_expect(t->key_lanes && !(t->key_lanes & (t->key_lanes - 1)), "%s: key_lanes %u: xor shuffles", device,
              t->key_lanes);
    cr_expect_eq(t->key_lanes % 4, 0, "%s: key_lanes %u: a vec4 of probabilities", device, t->key_lanes);
    cr_expect_leq(t->key_lanes, t->subgroup_size, "%s: a row within a subgroup", device);
    cr_expect_eq(t->subgroup_size % t->key_lanes, 0, "%s", device);
    cr_expect_eq(t->workgroup % t->key_lanes, 0, "%s", device);
    cr_expect_eq(t->workgroup % t->subgroup_size, 0, "%s: full subgroups", device);
    cr_expect(t->depth && t->depth % 8 == 0, "%s: depth %u: loads of 8", device, t->depth);
    cr_expect(t->value_keys && t->value_keys % 4 == 0, "%s: value_keys %u: 4 probabilities", device, t->value_keys);
    cr_expect_eq(dmattn_tile_keys(t) % t->value_keys, 0, "%s: value_keys %u of %u", device, t->value_keys,
                 dmattn_tile_keys(t));
    cr_expect_eq(dmattn_tile_keys(t) % 4, 0, "%s: words of the mask", device);
    cr_expect_eq(dmattn_tile_rows(t), t->workgroup / t->key_lanes * t->lane_rows);
    cr_expect(dmattn_tile_rows(t) && t->lane_rows && t->lane_keys);
    cr_expect_leq(dmattn_tile_keys(t), t->workgroup, "%s: each invocation fetches one key of a list", device);
    cr_expect(t->pack && t->pack <= dmattn_tile_rows(t), "%s: pack %u", device, t->pack);
    cr_expect_eq(dmattn_tile_list_queries(t) % dmattn_tile_queries(t), 0, "%s: tiles within a list's", device);
    cr_expect_geq(dmattn_tile_list_queries(t), 16, "%s", device);

    /* shared memory, declared once more as the shader does */
    uint32_t columns = (value_dim / 4 + t->key_lanes - 1) / t->key_lanes;
    uint32_t qk = (dmattn_tile_rows(t) + dmattn_tile_keys(t)) * (t->depth / 4 + 1),
             v = t->value_keys * columns * t->key_lanes;
    uint32_t bytes =
        16 * ((qk > v ? qk : v) + dmattn_tile_rows(t) * (dmattn_tile_keys(t) / 4 + 1)) + 4 * dmattn_tile_keys(t);
    cr_expect_geq(columns * t->key_lanes, value_dim / 4, "%s", device);
    cr_expect_eq(dmattn_tile_shared_memory(t, value_dim), bytes, "%s", device);
}

Test(tile, every_device)
{
    static const uint32_t shared[] = {16384, 32768, 49152, 65536, 102400}, invocations[] = {128, 256, 512, 1024};
    static const uint32_t queries[] = {1, 15, 16, 17, 64, 100000};
    for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2)
        for (int control = 0; control < 3; control++) /* a fixed size; any from 4 to 128; from 32 to 64 */
            for (size_t s = 0; s < sizeof shared / sizeof *shared; s++)
                for (size_t i = 0; i < sizeof invocations / sizeof *invocations; i++)
                    for (uint32_t value_dim = 8; value_dim <= 256; value_dim += 8)
                        for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
                            device_facts facts = usual_facts();
                            facts.subgroup_size = subgroup;
                            facts.min_subgroup_size = control == 0 ? subgroup : control == 1 ? 4 : 32;
                            facts.max_subgroup_size = control == 0 ? subgroup : control == 1 ? 128 : 64;
                            facts.shared_memory = shared[s];
                            facts.max_invocations = invocations[i];
                            const dmattn_attention_desc d = {.queries = queries[q],
                                                             .keys = 100,
                                                             .heads = 6,
                                                             .kv_heads = q % 2 ? 6 : 2,
                                                             .head_dim = 64,
                                                             .value_dim = value_dim};
                            char device[160];
                            snprintf(device, sizeof device,
                                     "subgroups of %u (%u to %u), %u invocations, %u bytes, value_dim %u, %u queries",
                                     subgroup, facts.min_subgroup_size, facts.max_subgroup_size, invocations[i],
                                     shared[s], value_dim, queries[q]);
                            attention_tile tile;
                            cr_assert(dmattn_tile_choose(&facts, &d, &tile), "no tile: %s", device);
                            cr_expect_leq(tile.workgroup, facts.max_invocations, "%s", device);
                            cr_expect_leq(dmattn_tile_shared_memory(&tile, value_dim), facts.shared_memory, "%s",
                                          device);
                            cr_expect_eq(tile.subgroup_size,
                                         dmattn_device_facts_subgroup_size(&facts, tile.subgroup_size),
                                         "%s: it cannot have %u", device, tile.subgroup_size);
                            cr_expect(dmattn_tile_fits(&tile, &facts, value_dim), "%s", device);
                            expect_sound(&tile, value_dim, device);
                        }
}

Test(tile, what_does_not_fit)
{
    const attention_tile tile = {.workgroup = 128,
                                 .key_lanes = 8,
                                 .lane_rows = 4,
                                 .lane_keys = 8,
                                 .depth = 16,
                                 .value_keys = 16,
                                 .subgroup_size = 32,
                                 .pack = 1};
    device_facts facts = usual_facts();
    cr_expect(dmattn_tile_fits(&tile, &facts, 128));
    facts.max_invocations = 64;
    cr_expect_not(dmattn_tile_fits(&tile, &facts, 128));
    facts = usual_facts();
    facts.shared_memory = dmattn_tile_shared_memory(&tile, 128);
    cr_expect(dmattn_tile_fits(&tile, &facts, 128));
    facts.shared_memory--;
    cr_expect_not(dmattn_tile_fits(&tile, &facts, 128));
    facts = usual_facts();
    attention_tile wide = tile;
    wide.subgroup_size = 4; /* fewer than a row has lanes */
    cr_expect_not(dmattn_tile_fits(&wide, &facts, 128));
    wide.subgroup_size = 96; /* one would be partly filled */
    cr_expect_not(dmattn_tile_fits(&wide, &facts, 128));

    facts.max_invocations = 8;
    const dmattn_attention_desc d = {.queries = 1, .keys = 1, .heads = 1, .kv_heads = 1, .head_dim = 8, .value_dim = 8};
    cr_expect_not(dmattn_tile_choose(&facts, &d, &wide));
}

/* Heads of a group share tiles unless their masks differ, and few rows take a small tile. */
Test(tile, packs)
{
    const device_facts facts = usual_facts();
    const struct {
        uint32_t queries, heads, kv_heads, mask_heads, pack, rows, queries_of_tile;
    } rows[] = {
        {1000, 8, 8, 1, 1, 64, 64}, {1000, 8, 2, 2, 4, 64, 16},   {1000, 8, 2, 8, 1, 64, 64},
        {1000, 6, 2, 1, 3, 64, 21}, {1000, 200, 1, 1, 64, 64, 1}, {1000, 4, 4, 4, 1, 64, 64},
        {4, 8, 2, 2, 4, 16, 4},     {5, 8, 2, 2, 4, 64, 16},      {1, 40, 1, 1, 40, 64, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_attention_desc d = {.queries = rows[i].queries,
                                         .keys = 100,
                                         .heads = rows[i].heads,
                                         .kv_heads = rows[i].kv_heads,
                                         .head_dim = 64,
                                         .value_dim = 64,
                                         .mask = DMATTN_MASK_INTERVALS,
                                         .mask_shape = {.batch = 1, .heads = rows[i].mask_heads, .queries = 1}};
        attention_tile tile;
        cr_assert(dmattn_tile_choose(&facts, &d, &tile));
        cr_expect_eq(tile.pack, rows[i].pack, "row %zu: pack %u", i, tile.pack);
        cr_expect_eq(dmattn_tile_rows(&tile), rows[i].rows, "row %zu: %u rows", i, dmattn_tile_rows(&tile));
        cr_expect_eq(dmattn_tile_queries(&tile), rows[i].queries_of_tile, "row %zu", i);
        const grid g = dmattn_attention_grid(
            &(dmattn_attention_desc){.batch = 1, .queries = d.queries, .heads = d.heads, .kv_heads = d.kv_heads},
            &tile);
        cr_expect_geq((uint64_t)g.x * dmattn_tile_queries(&tile), d.queries);
        cr_expect_geq((uint64_t)g.y * tile.pack, d.heads);
    }
}

/* ---- constants, grids, bitmaps ------------------------------------------------------------------------------- */

static const attention_tile tile_64 = {.workgroup = 128,
                                       .key_lanes = 8,
                                       .lane_rows = 4,
                                       .lane_keys = 8,
                                       .depth = 16,
                                       .value_keys = 16,
                                       .subgroup_size = 32,
                                       .pack = 1};

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
    cr_expect_eq(c[CONSTANT_LANE_ROWS], 4);
    cr_expect_eq(c[CONSTANT_LANE_KEYS], 8);
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
