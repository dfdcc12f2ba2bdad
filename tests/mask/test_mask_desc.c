/* SPDX-License-Identifier: MIT
 * The descriptors of masks and of dynamic mask attention: defaults, everything that is refused, sizes. */
#include "mask/importance.h"
#include "mask/selection.h"
#include "operators/dma.h"
#include "support/capabilities_fixture.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define SIZES .batch = 2, .queries = 50, .keys = 70, .kv_heads = 3, .value_dim = 16, .list_queries = 16
#define TOPW  .select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true

static dmattn_mask_desc resolved(dmattn_mask_desc desc)
{
    dmattn_mask_desc d;
    sentences s = {0};
    cr_assert_eq(dmattn_mask_desc_resolve(&desc, &d, &(messenger){sentences_keep, &s}), DMATTN_SUCCESS, "%s", s.text);
    cr_assert_eq(s.count, 0);
    return d;
}

static void expect_refused(dmattn_mask_desc desc, const char *part)
{
    dmattn_mask_desc d;
    sentences s = {0};
    cr_expect_eq(dmattn_mask_desc_resolve(&desc, &d, &(messenger){sentences_keep, &s}), DMATTN_ERROR_INVALID);
    cr_expect_eq(s.count, 1, "%d messages about %s", s.count, part);
    cr_expect(strstr(s.text, part), "no '%s' in: %s", part, s.text);
}

Test(mask_desc, refused)
{
    const dmattn_mask_desc good = {SIZES};
    dmattn_mask_desc d;
    expect_refused((dmattn_mask_desc){SIZES, .stages = 8}, "stages");
    expect_refused((dmattn_mask_desc){SIZES, .stages = DMATTN_STAGE_IMPORTANCE | DMATTN_STAGE_LISTS}, "stages");
    expect_refused((dmattn_mask_desc){0}, "batch");
    expect_refused((dmattn_mask_desc){.batch = 1, .kv_heads = 1}, "keys");
    expect_refused((dmattn_mask_desc){.batch = 1, .keys = 1}, "kv_heads");
    expect_refused((dmattn_mask_desc){.batch = 1, .keys = 1, .kv_heads = 1}, "queries");
    d = good;
    d.keys = 1u << 30;
    expect_refused(d, "keys");
    expect_refused((dmattn_mask_desc){SIZES, .type = (dmattn_type)7}, "type 7");
    d = good;
    d.value_dim = 12;
    expect_refused(d, "value_dim");
    d = good;
    d.kv_heads = 1u << 25;
    expect_refused(d, "kv_heads times value_dim");
    expect_refused((dmattn_mask_desc){SIZES, .importance = {.parameter_type = (dmattn_type)3}}, "parameter_type");
    expect_refused((dmattn_mask_desc){SIZES, .importance = {.activation = (dmattn_activation)2}}, "activation");
    expect_refused((dmattn_mask_desc){SIZES, .v_strides = {UINT64_MAX / 2, 1, 1}}, "v spans");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.select = (dmattn_select)4}}, "select 4");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {TOPW}}, "window");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.select = DMATTN_SELECT_THRESHOLD, .threshold = NAN}},
                   "threshold");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.documents = 1u << 30}}, "documents");
    /* members that the selection does not use */
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 9}},
                   "select is TOPW_CAUSAL, but causal is not set");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.window = 32, .causal = true}},
                   "window is 32, but select ALL does not use a window");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.select = DMATTN_SELECT_THRESHOLD, .window = 32}},
                   "select THRESHOLD does not use a window");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {TOPW, .window = 9, .threshold = 0.5f}},
                   "threshold is 0.5, but select TOPW_CAUSAL does not use a threshold");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.threshold = NAN}}, "threshold");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {TOPW, .window = 9, .tie_break = (dmattn_tie_break)2}},
                   "tie_break 2");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {TOPW, .window = 9, .tie_break = (dmattn_tie_break)-1}},
                   "tie_break -1");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.tie_break = DMATTN_TIE_BREAK_EARLIER}},
                   "tie_break is EARLIER, but select ALL does not rank keys");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.causal = true, .sinks = 4}}, "sinks is set");
    expect_refused((dmattn_mask_desc){SIZES, .selection = {.causal = true, .recent = 4}}, "recent is set");
    d = good;
    d.list_queries = 0;
    expect_refused(d, "list_queries");
    /* tensors whose sizes in bytes are 2^64 and 2^63 */
    const dmattn_mask_desc wide = {
        .batch = 1u << 15, .keys = 1u << 29, .kv_heads = 1u << 18, .value_dim = 8, .v_strides = {0, 0, 8}};
    d = wide;
    d.stages = DMATTN_STAGE_IMPORTANCE;
    expect_refused(d, "importance has more than 2^62 bytes");
    d = wide;
    d.stages = DMATTN_STAGE_INTERVALS;
    d.queries = 1;
    d.batch = 1u << 14;
    expect_refused(d, "begin has more than 2^62 bytes");
    d = (dmattn_mask_desc){.stages = DMATTN_STAGE_INTERVALS,
                           .batch = (1u << 30) - 1,
                           .queries = 1,
                           .keys = 1,
                           .kv_heads = 1,
                           .selection = {.documents = (1u << 30) - 1}};
    cr_expect_eq(dmattn_mask_tensor_bytes(&d, TENSOR_KEY_OFFSETS), 4 * ((UINT64_C(1) << 30) - 1) << 30);
    cr_expect_eq(dmattn_mask_desc_resolve(NULL, &d, NULL), DMATTN_ERROR_INVALID);
}

