/* SPDX-License-Identifier: MIT
 * The descriptor of decoding: defaults, and everything that is refused. */
#include "attention/desc.h"
#include "attention/pages.h"
#include "decode/stage.h"
#include "decode_descs.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void refused(int line, const dmattn_decode_desc *desc, dmattn_status status, const char *part)
{
    dmattn_decode_desc d;
    sentences s = {0};
    cr_expect_eq(dmattn_decode_desc_resolve(desc, &d, &(messenger){sentences_keep, &s}), status, "line %d", line);
    cr_expect_eq(s.count, 1, "line %d: %u messages about %s", line, s.count, part);
    cr_expect(strstr(s.text, part), "line %d: no '%s' in: %s", line, part, s.text);
}

/* Expects that `good` with one wrong member is refused. */
#define EXPECT_STATUS(good, member, value, status, part) \
    do {                                                 \
        dmattn_decode_desc bad_ = (good);                \
        bad_.member = (value);                           \
        refused(__LINE__, &bad_, (status), (part));      \
    } while (0)
#define EXPECT_REFUSED(good, member, value, part) EXPECT_STATUS(good, member, value, DMATTN_ERROR_INVALID, part)

static void expect_strides(const dmattn_strides *s, uint64_t batch, uint64_t sequence, uint64_t head)
{
    cr_expect_eq(s->batch, batch);
    cr_expect_eq(s->sequence, sequence);
    cr_expect_eq(s->head, head);
}

/* ---- defaults ------------------------------------------------------------------------------------------------ */

Test(decode_desc, defaults)
{
    const dmattn_decode_desc d = resolved((dmattn_decode_desc){
        .attention = {.batch = 2, .queries = 3, .heads = 4, .head_dim = 64}, .selection = {TOPW, .window = 9}});
    const dmattn_attention_desc *a = &d.attention;
    cr_expect_eq(a->keys, 3);
    cr_expect_eq(a->kv_heads, 4);
    cr_expect_eq(a->value_dim, 64);
    cr_expect_eq(a->scale, 0.125f);
    expect_strides(&a->q_strides, 3 * 256, 256, 64);
    expect_strides(&a->k_strides, 3 * 256, 256, 64);
    expect_strides(&a->v_strides, 3 * 256, 256, 64);
    expect_strides(&a->out_strides, 3 * 256, 256, 64);
    cr_expect_eq(d.cache, DMATTN_CACHE_BOUNDED);
    cr_expect_eq(d.rollback, 0);
}

Test(decode_desc, what_is_given_stays)
{
    dmattn_decode_desc desc = bounded;
    desc.attention.keys = 4;
    desc.attention.scale = 2;
    desc.attention.k_strides = (dmattn_strides){1000, 100, 50};
    const dmattn_decode_desc d = resolved(desc);
    cr_expect_eq(d.attention.keys, 4);
    cr_expect_eq(d.attention.scale, 2);
    expect_strides(&d.attention.q_strides, 4 * 6 * 16, 6 * 16, 16);
    expect_strides(&d.attention.k_strides, 1000, 100, 50);
    expect_strides(&d.attention.v_strides, 4 * 2 * 24, 2 * 24, 24);
    expect_strides(&d.attention.out_strides, 4 * 6 * 24, 6 * 24, 24);
    cr_expect(d.selection.window == 50 && d.rollback == 5);
}

/* k and v have only the new tokens; a mask has all keys. */
Test(decode_desc, defaults_of_a_mask)
{
    dmattn_decode_desc desc = paged;
    desc.attention.mask = DMATTN_MASK_DENSE;
    desc.attention.mask_shape = (dmattn_score_shape){.batch = 3, .heads = 2, .queries = 4};
    const dmattn_decode_desc d = resolved(desc);
    const dmattn_attention_desc *a = &d.attention;
    cr_expect_eq(a->keys, 4);
    cr_expect_eq(a->mask, DMATTN_MASK_DENSE);
    expect_strides(&a->k_strides, 4 * 2 * 16, 2 * 16, 16);
    expect_strides(&a->v_strides, 4 * 2 * 24, 2 * 24, 24);
    cr_expect(a->mask_shape.batch == 3 && a->mask_shape.heads == 2 && a->mask_shape.queries == 4);
    cr_expect_eq(a->mask_shape.query_stride, 100);
    cr_expect_eq(a->mask_shape.head_stride, 400);
    cr_expect_eq(a->mask_shape.batch_stride, 800);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_MASK), 3 * 2 * 4 * 100);
    desc.attention.mask_shape = (dmattn_score_shape){.heads = 6};
    const dmattn_decode_desc e = resolved(desc);
    cr_expect_eq(dmattn_decode_tensor_bytes(&e, TENSOR_MASK), 6 * 100);
}

