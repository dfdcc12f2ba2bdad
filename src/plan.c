/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdio.h>

/* Of the workspace and of its pieces: tile lists are read 16 bytes at a time. */
#define WORKSPACE_ALIGNMENT 16

dmattn_status dmattn_plan_begin(const dmattn_context *ctx, dmattn_plan **out)
{
    if (out)
        *out = NULL;
    else if (ctx)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the place for the plan is NULL");
    return ctx && out ? DMATTN_SUCCESS : DMATTN_ERROR_INVALID;
}

dmattn_status dmattn_plan_finish(dmattn_plan *plan, dmattn_status status, const char *what, dmattn_plan **out)
{
    if (status)
        dmattn_plan_destroy(plan);
    else {
        *out = plan;
        dmattn_message_send(&plan->ctx->messenger, DMATTN_SEVERITY_INFO, "%s runs as %s", what, plan->name);
    }
    return status;
}

dmattn_status dmattn_plan_create(dmattn_context *ctx, plan_kind kind, dmattn_plan **out)
{
    dmattn_plan *plan = dmattn_host_allocate(ctx->allocator, sizeof *plan);
    if (!plan)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a plan");
    plan->ctx = ctx;
    plan->kind = kind;
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, MAX_PUSH_CONSTANTS};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &range};
    VkResult result = ctx->vk.CreatePipelineLayout(ctx->device, &info, ctx->allocator, &plan->layout);
    if (result) {
        dmattn_host_free(ctx->allocator, plan);
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreatePipelineLayout");
    }
    *out = plan;
    return DMATTN_SUCCESS;
}

void dmattn_plan_destroy(dmattn_plan *plan)
{
    if (!plan)
        return;
    const dmattn_context *ctx = plan->ctx;
    dmattn_importance_stage_destroy(&plan->importance, ctx);
    dmattn_selection_stage_destroy(&plan->selection, ctx);
    dmattn_lists_stage_destroy(&plan->lists, ctx);
    dmattn_attention_stage_destroy(&plan->attention, ctx);
    dmattn_backward_stage_destroy(&plan->backward, ctx);
    dmattn_importance_backward_stage_destroy(&plan->importance_backward, ctx);
    dmattn_decode_stage_destroy(&plan->decode, ctx);
    ctx->vk.DestroyPipelineLayout(ctx->device, plan->layout, ctx->allocator);
    dmattn_host_free(ctx->allocator, plan);
}

uint64_t dmattn_plan_reserve(dmattn_plan *plan, uint64_t bytes)
{
    const uint64_t offset = plan->workspace_size;
    plan->workspace_size += (bytes + LIST_UNIT - 1) / LIST_UNIT * LIST_UNIT;
    return offset;
}

