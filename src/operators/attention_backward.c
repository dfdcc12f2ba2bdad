/* SPDX-License-Identifier: MIT
 * The gradients of attention with a mask from the app. */
#include "../mask/desc.h"
#include "backward_stages.h"
#include "operators.h"

typedef struct attention_backward_plan {
    dmattn_plan base;
    backward_stages stages;
} attention_backward_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tiles)
{
    dmattn_attention_backward_desc resolved;
    TRY(dmattn_attention_backward_desc_resolve(desc, &resolved, &base->ctx->messenger));
    const keys_bound bound = dmattn_selection_bound(&(dmattn_selection){0}, resolved.attention.keys);
    return dmattn_backward_stages_plan(&((attention_backward_plan *)base)->stages, base, &resolved, bound, tiles);
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    (void)reuse;
    dmattn_backward_stages_record(&((const attention_backward_plan *)base)->stages, r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    dmattn_backward_stages_describe(&((const attention_backward_plan *)base)->stages, info);
}

#define ATTENTION_BUFFER(id, member) BUFFER(dmattn_attention_backward_args, id, member),
static const operator_buffer buffers[] = {
    ATTENTION_TENSORS(ATTENTION_BUFFER) /* and */
    BUFFER(dmattn_attention_backward_args, LISTS, lists),
    BUFFER(dmattn_attention_backward_args, DOUT, dout),
    BUFFER(dmattn_attention_backward_args, DLSE, dlse),
    BUFFER(dmattn_attention_backward_args, DQ, dq),
    BUFFER(dmattn_attention_backward_args, DK, dk),
    BUFFER(dmattn_attention_backward_args, DV, dv),
    BUFFER(dmattn_attention_backward_args, DBIAS, dbias),
    BUFFER(dmattn_attention_backward_args, DSINK, dsink),
    END_OF_BUFFERS,
};
const operator_type dmattn_attention_backward_operator = {
    .name = "the gradients of attention",
    .size = sizeof(attention_backward_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_attention_backward_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_attention_backward_plan(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                             dmattn_plan **out)
{
    return dmattn_attention_backward_plan_tiles(ctx, desc, NULL, out);
}

dmattn_status dmattn_attention_backward_plan_tiles(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                                   const backward_tiles *tiles, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_attention_backward_operator, desc, tiles, out);
}

dmattn_status dmattn_attention_backward_check(const dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                              dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_attention_backward_operator, desc, support);
}

dmattn_status dmattn_attention_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                               const dmattn_attention_backward_args *args)
{
    return dmattn_plan_record(plan, &dmattn_attention_backward_operator, commands, args, 0);
}
