/* SPDX-License-Identifier: MIT
 * The gradients of dynamic mask attention: those of attention with the mask as intervals and the importance as a bias,
 * and from the bias's those of what the importance is made of. */
#include "dma.h"

#include "../plan.h"

#define PARAMETERS ((uint32_t)(DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A | DMATTN_GRADIENT_DT_BIAS))

/* Those that there are. */
static uint32_t all_gradients(const dmattn_dma_desc *d)
{
    const uint32_t attention = DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | DMATTN_GRADIENT_IMPORTANCE;
    if (d->importance_given)
        return attention;
    return attention | (PARAMETERS & ~(d->importance.dt_bias ? 0u : (uint32_t)DMATTN_GRADIENT_DT_BIAS));
}

dmattn_status dmattn_dma_backward_desc_resolve(const dmattn_dma_backward_desc *desc, dma_backward_parts *parts,
                                               const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of dynamic mask attention's backward pass is NULL");
    const uint32_t all = all_gradients(&desc->dma);
    const uint32_t usual = desc->dma.importance_given ? all : all & ~(uint32_t)DMATTN_GRADIENT_IMPORTANCE;
    const uint32_t wanted = desc->gradients ? desc->gradients : usual;
    dma_parts forward;
    TRY(dmattn_dma_desc_resolve(&desc->dma, &forward, m));
    if (wanted & ~all)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "gradients has bits (0x%x) that this dynamic mask attention has no gradients for",
                           wanted & ~all);
    parts->gradients = wanted;
    parts->mask = forward.mask;
    /* From the importance to v and to the parameters, unless the app has made it. */
    parts->of_importance = desc->dma.importance_given ? 0 : wanted & (PARAMETERS | (uint32_t)DMATTN_GRADIENT_V);
    dmattn_attention_backward_desc b = {
        .attention = forward.attention,
        .gradients = wanted & ATTENTION_GRADIENTS,
        .dout_strides = desc->dout_strides,
        .dq_strides = desc->dq_strides,
        .dk_strides = desc->dk_strides,
        .dv_strides = desc->dv_strides,
    };
    if (parts->of_importance || wanted & DMATTN_GRADIENT_IMPORTANCE)
        b.gradients |= DMATTN_GRADIENT_BIAS;
    b.attention.lists = false;
    b.attention.list_capacity = desc->dma.list_capacity;
    return dmattn_attention_backward_desc_resolve(&b, &parts->attention, m);
}

uint64_t dmattn_dma_backward_tensor_bytes(const dma_backward_parts *parts, tensor_id tensor)
{
    const uint64_t heads = parts->mask.kv_heads;
    const uint32_t g = parts->gradients;
    switch (tensor) {
    case TENSOR_BIAS: /* that is the importance */
    case TENSOR_DBIAS: return 0;
    case TENSOR_IMPORTANCE: return dmattn_attention_backward_tensor_bytes(&parts->attention, TENSOR_BIAS);
    case TENSOR_DIMPORTANCE: return dmattn_attention_backward_tensor_bytes(&parts->attention, TENSOR_DBIAS);
    case TENSOR_DT_WEIGHT:
    case TENSOR_A:
    case TENSOR_DT_BIAS: return parts->of_importance ? dmattn_mask_tensor_bytes(&parts->mask, tensor) : 0;
    case TENSOR_DDT_WEIGHT: return g & DMATTN_GRADIENT_DT_WEIGHT ? 4 * heads * heads * parts->mask.value_dim : 0;
    case TENSOR_DA: return g & DMATTN_GRADIENT_A ? 4 * heads : 0;
    case TENSOR_DDT_BIAS: return g & DMATTN_GRADIENT_DT_BIAS ? 4 * heads : 0;
    default: return dmattn_attention_backward_tensor_bytes(&parts->attention, tensor);
    }
}

