/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "fuzzed.h"

#include "decode/desc.h"

static void draw_decode(dmattn_decode_desc *d)
{
    dmattn_attention_desc *a = &d->attention;
    draw_sizes(a);
    if (!once_in(20)) {
        a->queries = 1 + below(once_in(20) ? 40 : 16);
        a->keys = flip() ? 0 : a->queries;
        a->q_strides = a->k_strides = a->v_strides = a->out_strides = (dmattn_strides){0};
    }
    if (once_in(3)) {
        a->k_format = (dmattn_format)(once_in(20) ? below(100) : below(8));
        a->v_format = (dmattn_format)below(8);
    }
    d->importance = any_importance();
    d->importance_given = once_in(4);
    d->no_importance = once_in(5);
    d->selection = any_selection(1000);
    d->selection.causal = !once_in(20);
    d->selection.key_valid = once_in(30);
    d->selection.documents = once_in(30) ? any_size() : 0;
    d->cache = (dmattn_cache)value_of(2);
    if (d->cache == DMATTN_CACHE_BOUNDED) {
        if (!once_in(4))
            d->selection.select = d->no_importance ? DMATTN_SELECT_ALL : DMATTN_SELECT_TOPW_CAUSAL;
        d->rollback = once_in(10) ? wild_32() : below(17);
        d->chunk_tokens = once_in(10) ? wild_32() : flip() ? any_size() : 0;
        if (once_in(4)) {
            a->mask = DMATTN_MASK_DENSE;
            a->mask_shape = any_score_shape(a, false);
        }
        return;
    }
    if (!once_in(4))
        d->selection.select = d->no_importance || flip() ? DMATTN_SELECT_ALL : DMATTN_SELECT_THRESHOLD;
    d->page_size = once_in(10) ? wild_32() : flip() ? 1u << below(5) : 16 * (1 + below(16));
    d->pages = any_size();
    d->max_keys = any_size();
    if (once_in(4)) {
        a->mask = DMATTN_MASK_DENSE;
        a->mask_shape = any_score_shape(a, false);
    }
}

dmattn_decode_desc drawn_decode;

static dmattn_status plan_decode(dmattn_context *context, dmattn_plan **plan)
{
    drawn_decode = (dmattn_decode_desc){0};
    draw_decode(&drawn_decode);
    return dmattn_decode_plan(context, &drawn_decode, plan);
}

static void check_decode(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    (void)info;
    dmattn_decode_desc c;
    dmattn_cache_layout l;
    FUZZ_CHECK(!dmattn_decode_desc_resolve(&drawn_decode, &c, NULL) && !dmattn_decode_get_layout(plan, &l));
    const dmattn_attention_desc *a = &c.attention;
    const wide heads = a->kv_heads, row = (wide)dmattn_decode_row_bytes(&c);
    const wide sequence = 48 * heads + (c.cache == DMATTN_CACHE_BOUNDED ? heads * l.slots * (16 + row) : 0);
    FUZZ_CHECK(l.sequence_size == sequence && l.state_size == sequence * a->batch);
    FUZZ_CHECK(plan->tensor[TENSOR_STATE].bytes == l.state_size);
    if (c.cache != DMATTN_CACHE_PAGED)
        return;
    const wide page = heads * c.page_size * (row + (c.no_importance ? 0 : 4));
    FUZZ_CHECK(l.page_size >= page && l.page_size < page + 80); /* each of five arrays ends at a multiple of 16 */
    FUZZ_CHECK(l.page_size % 16 == 0 && (c.page_size < 16 || l.page_size == page));
    FUZZ_CHECK(l.pages_size == (wide)l.page_size * c.pages);
    FUZZ_CHECK(plan->tensor[TENSOR_TABLE].bytes == (wide)4 * a->batch * l.table_pages);
}

const fuzzed_operator fuzzed_decode = {plan_decode, check_decode, NULL, &dmattn_decode_operator};