dmattn_status dmattn_plan_add_lists(dmattn_plan *plan, const lists_desc *desc)
{
    TRY(dmattn_lists_stage_plan(&plan->lists, plan->ctx, plan->layout, desc));
    const lists_layout *l = &plan->lists.layout;
    plan->tensor[TENSOR_LISTS] = (plan_tensor){.bytes = l->level[l->level_count - 1].bytes, .alignment = 16};
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_add_interval_lists(dmattn_plan *plan, const dmattn_attention_desc *d, uint32_t list_queries,
                                             keys_bound bound)
{
    const lists_desc lists = {
        .batch = d->mask_shape.batch,
        .heads = d->mask_shape.heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = 4 * d->mask_shape.batch_stride,
        .head_stride = 4 * d->mask_shape.head_stride,
        .causal = d->causal,
        .bound = bound,
        .list_queries = list_queries,
        .capacity = dmattn_list_capacity(bound, d->keys, list_queries, d->list_capacity),
    };
    plan_tensor *tensor = &plan->tensor[TENSOR_LISTS];
    if (d->lists) { /* at least the headers; the rest is for them to say */
        const uint64_t headers = dmattn_ceil_div(d->queries, list_queries);
        *tensor = (plan_tensor){.bytes = UINT64_C(16) * lists.batch * lists.heads * headers, .alignment = 16};
        return DMATTN_SUCCESS;
    }
    TRY(dmattn_plan_add_lists(plan, &lists));
    tensor->in_workspace = true;
    tensor->offset = dmattn_plan_reserve(plan, tensor->bytes);
    plan->scratch_offset = dmattn_plan_reserve(plan, plan->lists.layout.scratch_bytes);
    return DMATTN_SUCCESS;
}

/* Its intervals for the order of keys: of a mask that differs between the heads of a group, those of the first. */
static key_order_desc key_order_of(const dmattn_attention_desc *d)
{
    const dmattn_score_shape *s = &d->mask_shape;
    const uint32_t heads = s->heads == 1 ? 1 : d->kv_heads;
    return (key_order_desc){
        .batch = s->batch,
        .heads = heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = 4 * s->batch_stride,
        .head_stride = 4 * s->head_stride * (s->heads / heads),
        .causal = d->causal,
    };
}

dmattn_status dmattn_plan_add_backward(dmattn_plan *plan, const dmattn_attention_backward_desc *b, keys_bound bound,
                                       const backward_tiles *tiles)
{
    const dmattn_context *ctx = plan->ctx;
    const dmattn_attention_desc *d = &b->attention;
    const bool listed = d->mask == DMATTN_MASK_INTERVALS;
    backward_stage *s = &plan->backward;
    TRY(dmattn_backward_stage_choose(s, ctx, b, tiles));
    if (listed && b->gradients & DMATTN_GRADIENT_Q)
        TRY(dmattn_plan_add_interval_lists(plan, d, dmattn_backward_list_queries(s), bound));
    s->at.rows = dmattn_plan_reserve(plan, dmattn_backward_rows_bytes(s));
    s->at.query_tiles = dmattn_plan_reserve(plan, dmattn_mask_tiles_bytes(d, &s->tile.query));
    s->at.key_tiles = dmattn_plan_reserve(plan, dmattn_mask_tiles_bytes(d, &s->tile.key));
    s->at.work = dmattn_plan_reserve(plan, dmattn_backward_work_bytes(s));
    s->at.dbias = dmattn_plan_reserve(plan, dmattn_backward_parts_bytes(s));
    if (listed && b->gradients & ~(uint32_t)DMATTN_GRADIENT_Q) {
        const key_order_desc order = key_order_of(d);
        TRY(dmattn_key_order_plan(&s->order, ctx, plan->layout, &order));
        s->at.order = dmattn_plan_reserve(plan, dmattn_key_order_scratch_bytes(&s->order));
    }
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const uint64_t bytes = dmattn_attention_backward_tensor_bytes(b, (tensor_id)t);
        if (bytes)
            plan->tensor[t] =
                (plan_tensor){.bytes = bytes, .alignment = dmattn_attention_backward_alignment(s, (tensor_id)t)};
    }
    plan->flops = dmattn_backward_flops(b);
    plan->bytes = dmattn_backward_bytes(b);
    snprintf(plan->name, sizeof plan->name, "%s", s->name);
    return dmattn_backward_stage_build(s, ctx, plan->layout);
}

