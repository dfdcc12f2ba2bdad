/* SPDX-License-Identifier: MIT
 * Merging two results of attention. */
#include "../attention/merge.h"
#include "operators.h"

#include <stdio.h>

typedef struct merge_plan {
    dmattn_plan base;
    merge_stage stage;
} merge_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tiles)
{
    merge_stage *s = &((merge_plan *)base)->stage;
    dmattn_merge_desc d;
    (void)tiles;
    TRY(dmattn_merge_desc_resolve(desc, &d, &base->ctx->messenger));
    TRY(dmattn_merge_stage_plan(s, &base->pipelines, &d));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_merge_tensor_bytes(&d, t);
        if (bytes)
            base->tensor[t] = (plan_tensor){.bytes = bytes, .alignment = dmattn_merge_alignment(&d, t)};
        base->bytes += (double)bytes;
    }
    base->flops = 3.0 * d.batch * d.queries * d.heads * d.value_dim;
    snprintf(base->name, sizeof base->name, "portable %s merge d%u", dmattn_type_string(d.type), d.value_dim);
    return DMATTN_SUCCESS;
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    (void)reuse;
    dmattn_merge_stage_record(&((const merge_plan *)base)->stage, r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    (void)base, (void)info; /* the default is right: portable, without lists */
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_merge_args, OUT_A, out_a),
    BUFFER(dmattn_merge_args, LSE_A, lse_a),
    BUFFER(dmattn_merge_args, OUT_B, out_b),
    BUFFER(dmattn_merge_args, LSE_B, lse_b),
    BUFFER(dmattn_merge_args, OUT, out),
    BUFFER(dmattn_merge_args, LSE, lse),
    END_OF_BUFFERS,
};
const operator_type dmattn_merge_operator = {
    .name = "a merge",
    .size = sizeof(merge_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_merge_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_merge_plan(dmattn_context *ctx, const dmattn_merge_desc *desc, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_merge_operator, desc, NULL, out);
}

dmattn_status dmattn_merge_check(const dmattn_context *ctx, const dmattn_merge_desc *desc, dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_merge_operator, desc, support);
}

dmattn_status dmattn_merge_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_merge_args *args)
{
    return dmattn_plan_record(plan, &dmattn_merge_operator, commands, args, 0);
}
