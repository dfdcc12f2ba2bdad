/* SPDX-License-Identifier: MIT
 * The layout of caches, and the constants of the kernels of decoding. */
#include "attention/desc.h"
#include "attention/pages.h"
#include "decode/stage.h"
#include "decode_descs.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- the cache ----------------------------------------------------------------------------------------------- */

Test(decode_layout, slots)
{
    const struct {
        dmattn_selection selection;
        uint32_t tokens, rollback, slots;
    } rows[] = {
        {{TOPW, .window = 1}, 1, 0, 16},
        {{TOPW, .window = 15}, 1, 0, 16},
        {{TOPW, .window = 16}, 1, 0, 32},
        {{TOPW, .window = 16}, 16, 0, 32},
        {{TOPW, .window = 16}, 16, 16, 32}, /* the larger one of new tokens and tokens that may be taken back */
        {{TOPW, .window = 17}, 1, 16, 48},
        {{TOPW, .window = 10, .sinks = 2, .recent = 3}, 1, 0, 16},
        {{TOPW, .window = 10, .sinks = 2, .recent = 4}, 1, 0, 32},
        {{TOPW, .window = 10, .sinks = 2, .sliding = 1000}, 1, 0, 16},
        {{.causal = true, .sliding = 10, .sinks = 2, .recent = 1000}, 4, 0, 16},
        {{.causal = true, .sliding = 10, .sinks = 2}, 4, 5, 32},
        {{.select = DMATTN_SELECT_THRESHOLD, .causal = true, .sliding = 15}, 1, 1, 16},
        {{TOPW, .window = 1u << 24, .recent = 1u << 23}, 1, 0, 3 * (1u << 23) + 16},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dmattn_decode_desc desc = bounded;
        desc.selection = rows[i].selection;
        desc.attention.queries = rows[i].tokens;
        desc.rollback = rows[i].rollback;
        const dmattn_decode_desc d = resolved(desc);
        cr_expect_eq(dmattn_cache_slots(&d), rows[i].slots, "row %zu: %llu slots", i,
                     (unsigned long long)dmattn_cache_slots(&d));
        cr_expect_eq(dmattn_decode_layout(&d).slots, rows[i].slots, "row %zu", i);
    }
}

/* The state has a header of 48 bytes per head and 64 slots. Its arrays follow one another. */
Test(decode_layout, bounded)
{
    for (int i = 0; i < 3; i++) {
        dmattn_decode_desc desc = bounded;
        desc.attention.type = (dmattn_type)i;
        const dmattn_decode_desc d = resolved(desc);
        const dmattn_cache_layout l = dmattn_decode_layout(&d);
        const uint64_t size = i ? 2 : 4;
        cr_expect_eq(l.slots, 64);
        cr_expect_eq(l.slot_words, 48 * 2);
        cr_expect_eq(l.keys, l.slot_words + 16 * 2 * 64);
        cr_expect_eq(l.values, l.keys + size * 16 * 2 * 64);
        cr_expect_eq(l.sequence_size, l.values + size * 24 * 2 * 64);
        cr_expect_eq(l.state_size, 3 * l.sequence_size);
        cr_expect(!l.page_size && !l.pages_size && !l.table_pages);
    }
}

Test(decode_layout, bounded_is_aligned)
{
    for (int type = 0; type < 3; type++)
        for (uint32_t heads = 1; heads <= 9; heads++)
            for (uint32_t dim = 8; dim <= 256; dim += 8) {
                dmattn_decode_desc desc = bounded;
                desc.attention.type = (dmattn_type)type;
                desc.attention.heads = desc.attention.kv_heads = heads;
                desc.attention.head_dim = dim;
                desc.attention.value_dim = 264 - dim;
                desc.selection.window = heads + dim;
                const dmattn_decode_desc d = resolved(desc);
                const dmattn_cache_layout l = dmattn_decode_layout(&d);
                cr_assert_eq((l.slot_words | l.keys | l.values | l.sequence_size) % 16, 0);
                cr_assert(l.slot_words < l.keys && l.keys < l.values && l.values < l.sequence_size);
            }
}

