/* SPDX-License-Identifier: MIT
 * The gradients of dynamic mask attention: first those of attention, with the mask as intervals and the importance as a
 * bias; then, from the gradient of the importance, those of v and of its parameters. */
#include "dma.h"

#include "../mask/importance_backward.h"
#include "backward_stages.h"
#include "operators.h"

#define PARAMETERS ((uint32_t)(DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A | DMATTN_GRADIENT_DT_BIAS))

/* The gradients that the operator can compute. */
static uint32_t all_gradients(const dmattn_dma_desc *d)
{
    const uint32_t attention = DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | DMATTN_GRADIENT_IMPORTANCE
                               | (d->attention.sink ? (uint32_t)DMATTN_GRADIENT_SINK : 0);
    if (d->importance_given)
        return attention;
    return attention | (PARAMETERS & ~(d->importance.dt_bias ? 0u : (uint32_t)DMATTN_GRADIENT_DT_BIAS));
}

dmattn_status dmattn_dma_backward_desc_resolve(const dmattn_dma_backward_desc *desc, dma_backward_descs *descs,
                                               const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of dynamic mask attention's backward pass is NULL");
    const uint32_t all = all_gradients(&desc->dma);
    const uint32_t usual = desc->dma.importance_given ? all : all & ~(uint32_t)DMATTN_GRADIENT_IMPORTANCE;
    const uint32_t wanted = desc->gradients ? desc->gradients : usual;
    dma_descs forward;
    TRY(dmattn_dma_desc_resolve(&desc->dma, &forward, m));
    if (wanted & ~all)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "gradients has bits (0x%x) that this descriptor has no gradients for", wanted & ~all);
    descs->gradients = wanted;
    descs->mask = forward.mask;
    /* The importance passes its gradient on to v and the parameters, unless the app has given the importance. */
    descs->of_importance = desc->dma.importance_given ? 0 : wanted & (PARAMETERS | (uint32_t)DMATTN_GRADIENT_V);
    dmattn_attention_backward_desc b = {
        .attention = forward.attention,
        .gradients = wanted & ATTENTION_GRADIENTS,
        .dlse = desc->dlse,
        .dout_strides = desc->dout_strides,
        .dq_strides = desc->dq_strides,
        .dk_strides = desc->dk_strides,
        .dv_strides = desc->dv_strides,
    };
    if (descs->of_importance || wanted & DMATTN_GRADIENT_IMPORTANCE)
        b.gradients |= DMATTN_GRADIENT_BIAS;
    b.attention.lists = false;
    b.attention.list_capacity = desc->dma.list_capacity;
    return dmattn_attention_backward_desc_resolve(&b, &descs->attention, m);
}