/* With a bounded cache, a mask has the new tokens. */
Test(decode_desc, mask_of_new_tokens)
{
    dmattn_decode_desc desc = bounded;
    cr_expect(!dmattn_decode_has_tree(&bounded) && !dmattn_decode_has_tree(&paged));
    desc.attention.mask = DMATTN_MASK_DENSE;
    desc.attention.mask_shape = (dmattn_score_shape){.batch = 3, .queries = 4};
    const dmattn_decode_desc d = resolved(desc);
    cr_expect(dmattn_decode_has_tree(&d));
    cr_expect_eq(d.attention.mask_shape.query_stride, 4);
    cr_expect_eq(d.attention.mask_shape.batch_stride, 16);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_MASK), 3 * 4 * 4);
    cr_expect_eq(dmattn_cache_slots(&d), dmattn_cache_slots(&bounded), "plans with and without a mask share states");
    desc = paged;
    desc.attention.mask = DMATTN_MASK_DENSE;
    cr_expect(!dmattn_decode_has_tree(&desc));
}

/* Lists of selected keys, and how many keys a query sees. */
Test(decode_desc, selected)
{
    dmattn_decode_desc desc = paged;
    desc.attention.mask = DMATTN_MASK_SELECTED;
    desc.attention.selected_count = 20;
    desc.attention.mask_shape = (dmattn_score_shape){.batch = 3, .heads = 2, .queries = 4};
    dmattn_decode_desc d = resolved(desc);
    const dmattn_score_shape *s = &d.attention.mask_shape;
    cr_expect(s->query_stride == 20 && s->head_stride == 80 && s->batch_stride == 160);
    cr_expect_eq(d.attention.selected_block, 1);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_SELECTED), 4 * 3 * 2 * 4 * 20);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_MASK), 0);
    cr_expect_eq(dmattn_decode_most_keys(&d), 20);
    cr_expect_eq(dmattn_decode_selected_keys(&d, 4), 80);
    cr_expect_eq(dmattn_decode_selected_keys(&d, 8), 100); /* max_keys */
    desc.attention.selected_block = 16;
    d = resolved(desc);
    cr_expect_eq(dmattn_decode_most_keys(&d), 100);
    d = resolved(paged);
    cr_expect_eq(dmattn_decode_most_keys(&d), 100);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_SELECTED), 0);
}

/* Parts that the descriptor does not request may hold anything. */
Test(decode_desc, absent_parts_are_ignored)
{
    const dmattn_importance nonsense = {(dmattn_activation)9, (dmattn_type)9, true};
    dmattn_decode_desc desc = bounded;
    desc.importance = nonsense;
    desc.importance_given = true;
    desc.attention.mask_shape = (dmattn_score_shape){77, 78, 79, 1, 2, 3};
    dmattn_decode_desc d = resolved(desc);
    cr_expect(!d.importance.activation && !d.importance.parameter_type && !d.importance.dt_bias);
    cr_expect_eq(d.attention.mask_shape.heads, 0);
    desc = paged;
    desc.importance = nonsense;
    desc.no_importance = true;
    desc.rollback = 1000;
    d = resolved(desc);
    cr_expect(!d.importance.activation && !d.importance.parameter_type && !d.importance.dt_bias);
    cr_expect_eq(d.rollback, 0, "any number can be taken back");
}

/* ---- what is refused ----------------------------------------------------------------------------------------- */