Test(decode_layout, paged)
{
    dmattn_decode_desc desc = paged;
    dmattn_decode_desc d = resolved(desc);
    dmattn_cache_layout l = dmattn_decode_layout(&d);
    cr_expect_eq(l.page_size, 2 * 32 * (4 * (16 + 24) + 4));
    cr_expect_eq(l.pages_size, 7 * l.page_size);
    cr_expect_eq(l.table_pages, 4);
    cr_expect_eq(l.sequence_size, 48 * 2);
    cr_expect_eq(l.state_size, 3 * 48 * 2);
    cr_expect(!l.slots && !l.slot_words && !l.keys && !l.key_scales && !l.value_scales);
    cr_expect_eq(l.values, 2 * 32 * 4 * 16);
    cr_expect_eq(l.importance, 2 * 32 * 4 * (16 + 24));
    desc.attention.type = DMATTN_TYPE_BF16;
    desc.importance_given = true;
    desc.max_keys = 96;
    d = resolved(desc);
    l = dmattn_decode_layout(&d);
    cr_expect_eq(l.page_size, 2 * 32 * (2 * (16 + 24) + 4));
    cr_expect_eq(l.table_pages, 3);
    desc.importance_given = false;
    desc.no_importance = true;
    desc.max_keys = 97;
    d = resolved(desc);
    l = dmattn_decode_layout(&d);
    cr_expect_eq(l.page_size, 2 * 32 * 2 * (16 + 24));
    cr_expect_eq(l.table_pages, 4);
    cr_expect_eq(l.page_size % 16, 0);
}

/* Rows of all formats: each array begins at a multiple of 16 bytes, also in pages of a token. */
Test(decode_layout, formats)
{
    dmattn_decode_desc desc = paged;
    desc.attention.head_dim = desc.attention.value_dim = 32;
    desc.attention.k_format = DMATTN_FORMAT_Q8_0;
    desc.attention.v_format = DMATTN_FORMAT_E4M3;
    desc.page_size = 1;
    dmattn_decode_desc d = resolved(desc);
    dmattn_cache_layout l = dmattn_decode_layout(&d);
    cr_expect_eq(l.values, 80, "two rows of 34 bytes");
    cr_expect_eq(l.key_scales, 0);
    cr_expect_eq(l.value_scales, 80 + 64);
    cr_expect_eq(l.importance, 80 + 64 + 16);
    cr_expect_eq(l.page_size, 80 + 64 + 16 + 16);
    desc.attention.k_format = DMATTN_FORMAT_INT8;
    desc.attention.v_format = DMATTN_FORMAT_Q4_0;
    desc.page_size = 32;
    d = resolved(desc);
    l = dmattn_decode_layout(&d);
    cr_expect_eq(l.values, 64 * 32);
    cr_expect_eq(l.key_scales, 64 * (32 + 18));
    cr_expect_eq(l.value_scales, 0);
    cr_expect_eq(l.importance, 64 * (32 + 18 + 4));
    cr_expect_eq(l.page_size, 64 * (32 + 18 + 4 + 4));
    desc = bounded;
    desc.attention.k_format = desc.attention.v_format = DMATTN_FORMAT_INT8;
    d = resolved(desc);
    l = dmattn_decode_layout(&d);
    cr_expect_eq(l.values, l.keys + 128 * 16);
    cr_expect_eq(l.key_scales, l.values + 128 * 24);
    cr_expect_eq(l.value_scales, l.key_scales + 128 * 4);
    cr_expect_eq(l.sequence_size, l.value_scales + 128 * 4);
}

