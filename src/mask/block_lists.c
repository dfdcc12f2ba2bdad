/* SPDX-License-Identifier: MIT */
#include "block_lists.h"

#include "lists.h"

#define MAX_COUNT (1u << 20)
#define MAX_BLOCK (1u << 12)
#define MAX_PAIRS (1u << 24) /* of a block with bits */

/* ---- without a device ------------------------------------------------------------------------------------------ */

static uint32_t rows_of(const dmattn_block_lists_desc *d)
{
    return dmattn_ceil_div(d->queries, d->query_block);
}

static uint32_t blocks_of(const dmattn_block_lists_desc *d)
{
    return dmattn_ceil_div(d->keys, d->block);
}

/* Bytes of a row of a map. */
static uint32_t map_row(const dmattn_block_lists_desc *d)
{
    return d->form == DMATTN_BLOCK_FORM_BITMAP ? dmattn_ceil_div(blocks_of(d), 8) : blocks_of(d);
}

static dmattn_status check_form(const messenger *m, const dmattn_block_lists_desc *d)
{
    if ((unsigned)d->form > DMATTN_BLOCK_FORM_BITMAP)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "form %d is not a dmattn_block_form", (int)d->form);
    if (d->form == DMATTN_BLOCK_FORM_ROWS)
        return dmattn_check_size(m, "indices", d->indices);
    if (d->indices || d->bits)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but the form is not DMATTN_BLOCK_FORM_ROWS",
                           d->indices ? "indices" : "bits");
    return DMATTN_SUCCESS;
}

static dmattn_status check_bits(const messenger *m, const dmattn_block_lists_desc *d)
{
    const uint64_t pairs = dmattn_product(d->query_block, d->block);
    if (d->bits && (pairs % 32 || pairs > MAX_PAIRS))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "a block has %llu pairs, but with bits it must have a multiple of 32 up to %u",
                           (unsigned long long)pairs, MAX_PAIRS);
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_count(const messenger *m, dmattn_block_lists_desc *d)
{
    const uint64_t all = dmattn_product(blocks_of(d), d->bits ? d->block : 1);
    if (!d->count && all > MAX_COUNT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "count is 0, but a row has %llu numbers, more than %u",
                           (unsigned long long)all, MAX_COUNT);
    d->count = d->count ? d->count : (uint32_t)all;
    if (d->count > MAX_COUNT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "count is %u, but must be at most %u", d->count, MAX_COUNT);
    if (d->bits && d->count % d->block)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "count is %u, but with bits it must be a multiple of block (%u)",
                           d->count, d->block);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_block_lists_desc_resolve(const dmattn_block_lists_desc *desc, dmattn_block_lists_desc *d,
                                              const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of block lists is NULL");
    *d = *desc;
    d->batch = d->batch ? d->batch : 1;
    d->heads = d->heads ? d->heads : 1;
    TRY(dmattn_check_size(m, "batch", d->batch));
    TRY(dmattn_check_size(m, "heads", d->heads));
    TRY(dmattn_check_size(m, "queries", d->queries));
    TRY(dmattn_check_size(m, "keys", d->keys));
    TRY(dmattn_check_size(m, "query_block", d->query_block));
    if (!d->block || d->block > MAX_BLOCK || d->block & (d->block - 1))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "block is %u, but must be a power of 2 up to %u", d->block,
                           MAX_BLOCK);
    TRY(check_form(m, d));
    TRY(check_bits(m, d));
    return resolve_count(m, d);
}

uint64_t dmattn_block_lists_tensor_bytes(const dmattn_block_lists_desc *d, tensor_id tensor)
{
    const bool rows = d->form == DMATTN_BLOCK_FORM_ROWS;
    switch (tensor) {
    case TENSOR_INDPTR: return rows ? dmattn_product(4, d->batch, d->heads, rows_of(d) + UINT64_C(1)) : 0;
    case TENSOR_INDICES: return rows ? dmattn_product(4, d->indices) : 0;
    case TENSOR_BITS: return d->bits ? dmattn_product(d->indices, (uint64_t)d->query_block * d->block / 8) : 0;
    case TENSOR_MAP: return rows ? 0 : dmattn_product(d->batch, d->heads, rows_of(d), map_row(d));
    case TENSOR_SELECTED: return dmattn_product(4, d->batch, d->heads, d->queries, d->count);
    default: return 0;
    }
}

static grid grid_of(const block_lists_stage *s)
{
    const dmattn_block_lists_desc *d = &s->desc;
    const uint32_t planes = dmattn_workgroups(dmattn_product(d->batch, d->heads));
    return d->form == DMATTN_BLOCK_FORM_ROWS ? (grid){dmattn_ceil_div(d->count, s->workgroup), rows_of(d), planes}
                                             : (grid){rows_of(d), planes, 1};
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_block_lists_stage_plan(block_lists_stage *s, pipeline_set *set, const dmattn_block_lists_desc *d)
{
    const capabilities *caps = &set->ctx->caps;
    s->desc = *d;
    s->workgroup = dmattn_lists_workgroup(caps, false);
    const uint32_t c[BLOCK_LISTS_CONSTANT_COUNT] = {
        [BLOCK_LISTS_WORKGROUP] = s->workgroup, [BLOCK_LISTS_BITS] = d->bits || d->form == DMATTN_BLOCK_FORM_BITMAP};
    TRY(dmattn_check_grid(set->ctx, "the lists of blocks", grid_of(s)));
    return dmattn_pipelines_add(
        set, d->form == DMATTN_BLOCK_FORM_ROWS ? "block_rows" : "block_map", DMATTN_LEVEL_PORTABLE,
        &(kernel_values){c, BLOCK_LISTS_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(caps)}, &s->pipeline);
}

void dmattn_block_lists_stage_record(const block_lists_stage *s, recorder *r)
{
    const dmattn_block_lists_desc *d = &s->desc;
    block_lists_params params = {
        .indptr = r->tensor[d->form == DMATTN_BLOCK_FORM_ROWS ? TENSOR_INDPTR : TENSOR_MAP],
        .indices = r->tensor[TENSOR_INDICES],
        .bits = r->tensor[TENSOR_BITS],
        .selected = r->tensor[TENSOR_SELECTED],
        .queries = d->queries,
        .keys = d->keys,
        .query_block = d->query_block,
        .index_count = d->indices,
        .count = d->count,
    };
    while (d->block >> params.shift > 1)
        params.shift++;
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, grid_of(s));
}
