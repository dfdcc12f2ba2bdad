/* SPDX-License-Identifier: MIT
 * Lists of selected keys from block-sparse forms. */
#include "../mask/block_lists.h"
#include "operators.h"

#include <stdio.h>

typedef struct block_lists_plan {
    dmattn_plan base;
    block_lists_stage stage;
} block_lists_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tiles)
{
    dmattn_block_lists_desc d;
    (void)tiles;
    TRY(dmattn_block_lists_desc_resolve(desc, &d, &base->ctx->messenger));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_block_lists_tensor_bytes(&d, t);
        if (bytes)
            base->tensor[t] = (plan_tensor){.bytes = bytes, .alignment = t == TENSOR_MAP ? 1 : 4};
        base->bytes += (double)bytes;
    }
    snprintf(base->name, sizeof base->name, "portable lists of %s",
             d.form != DMATTN_BLOCK_FORM_ROWS ? "a map of blocks"
             : d.bits                         ? "rows of blocks with bits"
                                              : "rows of blocks");
    return dmattn_block_lists_stage_plan(&((block_lists_plan *)base)->stage, &base->pipelines, &d);
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    (void)reuse;
    dmattn_block_lists_stage_record(&((const block_lists_plan *)base)->stage, r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    (void)base, (void)info; /* the default is right: portable, without tile lists */
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_block_lists_args, INDPTR, indptr),     BUFFER(dmattn_block_lists_args, INDICES, indices),
    BUFFER(dmattn_block_lists_args, BITS, bits),         BUFFER(dmattn_block_lists_args, MAP, map),
    BUFFER(dmattn_block_lists_args, SELECTED, selected), END_OF_BUFFERS,
};
const operator_type dmattn_block_lists_operator = {
    .name = "block lists",
    .size = sizeof(block_lists_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_block_lists_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_block_lists_plan(dmattn_context *ctx, const dmattn_block_lists_desc *desc, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_block_lists_operator, desc, NULL, out);
}

dmattn_status dmattn_block_lists_check(const dmattn_context *ctx, const dmattn_block_lists_desc *desc,
                                       dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_block_lists_operator, desc, support);
}

dmattn_status dmattn_block_lists_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                        const dmattn_block_lists_args *args)
{
    return dmattn_plan_record(plan, &dmattn_block_lists_operator, commands, args, 0);
}
