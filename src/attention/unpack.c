/* SPDX-License-Identifier: MIT */
#include "unpack.h"

#include "../format.h"

#include "../../shaders/lib/attention.h"

#define WORKGROUP 64

static const tensor_id tensors[UNPACKED_TENSORS] = {TENSOR_K, TENSOR_V};
static const tensor_id scales[UNPACKED_TENSORS] = {TENSOR_K_SCALES, TENSOR_V_SCALES};

/* ---- without a device ------------------------------------------------------------------------------------------ */

static uint32_t dim_of(const dmattn_attention_desc *d, tensor_id tensor)
{
    return tensor == TENSOR_K ? d->head_dim : d->value_dim;
}

static bool has_format(const dmattn_attention_desc *d, tensor_id tensor)
{
    return (tensor == TENSOR_K ? d->k_format : d->v_format) != DMATTN_FORMAT_TYPE;
}

static dmattn_strides contiguous(const dmattn_attention_desc *d, tensor_id tensor)
{
    const uint64_t head = dim_of(d, tensor), sequence = dmattn_product(d->kv_heads, head);
    return (dmattn_strides){.batch = dmattn_product(d->keys, sequence), .sequence = sequence, .head = head};
}

dmattn_attention_desc dmattn_unpack_attention(const dmattn_attention_desc *desc)
{
    dmattn_attention_desc d = *desc;
    d.k_format = d.v_format = DMATTN_FORMAT_TYPE;
    if (has_format(desc, TENSOR_K))
        d.k_strides = contiguous(desc, TENSOR_K);
    if (has_format(desc, TENSOR_V))
        d.v_strides = contiguous(desc, TENSOR_V);
    return d;
}

uint64_t dmattn_unpack_alignment(const dmattn_attention_desc *d, tensor_id tensor)
{
    if (tensor == TENSOR_K_SCALES || tensor == TENSOR_V_SCALES)
        return 4;
    if ((tensor != TENSOR_K && tensor != TENSOR_V) || !has_format(d, tensor))
        return 0;
    return dmattn_format_alignment(dmattn_attention_format(d, tensor));
}

uint32_t dmattn_unpack_bits(const dmattn_attention_desc *d)
{
    return (d->k_format ? DERIVED_K : 0) | (d->v_format ? DERIVED_V : 0);
}

uint64_t dmattn_unpack_bytes(const dmattn_attention_desc *d, tensor_id tensor)
{
    if (!has_format(d, tensor))
        return 0;
    return dmattn_product(dmattn_type_size(d->type), d->batch, d->keys, d->kv_heads, dim_of(d, tensor));
}

/* As few invocations share a row as still read all of it in the fewest steps. */
static uint32_t row_lanes(uint32_t dim)
{
    const uint32_t units = dim / 8;
    return dmattn_ceil_div(units, dmattn_ceil_div(units, WORKGROUP));
}

static grid grid_of(const dmattn_attention_desc *d, tensor_id tensor)
{
    if (!has_format(d, tensor))
        return (grid){0, 0, 0};
    return (grid){dmattn_ceil_div(d->keys, WORKGROUP / row_lanes(dim_of(d, tensor))), d->kv_heads, d->batch};
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

static dmattn_status plan_tensor_of(unpack_stage *s, pipeline_set *set, int i, bool given_strides)
{
    const dmattn_attention_desc *d = &s->desc;
    const tensor_id t = tensors[i];
    const dmattn_format format = t == TENSOR_K ? d->k_format : d->v_format;
    const dmattn_strides *elements = t == TENSOR_K ? &d->k_strides : &d->v_strides;
    const dmattn_strides bytes = {.batch = dmattn_format_bytes(format, elements->batch),
                                  .sequence = dmattn_format_bytes(format, elements->sequence),
                                  .head = dmattn_format_bytes(format, elements->head)};
    uint32_t c[UNPACK_CONSTANT_COUNT] = {
        [UNPACK_WORKGROUP] = WORKGROUP,
        [UNPACK_FORMAT] = format,
        [UNPACK_TYPE] = d->type,
        [UNPACK_DIM] = dim_of(d, t),
        [UNPACK_ROW_LANES] = row_lanes(dim_of(d, t)),
        [UNPACK_HEADS] = d->kv_heads,
    };
    c[UNPACK_DERIVED_STRIDE] = dmattn_put_strides(c, UNPACK_BATCH_LOW, &bytes, d->batch, d->keys, d->kv_heads, 1, 1);
    if (given_strides) {
        dmattn_put_stride(c, UNPACK_BATCH_LOW, d->batch, bytes.batch, 1);
        c[UNPACK_DERIVED_STRIDE] = 0;
    }
    s->grid[i] = grid_of(d, t);
    TRY(dmattn_check_grid(set->ctx, "unpacking keys and values", s->grid[i]));
    return dmattn_pipelines_add(set, "unpack", DMATTN_LEVEL_PORTABLE, &(kernel_values){c, UNPACK_CONSTANT_COUNT, 0},
                                &s->pipeline[i]);
}

dmattn_status dmattn_unpack_stage_plan(unpack_stage *s, pipeline_set *set, const dmattn_attention_desc *d,
                                       uint32_t given_strides)
{
    static const uint32_t bits[UNPACKED_TENSORS] = {DERIVED_K, DERIVED_V};
    s->desc = *d;
    for (int i = 0; i < UNPACKED_TENSORS; i++)
        if (has_format(d, tensors[i]))
            TRY(plan_tensor_of(s, set, i, given_strides & bits[i]));
    return DMATTN_SUCCESS;
}

void dmattn_unpack_stage_shorten(unpack_stage *s, const dmattn_attention_desc *run)
{
    s->desc = *run;
    for (int i = 0; i < UNPACKED_TENSORS; i++)
        s->grid[i] = grid_of(run, tensors[i]);
}

void dmattn_unpack_stage_record(const unpack_stage *s, recorder *r)
{
    bool first = true;
    for (int i = 0; i < UNPACKED_TENSORS; i++) {
        if (!s->grid[i].x)
            continue;
        const unpack_params params = {
            .from = r->tensor[tensors[i]],
            .scales = r->tensor[scales[i]],
            .to = r->workspace + s->at[i],
            .keys = s->desc.keys,
        };
        dmattn_recorder_one_of(r, &first);
        dmattn_recorder_dispatch(r, s->pipeline[i], &params, sizeof params, s->grid[i]);
        r->tensor[tensors[i]] = params.to;
        r->bytes[tensors[i]] = dmattn_unpack_bytes(&s->desc, tensors[i]);
    }
}