/* Attention reads the pages that decoding writes. */
Test(decode_layout, pages_of_attention)
{
    static const uint32_t page_sizes[] = {1, 2, 8, 48, 256};
    for (int k = 0; k < 8; k++)
        for (int v = 0; v < 8; v++)
            for (size_t i = 0; i < COUNT(page_sizes); i++) {
                dmattn_decode_desc desc = paged;
                desc.attention.kv_heads = desc.attention.heads = 1;
                desc.attention.head_dim = 32;
                desc.attention.value_dim = 64;
                desc.attention.k_format = (dmattn_format)k;
                desc.attention.v_format = (dmattn_format)v;
                desc.page_size = page_sizes[i];
                desc.importance_given = true;
                const dmattn_decode_desc d = resolved(desc);
                const dmattn_cache_layout l = dmattn_decode_layout(&d);
                dmattn_attention_desc a = desc.attention;
                a.keys = desc.max_keys;
                a.page_size = page_sizes[i];
                a.pages = desc.pages;
                cr_assert_eq(dmattn_attention_desc_resolve(&a, &a, NULL), DMATTN_SUCCESS);
                const page_layout in_page = dmattn_page_layout(&a);
                cr_expect_eq(in_page.values, l.values);
                cr_expect(!l.key_scales || in_page.k_scales == l.key_scales);
                cr_expect(!l.value_scales || in_page.v_scales == l.value_scales);
                cr_expect_eq(in_page.importance, l.importance);
                cr_expect_eq(in_page.end, l.page_size);
                cr_expect_eq(a.page_bytes, l.importance, "without an importance");
                cr_expect_eq(dmattn_table_pages(&a), l.table_pages);
            }
}

static void expect_pages(uint32_t keep, uint32_t tokens, uint32_t first, uint32_t end)
{
    const dmattn_page_range r = dmattn_decode_written_pages(&paged, keep, tokens); /* 32 tokens per page, 100 keys */
    cr_expect(r.first == first && r.end == end, "%u + %u tokens: %u to %u", keep, tokens, r.first, r.end);
}

Test(decode_layout, written_pages)
{
    expect_pages(0, 0, 0, 0);
    expect_pages(0, 1, 0, 1);
    expect_pages(0, 32, 0, 1);
    expect_pages(0, 33, 0, 2);
    expect_pages(31, 1, 0, 1);
    expect_pages(31, 2, 0, 2);
    expect_pages(32, 16, 1, 2);
    expect_pages(64, 0, 2, 2);
    expect_pages(96, 16, 3, 4); /* tokens after the 100th are dropped */
    expect_pages(100, 16, 3, 3);
    expect_pages(UINT32_MAX, UINT32_MAX, 3, 3);
    dmattn_page_range none = dmattn_decode_written_pages(&bounded, 5, 5);
    cr_expect(!none.first && !none.end);
    none = dmattn_decode_written_pages(NULL, 5, 5);
    cr_expect(!none.first && !none.end);
}

Test(decode_layout, more_than_32_bits)
{
    dmattn_decode_desc desc = paged;
    desc.pages = (1u << 30) - 1;
    dmattn_decode_desc d = resolved(desc);
    cr_expect_eq(dmattn_decode_layout(&d).pages_size, UINT64_C(2) * 32 * 164 * ((1u << 30) - 1));
    desc = bounded;
    desc.selection.window = (1u << 27) - 5;
    d = resolved(desc);
    cr_expect_eq(dmattn_decode_layout(&d).sequence_size, 96 + (UINT64_C(2) << 27) * (16 + 4 * (16 + 24)));
    cr_expect_eq(dmattn_decode_layout(&d).state_size, 3 * dmattn_decode_layout(&d).sequence_size);
}

/* ---- constants ----------------------------------------------------------------------------------------------- */

static uint64_t both_words(const uint32_t *constants, uint32_t low)
{
    return constants[low] | (uint64_t)constants[low + 1] << 32;
}