uint64_t dmattn_dma_backward_tensor_bytes(const dma_backward_descs *descs, tensor_id tensor)
{
    const uint64_t heads = descs->mask.kv_heads;
    const uint32_t g = descs->gradients;
    switch (tensor) {
    case TENSOR_BIAS: /* the bias is the importance */
    case TENSOR_DBIAS: return 0;
    case TENSOR_IMPORTANCE: return dmattn_attention_backward_tensor_bytes(&descs->attention, TENSOR_BIAS);
    case TENSOR_DIMPORTANCE: return dmattn_attention_backward_tensor_bytes(&descs->attention, TENSOR_DBIAS);
    case TENSOR_DT_WEIGHT:
    case TENSOR_A:
    case TENSOR_DT_BIAS: return descs->of_importance ? dmattn_mask_tensor_bytes(&descs->mask, tensor) : 0;
    case TENSOR_DDT_WEIGHT: return g & DMATTN_GRADIENT_DT_WEIGHT ? 4 * heads * heads * descs->mask.value_dim : 0;
    case TENSOR_DA: return g & DMATTN_GRADIENT_A ? 4 * heads : 0;
    case TENSOR_DDT_BIAS: return g & DMATTN_GRADIENT_DT_BIAS ? 4 * heads : 0;
    default: return dmattn_attention_backward_tensor_bytes(&descs->attention, tensor);
    }
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

typedef struct dma_backward_plan {
    dmattn_plan base;
    backward_stages attention;
    importance_backward_stage importance; /* without pipelines if no gradient comes through the importance */
} dma_backward_plan;

static dmattn_status add_importance(dma_backward_plan *plan, const dma_backward_descs *descs)
{
    dmattn_plan *base = &plan->base;
    const dmattn_strides *dv = &descs->attention.dv_strides;
    dmattn_mask_desc d = descs->mask;
    d.stages = DMATTN_STAGE_IMPORTANCE;
    TRY(dmattn_mask_desc_resolve(&d, &d, &base->ctx->messenger));
    TRY(dmattn_importance_backward_stage_plan(&plan->importance, &base->pipelines, &d, descs->of_importance, dv));
    /* The stage reads rows of v and dv 16 bytes at a time where they allow it, even if those of q or k do not. */
    if (dmattn_importance_is_aligned(&d))
        base->tensor[TENSOR_V].alignment = 16;
    if (descs->of_importance & DMATTN_GRADIENT_V && dmattn_importance_backward_is_aligned(&d, dv))
        base->tensor[TENSOR_DV].alignment = 16;
    plan->importance.scratch_at =
        dmattn_plan_reserve(base, dmattn_importance_backward_scratch_bytes(&plan->importance));
    return DMATTN_SUCCESS;
}

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tiles)
{
    dma_backward_plan *plan = (dma_backward_plan *)base;
    dma_backward_descs resolved;
    const dma_backward_descs *descs = &resolved;
    TRY(dmattn_dma_backward_desc_resolve(desc, &resolved, &base->ctx->messenger));
    const keys_bound bound = dmattn_selection_bound(&descs->mask.selection, descs->mask.keys);
    const uint32_t parameter = dmattn_type_size(descs->mask.importance.parameter_type);
    TRY(dmattn_backward_stages_plan(&plan->attention, base, &descs->attention, bound, tiles));
    dmattn_attention_backward_desc counted = descs->attention; /* its work counts as with a causal mask */
    counted.attention.causal = descs->mask.selection.causal;
    base->flops = dmattn_backward_flops(&counted);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        plan_tensor *tensor = &base->tensor[t];
        tensor->bytes = dmattn_dma_backward_tensor_bytes(descs, t);
        if (!tensor->alignment)
            tensor->alignment = t == TENSOR_DT_WEIGHT || t == TENSOR_A || t == TENSOR_DT_BIAS ? parameter : 4;
    }
    if (!(descs->gradients & DMATTN_GRADIENT_IMPORTANCE))
        dmattn_plan_reserve_tensor(base, TENSOR_DIMPORTANCE);
    return descs->of_importance ? add_importance(plan, descs) : DMATTN_SUCCESS;
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    const dma_backward_plan *plan = (const dma_backward_plan *)base;
    (void)reuse;
    r->tensor[TENSOR_BIAS] = r->tensor[TENSOR_IMPORTANCE];
    r->tensor[TENSOR_DBIAS] = r->tensor[TENSOR_DIMPORTANCE];
    dmattn_backward_stages_record(&plan->attention, r);
    dmattn_importance_backward_stage_record(&plan->importance, r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    dmattn_backward_stages_describe(&((const dma_backward_plan *)base)->attention, info);
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_dma_backward_args, Q, q),
    BUFFER(dmattn_dma_backward_args, K, k),
    BUFFER(dmattn_dma_backward_args, V, v),
    BUFFER(dmattn_dma_backward_args, OUT, out),
    BUFFER(dmattn_dma_backward_args, LSE, lse),
    BUFFER(dmattn_dma_backward_args, BEGIN, begin),
    BUFFER(dmattn_dma_backward_args, END, end),
    BUFFER(dmattn_dma_backward_args, SINK, sink),
    BUFFER(dmattn_dma_backward_args, DT_WEIGHT, dt_weight),
    BUFFER(dmattn_dma_backward_args, A, a),
    BUFFER(dmattn_dma_backward_args, DT_BIAS, dt_bias),
    BUFFER(dmattn_dma_backward_args, IMPORTANCE, importance),
    BUFFER(dmattn_dma_backward_args, DOUT, dout),
    BUFFER(dmattn_dma_backward_args, DLSE, dlse),
    BUFFER(dmattn_dma_backward_args, DQ, dq),
    BUFFER(dmattn_dma_backward_args, DK, dk),
    BUFFER(dmattn_dma_backward_args, DV, dv),
    BUFFER(dmattn_dma_backward_args, DIMPORTANCE, dimportance),
    BUFFER(dmattn_dma_backward_args, DDT_WEIGHT, ddt_weight),
    BUFFER(dmattn_dma_backward_args, DA, da),
    BUFFER(dmattn_dma_backward_args, DDT_BIAS, ddt_bias),
    BUFFER(dmattn_dma_backward_args, DSINK, dsink),
    END_OF_BUFFERS,
};
const operator_type dmattn_dma_backward_operator = {
    .name = "the gradients of dynamic mask attention",
    .size = sizeof(dma_backward_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_dma_backward_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_dma_backward_plan(dmattn_context *ctx, const dmattn_dma_backward_desc *desc, dmattn_plan **out)
{
    return dmattn_dma_backward_plan_tiles(ctx, desc, NULL, out);
}

dmattn_status dmattn_dma_backward_plan_tiles(dmattn_context *ctx, const dmattn_dma_backward_desc *desc,
                                             const backward_tiles *tiles, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_dma_backward_operator, desc, tiles, out);
}

dmattn_status dmattn_dma_backward_check(const dmattn_context *ctx, const dmattn_dma_backward_desc *desc,
                                        dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_dma_backward_operator, desc, support);
}

dmattn_status dmattn_dma_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                         const dmattn_dma_backward_args *args)
{
    return dmattn_plan_record(plan, &dmattn_dma_backward_operator, commands, args, 0);
}
