/* SPDX-License-Identifier: MIT
 * Plans for all lengths up to a maximum, without a device: the runs tried here have the tiles that plans of their own
 * lengths have, and the memory of the plan is enough for all runs. */
#include "attention/stage.h"
#include "mask/lists.h"
#include "sort.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- problems ---------------------------------------------------------------------------------------------------- */

static capabilities device(int kind)
{
    capabilities caps = kind == 0 ? usual_capabilities() : matrix_capabilities();
    if (kind == 2) { /* the fragment layout is known */
        caps.driver = VK_DRIVER_ID_NVIDIA_PROPRIETARY;
        caps.fragment_layout = LAYOUT_QUAD_ROWS;
        caps.narrow_matrices = true;
    }
    if (kind == 3) { /* small subgroups, without matrices */
        caps = usual_capabilities();
        caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 8;
    }
    return caps;
}

static const dmattn_attention_desc problems[] = {
    {.type = DMATTN_TYPE_F16, .batch = 1, .heads = 32, .kv_heads = 8, .head_dim = 128, .causal = true},
    {.type = DMATTN_TYPE_F16, .batch = 1, .heads = 16, .kv_heads = 16, .head_dim = 64},
    {.type = DMATTN_TYPE_F32, .batch = 2, .heads = 8, .kv_heads = 1, .head_dim = 256, .causal = true},
    {.type = DMATTN_TYPE_BF16, .batch = 1, .heads = 1, .kv_heads = 1, .head_dim = 128},
    {.type = DMATTN_TYPE_F16, .batch = 3, .heads = 128, .kv_heads = 1, .head_dim = 576, .value_dim = 512},
    {.type = DMATTN_TYPE_F16,
     .batch = 5,
     .heads = 24,
     .kv_heads = 8,
     .head_dim = 80,
     .mask = DMATTN_MASK_DENSE,
     .mask_shape = {.queries = 2}},
};

/* A number from 1 to `most`; small ones are as likely as large ones. */
static uint32_t random_length(uint32_t most)
{
    uint32_t bits = 0;
    while (bits < 31 && 1u << bits < most)
        bits++;
    const uint32_t scale = 1u << (uint32_t)rand() % (bits + 1), n = 1 + (uint32_t)rand() % scale;
    return n < most ? n : most;
}

static dmattn_attention_desc resolved(const dmattn_attention_desc *problem, uint32_t queries, uint32_t keys)
{
    dmattn_attention_desc d = *problem;
    d.queries = queries;
    d.keys = keys;
    d.lengths = true;
    if (d.mask_shape.queries)
        d.mask_shape.queries = queries;
    cr_assert_eq(dmattn_attention_desc_resolve(&d, &d, NULL), DMATTN_SUCCESS);
    return d;
}

/* The stage of a plan, without pipelines. */
static attention_stage stage_of(const capabilities *caps, const dmattn_attention_desc *d)
{
    const struct dmattn_context ctx = {.caps = *caps};
    attention_stage s;
    memset(&s, 0, sizeof s);
    cr_assert_eq(dmattn_attention_stage_choose(&s, &ctx, d, NULL), DMATTN_SUCCESS);
    return s;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

Test(variants, each_run_has_the_tile_of_its_lengths)
{
    unsigned several = 0;
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
            const capabilities caps = device(kind);
            const dmattn_attention_desc most = resolved(&problems[i], 32768, 32768);
            const attention_stage plan = stage_of(&caps, &most);
            const attention_variants *v = &plan.variants;
            unsigned other = 0, splits = 0;
            cr_expect(v->count >= 1 && v->count < MOST_VARIANTS, "device %d, problem %zu: %u tiles", kind, i, v->count);
            for (int n = 0; n < 1000; n++) {
                const dmattn_attention_desc run =
                    resolved(&problems[i], random_length(most.queries), random_length(most.keys));
                attention_tile want, got;
                char why[224];
                cr_assert(dmattn_tile_choose(&caps, &run, plan.tile.level, &want, why, sizeof why));
                const attention_variant *variant = dmattn_attention_variant_for(v, &caps, &run, &got);
                cr_expect(variant >= v->of && variant < v->of + v->count);
                cr_expect(got.splits == 1 || variant->splits);
                cr_expect(got.rows == want.rows && got.keys == want.keys && got.workgroup == want.workgroup
                              && got.splits == want.splits && got.form == want.form,
                          "device %d, problem %zu: %u queries, %u keys: %ux%u in %u splits instead of %ux%u in %u",
                          kind, i, run.queries, run.keys, got.rows, got.keys, got.splits, want.rows, want.keys,
                          want.splits);
                other += variant != v->of;
                splits += got.splits > 1;
            }
            cr_expect(splits && (other > 0) == (v->count > 1),
                      "device %d, problem %zu: %u runs of other tiles, %u of splits", kind, i, other, splits);
            several += v->count > 1;
        }
    cr_expect_gt(several, 8);
}

