/* SPDX-License-Identifier: MIT
 * Backward at matrix levels: its tiles, its passes over keys and its work items. No device is needed. */
#include "backward/backward.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef dmattn_attention_backward_desc backward_desc;

static backward_desc resolved(backward_desc desc)
{
    backward_desc b;
    cr_assert_eq(dmattn_attention_backward_desc_resolve(&desc, &b, &(messenger){0}), DMATTN_SUCCESS);
    return b;
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The shared memory that backward/gradients_matrix.glsl and lib/operands.glsl declare, with their names, in units of 16
 * bytes.
 */
static uint32_t declared(const attention_tile *t, const dmattn_attention_desc *d, uint32_t pair_rows,
                         uint32_t pair_columns)
{
    const uint32_t m = t->matrix.m, n = t->matrix.n, k = t->matrix.k, subgroups = t->workgroup / t->subgroup_size;
    const uint32_t head_blocks = (d->head_dim + k - 1) / k, head_sums = (d->head_dim + n - 1) / n;
    const uint32_t value_factors = (d->value_dim + k - 1) / k, value_blocks = (d->value_dim + n - 1) / n;
    const uint32_t head_pitch = larger(head_blocks * k, head_sums * n) / 8 + 1;
    const uint32_t value_pitch = larger(value_factors * k, value_blocks * n) / 8 + 1;
    const uint32_t stage = pair_columns * (head_pitch + value_pitch);
    const uint32_t staged = larger(t->tile_buffers * stage, subgroups * m * larger(k / 8 + 1, n / 4 + 1));
    const uint32_t first = head_blocks - t->query_blocks, second = value_factors - t->dout_blocks;
    const uint32_t rows =
        (first ? pair_rows * (first * k / 8 + 1) : 1) + (second ? pair_rows * (second * k / 8 + 1) : 1);
    return staged + rows + (t->form == FORM_SHARED ? subgroups * m * (pair_columns / 4 + 1) : 0);
}

static void expect_tile(const attention_tile *t, const capabilities *caps, const dmattn_attention_desc *d,
                        uint32_t pair_rows, uint32_t pair_columns)
{
    const matrix_shape *x = &t->matrix;
    const uint32_t subgroups = t->workgroup / t->subgroup_size;
    cr_expect_eq(t->workgroup % t->subgroup_size, 0);
    cr_expect_leq(t->workgroup, caps->max_invocations);
    cr_expect_eq(pair_rows % (subgroups * x->m), 0);
    cr_expect_eq(pair_columns % x->n, 0);
    cr_expect_eq(pair_columns % x->k, 0);
    cr_expect_eq(t->keys % 4, 0);              /* mask_tiles.comp */
    cr_expect_leq(pair_columns, t->workgroup); /* each invocation loads one slot */
    cr_expect(t->tile_buffers == 1 || t->tile_buffers == 2);
    cr_expect(t->query_blocks >= 1 && t->query_blocks <= (d->head_dim + x->k - 1) / x->k);
    cr_expect(t->dout_blocks >= 1 && t->dout_blocks <= (d->value_dim + x->k - 1) / x->k);
    cr_expect(t->heads_per_tile >= 1 && t->heads_per_tile <= t->rows);
    if (t->form == FORM_SHARED) {
        cr_expect_eq(pair_rows, subgroups * x->m);
        cr_expect_eq(pair_columns % (8 * (t->subgroup_size / x->m)), 0); /* whole units for each lane of a row */
    } else if (t->form == FORM_REDUCED)
        cr_expect_eq(x->n, x->k);
    else
        cr_expect(caps->fragment_layout == LAYOUT_QUAD_ROWS && x->m == 16 && x->n == 16 && x->k == 16);
}

static void expect_tiles(const backward_tiles *t, const capabilities *caps, const dmattn_attention_desc *d)
{
    const bool selected = d->mask == DMATTN_MASK_SELECTED;
    const uint32_t slots = d->mask == DMATTN_MASK_INTERVALS || selected ? 3 * t->query.keys : 1;
    const uint32_t queries = dmattn_backward_query_shared_memory(&t->query, d);
    const uint32_t keys = dmattn_backward_key_shared_memory(&t->key, d);
    expect_tile(&t->query, caps, d, t->query.rows, t->query.keys);
    expect_tile(&t->key, caps, d, t->key.keys, t->key.rows);
    /* slot_key, slot_range, slot_bias, row_softmax */
    cr_expect_eq(queries, 16 * declared(&t->query, d, t->query.rows, t->query.keys) + 4 * slots + 8 * slots
                              + 4 * 3 * t->query.keys + 8 * t->query.rows);
    /* tile_keys, tile_ranges, tile_bias, row_softmax; tile_queries, query_keys with up to 64 bits */
    cr_expect_eq(keys, 16 * declared(&t->key, d, t->key.keys, t->key.rows) + (4 + 8 + 4) * t->key.keys
                           + 2 * 8 * t->key.rows + (selected ? 3 * (4 + 8) * dmattn_tile_queries(&t->key) : 0));
    cr_expect_leq(queries, caps->shared_memory);
    cr_expect_leq(keys, caps->shared_memory);
    cr_expect_eq(t->bias.level, DMATTN_LEVEL_PORTABLE);
}

/* All candidates are valid, and plans choose the first ones that have the same form. */
static void expect_candidates(const capabilities *caps, const backward_desc *b, dmattn_level level)
{
    attention_tile of[2][BACKWARD_CANDIDATES];
    uint32_t count[2];
    backward_tiles chosen;
    char why[200];
    const bool found = dmattn_backward_tiles_choose(caps, b, level, &chosen, why, sizeof why);
    for (int of_keys = 0; of_keys < 2; of_keys++) {
        count[of_keys] =
            dmattn_backward_candidates(caps, b, level, of_keys, of[of_keys], BACKWARD_CANDIDATES, why, sizeof why);
        bool first = true;
        cr_expect_lt(count[of_keys], BACKWARD_CANDIDATES); /* none is left out */
        for (uint32_t i = 0; i < count[of_keys]; i++) {
            const attention_tile *t = &of[of_keys][i], *choice = of_keys ? &chosen.key : &chosen.query;
            expect_tile(t, caps, &b->attention, of_keys ? t->keys : t->rows, of_keys ? t->rows : t->keys);
            if (found && first && t->form == choice->form) {
                cr_expect(t->rows == choice->rows && t->keys == choice->keys && t->workgroup == choice->workgroup);
                first = false;
            }
        }
        cr_expect(!found || !first);
    }
    cr_expect(found || !count[0] || !count[1] || of[0][0].form != of[1][0].form);
    if (found)
        cr_expect_eq(chosen.query.form, chosen.key.form);
}

/* All tiles that are found are valid. On the named devices, tiles exist for all dimensions. */
Test(backward_tile, on_every_device)
{
    static const struct {
        uint32_t subgroup, shared;
        matrix_shape matrix;
        bool fragments, wide; /* wide: beyond 128 dimensions, too */
    } devices[] = {
        {32, 49152, {16, 16, 16}, true, true}, {32, 65536, {16, 16, 16}, false, true},
        {8, 32768, {8, 8, 8}, false, true},    {64, 65536, {16, 16, 16}, false, true},
        {16, 65536, {8, 16, 16}, false, true}, {8, 65536, {8, 8, 16}, false, false},
    };
    static const uint32_t dims[] = {8, 40, 64, 72, 128, 136, 256};
    for (size_t i = 0; i < COUNT(devices) * COUNT(dims) * COUNT(dims) * 2; i++) {
        const size_t v = i / COUNT(devices) % COUNT(dims), h = i / COUNT(devices) / COUNT(dims) % COUNT(dims);
        capabilities caps = matrix_capabilities();
        caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = devices[i % COUNT(devices)].subgroup;
        caps.shared_memory = devices[i % COUNT(devices)].shared;
        caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = devices[i % COUNT(devices)].matrix;
        caps.fragment_layout = devices[i % COUNT(devices)].fragments ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
        const bool masked = i >= COUNT(devices) * COUNT(dims) * COUNT(dims);
        const backward_desc b =
            resolved((backward_desc){.attention = {.batch = 1,
                                                   .queries = 300,
                                                   .keys = 300,
                                                   .heads = 12,
                                                   .kv_heads = 4,
                                                   .head_dim = dims[h],
                                                   .value_dim = dims[v],
                                                   .type = DMATTN_TYPE_F16,
                                                   .mask = masked ? DMATTN_MASK_INTERVALS : DMATTN_MASK_NONE,
                                                   .mask_shape = {.heads = masked ? 4 : 0}}});
        for (dmattn_level level = DMATTN_LEVEL_MATRIX; level <= DMATTN_LEVEL_MATRIX2; level++) {
            backward_tiles t;
            char why[200] = "";
            if (dmattn_backward_tiles_choose(&caps, &b, level, &t, why, sizeof why))
                expect_tiles(&t, &caps, &b.attention);
            else
                cr_expect(*why && (level == DMATTN_LEVEL_MATRIX2 || larger(dims[h], dims[v]) > 128)
                              && (level == DMATTN_LEVEL_MATRIX2 ? !devices[i % COUNT(devices)].fragments
                                                                : !devices[i % COUNT(devices)].wide),
                          "device %zu, %u and %u dimensions, %s: %s", i % COUNT(devices), dims[h], dims[v],
                          dmattn_level_string(level), why);
            expect_candidates(&caps, &b, level);
            if (dmattn_backward_tiles_least(&caps, &b, level, &t))
                expect_tiles(&t, &caps, &b.attention);
        }
    }
}

Test(backward_tile, f32_has_none)
{
    const capabilities caps = matrix_capabilities();
    const backward_desc b =
        resolved((backward_desc){.attention = {.batch = 1, .queries = 9, .keys = 9, .heads = 1, .head_dim = 64}});
    backward_tiles t;
    char why[200] = "";
    cr_expect(!dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    cr_expect(strstr(why, "f32"), "%s", why);
}

/* Where registers do not hold a tile by matrices, there is none, even if a plan requests the level: its kernel would
 * spill hundreds of values, and compile for seconds. */
Test(backward_tile, none_that_spills)
{
    static const struct {
        VkDriverId driver;
        uint32_t least, most; /* sizes of subgroups */
        matrix_shape matrix;
        intel_generation intel;
        uint32_t dims; /* up to which the device has tiles by matrices */
    } devices[] = {
        {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 16, 32, {8, 16, 16}, INTEL_OTHER, 0},  /* Arc B580 */
        {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 8, 32, {8, 8, 16}, INTEL_OTHER, 0},    /* Arc A770 */
        {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 16, 32, {8, 16, 16}, INTEL_XE3, 128},  /* Panther Lake */
        {VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, 16, 32, {8, 16, 16}, INTEL_XE3, 0}, /* its compiler was not asked */
        {VK_DRIVER_ID_MESA_RADV, 32, 64, {16, 16, 16}, INTEL_OTHER, 128},
        {VK_DRIVER_ID_NVIDIA_PROPRIETARY, 32, 32, {16, 16, 16}, INTEL_OTHER, 128},
        {VK_DRIVER_ID_MESA_LLVMPIPE, 8, 8, {8, 8, 8}, INTEL_OTHER, 256},
    };
    static const uint32_t dims[] = {16, 64, 128, 136, 256};
    for (size_t i = 0; i < COUNT(devices) * COUNT(dims) * 2; i++) {
        const size_t n = i / 2 / COUNT(dims);
        const uint32_t dim = dims[i / 2 % COUNT(dims)];
        capabilities caps = matrix_capabilities();
        caps.driver = devices[n].driver;
        caps.driver_version = VK_MAKE_API_VERSION(0, 26, 1, 0);
        caps.min_subgroup_size = devices[n].least;
        caps.subgroup_size = caps.max_subgroup_size = devices[n].most;
        caps.shared_memory = 49152;
        caps.fragment_layout = LAYOUT_UNKNOWN;
        caps.matrix[DMATTN_TYPE_F16] = devices[n].matrix;
        caps.intel = devices[n].intel;
        const backward_desc b =
            resolved((backward_desc){.attention = {.batch = 1,
                                                   .queries = 300,
                                                   .keys = 300,
                                                   .heads = 2,
                                                   .head_dim = dim,
                                                   .type = DMATTN_TYPE_F16,
                                                   .level = i % 2 ? DMATTN_LEVEL_MATRIX : DMATTN_LEVEL_BEST}});
        backward_tiles t;
        char why[200] = "";
        const bool found = dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_MATRIX, &t, why, sizeof why);
        cr_expect_eq(found, dim <= devices[n].dims, "device %zu, %u dimensions: %s", n, dim, why);
        cr_expect(found || (strstr(why, "no tiles for gradients of head_dim") && strstr(why, "the registers")), "%s",
                  why);
        cr_expect(dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
    }
}

#define SIZES .type = DMATTN_TYPE_F16, .batch = 1, .queries = 4096, .keys = 4096, .heads = 8, .kv_heads = 2

/* On Xe3, options need registers, and so do the sums of both dk and dv. Without enough, there are two passes, or no
 * tile by matrices. */
Test(backward_tile, registers_of_xe3)
{
    static const struct {
        uint32_t dim;
        bool mask, more; /* more: a bias of pairs and a soft cap */
        bool found, two_passes;
    } rows[] = {
        {64, false, false, true, false},  {64, true, false, true, false},  {64, true, true, true, true},
        {96, true, true, true, true},     {128, false, false, true, true}, {120, true, false, false, false},
        {128, true, false, false, false}, {112, true, false, true, true},
    };
    capabilities caps = matrix_capabilities();
    caps.driver = VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA;
    caps.intel = INTEL_XE3;
    caps.min_subgroup_size = 16;
    caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){8, 16, 16};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const dmattn_score_shape shape = {.heads = 8, .queries = 4096};
        const bool mask = rows[i].mask, more = rows[i].more;
        const backward_desc b = resolved((backward_desc){
            .attention = {SIZES, .head_dim = rows[i].dim, .mask = mask ? DMATTN_MASK_DENSE : DMATTN_MASK_NONE,
                          .mask_shape = mask ? shape : (dmattn_score_shape){0}, .bias = more,
                          .bias_shape = more ? shape : (dmattn_score_shape){0}, .soft_cap = more ? 20 : 0}});
        backward_tiles t;
        char why[200];
        const bool found = dmattn_backward_tiles_choose(&caps, &b, DMATTN_LEVEL_MATRIX, &t, why, sizeof why);
        cr_assert_eq(found, rows[i].found, "row %zu: %s", i, why);
        if (!found)
            continue;
        cr_expect_eq(t.key.two_passes, rows[i].two_passes, "row %zu", i);
        cr_expect_leq(dmattn_backward_matrix_registers(&caps, &t.query, &b.attention, false), 256);
        cr_expect_leq(dmattn_backward_matrix_registers(&caps, &t.key, &b.attention, true), 256);
    }
}

