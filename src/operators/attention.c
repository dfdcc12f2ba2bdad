/* SPDX-License-Identifier: MIT
 * Attention with a mask from the app. */
#include "interval_lists.h"
#include "operators.h"
#include "selected_lists.h"
#include "unpacked.h"

#include <stdio.h>

typedef struct attention_plan {
    dmattn_plan base;
    dmattn_attention_desc given; /* for runs of other lengths */
    unpack_stage unpack;
    interval_lists lists;
    selected_lists selected;
    attention_stage attention;
} attention_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tile)
{
    attention_plan *plan = (attention_plan *)base;
    attention_stage *s = &plan->attention;
    const dmattn_attention_desc *d = &s->desc;
    dmattn_attention_desc resolved;
    TRY(dmattn_attention_desc_resolve(desc, &resolved, &base->ctx->messenger));
    if (resolved.lists && resolved.lengths)
        return dmattn_fail(&base->ctx->messenger, DMATTN_ERROR_INVALID,
                           "lists and lengths are both set, but the app's lists are for one length");
    const dmattn_attention_desc unpacked = dmattn_unpack_attention(&resolved);
    TRY(dmattn_attention_stage_choose(s, base->ctx, &unpacked, tile));
    plan->given = *(const dmattn_attention_desc *)desc;
    const uint32_t given_strides = dmattn_attention_given_strides(&plan->given);
    s->given_strides = given_strides & ~dmattn_unpack_bits(&resolved);
    TRY(dmattn_schedule_plan(&s->schedule, &base->pipelines, d, &s->tile));
    s->schedule.at = plan->unpack.items_at = dmattn_plan_reserve(base, dmattn_schedule_bytes(&s->schedule.params));
    TRY(dmattn_unpack_plan(&plan->unpack, base, &resolved, given_strides, false));
    s->at.mask_tiles = dmattn_plan_reserve(base, dmattn_attention_mask_tiles_bytes(s));
    s->at.partials = dmattn_plan_reserve(base, dmattn_attention_partial_bytes(s));
    for (int t = 0; t < TENSOR_COUNT; t++)
        base->tensor[t] = (plan_tensor){.bytes = dmattn_attention_tensor_bytes(&resolved, (tensor_id)t),
                                        .alignment = dmattn_attention_alignment(s, (tensor_id)t)};
    dmattn_unpack_align(base, &resolved);
    if (d->mask == DMATTN_MASK_INTERVALS)
        TRY(dmattn_interval_lists_plan(&plan->lists, base, d, dmattn_tile_list_queries(&s->tile),
                                       dmattn_selection_bound(&(dmattn_selection){0}, d->keys)));
    if (d->mask == DMATTN_MASK_SELECTED)
        TRY(dmattn_selected_lists_plan(&plan->selected, base, d, dmattn_tile_queries(&s->tile)));
    snprintf(base->name, sizeof base->name, "%s", s->name);
    base->flops = dmattn_attention_flops(d);
    base->bytes = dmattn_attention_bytes(&resolved);
    return dmattn_attention_stage_build(s, &base->pipelines);
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    const attention_plan *plan = (const attention_plan *)base;
    if (!reuse)
        dmattn_schedule_record(&plan->attention.schedule, r);
    dmattn_unpack_stage_record(&plan->unpack, r);
    dmattn_interval_lists_record(&plan->lists, r, reuse);
    dmattn_selected_lists_record(&plan->selected, r, reuse);
    dmattn_attention_stage_record(&plan->attention, r, reuse);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    dmattn_attention_stage_describe(&((const attention_plan *)base)->attention, info);
}

#define ATTENTION_BUFFER(id, member) BUFFER(dmattn_attention_args, id, member),
static const operator_buffer buffers[] = {
    ATTENTION_TENSORS(ATTENTION_BUFFER) /* and */
    BUFFER(dmattn_attention_args, LISTS, lists),
    BUFFER(dmattn_attention_args, K_SCALES, k_scales),
    BUFFER(dmattn_attention_args, V_SCALES, v_scales),
    BUFFER(dmattn_attention_args, PAGES, pages),
    BUFFER(dmattn_attention_args, TABLE, table),
    BUFFER(dmattn_attention_args, COUNTS, counts),
    END_OF_BUFFERS,
};
const operator_type dmattn_attention_operator = {
    .name = "attention",
    .size = sizeof(attention_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_attention_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_attention_plan(dmattn_context *ctx, const dmattn_attention_desc *desc, dmattn_plan **out)
{
    return dmattn_attention_plan_tile(ctx, desc, NULL, out);
}

dmattn_status dmattn_attention_plan_tile(dmattn_context *ctx, const dmattn_attention_desc *desc,
                                         const attention_tile *tile, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_attention_operator, desc, tile, out);
}

dmattn_status dmattn_attention_check(const dmattn_context *ctx, const dmattn_attention_desc *desc,
                                     dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_attention_operator, desc, support);
}

/* Makes a copy of a plan one for a shorter run. */
static dmattn_status shorten(attention_plan *copy, uint32_t queries, uint32_t keys)
{
    dmattn_plan *base = &copy->base;
    dmattn_attention_desc run;
    TRY(dmattn_attention_desc_shorten(&copy->given, queries, keys, &run, &base->ctx->messenger));
    const dmattn_attention_desc unpacked = dmattn_unpack_attention(&run);
    dmattn_unpack_stage_shorten(&copy->unpack, &run);
    dmattn_attention_stage_shorten(&copy->attention, &base->ctx->caps, &unpacked);
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (t != TENSOR_TABLE) /* its rows have the length of the longest run */
            base->tensor[t].bytes = dmattn_attention_tensor_bytes(&run, (tensor_id)t);
    if (run.mask == DMATTN_MASK_INTERVALS)
        dmattn_interval_lists_shorten(&copy->lists, &run, dmattn_selection_bound(&(dmattn_selection){0}, run.keys));
    if (run.mask == DMATTN_MASK_SELECTED)
        dmattn_selected_lists_shorten(&copy->selected, &run);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                      const dmattn_attention_args *args)
{
    const uint32_t reuse = args && args->reuse_mask_tiles ? ALL_STAGES : 0;
    if (!plan || !args || !(args->queries || args->keys))
        return dmattn_plan_record(plan, &dmattn_attention_operator, commands, args, reuse);
    TRY(dmattn_plan_check_type(plan, &dmattn_attention_operator));
    attention_plan run = *(const attention_plan *)plan;
    TRY(shorten(&run, args->queries, args->keys));
    return dmattn_plan_record(&run.base, &dmattn_attention_operator, commands, args, reuse);
}