Test(decode_desc, refused_attention)
{
    refused(__LINE__, NULL, DMATTN_ERROR_INVALID, "descriptor");
    EXPECT_REFUSED(bounded, attention.causal, true, "attention.causal");
    EXPECT_REFUSED(bounded, attention.bias, true, "attention.bias");
    EXPECT_REFUSED(bounded, attention.lists, true, "attention.lists");
    EXPECT_REFUSED(bounded, attention.list_capacity, 4, "attention.list_capacity");
    EXPECT_REFUSED(bounded, attention.mask, DMATTN_MASK_INTERVALS, "attention.mask");
    EXPECT_REFUSED(paged, attention.mask, DMATTN_MASK_INTERVALS, "attention.mask");
    EXPECT_REFUSED(bounded, attention.mask, DMATTN_MASK_SELECTED, "mask is SELECTED");
    EXPECT_REFUSED(paged, attention.mask, DMATTN_MASK_SELECTED, "selected_count is 0");
    EXPECT_REFUSED(paged, attention.selected_count, 5, "selected_count");
    EXPECT_REFUSED(bounded, attention.selected_block, 16, "selected_block");
    EXPECT_REFUSED(bounded, attention.selected_queries, 1, "attention.selected_queries");
    EXPECT_REFUSED(paged, attention.mask, (dmattn_mask)7, "mask 7");
    EXPECT_REFUSED(bounded, attention.queries, 0, "attention.queries");
    EXPECT_REFUSED(bounded, attention.queries, DMATTN_DECODE_MAX_TOKENS + 1, "attention.queries");
    EXPECT_REFUSED(bounded, attention.keys, 5, "attention.keys");
    dmattn_decode_desc masked = bounded;
    masked.attention.mask = DMATTN_MASK_DENSE;
    EXPECT_REFUSED(masked, attention.mask_shape.heads, 2, "mask_shape.heads is 2");
    EXPECT_REFUSED(masked, attention.mask_shape.batch, 2, "mask_shape.batch");
    EXPECT_REFUSED(masked, attention.mask_shape.queries, 3, "mask_shape.queries");
    dmattn_decode_desc selected = paged;
    selected.attention.mask = DMATTN_MASK_SELECTED;
    selected.attention.selected_count = 20;
    EXPECT_REFUSED(selected, attention.selected_block, 3, "selected_block is 3");
    EXPECT_REFUSED(selected, attention.selected_queries, 2, "attention.selected_queries");
    EXPECT_REFUSED(selected, attention.mask_shape.heads, 6, "mask_shape.heads is 6");
    masked = paged;
    masked.attention.mask = DMATTN_MASK_DENSE;
    EXPECT_REFUSED(masked, attention.mask_shape.batch, 2, "mask_shape.batch");
    EXPECT_REFUSED(masked, attention.mask_shape.heads, 3, "mask_shape.heads");
    EXPECT_REFUSED(masked, attention.mask_shape.queries, 100, "mask_shape.queries");
    /* as for all operators */
    EXPECT_REFUSED(bounded, attention.batch, 0, "batch");
    EXPECT_REFUSED(bounded, attention.heads, 7, "heads");
    EXPECT_REFUSED(bounded, attention.head_dim, 12, "head_dim");
    EXPECT_STATUS(bounded, attention.value_dim, 520, DMATTN_ERROR_UNSUPPORTED, "value_dim");
    EXPECT_REFUSED(bounded, attention.type, (dmattn_type)3, "type 3");
    EXPECT_REFUSED(bounded, attention.scale, INFINITY, "scale");
    EXPECT_REFUSED(bounded, attention.soft_cap, -1, "soft_cap");
    EXPECT_REFUSED(bounded, attention.out_strides.head, 1, "out_strides");
    EXPECT_REFUSED(bounded, attention.k_strides.batch, UINT64_MAX / 2, "k spans");
    EXPECT_REFUSED(bounded, attention.level, (dmattn_level)9, "level 9");
}

Test(decode_desc, refused_importance)
{
    dmattn_decode_desc both = paged;
    both.importance_given = true;
    EXPECT_REFUSED(both, no_importance, true, "importance_given and no_importance");
    EXPECT_REFUSED(paged, attention.sink, true, "attention.sink is set");
    EXPECT_REFUSED(paged, attention.slopes, true, "attention.slopes is set");
    EXPECT_REFUSED(paged, attention.bias, true, "attention.bias is set");
    EXPECT_REFUSED(bounded, importance.parameter_type, (dmattn_type)3, "parameter_type");
    EXPECT_REFUSED(bounded, importance.activation, (dmattn_activation)2, "activation");
    dmattn_decode_desc heads = bounded;
    heads.attention.heads = 1u << 25;
    EXPECT_REFUSED(heads, attention.kv_heads, 1u << 25, "kv_heads times value_dim");
}

