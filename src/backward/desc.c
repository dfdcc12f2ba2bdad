/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include "../descriptors/format.h"

/* Resolves the strides of dq, dk or dv. No two elements may have the same address. */
static dmattn_status resolve_gradient(const messenger *m, const char *name, dmattn_strides *s, uint32_t batch,
                                      uint32_t sequence, uint32_t heads, uint32_t dim)
{
    TRY(dmattn_strides_resolve(m, name, s, batch, sequence, heads, dim));
    if (!dmattn_strides_distinct(s, batch, sequence, heads, dim))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s_strides give two elements of %s the same address", name, name);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_attention_backward_desc_resolve(const dmattn_attention_backward_desc *desc,
                                                     dmattn_attention_backward_desc *resolved, const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of the backward pass is NULL");
    dmattn_attention_backward_desc b = *desc;
    dmattn_attention_desc *d = &b.attention;
    TRY(dmattn_attention_desc_resolve(&desc->attention, d, m));
    d->lse = true;
    if (d->type != DMATTN_TYPE_F32 && (d->q_f32 || d->out_f32))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but gradients need one type for q, k, v and out",
                           d->q_f32 ? "q_f32" : "out_f32");
    if (d->k_format || d->v_format)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %s, but gradients need k and v as elements of `type`",
                           d->k_format ? "k_format" : "v_format",
                           dmattn_format_string(d->k_format ? d->k_format : d->v_format));
    if (d->page_size)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "page_size is set, but gradients need k and v outside of pages");
    if (d->counts)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "counts is set, but gradients are for one number of queries and keys");
    if (d->lengths)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "lengths is set, but a plan of gradients is for one length");
    const uint32_t all = ATTENTION_GRADIENTS & ~(d->bias && !d->slopes ? 0u : (uint32_t)DMATTN_GRADIENT_BIAS)
                         & ~(d->sink ? 0u : (uint32_t)DMATTN_GRADIENT_SINK);
    if (b.gradients & ~ATTENTION_GRADIENTS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "gradients has unknown bits (0x%x)",
                           b.gradients & ~ATTENTION_GRADIENTS);
    if (b.gradients & ~all & DMATTN_GRADIENT_BIAS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "gradients includes the bias, but there is no bias%s",
                           d->slopes ? " without slopes" : "");
    if (b.gradients & ~all)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "gradients includes the sink, but there is no sink");
    b.gradients = b.gradients ? b.gradients : all;
    if (d->mask == DMATTN_MASK_SELECTED && b.gradients & DMATTN_GRADIENT_BIAS && d->bias_shape.queries > 1)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "gradients includes a bias with a query dimension, which DMATTN_MASK_SELECTED does not have");
    const dmattn_score_shape *s = &d->bias_shape;
    if (d->bias)
        TRY(dmattn_check_bytes(m, "dbias", dmattn_product(4, s->batch, s->heads, s->queries, d->keys)));
    TRY(dmattn_strides_resolve(m, "dout", &b.dout_strides, d->batch, d->queries, d->heads, d->value_dim));
    TRY(resolve_gradient(m, "dq", &b.dq_strides, d->batch, d->queries, d->heads, d->head_dim));
    TRY(resolve_gradient(m, "dk", &b.dk_strides, d->batch, d->keys, d->kv_heads, d->head_dim));
    TRY(resolve_gradient(m, "dv", &b.dv_strides, d->batch, d->keys, d->kv_heads, d->value_dim));
    *resolved = b;
    return DMATTN_SUCCESS;
}

uint64_t dmattn_attention_backward_tensor_bytes(const dmattn_attention_backward_desc *b, tensor_id tensor)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint64_t size = dmattn_type_size(d->type);
    const uint32_t g = b->gradients;
    switch (tensor) {
    case TENSOR_DOUT: return size * dmattn_strides_span(&b->dout_strides, d->batch, d->queries, d->heads, d->value_dim);
    case TENSOR_DQ:
        return !(g & DMATTN_GRADIENT_Q)
                   ? 0
                   : size * dmattn_strides_span(&b->dq_strides, d->batch, d->queries, d->heads, d->head_dim);
    case TENSOR_DK:
        return !(g & DMATTN_GRADIENT_K)
                   ? 0
                   : size * dmattn_strides_span(&b->dk_strides, d->batch, d->keys, d->kv_heads, d->head_dim);
    case TENSOR_DV:
        return !(g & DMATTN_GRADIENT_V)
                   ? 0
                   : size * dmattn_strides_span(&b->dv_strides, d->batch, d->keys, d->kv_heads, d->value_dim);
    case TENSOR_DBIAS: {
        const dmattn_score_shape *s = &d->bias_shape;
        return !(g & DMATTN_GRADIENT_BIAS) ? 0 : dmattn_product(4, s->batch, s->heads, s->queries, d->keys);
    }
    case TENSOR_DLSE: return b->dlse ? dmattn_product(4, d->batch, d->heads, d->queries) : 0;
    case TENSOR_DSINK: return g & DMATTN_GRADIENT_SINK ? UINT64_C(4) * d->heads : 0;
    default: return dmattn_attention_tensor_bytes(d, tensor);
    }
}

bool dmattn_backward_is_aligned(const dmattn_attention_backward_desc *b)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t size = dmattn_type_size(d->type);
    return dmattn_attention_is_aligned(d)
           && dmattn_strides_aligned(&b->dout_strides, d->batch, d->queries, d->heads, size)
           && dmattn_strides_aligned(&b->dq_strides, d->batch, d->queries, d->heads, size)
           && dmattn_strides_aligned(&b->dk_strides, d->batch, d->keys, d->kv_heads, size)
           && dmattn_strides_aligned(&b->dv_strides, d->batch, d->keys, d->kv_heads, size);
}

bool dmattn_backward_sums_group(const dmattn_attention_backward_desc *b)
{
    const dmattn_attention_desc *d = &b->attention;
    return !(b->gradients & DMATTN_GRADIENT_BIAS) || d->bias_shape.heads != d->heads || d->heads == d->kv_heads;
}

double dmattn_backward_flops(const dmattn_attention_backward_desc *b)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t g = b->gradients;
    /* scores are always computed; dP if dS is needed; and a product for each of dq, dk and dv */
    double sizes = d->head_dim;
    sizes += g & ~(uint32_t)DMATTN_GRADIENT_V ? d->value_dim : 0;
    sizes += (g & DMATTN_GRADIENT_Q ? d->head_dim : 0) + (g & DMATTN_GRADIENT_K ? d->head_dim : 0);
    sizes += g & DMATTN_GRADIENT_V ? d->value_dim : 0;
    return 2 * sizes * dmattn_attention_pairs(d) * d->batch * d->heads;
}

double dmattn_backward_bytes(const dmattn_attention_backward_desc *b)
{
    const dmattn_attention_desc *d = &b->attention;
    const double size = dmattn_type_size(d->type), rows = (double)d->batch * d->queries * d->heads;
    const double keys = (double)d->batch * d->keys * d->kv_heads;
    const uint32_t g = b->gradients;
    double bytes = dmattn_attention_bytes(d) + size * rows * d->value_dim; /* and dout */
    bytes += g & DMATTN_GRADIENT_Q ? size * rows * d->head_dim : 0;
    bytes += g & DMATTN_GRADIENT_K ? size * keys * d->head_dim : 0;
    bytes += g & DMATTN_GRADIENT_V ? size * keys * d->value_dim : 0;
    bytes += b->dlse ? 4 * rows : 0;
    return bytes + (double)dmattn_attention_backward_tensor_bytes(b, TENSOR_DBIAS);
}