dmattn_status dmattn_plan_add_mask(dmattn_plan *plan, const dmattn_mask_desc *d)
{
    const dmattn_context *ctx = plan->ctx;
    const uint64_t plane = UINT64_C(4) * d->keys;
    uint64_t scratch = 0;
    if (d->stages & DMATTN_STAGE_IMPORTANCE)
        TRY(dmattn_importance_stage_plan(&plan->importance, ctx, plan->layout, d));
    if (d->stages & DMATTN_STAGE_INTERVALS) {
        TRY(dmattn_selection_stage_plan(&plan->selection, ctx, plan->layout, d));
        scratch = dmattn_selection_scratch_bytes(d);
    }
    if (d->stages & DMATTN_STAGE_LISTS) {
        /* Positions are by document, so that the offset between queries and keys of the whole means nothing. */
        const lists_desc lists = {
            .batch = d->batch,
            .heads = d->kv_heads,
            .queries = d->queries,
            .keys = d->keys,
            .batch_stride = plane * d->kv_heads,
            .head_stride = plane,
            .causal = d->selection.causal && !d->selection.documents,
            .bound = dmattn_selection_bound(&d->selection, d->keys),
            .list_queries = d->list_queries,
            .capacity = d->list_capacity,
        };
        TRY(dmattn_plan_add_lists(plan, &lists));
        if (plan->lists.layout.scratch_bytes > scratch)
            scratch = plan->lists.layout.scratch_bytes;
    }
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_mask_tensor_bytes(d, t);
        if (bytes)
            plan->tensor[t] = (plan_tensor){
                .bytes = bytes,
                .alignment = t == TENSOR_KEY_VALID ? 1
                             : t == TENSOR_V       ? dmattn_importance_is_aligned(d) ? 16 : dmattn_type_size(d->type)
                                   : t == TENSOR_DT_WEIGHT || t == TENSOR_A || t == TENSOR_DT_BIAS
                                 ? dmattn_type_size(d->importance.parameter_type)
                                 : 4};
    }
    plan->scratch_offset = dmattn_plan_reserve(plan, scratch);
    return DMATTN_SUCCESS;
}

/* Queries to a list that the plan's attention reads, or that it makes. */
static uint32_t list_queries_of(const dmattn_plan *plan)
{
    switch (plan->kind) {
    case PLAN_MASK: return plan->lists.desc.list_queries;
    case PLAN_ATTENTION_BACKWARD:
    case PLAN_DMA_BACKWARD: return plan->tensor[TENSOR_LISTS].bytes ? dmattn_backward_list_queries(&plan->backward) : 0;
    default:
        return plan->attention.desc.mask == DMATTN_MASK_INTERVALS ? dmattn_tile_list_queries(&plan->attention.tile) : 0;
    }
}

void dmattn_plan_get_info(const dmattn_plan *plan, dmattn_plan_info *info)
{
    const tensor_id data[] = {TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_OUT, TENSOR_DOUT, TENSOR_DQ, TENSOR_DK, TENSOR_DV};
    const bool forward = plan->kind == PLAN_ATTENTION || plan->kind == PLAN_DMA;
    uint64_t data_alignment = 1;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        if (plan->tensor[data[i]].bytes && plan->tensor[data[i]].alignment > data_alignment)
            data_alignment = plan->tensor[data[i]].alignment;
    *info = (dmattn_plan_info){
        .level = forward                     ? plan->attention.tile.level
                 : plan->backward.rows       ? plan->backward.tile.query.level
                 : plan->kind == PLAN_DECODE ? plan->decode.tile.level
                                             : DMATTN_LEVEL_PORTABLE,
        .why_not_higher = plan->backward.rows         ? plan->backward.why_not
                          : plan->kind == PLAN_DECODE ? plan->decode.why_not
                                                      : plan->attention.why_not,
        .kernel = plan->name,
        .workspace_size = plan->workspace_size,
        .workspace_alignment = WORKSPACE_ALIGNMENT,
        .data_alignment = data_alignment,
        .list_queries = list_queries_of(plan),
        .lists_size = plan->kind == PLAN_MASK ? plan->tensor[TENSOR_LISTS].bytes : 0,
        .stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
        .reads = VK_ACCESS_SHADER_READ_BIT,
        .writes = VK_ACCESS_SHADER_WRITE_BIT,
        .flops = plan->flops,
        .bytes = plan->bytes,
    };
}

/* ---- recording ----------------------------------------------------------------------------------------------- */

