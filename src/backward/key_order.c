/* SPDX-License-Identifier: MIT */
#include "key_order.h"

#include "../../shaders/lib/attention.h"

_Static_assert(KEY_ORDER_BLOCK == TREE_BLOCK, "both kinds of planes have the same padding");

/* Coordinates of the curve have 15 bits. */
#define MAX_COORDINATE 0x7fff

dmattn_status dmattn_key_order_plan(key_order *o, pipeline_set *set, const key_order_desc *d)
{
    const dmattn_context *ctx = set->ctx;
    const uint64_t planes = dmattn_product(d->batch, d->heads);
    const uint32_t workgroup = dmattn_sort_workgroup(&ctx->caps, planes, d->keys);
    const uint32_t codes[RANGE_CODES_CONSTANT_COUNT] = {
        [RANGE_CODES_WORKGROUP] = workgroup,
        [RANGE_CODES_CAUSAL] = d->causal,
    };
    const uint32_t sort[SELECTION_CONSTANT_COUNT] = {[SELECTION_WORKGROUP] = workgroup};
    o->desc = *d;
    o->grid = (grid){dmattn_ceil_div(d->keys, workgroup), dmattn_workgroups(planes), 1};
    o->codes_bytes = (dmattn_product(4, planes, d->keys) + 15) / 16 * 16;
    TRY(dmattn_check_grid(ctx, "the order of keys", o->grid));
    TRY(dmattn_key_sort_plan(&o->sort, set, planes, d->keys, sort));
    return dmattn_pipelines_add(set, "range_codes", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){codes, RANGE_CODES_CONSTANT_COUNT, 0}, &o->codes);
}

uint64_t dmattn_key_order_scratch_bytes(const key_order *o)
{
    return dmattn_add(o->codes_bytes, dmattn_sort_scratch_bytes(&o->sort.layout));
}

uint64_t dmattn_key_order_record(const key_order *o, recorder *r)
{
    const VkDeviceAddress scratch = r->workspace + o->scratch_at;
    const key_order_desc *d = &o->desc;
    range_codes_params codes = {
        .begin = r->tensor[TENSOR_BEGIN],
        .end = r->tensor[TENSOR_END],
        .batch_stride = d->batch_stride,
        .head_stride = d->head_stride,
        .codes = scratch,
        .queries = d->queries,
        .keys = d->keys,
        .heads = d->heads,
    };
    while (d->queries >> codes.shift > MAX_COORDINATE)
        codes.shift++;
    dmattn_recorder_dispatch(r, o->codes, &codes, sizeof codes, o->grid);
    sort_params sort = {.importance = scratch, .keys = d->keys, .heads = d->heads};
    return dmattn_key_sort_record(&o->sort, r, scratch + o->codes_bytes, &sort) - r->workspace;
}
