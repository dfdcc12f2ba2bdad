/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "fuzzed.h"

#include "mask/block_lists.h"
#include "selector/desc.h"

static dmattn_selector_desc selector;

static dmattn_status plan_selector(dmattn_context *context, dmattn_plan **plan)
{
    selector = (dmattn_selector_desc){.type = (dmattn_type)value_of(3),
                                      .batch = any_size(),
                                      .queries = any_size(),
                                      .keys = any_size(),
                                      .heads = any_size(),
                                      .head_dim = dimension(),
                                      .relu = flip(),
                                      .weights = flip(),
                                      .block = flip()       ? 0
                                               : once_in(5) ? wild_32()
                                                            : 1u << below(13),
                                      .count = once_in(5) ? wild_32() : 1 + below(3000),
                                      .first = once_in(5) ? wild_32() : below(3),
                                      .recent = once_in(5) ? wild_32() : below(3),
                                      .causal = flip(),
                                      .counts = once_in(3),
                                      .lengths = once_in(3),
                                      .level = (dmattn_level)(once_in(3) ? value_of(4) : 0),
                                      .max_level = (dmattn_level)(once_in(3) ? value_of(4) : 0)};
    selector.kv_heads = once_in(3) ? 0 : once_in(5) ? any_size() : 1;
    selector.list_heads = flip() ? 0 : once_in(5) ? any_size() : selector.heads;
    selector.q_strides = any_strides(selector.queries, selector.heads, selector.head_dim);
    selector.k_strides =
        any_strides(selector.keys, selector.kv_heads ? selector.kv_heads : selector.heads, selector.head_dim);
    if (once_in(4)) {
        selector.page_size = once_in(6) ? wild_32() : 1u << below(9);
        selector.pages = any_size();
        selector.page_bytes = once_in(3) ? wild_32() / 16 * (uint64_t)16 : 0;
    }
    return dmattn_selector_plan(context, &selector, plan);
}

static void check_selector(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_selector_desc d;
    FUZZ_CHECK(!dmattn_selector_desc_resolve(&selector, &d, NULL));
    const wide element = d.type == DMATTN_TYPE_F32 ? 4 : 2, rows = (wide)d.batch * d.queries;
    const wide numbers = (d.keys - 1) / d.block + 1;
    const plan_tensor *t = plan->tensor;
    FUZZ_CHECK(t[TENSOR_Q].bytes == element * span(&d.q_strides, d.batch, d.queries, d.heads, d.head_dim));
    const wide of_k = element * span(&d.k_strides, d.batch, d.keys, d.kv_heads, d.head_dim);
    FUZZ_CHECK(t[TENSOR_K].bytes == (d.page_size ? 0 : of_k));
    FUZZ_CHECK(t[TENSOR_PAGES].bytes == (d.page_size ? (wide)d.pages * d.page_bytes : 0));
    FUZZ_CHECK(t[TENSOR_TABLE].bytes == (d.page_size ? (wide)4 * d.batch * ((d.keys - 1) / d.page_size + 1) : 0));
    FUZZ_CHECK(!d.page_size || d.page_bytes >= element * d.kv_heads * d.page_size * d.head_dim);
    FUZZ_CHECK(t[TENSOR_WEIGHTS].bytes == (d.weights ? 4 * rows * d.heads : 0));
    FUZZ_CHECK(t[TENSOR_COUNTS].bytes == (d.counts ? (wide)8 * d.batch : 0));
    FUZZ_CHECK(t[TENSOR_SELECTED].bytes == 4 * rows * d.list_heads * d.count);
    const wide means = d.block > 1 ? element * d.batch * numbers * d.kv_heads * d.head_dim : 0;
    FUZZ_CHECK(info->workspace_size >= 4 * numbers + means && info->level <= DMATTN_LEVEL_MATRIX);
    FUZZ_CHECK(info->level == DMATTN_LEVEL_PORTABLE || d.type != DMATTN_TYPE_F32);
    /* twice the scores of one tile of at most 32 queries, or of a part */
    const wide most = 2 * (wide)4 * 32 * (numbers + 2048) + ((wide)256 << 20) + means + 1024;
    FUZZ_CHECK(info->workspace_size <= most);
}

/* Dispatches are cut by the products of whole tiles, also those that `causal` hides. */
static double selector_work(double flops)
{
    const double rows = (double)selector.batch * (selector.queries + 32.0) * selector.heads;
    return flops + 2.0 * selector.head_dim * rows * (selector.keys + 2048.0);
}

const fuzzed_operator fuzzed_selector = {plan_selector, check_selector, selector_work, &dmattn_selector_operator};

/* ---- block lists ------------------------------------------------------------------------------------------------- */

static dmattn_block_lists_desc lists;

static dmattn_status plan_block_lists(dmattn_context *context, dmattn_plan **plan)
{
    lists = (dmattn_block_lists_desc){.form = (dmattn_block_form)value_of(3),
                                      .batch = once_in(4) ? 0 : any_size(),
                                      .heads = once_in(4) ? 0 : any_size(),
                                      .queries = any_size(),
                                      .keys = any_size(),
                                      .query_block = any_size(),
                                      .block = once_in(5) ? wild_32() : 1u << below(13),
                                      .bits = once_in(3),
                                      .count = flip()       ? 0
                                               : once_in(5) ? wild_32()
                                                            : 64 * (1 + below(100))};
    lists.indices = lists.form == DMATTN_BLOCK_FORM_ROWS || once_in(9) ? any_size() : 0;
    return dmattn_block_lists_plan(context, &lists, plan);
}

static void check_block_lists(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_block_lists_desc d;
    FUZZ_CHECK(!dmattn_block_lists_desc_resolve(&lists, &d, NULL) && !info->workspace_size && d.count);
    const wide planes = (wide)d.batch * d.heads, rows = (d.queries - 1) / d.query_block + 1;
    const wide blocks = (d.keys - 1) / d.block + 1, is_map = d.form != DMATTN_BLOCK_FORM_ROWS;
    const plan_tensor *t = plan->tensor;
    FUZZ_CHECK(t[TENSOR_INDPTR].bytes == (is_map ? 0 : 4 * planes * (rows + 1)));
    FUZZ_CHECK(t[TENSOR_INDICES].bytes == (wide)4 * d.indices);
    FUZZ_CHECK(t[TENSOR_BITS].bytes == (d.bits ? (wide)d.indices * d.query_block * d.block / 8 : 0));
    const wide row = d.form == DMATTN_BLOCK_FORM_BITMAP ? (blocks + 7) / 8 : blocks;
    FUZZ_CHECK(t[TENSOR_MAP].bytes == (is_map ? planes * rows * row : 0));
    FUZZ_CHECK(t[TENSOR_SELECTED].bytes == 4 * planes * d.queries * d.count);
}

const fuzzed_operator fuzzed_block_lists = {plan_block_lists, check_block_lists, NULL, &dmattn_block_lists_operator};