dmattn_status dmattn_plan_resolve_buffer(const dmattn_plan *plan, const char *name, const dmattn_buffer *buffer,
                                         uint64_t needed, uint64_t alignment, VkDeviceAddress *address)
{
    const dmattn_context *ctx = plan->ctx;
    if (!buffer || !buffer->buffer)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the buffer %s is missing", name);
    if (buffer->size < needed)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the buffer %s has %llu bytes, but %llu are needed",
                           name, (unsigned long long)buffer->size, (unsigned long long)needed);
    VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = buffer->buffer};
    *address = ctx->vk.GetBufferDeviceAddress(ctx->device, &info) + buffer->offset;
    if (*address % alignment)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID,
                           "the buffer %s at offset %llu is not aligned to %llu bytes", name,
                           (unsigned long long)buffer->offset, (unsigned long long)alignment);
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_all(const dmattn_plan *plan, recorder *r, const dmattn_buffer *const buffers[TENSOR_COUNT],
                                 const dmattn_buffer *workspace)
{
    VkDeviceAddress base = 0;
    if (plan->workspace_size)
        TRY(dmattn_plan_resolve_buffer(plan, "workspace", workspace, plan->workspace_size, WORKSPACE_ALIGNMENT, &base));
    r->workspace = base;
    r->tiles = base + plan->tiles_offset;
    r->parts = base + plan->parts_offset;
    r->scratch = base + plan->scratch_offset;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const plan_tensor *tensor = &plan->tensor[t];
        if (!tensor->bytes)
            continue;
        const bool brought = buffers[t] && buffers[t]->buffer;
        if (tensor->in_workspace && !brought)
            r->tensor[t] = base + tensor->offset;
        else if (brought || !tensor->optional)
            TRY(dmattn_plan_resolve_buffer(plan, dmattn_tensor_name((tensor_id)t), buffers[t], tensor->bytes,
                                           tensor->alignment, &r->tensor[t]));
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_check_kind(const dmattn_plan *plan, plan_kind kind)
{
    static const char *const names[] = {
        [PLAN_ATTENTION] = "attention",
        [PLAN_MASK] = "a mask",
        [PLAN_DMA] = "dynamic mask attention",
        [PLAN_ATTENTION_BACKWARD] = "attention's gradients",
        [PLAN_DMA_BACKWARD] = "dynamic mask attention's gradients",
        [PLAN_DECODE] = "decoding",
    };
    if (plan->kind != kind)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "the plan is one of %s, not of %s",
                           names[plan->kind], names[kind]);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_begin_record(const dmattn_plan *plan, plan_kind kind, VkCommandBuffer commands)
{
    TRY(dmattn_plan_check_kind(plan, kind));
    if (!commands)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "the command buffer is NULL");
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_record(const dmattn_plan *plan, plan_kind kind, VkCommandBuffer commands,
                                 const dmattn_buffer *const buffers[TENSOR_COUNT], const dmattn_buffer *workspace,
                                 uint32_t reuse)
{
    const dmattn_context *ctx = plan->ctx;
    TRY(dmattn_plan_begin_record(plan, kind, commands));
    recorder r = {.ctx = ctx, .layout = plan->layout, .commands = commands};
    TRY(resolve_all(plan, &r, buffers, workspace));
    if (plan->importance.pipeline && !(reuse & DMATTN_STAGE_IMPORTANCE))
        dmattn_importance_stage_record(&plan->importance, &r);
    if (plan->selection.intervals && !(reuse & DMATTN_STAGE_INTERVALS))
        dmattn_selection_stage_record(&plan->selection, &r);
    if (plan->lists.final && !(reuse & DMATTN_STAGE_LISTS))
        dmattn_lists_stage_record(&plan->lists, &r);
    if (kind == PLAN_DMA || kind == PLAN_DMA_BACKWARD) {
        r.tensor[TENSOR_BIAS] = r.tensor[TENSOR_IMPORTANCE];
        r.tensor[TENSOR_DBIAS] = r.tensor[TENSOR_DIMPORTANCE];
    }
    if (plan->attention.attention)
        dmattn_attention_stage_record(&plan->attention, &r, reuse & DMATTN_STAGE_LISTS);
    if (plan->backward.rows)
        dmattn_backward_stage_record(&plan->backward, &r);
    if (plan->kind == PLAN_DECODE)
        dmattn_decode_stage_record(&plan->decode, &r);
    if (plan->importance_backward.terms)
        dmattn_importance_backward_stage_record(&plan->importance_backward, &r,
                                                r.workspace + plan->importance_backward_offset);
    return DMATTN_SUCCESS;
}