Test(decode_desc, refused_selection)
{
    EXPECT_REFUSED(bounded, selection.select, (dmattn_select)4, "select 4");
    EXPECT_REFUSED(bounded, selection.select, (dmattn_select)-1, "select -1");
    EXPECT_REFUSED(bounded, selection.causal, false, "selection.causal");
    EXPECT_REFUSED(bounded, selection.key_valid, true, "selection.key_valid");
    EXPECT_REFUSED(bounded, selection.documents, 2, "selection.documents");
    EXPECT_REFUSED(bounded, selection.select, DMATTN_SELECT_TOPW_SHARED, "TOPW_SHARED");
    EXPECT_REFUSED(bounded, selection.window, 0, "window");
    EXPECT_REFUSED(bounded, selection.window, 1u << 30, "window");
    EXPECT_REFUSED(bounded, selection.sinks, 1u << 30, "selection.sinks");
    EXPECT_REFUSED(bounded, selection.recent, UINT32_MAX, "selection.recent");
    EXPECT_REFUSED(bounded, selection.sliding, 1u << 30, "selection.sliding");
    EXPECT_REFUSED(bounded, no_importance, true, "no_importance");
    EXPECT_REFUSED(bounded, selection.select, DMATTN_SELECT_ALL, "select ALL does not use a window");
    EXPECT_REFUSED(bounded, selection.select, DMATTN_SELECT_THRESHOLD, "select THRESHOLD does not use a window");
    EXPECT_REFUSED(bounded, selection.tie_break, (dmattn_tie_break)2, "tie_break 2");
    EXPECT_REFUSED(paged, selection.tie_break, DMATTN_TIE_BREAK_EARLIER, "select ALL does not rank keys");
    EXPECT_REFUSED(bounded, selection.threshold, 0.5f, "select TOPW_CAUSAL does not use a threshold");
    EXPECT_REFUSED(paged, selection.window, 5, "select ALL does not use a window");
    EXPECT_REFUSED(paged, selection.recent, 5, "recent is set");
    dmattn_decode_desc threshold = paged;
    threshold.selection.select = DMATTN_SELECT_THRESHOLD;
    EXPECT_REFUSED(threshold, selection.threshold, NAN, "threshold");
    EXPECT_REFUSED(threshold, no_importance, true, "no_importance");
}

Test(decode_desc, refused_bounded_cache)
{
    EXPECT_REFUSED(bounded, page_size, 16, "page_size");
    EXPECT_REFUSED(bounded, pages, 1, "pages");
    EXPECT_REFUSED(bounded, max_keys, 100, "max_keys");
    EXPECT_REFUSED(bounded, rollback, 17, "rollback");
    dmattn_decode_desc unbounded = bounded;
    unbounded.selection.window = 0;
    EXPECT_REFUSED(unbounded, selection.select, DMATTN_SELECT_ALL, "sliding");
    EXPECT_REFUSED(unbounded, selection.select, DMATTN_SELECT_THRESHOLD, "sliding");
    EXPECT_REFUSED(bounded, cache, (dmattn_cache)2, "cache 2");
    dmattn_decode_desc wide = bounded; /* 2^28 - 16 slots, and one more */
    wide.attention.heads = wide.attention.kv_heads = 1;
    wide.attention.head_dim = wide.attention.value_dim = 8;
    wide.selection.window = (1u << 28) - 16 - 5;
    resolved(wide);
    EXPECT_REFUSED(wide, selection.sinks, 1, "slots");
}

Test(decode_desc, refused_formats)
{
    EXPECT_REFUSED(paged, attention.k_format, (dmattn_format)8, "k_format 8");
    EXPECT_REFUSED(bounded, attention.v_format, (dmattn_format)-1, "v_format -1");
    EXPECT_REFUSED(bounded, attention.k_format, DMATTN_FORMAT_Q8_0, "k_format is q8_0, but the dimension 16");
    EXPECT_REFUSED(paged, attention.v_format, DMATTN_FORMAT_Q4_0, "v_format is q4_0, but the dimension 24");
}

