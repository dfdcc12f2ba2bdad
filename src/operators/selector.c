/* SPDX-License-Identifier: MIT
 * Selectors: lists of the best keys or blocks of keys of each query. */
#include "../selector/desc.h"
#include "operators.h"

#include <stdio.h>

typedef struct selector_plan {
    dmattn_plan base;
    selector_stage stage;
} selector_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tile)
{
    selector_stage *s = &((selector_plan *)base)->stage;
    const dmattn_selector_desc *d = &s->desc;
    dmattn_selector_desc resolved;
    TRY(dmattn_selector_desc_resolve(desc, &resolved, &base->ctx->messenger));
    TRY(dmattn_selector_stage_choose(s, base->ctx, &resolved, tile));
    s->at.scores[0] = s->at.scores[1] = dmattn_plan_reserve(base, s->layout.round_bytes);
    if (s->layout.rounds > 1)
        s->at.scores[1] = dmattn_plan_reserve(base, s->layout.round_bytes);
    s->at.means = dmattn_plan_reserve(base, s->layout.means_bytes);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_selector_tensor_bytes(d, t);
        if (bytes)
            base->tensor[t] = (plan_tensor){.bytes = bytes, .alignment = dmattn_selector_alignment(d, t)};
    }
    base->flops = dmattn_selector_flops(d);
    base->bytes = dmattn_selector_bytes(d);
    snprintf(base->name, sizeof base->name, "%s", s->name);
    return dmattn_selector_stage_build(s, &base->pipelines);
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    (void)reuse;
    dmattn_selector_stage_record(&((const selector_plan *)base)->stage, r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    const selector_stage *s = &((const selector_plan *)base)->stage;
    info->level = s->tile.level;
    info->why_not_higher = s->why_not;
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_selector_args, Q, q),
    BUFFER(dmattn_selector_args, K, k),
    BUFFER(dmattn_selector_args, WEIGHTS, weights),
    BUFFER(dmattn_selector_args, COUNTS, counts),
    BUFFER(dmattn_selector_args, PAGES, pages),
    BUFFER(dmattn_selector_args, TABLE, table),
    BUFFER(dmattn_selector_args, SELECTED, selected),
    END_OF_BUFFERS,
};
const operator_type dmattn_selector_operator = {
    .name = "a selector",
    .size = sizeof(selector_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_selector_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_selector_plan(dmattn_context *ctx, const dmattn_selector_desc *desc, dmattn_plan **out)
{
    return dmattn_selector_plan_tile(ctx, desc, NULL, out);
}

dmattn_status dmattn_selector_plan_tile(dmattn_context *ctx, const dmattn_selector_desc *desc,
                                        const selector_tile *tile, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_selector_operator, desc, tile, out);
}

dmattn_status dmattn_selector_check(const dmattn_context *ctx, const dmattn_selector_desc *desc,
                                    dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_selector_operator, desc, support);
}

dmattn_status dmattn_selector_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                     const dmattn_selector_args *args)
{
    return dmattn_plan_record(plan, &dmattn_selector_operator, commands, args, 0);
}