Test(decode_constants, bounded)
{
    dmattn_decode_desc desc = bounded;
    desc.attention.type = DMATTN_TYPE_BF16;
    desc.attention.lse = true;
    desc.attention.scale = 2;
    desc.attention.soft_cap = 3;
    desc.attention.q_strides = (dmattn_strides){UINT64_C(1) << 33, 100, 16};
    desc.importance = (dmattn_importance){DMATTN_ACTIVATION_SOFTPLUS, DMATTN_TYPE_F16, true};
    desc.selection = (dmattn_selection){TOPW,       .window = 1u << 26, .tie_break = DMATTN_TIE_BREAK_EARLIER,
                                        .sinks = 2, .recent = 3,        .sliding = 4};
    const dmattn_decode_desc d = resolved(desc);
    const decode_tile t = {.workgroup = 64,
                           .subgroup_size = 4,
                           .key_lanes = 4,
                           .block_rows = 2,
                           .block_keys = 128,
                           .splits = 7,
                           .row_blocks = 6};
    uint32_t c[DECODE_CONSTANT_COUNT];
    memset(c, 0xff, sizeof c);
    dmattn_decode_constants(&d, &t, true, c);
    cr_expect(c[DECODE_WORKGROUP] == 64 && c[DECODE_KEY_LANES] == 4 && c[DECODE_BLOCK_ROWS] == 2);
    cr_expect(c[DECODE_BLOCK_KEYS] == 128 && c[DECODE_SPLITS] == 7 && c[DECODE_ROW_BLOCKS] == 6);
    cr_expect_eq(c[DECODE_COLUMN_LANES], 4);
    cr_expect(c[DECODE_CACHE] == CACHE_BOUNDED && c[DECODE_TYPE] == DMATTN_TYPE_BF16 && c[DECODE_TOKENS] == 4);
    cr_expect(c[DECODE_KV_HEADS] == 2 && c[DECODE_GROUP] == 3 && c[DECODE_HEAD_DIM] == 16 && c[DECODE_VALUE_DIM] == 24);
    cr_expect(c[DECODE_SCALE] == 0x40000000u, "2");
    cr_expect(c[DECODE_SOFT_CAP] == 0x40400000u && c[DECODE_LSE] == 1 && c[DECODE_ALIGNED] == 1);
    cr_expect(c[DECODE_BIAS] == 1 && c[DECODE_IMPORTANCE_GIVEN] == 0 && c[DECODE_DT_BIAS] == 1);
    cr_expect(c[DECODE_PARAMETER_TYPE] == DMATTN_TYPE_F16 && c[DECODE_ACTIVATION] == DMATTN_ACTIVATION_SOFTPLUS);
    cr_expect(c[DECODE_SELECTION] == DMATTN_SELECT_TOPW_CAUSAL && c[DECODE_WINDOW] == 1u << 26);
    cr_expect(c[DECODE_SINKS] == 2 && c[DECODE_RECENT] == 3 && c[DECODE_SLIDING] == 4 && c[DECODE_ROLLBACK] == 5);
    cr_expect(c[DECODE_THRESHOLD] == 0 && c[DECODE_TIE_BREAK] == TIE_BREAK_EARLIER);
    const dmattn_cache_layout l = dmattn_decode_layout(&d);
    cr_expect_eq(c[DECODE_CAPACITY], (1u << 26) + 16);
    cr_expect_gt(l.sequence_size, UINT32_MAX);
    cr_expect_eq(both_words(c, DECODE_STATE_LOW), l.sequence_size);
    cr_expect(c[DECODE_MASK] == 0 && c[DECODE_MASK_HEADS] == 1);
    cr_expect_eq(both_words(c, DECODE_MASK_BATCH_LOW), 0);
    /* in bytes */
    cr_expect_eq(both_words(c, DECODE_Q_BATCH_LOW), UINT64_C(1) << 34);
    cr_expect_eq(both_words(c, DECODE_Q_SEQUENCE_LOW), 200);
    cr_expect_eq(both_words(c, DECODE_Q_HEAD_LOW), 32);
    cr_expect_eq(both_words(c, DECODE_K_BATCH_LOW), 2 * 4 * 2 * 16);
    cr_expect_eq(both_words(c, DECODE_K_SEQUENCE_LOW), 2 * 2 * 16);
    cr_expect_eq(both_words(c, DECODE_K_HEAD_LOW), 2 * 16);
    cr_expect_eq(both_words(c, DECODE_V_BATCH_LOW), 2 * 4 * 2 * 24);
    cr_expect_eq(both_words(c, DECODE_V_SEQUENCE_LOW), 2 * 2 * 24);
    cr_expect_eq(both_words(c, DECODE_V_HEAD_LOW), 2 * 24);
    cr_expect_eq(both_words(c, DECODE_OUT_BATCH_LOW), 2 * 4 * 6 * 24);
    cr_expect_eq(both_words(c, DECODE_OUT_SEQUENCE_LOW), 2 * 6 * 24);
    cr_expect_eq(both_words(c, DECODE_OUT_HEAD_LOW), 2 * 24);
}

