/* SPDX-License-Identifier: MIT
 * How a selector is divided: tiles fit the device, scores of rounds fit the workspace, and rows have all numbers. */
#include "selector/desc.h"
#include "selector/tile.h"

#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static dmattn_selector_desc resolve(dmattn_selector_desc d)
{
    dmattn_selector_desc resolved;
    cr_assert_eq(dmattn_selector_desc_resolve(&d, &resolved, NULL), DMATTN_SUCCESS);
    return resolved;
}

static dmattn_selector_desc indexer(dmattn_type type, uint32_t queries, uint32_t keys, uint32_t heads, uint32_t dim)
{
    return resolve((dmattn_selector_desc){.type = type,
                                          .batch = 1,
                                          .queries = queries,
                                          .keys = keys,
                                          .heads = heads,
                                          .kv_heads = 1,
                                          .head_dim = dim,
                                          .relu = true,
                                          .weights = true,
                                          .count = 2048,
                                          .causal = true});
}

static void check_tile(const capabilities *caps, const dmattn_selector_desc *d, dmattn_level level)
{
    selector_tile t;
    char why[200] = "";
    if (!dmattn_selector_tile_choose(caps, d, level, &t, why, sizeof why)) {
        cr_expect_neq(level, DMATTN_LEVEL_PORTABLE);
        cr_expect_neq(*why, 0);
        return;
    }
    cr_expect_leq(dmattn_selector_tile_shared_memory(&t, d), caps->shared_memory);
    cr_expect_leq(t.workgroup, caps->max_invocations);
    cr_expect_eq(t.keys % 4, 0); /* rows of scores begin at multiples of 16 bytes */
    if (level == DMATTN_LEVEL_PORTABLE) {
        cr_expect_eq(t.queries % t.query_lanes, 0);
        cr_expect_eq(t.keys % (t.workgroup / t.query_lanes), 0);
        return;
    }
    cr_expect_eq(t.workgroup % t.subgroup_size, 0);
    cr_expect_eq(t.keys % (t.workgroup / t.subgroup_size * t.matrix.n), 0);
    cr_expect_eq(t.matrix.m % t.row_heads, 0);
    cr_expect_eq(d->heads / d->list_heads % t.row_heads, 0);
    cr_expect_eq(t.queries % (t.matrix.m / t.row_heads), 0);
}

Test(selector_tile, fits_every_device)
{
    static const uint32_t shared[] = {16384, 32768, 49152, 65536, 233472}, subgroups[] = {8, 16, 32, 64, 128};
    static const uint32_t dims[] = {8, 40, 64, 128, 256, 576}, heads[] = {1, 3, 12, 64};
    static const matrix_shape shapes[] = {{16, 16, 16}, {8, 16, 16}, {16, 8, 16}, {8, 8, 16}, {16, 16, 8}, {8, 8, 8}};
    capabilities caps = matrix_capabilities();
    for (int i = 0; i < 5 * 5 * 6 * 4 * 6; i++) {
        int rest = i;
        caps.shared_memory = shared[rest % 5], rest /= 5;
        caps.min_subgroup_size = caps.max_subgroup_size = caps.subgroup_size = subgroups[rest % 5], rest /= 5;
        const uint32_t dim = dims[rest % 6], head_count = heads[rest / 6 % 4];
        caps.matrix[DMATTN_TYPE_F16] = shapes[rest / 24];
        for (uint32_t queries = 1; queries < 100; queries *= 3) {
            const dmattn_selector_desc d = indexer(DMATTN_TYPE_F16, queries, 1000, head_count, dim);
            check_tile(&caps, &d, DMATTN_LEVEL_PORTABLE);
            check_tile(&caps, &d, DMATTN_LEVEL_MATRIX);
        }
    }
}

/* Vulkan guarantees 16 KiB of shared memory and 128 invocations. */
Test(selector_tile, portable_needs_no_more_than_vulkan_guarantees)
{
    capabilities caps = usual_capabilities();
    caps.shared_memory = 16384;
    caps.max_invocations = 128;
    for (uint32_t queries = 1; queries < 100; queries *= 2) {
        const dmattn_selector_desc d = indexer(DMATTN_TYPE_F32, queries, 1000, 4, 576);
        check_tile(&caps, &d, DMATTN_LEVEL_PORTABLE);
    }
}