/* The format of the type is the default; new tokens have the type in any case. */
Test(decode_desc, formats)
{
    dmattn_decode_desc desc = paged;
    desc.attention.k_format = DMATTN_FORMAT_F32;
    desc.attention.v_format = DMATTN_FORMAT_INT8;
    const dmattn_decode_desc d = resolved(desc);
    cr_expect_eq(d.attention.k_format, DMATTN_FORMAT_TYPE);
    cr_expect_eq(d.attention.v_format, DMATTN_FORMAT_INT8);
    cr_expect_eq(dmattn_attention_format(&d.attention, TENSOR_K), DMATTN_FORMAT_F32);
    cr_expect(dmattn_decode_has_formats(&d));
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_K), 3 * 4 * 2 * 16 * 4);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_V), 3 * 4 * 2 * 24 * 4);
    cr_expect_eq(dmattn_decode_row_bytes(&d), 16 * 4 + 24 + 4);
    desc.attention.v_format = DMATTN_FORMAT_F32;
    const dmattn_decode_desc same = resolved(desc);
    cr_expect_not(dmattn_decode_has_formats(&same));
}

Test(decode_desc, refused_paged_cache)
{
    static const uint32_t sizes[] = {0, 3, 12, 24, 272, 512, 1u << 31};
    for (size_t i = 0; i < COUNT(sizes); i++)
        EXPECT_REFUSED(paged, page_size, sizes[i], "page_size");
    EXPECT_REFUSED(paged, pages, 0, "pages");
    EXPECT_REFUSED(paged, pages, 1u << 30, "pages");
    EXPECT_REFUSED(paged, max_keys, 0, "max_keys");
    EXPECT_REFUSED(paged, max_keys, 1u << 30, "max_keys");
    dmattn_decode_desc topw = paged;
    topw.selection.window = 5;
    EXPECT_REFUSED(topw, selection.select, DMATTN_SELECT_TOPW_CAUSAL, "TOPW_CAUSAL");
    dmattn_decode_desc wide = paged;
    wide.page_size = 256;
    wide.attention.head_dim = wide.attention.value_dim = 256;
    wide.attention.heads = 1u << 13;
    const uint32_t allowed[] = {1, 2, 4, 8, 16, 48, 256};
    for (size_t i = 0; i < COUNT(allowed); i++) {
        dmattn_decode_desc of_size = paged;
        of_size.page_size = allowed[i];
        resolved(of_size);
    }
    EXPECT_REFUSED(wide, attention.kv_heads, 1u << 13, "a page has");
}

Test(decode_desc, chunks)
{
    dmattn_decode_desc d = bounded;
    d.chunk_tokens = 2048;
    const dmattn_decode_desc with = resolved(d), without = resolved(bounded);
    const dmattn_cache_layout a = dmattn_decode_layout(&with), b = dmattn_decode_layout(&without);
    cr_expect(a.slots == b.slots && a.keys == b.keys && a.values == b.values && a.sequence_size == b.sequence_size,
              "chunks change the layout of the cache");
    EXPECT_REFUSED(bounded, chunk_tokens, 1u << 30, "chunk_tokens (1073741824) plus the slots");
    EXPECT_REFUSED(bounded, chunk_tokens, UINT32_MAX, "must be below 2^30");
    EXPECT_REFUSED(paged, chunk_tokens, 1, "page_size");
    d.attention.mask_shape.queries = d.attention.queries;
    EXPECT_REFUSED(d, attention.mask, DMATTN_MASK_DENSE, "a plan without a mask can share the states");
}