/* A selection that means the same as a simpler one becomes the simpler one. All numbers are small enough for sums in
 * the shaders. */
Test(mask_desc, simplified)
{
    dmattn_mask_desc d =
        resolved((dmattn_mask_desc){SIZES, .selection = {TOPW, .window = 70, .tie_break = DMATTN_TIE_BREAK_EARLIER}});
    cr_expect(d.selection.select == DMATTN_SELECT_ALL && d.selection.tie_break == DMATTN_TIE_BREAK_LATER);
    cr_expect_eq(d.stages, ALL_STAGES);
    d = resolved((dmattn_mask_desc){SIZES, .selection = {TOPW, .window = 69, .tie_break = DMATTN_TIE_BREAK_EARLIER}});
    cr_expect(d.selection.select == DMATTN_SELECT_TOPW_CAUSAL && d.selection.tie_break == DMATTN_TIE_BREAK_EARLIER);
    d = resolved((dmattn_mask_desc){
        SIZES, .selection = {.sinks = UINT32_MAX, .recent = UINT32_MAX, .sliding = UINT32_MAX, .causal = true}});
    cr_expect(d.selection.sinks == 0 && d.selection.recent == 0 && d.selection.sliding == 0);
    d = resolved((dmattn_mask_desc){
        SIZES, .selection = {.select = DMATTN_SELECT_THRESHOLD, .sinks = UINT32_MAX, .recent = UINT32_MAX}});
    cr_expect(d.selection.sinks == 70 && d.selection.recent == 70);
    d = resolved(
        (dmattn_mask_desc){.stages = DMATTN_STAGE_IMPORTANCE, .batch = 1, .keys = 5, .kv_heads = 2, .value_dim = 8});
    cr_expect(!d.queries && !d.list_queries && d.v_strides.sequence == 16);
    d = resolved((dmattn_mask_desc){SIZES, .stages = DMATTN_STAGE_LISTS, .selection = {TOPW}});
    cr_expect(d.selection.causal && d.selection.select == DMATTN_SELECT_ALL && !d.value_dim);
}