Test(decode_constants, paged)
{
    dmattn_decode_desc desc = paged;
    desc.attention.mask = DMATTN_MASK_DENSE;
    desc.attention.mask_shape = (dmattn_score_shape){.batch = 3, .heads = 6, .queries = 4};
    desc.importance_given = true;
    desc.selection.select = DMATTN_SELECT_THRESHOLD;
    desc.selection.threshold = -1.5f;
    dmattn_decode_desc d = resolved(desc);
    const decode_tile t = {.workgroup = 128, .subgroup_size = 32};
    uint32_t c[DECODE_CONSTANT_COUNT];
    memset(c, 0xff, sizeof c);
    dmattn_decode_constants(&d, &t, false, c);
    cr_expect(c[DECODE_CACHE] == CACHE_PAGED && c[DECODE_CAPACITY] == 100 && c[DECODE_PAGE_SIZE] == 32);
    cr_expect(c[DECODE_SELECTION] == DMATTN_SELECT_THRESHOLD && c[DECODE_THRESHOLD] == 0xbfc00000u);
    cr_expect(c[DECODE_BIAS] == 1 && c[DECODE_IMPORTANCE_GIVEN] == 1 && c[DECODE_ALIGNED] == 0);
    cr_expect(c[DECODE_LSE] == 0 && c[DECODE_SOFT_CAP] == 0 && c[DECODE_ROLLBACK] == 0 && c[DECODE_WINDOW] == 0);
    cr_expect_eq(c[DECODE_COLUMN_LANES], 8);
    cr_expect_eq(both_words(c, DECODE_STATE_LOW), 96);
    cr_expect(c[DECODE_MASK] == 1 && c[DECODE_MASK_HEADS] == 6);
    cr_expect_eq(both_words(c, DECODE_MASK_BATCH_LOW), 6 * 4 * 100);
    cr_expect_eq(both_words(c, DECODE_MASK_HEAD_LOW), 4 * 100);
    cr_expect_eq(both_words(c, DECODE_MASK_QUERY_LOW), 100);

    /* strides of broadcast dimensions of a mask, and of dimensions of length 1, are 0 */
    desc.attention.mask_shape = (dmattn_score_shape){0};
    desc.attention.batch = desc.attention.queries = desc.attention.heads = desc.attention.kv_heads = 1;
    desc.importance_given = false;
    desc.no_importance = true;
    desc.selection = (dmattn_selection){.causal = true};
    d = resolved(desc);
    dmattn_decode_constants(&d, &t, false, c);
    cr_expect(c[DECODE_BIAS] == 0 && c[DECODE_IMPORTANCE_GIVEN] == 0 && c[DECODE_THRESHOLD] == 0);
    cr_expect(c[DECODE_MASK] == 1 && c[DECODE_MASK_HEADS] == 1);
    for (uint32_t i = DECODE_MASK_BATCH_LOW; i < DECODE_STATE_LOW; i++)
        cr_expect_eq(c[i], 0, "constant %u", i);
}