static dmattn_status fill_plan(dmattn_plan *plan, const dma_backward_parts *parts, const backward_tiles *tiles)
{
    const keys_bound bound = dmattn_selection_bound(&parts->mask.selection, parts->mask.keys);
    const uint32_t parameter = dmattn_type_size(parts->mask.importance.parameter_type);
    TRY(dmattn_plan_add_backward(plan, &parts->attention, bound, tiles));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        plan_tensor *tensor = &plan->tensor[t];
        if (t == TENSOR_LISTS)
            continue;
        tensor->bytes = dmattn_dma_backward_tensor_bytes(parts, t);
        if (!tensor->alignment)
            tensor->alignment = t == TENSOR_DT_WEIGHT || t == TENSOR_A || t == TENSOR_DT_BIAS ? parameter : 4;
    }
    if (!(parts->gradients & DMATTN_GRADIENT_IMPORTANCE)) {
        plan_tensor *tensor = &plan->tensor[TENSOR_DIMPORTANCE];
        tensor->in_workspace = true;
        tensor->offset = dmattn_plan_reserve(plan, tensor->bytes);
    }
    if (!parts->of_importance)
        return DMATTN_SUCCESS;
    dmattn_mask_desc importance = parts->mask;
    importance.stages = DMATTN_STAGE_IMPORTANCE;
    TRY(dmattn_mask_desc_resolve(&importance, &importance, &plan->ctx->messenger));
    TRY(dmattn_importance_backward_stage_plan(&plan->importance_backward, plan->ctx, plan->layout, &importance,
                                              parts->of_importance, &parts->attention.dv_strides));
    /* Rows of v and dv that lie at multiples of 16 bytes are taken as such, whatever those of the others do. */
    if (dmattn_importance_is_aligned(&importance))
        plan->tensor[TENSOR_V].alignment = 16;
    if (parts->of_importance & DMATTN_GRADIENT_V
        && dmattn_importance_backward_is_aligned(&importance, &parts->attention.dv_strides))
        plan->tensor[TENSOR_DV].alignment = 16;
    plan->importance_backward_offset =
        dmattn_plan_reserve(plan, dmattn_importance_backward_scratch_bytes(&plan->importance_backward));
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_dma_backward_plan(dmattn_context *ctx, const dmattn_dma_backward_desc *desc, dmattn_plan **out)
{
    return dmattn_dma_backward_plan_tiles(ctx, desc, NULL, out);
}

dmattn_status dmattn_dma_backward_plan_tiles(dmattn_context *ctx, const dmattn_dma_backward_desc *desc,
                                             const backward_tiles *tiles, dmattn_plan **out)
{
    dma_backward_parts parts;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_dma_backward_desc_resolve(desc, &parts, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_DMA_BACKWARD, &plan));
    return dmattn_plan_finish(plan, fill_plan(plan, &parts, tiles), "dynamic mask attention's backward pass", out);
}

dmattn_status dmattn_dma_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                         const dmattn_dma_backward_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "args is NULL");
    const dmattn_buffer *const buffers[TENSOR_COUNT] = {
        [TENSOR_Q] = &args->q,
        [TENSOR_K] = &args->k,
        [TENSOR_V] = &args->v,
        [TENSOR_OUT] = &args->out,
        [TENSOR_DOUT] = &args->dout,
        [TENSOR_LSE] = &args->lse,
        [TENSOR_DT_WEIGHT] = &args->dt_weight,
        [TENSOR_A] = &args->a,
        [TENSOR_DT_BIAS] = &args->dt_bias,
        [TENSOR_IMPORTANCE] = &args->importance,
        [TENSOR_BEGIN] = &args->begin,
        [TENSOR_END] = &args->end,
        [TENSOR_DQ] = &args->dq,
        [TENSOR_DK] = &args->dk,
        [TENSOR_DV] = &args->dv,
        [TENSOR_DIMPORTANCE] = &args->dimportance,
        [TENSOR_DDT_WEIGHT] = &args->ddt_weight,
        [TENSOR_DA] = &args->da,
        [TENSOR_DDT_BIAS] = &args->ddt_bias,
    };
    return dmattn_plan_record(plan, PLAN_DMA_BACKWARD, commands, buffers, &args->workspace, 0);
}