Test(mask_desc, tensors)
{
    const dmattn_mask_desc all =
        resolved((dmattn_mask_desc){SIZES, .type = DMATTN_TYPE_F16, .importance = {.dt_bias = true},
                                    .selection = {TOPW, .window = 5, .key_valid = true, .documents = 4}});
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_V), 2 * 2 * 70 * 3 * 16);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_DT_WEIGHT), 4 * 3 * 3 * 16);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_A), 12);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_DT_BIAS), 12);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_KEY_VALID), 140);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_KEY_OFFSETS), 4 * 2 * 5);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_IMPORTANCE), 4 * 2 * 3 * 70);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_END), 4 * 2 * 3 * 70);
    cr_expect_eq(dmattn_mask_tensor_bytes(&all, TENSOR_Q), 0);
    dmattn_mask_desc d = resolved((dmattn_mask_desc){SIZES, .stages = DMATTN_STAGE_INTERVALS});
    cr_expect_eq(dmattn_mask_tensor_bytes(&d, TENSOR_IMPORTANCE), 0, "if all keys are kept, it is not needed");
    cr_expect_eq(dmattn_mask_tensor_bytes(&d, TENSOR_V), 0);
    d = resolved((dmattn_mask_desc){SIZES, .stages = DMATTN_STAGE_LISTS});
    cr_expect_eq(dmattn_mask_tensor_bytes(&d, TENSOR_BEGIN), 4 * 2 * 3 * 70);
}

/* The capacity of a list, also if no bound is known. */
Test(mask_desc, list_capacity)
{
    const struct {
        dmattn_selection selection;
        uint32_t keys, wanted, capacity;
    } rows[] = {
        {{TOPW, .window = 1024}, 32768, 0, 1040},
        {{TOPW, .window = 1024, .sinks = 4, .recent = 20}, 32768, 0, 1072},
        {{TOPW, .window = 1024, .sinks = 4, .sliding = 100}, 32768, 0, 128},
        {{.select = DMATTN_SELECT_TOPW_SHARED, .window = 30, .sliding = 5}, 32768, 0, 48},
        {{TOPW, .window = 90}, 100, 0, 112},
        {{TOPW, .window = 1024}, 32768, 500, 1024}, /* too small: blocks must fit */
        {{TOPW, .window = 1024}, 32768, 5000, 5008},
        {{TOPW, .window = 100, .documents = 3}, 32768, 0, 1024}, /* a tile may see the windows of several documents */
        {{.select = DMATTN_SELECT_THRESHOLD}, 32768, 0, 4112},
        {{.select = DMATTN_SELECT_THRESHOLD}, 1u << 20, 0, 32768},
        {{.causal = true}, 4000, 0, 4000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_mask_desc d = resolved((dmattn_mask_desc){.stages = DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS,
                                                               .batch = 1,
                                                               .queries = 1000,
                                                               .keys = rows[i].keys,
                                                               .kv_heads = 1,
                                                               .selection = rows[i].selection,
                                                               .list_queries = 16,
                                                               .list_capacity = rows[i].wanted});
        cr_expect_eq(d.list_capacity, rows[i].capacity, "row %zu: %u instead of %u", i, d.list_capacity,
                     rows[i].capacity);
    }
}

/* A mask without its lists may need at most 64 bytes per key and head. */
Test(mask_desc, scratch)
{
    const uint32_t keys[] = {1, 1024, 1025, 32768, 131072, 1u << 20};
    const uint32_t levels[] = {10, 10, 11, 15, 17, 20};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        dmattn_mask_desc d = {.batch = 2, .kv_heads = 4, .queries = keys[i], .keys = keys[i]};
        d.selection = (dmattn_selection){TOPW, .window = 1};
        const sort_layout l = dmattn_sort_layout(8, keys[i]);
        cr_expect_eq(l.levels, levels[i], "%u keys: %u levels", keys[i], l.levels);
        cr_expect(l.padded >= keys[i] && l.padded < keys[i] + TREE_BLOCK && l.padded % TREE_BLOCK == 0);
        cr_expect_leq(dmattn_selection_scratch_bytes(&d), UINT64_C(24) * 8 * l.padded);
        d.selection = (dmattn_selection){0};
        cr_expect_eq(dmattn_selection_scratch_bytes(&d), 0);
    }
}

Test(mask_desc, importance_on_every_device)
{
    for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2)
        for (uint32_t heads = 1; heads <= 20; heads++) {
            capabilities caps = usual_capabilities();
            caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
            const dmattn_mask_desc d =
                resolved((dmattn_mask_desc){.stages = 1, .batch = 3, .keys = 1000, .kv_heads = heads, .value_dim = 24});
            uint32_t c[IMPORTANCE_CONSTANT_COUNT];
            dmattn_importance_constants(&caps, &d, c);
            cr_expect_leq(c[IMPORTANCE_COLUMN_LANES], subgroup);
            cr_expect_eq(c[IMPORTANCE_WORKGROUP] % subgroup, 0);
            const grid g = dmattn_importance_grid(&d, c);
            cr_expect_geq(g.x * (c[IMPORTANCE_WORKGROUP] / c[IMPORTANCE_COLUMN_LANES]) * c[IMPORTANCE_LANE_KEYS], 1000);
            cr_expect_geq(g.y * c[IMPORTANCE_LANE_HEADS], heads);
            cr_expect_eq(g.z, 3);
        }
}