/* Options with which a compiler spilled a tile of keys: the smaller one that it does not spill is chosen. */
static void expect_key_tile(const capabilities *caps, const dmattn_attention_desc *attention, uint32_t rows,
                            uint32_t keys, uint32_t workgroup)
{
    const backward_desc b = resolved((backward_desc){.attention = *attention});
    backward_tiles t;
    char why[200];
    cr_assert(dmattn_backward_tiles_choose(caps, &b, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
    cr_expect(t.key.rows == rows && t.key.keys == keys && t.key.workgroup == workgroup, "%u dimensions: %ux%u, %u",
              b.attention.head_dim, t.key.rows, t.key.keys, t.key.workgroup);
    cr_expect_leq(dmattn_backward_key_registers(caps, &t.key, &b.attention), dmattn_capabilities_registers(caps));
}

Test(backward_tile, options_that_spilled)
{
    capabilities adreno = usual_capabilities(), dg2 = usual_capabilities();
    adreno.driver = VK_DRIVER_ID_MESA_TURNIP;
    adreno.min_subgroup_size = 64;
    adreno.subgroup_size = adreno.max_subgroup_size = 128;
    adreno.shared_memory = 32768;
    dg2.driver = VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA;
    dg2.min_subgroup_size = 8;
    /* a mask, a bias and a soft cap, and lanes that do not share the elements of a row evenly */
    dmattn_attention_desc d = {SIZES,
                               .soft_cap = 20,
                               .mask = DMATTN_MASK_DENSE,
                               .mask_shape = {.heads = 8, .queries = 4096},
                               .bias = true,
                               .bias_shape = {.heads = 8, .queries = 4096}};
    d.head_dim = 80;
    expect_key_tile(&adreno, &d, 32, 64, 256);
    d.head_dim = 120;
    expect_key_tile(&adreno, &d, 32, 32, 256);
    d.head_dim = 128;
    expect_key_tile(&adreno, &d, 32, 32, 128);
    /* lists, in two passes */
    d = (dmattn_attention_desc){SIZES, .head_dim = 192};
    expect_key_tile(&dg2, &d, 64, 32, 256);
    d.mask = DMATTN_MASK_SELECTED;
    d.selected_count = 512;
    d.mask_shape = (dmattn_score_shape){.heads = 2, .queries = 4096};
    expect_key_tile(&dg2, &d, 32, 32, 256);
}

/* ---- passes ---------------------------------------------------------------------------------------------------- */

/* Each gradient is computed exactly once. */
Test(backward_tile, key_passes)
{
    const struct {
        bool two_passes;
        uint32_t gradients;
        key_pass pass[KEY_PASSES];
        uint32_t head_dim, value_dim;
    } rows[] = {
        {false, 0, {{GRADIENT_K | GRADIENT_V | GRADIENT_BIAS, 0}}, 8, 8},
        {true, 0, {{GRADIENT_K | GRADIENT_BIAS, 0}, {GRADIENT_V, 0}}, 8, 8},
        {true, DMATTN_GRADIENT_V | DMATTN_GRADIENT_BIAS, {{GRADIENT_V | GRADIENT_BIAS, 0}}, 8, 8},
        {true, DMATTN_GRADIENT_V, {{GRADIENT_V, 0}}, 8, 8},
        {true,
         0,
         {{GRADIENT_K | GRADIENT_BIAS, 0}, {GRADIENT_K, 256}, {GRADIENT_K, 512}, {GRADIENT_V, 0}, {GRADIENT_V, 256}},
         576,
         512},
        {true, 0, {{GRADIENT_K | GRADIENT_BIAS, 0}, {GRADIENT_V, 0}, {GRADIENT_V, 256}}, 256, 264},
        {true, DMATTN_GRADIENT_V, {{GRADIENT_V, 0}}, 320, 256},
        {true, DMATTN_GRADIENT_V | DMATTN_GRADIENT_BIAS, {{GRADIENT_BIAS, 0}, {GRADIENT_V, 0}}, 320, 256},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const backward_desc b = resolved((backward_desc){.attention = {.batch = 1,
                                                                       .queries = 9,
                                                                       .keys = 9,
                                                                       .heads = 1,
                                                                       .head_dim = rows[i].head_dim,
                                                                       .value_dim = rows[i].value_dim,
                                                                       .bias = true},
                                                         .gradients = rows[i].gradients});
        const attention_tile t = {.two_passes = rows[i].two_passes, .band = BAND};
        for (uint32_t pass = 0; pass < KEY_PASSES; pass++) {
            const key_pass made = dmattn_backward_key_pass(&b, &t, pass), *expected = &rows[i].pass[pass];
            cr_expect_eq(made.gradients, expected->gradients, "row %zu, pass %u", i, pass);
            cr_expect(!made.gradients || made.first == expected->first, "row %zu, pass %u", i, pass);
        }
    }
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

/* Counts work items as schedule_keys.comp makes them, if size[i] tiles of queries see tile i: all items, and those of
 * split tiles, which store partial results. */
static void share_out(const uint32_t *size, uint32_t tiles, uint32_t *items, uint32_t *partials)
{
    float sum = 0;
    for (uint32_t i = 0; i < tiles; i++)
        sum += (float)size[i];
    const uint32_t even = (uint32_t)(sum / WORK_ITEMS * 1.001F) + 1;
    const uint32_t share = even > MIN_ITEM_TILES ? even : MIN_ITEM_TILES;
    *items = *partials = 0;
    for (uint32_t i = 0; i < tiles; i++) {
        const uint32_t cuts = size[i] > share ? (size[i] + share - 1) / share : 1;
        *items += cuts;
        *partials += cuts > 1 ? cuts : 0;
    }
}

/* For any visible ranges of keys, the memory holds all work items and partial results. */
Test(backward_tile, work_has_room)
{
    static uint32_t size[5000];
    srand(1);
    for (int round = 0; round < 300; round++) {
        const attention_tile t = {.rows = 16, .keys = 64, .heads_per_tile = 4};
        const uint32_t keys = 1 + (uint32_t)rand() % (round % 2 ? 200000 : 2000);
        const uint32_t queries = 1 + (uint32_t)rand() % (round % 3 ? 100000 : 300);
        const backward_desc b = resolved((backward_desc){
            .attention = {.batch = 1, .queries = queries, .keys = keys, .heads = 4, .kv_heads = 1, .head_dim = 64}});
        const uint32_t tiles = (keys + 63) / 64, most = (queries + 3) / 4, rare = 1 + (uint32_t)rand() % 40;
        for (uint32_t i = 0; i < tiles; i++)
            size[i] = (uint32_t)rand() % rare ? (uint32_t)rand() % (1 + most / 50) : (uint32_t)rand() % (most + 1);
        if (round % 5 == 0)
            size[0] = most;
        uint32_t items, partials;
        share_out(size, tiles, &items, &partials);
        const grid g = dmattn_backward_key_grid(&b, &t), join = dmattn_backward_combine_grid(&b, &t);
        cr_expect_leq(items, g.x * g.y, "%u items", items);
        cr_expect_geq(join.x * join.y, tiles);
        const uint64_t lists = 16 * (2 * (uint64_t)tiles + WORK_ITEMS + WORK_HEADER),
                       partial_bytes = 4 * 64 * (64 + 64 + 1);
        cr_expect_geq(dmattn_backward_schedule_bytes(&b, &t), lists + partials * partial_bytes,
                      "%u partial results of %u tiles", partials, tiles);
    }
}

/* If no tile can be split, there is no memory for partial results. */
Test(backward_tile, small_work)
{
    const attention_tile t = {.rows = 16, .keys = 64, .heads_per_tile = 1};
    const backward_desc b =
        resolved((backward_desc){.attention = {.batch = 2, .queries = 128, .keys = 100, .heads = 3, .head_dim = 64}});
    cr_expect_eq(dmattn_backward_schedule_bytes(&b, &t), 16 * (2 * 2 * 3 * 2 + WORK_ITEMS + WORK_HEADER));
}

/* With selected keys, tiles have at most as many queries and keys as entries of lists have bits, also if each kv head
 * has one query head. By NVIDIA's layout, all rows are in registers up to 128 dimensions. */
Test(backward_tile, selected_keys)
{
    capabilities caps = matrix_capabilities();
    backward_tiles t;
    char why[200] = "";
    for (uint32_t i = 0; i < 3 * 2 * 2 * 5; i++) {
        const dmattn_level level = DMATTN_LEVEL_PORTABLE + i % 3;
        const uint32_t kv_heads = i / 3 % 2 ? 4 : 1, dim = 16u << i / 12;
        const bool fragments = i / 6 % 2;
        caps.fragment_layout = fragments ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
        const backward_desc b = resolved((backward_desc){.attention = {.batch = 1,
                                                                       .queries = 300,
                                                                       .keys = 300,
                                                                       .heads = 4,
                                                                       .kv_heads = kv_heads,
                                                                       .head_dim = dim,
                                                                       .type = DMATTN_TYPE_F16,
                                                                       .mask = DMATTN_MASK_SELECTED,
                                                                       .selected_count = 9}});
        cr_assert(dmattn_backward_tiles_choose(&caps, &b, level, &t, why, sizeof why), "%s", why);
        cr_expect(dmattn_tile_queries(&t.query) <= 64 && t.key.keys <= 64);
        cr_expect_leq(dmattn_backward_query_shared_memory(&t.query, &b.attention), caps.shared_memory);
        cr_expect_leq(dmattn_backward_key_shared_memory(&t.key, &b.attention), caps.shared_memory);
        if (level == DMATTN_LEVEL_PORTABLE)
            continue;
        expect_tiles(&t, &caps, &b.attention);
        cr_expect_eq(t.query.form, fragments ? FORM_FRAGMENTS : dmattn_level_forms(level)[LEVEL_FORMS - 1]);
        if (fragments && dim <= 128)
            cr_expect(16 * t.query.query_blocks == dim && 16 * t.key.query_blocks == dim);
        dmattn_backward_kernel(&t.query, &b.attention, false, why);
        cr_expect(strstr(why, "backward_queries_selected_") == why, "%s", why);
    }
}

Test(backward_tile, key_lists)
{
    const struct {
        key_lists_desc d;
        uint64_t entries, bytes;
    } rows[] = {
        /* each number is in one tile of keys, so a query is in at most as many lists as it has numbers */
        {{.planes = 3, .queries = 100, .keys = 1000, .count = 7, .block = 1, .list_queries = 16, .tile_keys = 32},
         3 * 100 * 7,
         3 * 32 * 16 + 8 * 3 * 100 * 7},
        /* and in no more than there are tiles */
        {{.planes = 1, .queries = 10, .keys = 130, .count = 50, .block = 16, .list_queries = 16, .tile_keys = 64},
         10 * 3,
         3 * 16 + 12 * 10 * 3},
        /* a block is in several tiles */
        {{.planes = 1, .queries = 10, .keys = 10000, .count = 2, .block = 128, .list_queries = 16, .tile_keys = 32},
         10 * 2 * 5,
         313 * 16 + 8 * 10 * 2 * 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(dmattn_key_lists_entries(&rows[i].d), rows[i].entries, "row %zu", i);
        cr_expect_eq(dmattn_key_lists_bytes(&rows[i].d), rows[i].bytes, "row %zu", i);
    }
}
