/* SPDX-License-Identifier: MIT */
#include "merge.h"

#define WORKGROUP 64

/* ---- without a device ------------------------------------------------------------------------------------------ */

dmattn_status dmattn_merge_desc_resolve(const dmattn_merge_desc *desc, dmattn_merge_desc *d, const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of a merge is NULL");
    *d = *desc;
    TRY(dmattn_check_type(m, "type", d->type));
    TRY(dmattn_check_size(m, "batch", d->batch));
    TRY(dmattn_check_size(m, "queries", d->queries));
    TRY(dmattn_check_size(m, "heads", d->heads));
    TRY(dmattn_check_dim(m, "value_dim", d->value_dim, DMATTN_MAX_VALUE_DIM));
    TRY(dmattn_strides_resolve(m, "out_a", &d->a_strides, d->batch, d->queries, d->heads, d->value_dim));
    TRY(dmattn_strides_resolve(m, "out_b", &d->b_strides, d->batch, d->queries, d->heads, d->value_dim));
    TRY(dmattn_strides_resolve(m, "out", &d->out_strides, d->batch, d->queries, d->heads, d->value_dim));
    if (!dmattn_strides_distinct(&d->out_strides, d->batch, d->queries, d->heads, d->value_dim))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "out_strides make elements of out overlap");
    return DMATTN_SUCCESS;
}

static bool is_aligned(const dmattn_merge_desc *d)
{
    const uint32_t size = dmattn_type_size(d->type);
    return dmattn_strides_aligned(&d->a_strides, d->batch, d->queries, d->heads, size)
           && dmattn_strides_aligned(&d->b_strides, d->batch, d->queries, d->heads, size)
           && dmattn_strides_aligned(&d->out_strides, d->batch, d->queries, d->heads, size);
}

uint64_t dmattn_merge_tensor_bytes(const dmattn_merge_desc *d, tensor_id tensor)
{
    const uint64_t size = dmattn_type_size(d->type), rows = dmattn_product(4, d->batch, d->heads, d->queries);
    switch (tensor) {
    case TENSOR_OUT_A:
        return dmattn_product(size, dmattn_strides_span(&d->a_strides, d->batch, d->queries, d->heads, d->value_dim));
    case TENSOR_OUT_B:
        return dmattn_product(size, dmattn_strides_span(&d->b_strides, d->batch, d->queries, d->heads, d->value_dim));
    case TENSOR_OUT:
        return dmattn_product(size, dmattn_strides_span(&d->out_strides, d->batch, d->queries, d->heads, d->value_dim));
    case TENSOR_LSE_A:
    case TENSOR_LSE_B: return rows;
    case TENSOR_LSE: return d->lse ? rows : 0;
    default: return 0;
    }
}

uint64_t dmattn_merge_alignment(const dmattn_merge_desc *d, tensor_id tensor)
{
    const bool rows = tensor == TENSOR_OUT_A || tensor == TENSOR_OUT_B || tensor == TENSOR_OUT;
    return rows ? (is_aligned(d) ? 16 : dmattn_type_size(d->type)) : 4;
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_merge_stage_plan(merge_stage *s, pipeline_set *set, const dmattn_merge_desc *d)
{
    const uint32_t size = dmattn_type_size(d->type), rows = WORKGROUP / (d->value_dim / 8);
    uint32_t c[MERGE_CONSTANT_COUNT] = {
        [MERGE_WORKGROUP] = WORKGROUP, [MERGE_TYPE] = d->type,           [MERGE_ALIGNED] = is_aligned(d),
        [MERGE_HEADS] = d->heads,      [MERGE_VALUE_DIM] = d->value_dim, [MERGE_LSE] = d->lse,
    };
    c[MERGE_DERIVED_STRIDES] =
        dmattn_put_strides(c, MERGE_A_BATCH_LOW, &d->a_strides, d->batch, d->queries, d->heads, size, MERGE_DERIVED_A)
        | dmattn_put_strides(c, MERGE_B_BATCH_LOW, &d->b_strides, d->batch, d->queries, d->heads, size, MERGE_DERIVED_B)
        | dmattn_put_strides(c, MERGE_OUT_BATCH_LOW, &d->out_strides, d->batch, d->queries, d->heads, size,
                             MERGE_DERIVED_OUT);
    s->desc = *d;
    s->grid = (grid){dmattn_ceil_div(d->queries, rows), d->heads, d->batch};
    TRY(dmattn_check_grid(set->ctx, "merging two results", s->grid));
    return dmattn_pipelines_add(set, "merge_results", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){c, MERGE_CONSTANT_COUNT, 0}, &s->pipeline);
}

void dmattn_merge_stage_record(const merge_stage *s, recorder *r)
{
    const merge_params params = {
        .out_a = r->tensor[TENSOR_OUT_A],
        .lse_a = r->tensor[TENSOR_LSE_A],
        .out_b = r->tensor[TENSOR_OUT_B],
        .lse_b = r->tensor[TENSOR_LSE_B],
        .out_ = r->tensor[TENSOR_OUT],
        .lse = r->tensor[TENSOR_LSE],
        .queries = s->desc.queries,
    };
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, s->grid);
}