/* A tile that the caller gives, or that lists are made for, is the only one. */
Test(variants, one_tile)
{
    const capabilities caps = device(0);
    dmattn_attention_desc d = resolved(&problems[0], 32768, 32768);
    attention_stage s = stage_of(&caps, &d);
    cr_expect_eq(dmattn_attention_variants(&caps, &d, &s.tile, true).count, 1);
    d.mask = DMATTN_MASK_INTERVALS;
    s = stage_of(&caps, &d);
    cr_expect(s.variants.count == 1 && s.variants.of[0].splits, "a run with few queries splits the keys");
    d.lengths = false;
    s = stage_of(&caps, &d);
    cr_expect(s.variants.count == 1 && !s.variants.of[0].splits);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

Test(variants, memory_is_enough)
{
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
            for (int n = 0; n < 30; n++) {
                const capabilities caps = device(kind);
                const dmattn_attention_desc most = resolved(&problems[i], random_length(32768), random_length(32768));
                const attention_stage plan = stage_of(&caps, &most);
                const uint64_t partials = dmattn_attention_partial_bytes(&plan);
                const uint64_t bitmap = dmattn_attention_mask_tiles_bytes(&plan);
                for (int m = 0; m < 30; m++) {
                    attention_stage run = plan;
                    const dmattn_attention_desc d =
                        resolved(&problems[i], random_length(most.queries), random_length(most.keys));
                    dmattn_attention_stage_shorten(&run, &caps, &d);
                    const uint64_t rows = dmattn_attention_partial_rows(&d, &run.tile);
                    cr_expect_leq(4 * rows * (d.value_dim + UINT64_C(2)), partials);
                    cr_expect_leq(dmattn_mask_tiles_bytes(&d, &run.tile), bitmap);
                    cr_expect(run.mask_grid.x <= 65535 && run.attention_grid.z <= 65535);
                }
            }
}

/* The sort and the lists of a shorter run need no more memory than those of the longest one, in each of their parts. */
Test(variants, memory_of_masks_is_enough)
{
    static const dmattn_selection selections[] = {
        {0},
        {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 1024, .causal = true},
        {.causal = true, .sliding = 512},
        {.select = DMATTN_SELECT_TOPW_SHARED, .window = 100, .recent = 64},
    };
    for (int n = 0; n < 20000; n++) {
        const dmattn_selection *s = &selections[n % 4];
        lists_desc most = {.batch = 2,
                           .heads = 3,
                           .queries = random_length(1 << 20),
                           .keys = random_length(1 << 20),
                           .list_queries = 1u << (4 + rand() % 4),
                           .lengths = true};
        most.bound = dmattn_selection_bound(s, most.keys);
        most.capacity = dmattn_list_capacity(most.bound, most.keys, most.list_queries, 0);
        lists_desc run = most;
        run.queries = random_length(most.queries);
        run.keys = random_length(most.keys);
        run.bound = dmattn_selection_bound(s, run.keys);
        run.capacity = dmattn_list_capacity(run.bound, run.keys, run.list_queries, 0);
        const lists_layout all = dmattn_lists_layout(&most), part = dmattn_lists_layout(&run);
        cr_expect_leq(part.level_count, all.level_count);
        cr_expect_leq(dmattn_lists_bytes(&part), dmattn_lists_bytes(&all), "%u of %u queries, %u of %u keys",
                      run.queries, most.queries, run.keys, most.keys);
        cr_expect_leq(part.scratch_bytes, all.scratch_bytes, "%u of %u queries, %u of %u keys", run.queries,
                      most.queries, run.keys, most.keys);
        const sort_layout sorted = dmattn_sort_layout(6, most.keys), less = dmattn_sort_layout(6, run.keys);
        cr_expect_leq(dmattn_sort_scratch_bytes(&less), dmattn_sort_scratch_bytes(&sorted));
    }
}