/* ---- both in one --------------------------------------------------------------------------------------------- */

#define ATTENTION .batch = 2, .queries = 50, .keys = 70, .heads = 6, .kv_heads = 3, .head_dim = 16

static void expect_dma_refused(dmattn_dma_desc desc, const char *part)
{
    dma_descs descs;
    sentences s = {0};
    cr_expect_eq(dmattn_dma_desc_resolve(&desc, &descs, &(messenger){sentences_keep, &s}), DMATTN_ERROR_INVALID);
    cr_expect_eq(s.count, 1);
    cr_expect(strstr(s.text, part), "no '%s' in: %s", part, s.text);
}

Test(dma_desc, refused)
{
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .mask = DMATTN_MASK_DENSE}}, "mask");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .bias = true}}, "bias");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .lists = true}}, "lists");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .causal = true}}, "causal");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .list_capacity = 4}}, "list_capacity");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .counts = true}}, "attention.counts");
    /* pages of two rows of k and v in f32, of 3 heads: 768 bytes, and then 24 bytes of importances */
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION, .page_size = 2, .pages = 9, .page_bytes = 784},
                                         .importance_given = true},
                       "must be at least 800");
    dmattn_dma_desc d = {.attention = {ATTENTION}};
    d.attention.head_dim = 9;
    expect_dma_refused(d, "head_dim");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION}, .selection = {TOPW}}, "window");
    expect_dma_refused((dmattn_dma_desc){.attention = {ATTENTION}, .importance = {.activation = (dmattn_activation)9}},
                       "activation");
    dma_descs descs;
    cr_expect_eq(dmattn_dma_desc_resolve(NULL, &descs, NULL), DMATTN_ERROR_INVALID);
}

Test(dma_desc, operators)
{
    const dmattn_dma_desc desc = {.attention = {ATTENTION, .type = DMATTN_TYPE_BF16, .value_dim = 24, .lse = true},
                                  .selection = {TOPW, .window = 9}};
    dma_descs descs;
    cr_assert_eq(dmattn_dma_desc_resolve(&desc, &descs, NULL), DMATTN_SUCCESS);
    cr_expect_eq(descs.attention.mask, DMATTN_MASK_INTERVALS);
    cr_expect(descs.attention.mask_shape.batch == 2 && descs.attention.mask_shape.heads == 3);
    cr_expect_eq(dmattn_dma_tensor_bytes(&descs, TENSOR_IMPORTANCE), 4 * 2 * 3 * 70);
    cr_expect_eq(dmattn_dma_tensor_bytes(&descs, TENSOR_BIAS), 0);
    cr_expect_eq(dmattn_dma_tensor_bytes(&descs, TENSOR_DT_WEIGHT), 4 * 3 * 3 * 24);
    cr_expect_eq(dmattn_dma_tensor_bytes(&descs, TENSOR_V), 2 * 2 * 70 * 3 * 24);
}

/* ---- how many invocations sort a block of keys --------------------------------------------------------------- */

Test(sort, workgroup)
{
    static const struct {
        uint64_t planes;
        uint32_t keys, max_invocations, expected;
    } cases[] = {
        {1, 1, 1024, 1024},
        {4, 16384, 1024, 1024},
        {4, 16385, 1024, 256},
        {1, 65537, 1024, 256},
        {64, 1000, 512, 512},
        {65, 1000, 512, 256},
        {UINT64_C(1) << 40, 1, 128, 128},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const capabilities caps = {.max_invocations = cases[i].max_invocations};
        cr_expect_eq(dmattn_sort_workgroup(&caps, cases[i].planes, cases[i].keys), cases[i].expected, "case %zu", i);
    }
}