/* Sums and products of valid sizes must not overflow to small numbers. */
Test(decode_desc, refused_rows_and_states_beyond_32_bits)
{
    dmattn_decode_desc d = bounded;
    d.importance_given = true;
    EXPECT_REFUSED(d, attention.batch, 1u << 29, "2^24");
    EXPECT_REFUSED(d, attention.heads, 1u << 28, "2^24");
    d.attention.batch = d.attention.queries = 1;
    d.attention.heads = d.attention.kv_heads = 1u << 20;
    d.attention.head_dim = d.attention.value_dim = 256;
    EXPECT_REFUSED(d, selection.window, 1u << 16, "2^36");
    EXPECT_REFUSED(d, selection.window, (1u << 28) - 1000, "2^36"); /* 2^59 bytes */
    d.attention.heads = d.attention.kv_heads = (1u << 24) - 1;
    d.attention.head_dim = 576;
    d.attention.value_dim = 512;
    EXPECT_REFUSED(d, selection.window, (1u << 28) - 1000, "2^36"); /* more than 2^64 bytes */
}

Test(decode_desc, tensors)
{
    dmattn_decode_desc desc = bounded;
    desc.attention.type = DMATTN_TYPE_F16;
    desc.attention.lse = true;
    desc.importance = (dmattn_importance){.parameter_type = DMATTN_TYPE_F32, .dt_bias = true};
    dmattn_decode_desc d = resolved(desc);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_Q), 2 * 3 * 4 * 6 * 16);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_K), 2 * 3 * 4 * 2 * 16);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_V), 2 * 3 * 4 * 2 * 24);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_OUT), 2 * 3 * 4 * 6 * 24);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_LSE), 4 * 3 * 6 * 4);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_WEIGHT), 4 * 2 * 2 * 24);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_A), 4 * 2);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_BIAS), 4 * 2);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_COUNTS), 4 * 3);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_KEEP), 4 * 3);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_STATE), dmattn_decode_layout(&d).state_size);
    static const tensor_id none[] = {TENSOR_MASK, TENSOR_IMPORTANCE, TENSOR_PAGES, TENSOR_TABLE,    TENSOR_BEGIN,
                                     TENSOR_BIAS, TENSOR_LISTS,      TENSOR_SINK,  TENSOR_KEY_VALID};
    for (size_t i = 0; i < COUNT(none); i++)
        cr_expect_eq(dmattn_decode_tensor_bytes(&d, none[i]), 0, "%s", dmattn_tensor_name(none[i]));

    desc.importance = (dmattn_importance){.parameter_type = DMATTN_TYPE_BF16};
    d = resolved(desc);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_WEIGHT), 2 * 2 * 2 * 24);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_A), 2 * 2);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_BIAS), 0);

    desc.attention.sink = true;
    d = resolved(desc);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_SINK), 4 * 6);

    desc = paged;
    desc.attention.sink = true;
    desc.importance.dt_bias = true;
    desc.importance_given = true;
    d = resolved(desc);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_LSE), 0);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_IMPORTANCE), 4 * 3 * 2 * 4);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_PAGES), 7 * 2 * 32 * 164);
    cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_TABLE), 4 * 3 * 4);
    for (int given = 1; given >= 0; given--) {
        desc.importance_given = given;
        desc.no_importance = !given;
        d = resolved(desc);
        cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_WEIGHT), 0);
        cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_A), 0);
        cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_DT_BIAS), 0);
        cr_expect_eq(dmattn_decode_tensor_bytes(&d, TENSOR_IMPORTANCE) != 0, given);
    }
}

Test(decode_desc, most_keys)
{
    const struct {
        dmattn_selection selection;
        uint64_t keys;
    } rows[] = {
        {{TOPW, .window = 50}, 50},
        {{TOPW, .window = 50, .sinks = 3, .recent = 4}, 57},
        {{TOPW, .window = 50, .sinks = 3, .recent = 4, .sliding = 20}, 23},
        {{TOPW, .window = 50, .sinks = 3, .recent = 4, .sliding = 60}, 57},
        {{.causal = true, .sinks = 3, .recent = 4, .sliding = 60}, 63},
        {{.select = DMATTN_SELECT_THRESHOLD, .causal = true, .sliding = 60}, 60},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dmattn_decode_desc desc = bounded;
        desc.selection = rows[i].selection;
        const dmattn_decode_desc d = resolved(desc);
        cr_expect_eq(dmattn_decode_most_keys(&d), rows[i].keys, "row %zu: %llu", i,
                     (unsigned long long)dmattn_decode_most_keys(&d));
    }
    const dmattn_decode_desc d = resolved(paged);
    cr_expect_eq(dmattn_decode_most_keys(&d), 100);
}