Test(selector_tile, chooses_levels)
{
    const capabilities caps = matrix_capabilities(), without = usual_capabilities();
    const dmattn_selector_desc f16 = indexer(DMATTN_TYPE_F16, 100, 1000, 4, 64);
    const dmattn_selector_desc f32 = indexer(DMATTN_TYPE_F32, 100, 1000, 4, 64);
    selector_tile t;
    char why[200];
    cr_expect(dmattn_selector_tile_choose(&caps, &f16, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    cr_expect_not(dmattn_selector_tile_choose(&caps, &f16, DMATTN_LEVEL_MATRIX2, &t, why, sizeof why));
    cr_expect_not(dmattn_selector_tile_choose(&caps, &f32, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    cr_expect_not(dmattn_selector_tile_choose(&without, &f16, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
}

/* A query with many heads fills the rows of matrices with heads. */
Test(selector_tile, rows_are_heads_of_few_queries)
{
    const capabilities caps = matrix_capabilities();
    static const struct {
        uint32_t queries, heads, row_heads, tile_queries;
    } wanted[] = {{1, 64, 16, 1},  {2, 64, 8, 2},   {3, 64, 4, 4},  {1, 12, 4, 4},
                  {16, 64, 1, 16}, {17, 64, 1, 32}, {99, 64, 1, 64}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const dmattn_selector_desc d = indexer(DMATTN_TYPE_F16, wanted[i].queries, 1000, wanted[i].heads, 64);
        selector_tile t;
        char why[200];
        cr_assert(dmattn_selector_tile_choose(&caps, &d, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
        cr_expect_eq(t.row_heads, wanted[i].row_heads, "case %zu: %u", i, t.row_heads);
        cr_expect_eq(t.queries, wanted[i].tile_queries, "case %zu: %u", i, t.queries);
    }
}

/* ---- few registers ----------------------------------------------------------------------------------------------- */

/* A device of a driver, with subgroups of `least` to `most` invocations and matrices of f16. */
static capabilities device(VkDriverId driver, uint32_t least, uint32_t most, matrix_shape shape)
{
    capabilities caps = matrix_capabilities();
    caps.driver = driver;
    caps.min_subgroup_size = least;
    caps.subgroup_size = caps.max_subgroup_size = most;
    caps.matrix[DMATTN_TYPE_F16] = shape;
    caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){0};
    return caps;
}

static capabilities bmg(void)
{
    return device(VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 16, 32, (matrix_shape){8, 16, 16});
}

static capabilities dg2(void)
{
    return device(VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 8, 32, (matrix_shape){8, 8, 16});
}

static capabilities h200(void)
{
    return device(VK_DRIVER_ID_NVIDIA_PROPRIETARY, 32, 32, (matrix_shape){16, 16, 16});
}

static capabilities lavapipe(void)
{
    capabilities caps = device(VK_DRIVER_ID_MESA_LLVMPIPE, 8, 8, (matrix_shape){8, 8, 8});
    caps.shared_memory = 32768;
    return caps;
}

static capabilities navi31(void)
{
    capabilities caps = device(VK_DRIVER_ID_MESA_RADV, 32, 64, (matrix_shape){16, 16, 16});
    caps.shared_memory = 65536;
    return caps;
}

/* Tiles that the compilers of these devices do not spill, and those of devices whose registers are no limit. Each text
 * has the invocations of a workgroup, queries x keys, the steps, and where rows of k are. */
Test(selector_tile, chooses_by_registers)
{
    static const struct {
        capabilities (*device)(void);
        uint32_t dim, list_heads;
        const char *tile;
    } wanted[] = {
        {bmg, 64, 1, "128 32x128 1 registers"},
        {bmg, 128, 1, "128 32x128 2 shared"},
        {bmg, 128, 64, "128 32x128 1 registers"}, /* no q is loaded ahead */
        {bmg, 192, 1, "64 32x64 1 shared"},
        {bmg, 576, 1, "portable"},
        {dg2, 64, 1, "64 32x64 1 registers"},
        {dg2, 128, 1, "64 32x64 1 shared"},
        {dg2, 256, 1, "portable"},
        {navi31, 128, 1, "256 64x256 4 registers"},
        {navi31, 256, 1, "128 64x64 1 registers"},
        {navi31, 320, 1, "128 64x64 1 shared"},
        {h200, 64, 1, "256 64x512 4 registers"},
        {h200, 128, 1, "256 64x256 4 registers"},
        {h200, 576, 1, "64 64x32 1 registers"},
        {lavapipe, 128, 1, "64 32x64 4 registers"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const capabilities caps = wanted[i].device();
        dmattn_selector_desc d = indexer(DMATTN_TYPE_F16, 4096, 32768, 64, wanted[i].dim);
        d.list_heads = wanted[i].list_heads;
        selector_tile t;
        char why[200], text[100] = "portable";
        if (dmattn_selector_tile_choose(&caps, &d, DMATTN_LEVEL_MATRIX, &t, why, sizeof why))
            snprintf(text, sizeof text, "%u %ux%u %u %s", t.workgroup, t.queries, t.keys, t.steps,
                     t.keys_shared ? "shared" : "registers");
        cr_expect_str_eq(text, wanted[i].tile, "case %zu: \"%s\" is chosen, but \"%s\" is written", i, text,
                         wanted[i].tile);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

Test(selector_tile, rounds)
{
    static const uint32_t lengths[] = {1, 100, 4096, 131072, 1 << 20, (1 << 30) - 1};
    const capabilities caps = usual_capabilities();
    for (int i = 0; i < 36; i++) {
        const dmattn_selector_desc d = indexer(DMATTN_TYPE_F32, lengths[i / 6], lengths[i % 6], 4, 64);
        selector_tile t;
        char why[200];
        cr_assert(dmattn_selector_tile_choose(&caps, &d, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why));
        const selector_layout l = dmattn_selector_layout(&d, &t);
        const uint64_t tile_bytes = UINT64_C(4) * t.queries * l.row_words;
        cr_expect_eq(l.tiles, (d.queries - 1) / t.queries + 1);
        cr_expect_geq((uint64_t)l.rounds * l.round_tiles, l.tiles);
        cr_expect_lt((uint64_t)(l.rounds - 1) * l.round_tiles, l.tiles); /* no round is empty */
        cr_expect_geq(l.row_words, d.keys);
        cr_expect_eq(l.row_words % t.keys, 0);
        cr_expect_eq(l.round_bytes, tile_bytes * l.round_tiles);
        cr_expect(l.round_tiles == 1 || l.round_bytes <= t.round_bytes);
    }
}
