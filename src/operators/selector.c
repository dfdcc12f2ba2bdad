/* SPDX-License-Identifier: MIT
 * Selectors: lists of the best keys or blocks of keys of each query. */
#include "../selector/desc.h"
#include "operators.h"

#include <stdio.h>

typedef struct selector_plan {
    dmattn_plan base;
    dmattn_selector_desc given; /* for runs of other lengths */
    selector_stage stage;
} selector_plan;

static bool are_given(const dmattn_strides *s)
{
    return s->batch || s->sequence || s->head;
}

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tile)
{
    selector_plan *plan = (selector_plan *)base;
    selector_stage *s = &plan->stage;
    const dmattn_selector_desc *d = &s->desc;
    dmattn_selector_desc resolved;
    TRY(dmattn_selector_desc_resolve(desc, &resolved, &base->ctx->messenger));
    plan->given = *(const dmattn_selector_desc *)desc;
    s->keeps_q = resolved.lengths && are_given(&plan->given.q_strides);
    s->keeps_k = resolved.lengths && are_given(&plan->given.k_strides);
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

/* Makes a copy of a plan one for a shorter run. */
static dmattn_status shorten(selector_plan *copy, uint32_t queries, uint32_t keys)
{
    dmattn_selector_desc run;
    TRY(dmattn_selector_desc_shorten(&copy->given, queries, keys, &run, &copy->base.ctx->messenger));
    dmattn_selector_stage_shorten(&copy->stage, &run);
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (t != TENSOR_TABLE) /* its rows have the length of the longest run */
            copy->base.tensor[t].bytes = dmattn_selector_tensor_bytes(&run, (tensor_id)t);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_selector_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                     const dmattn_selector_args *args)
{
    if (!plan || !args || !(args->queries || args->keys))
        return dmattn_plan_record(plan, &dmattn_selector_operator, commands, args, 0);
    TRY(dmattn_plan_check_type(plan, &dmattn_selector_operator));
    selector_plan run = *(const selector_plan *)plan;
    TRY(shorten(&run, args->queries, args->keys));
    return dmattn_plan_record(&run.base, &dmattn_selector_operator, commands, args, 0);
}
