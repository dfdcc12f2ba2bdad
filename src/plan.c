/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include "host/memory.h"

#include <stdio.h>

/* The alignment of the workspace and of each block in it. */
#define WORKSPACE_ALIGNMENT 16
#define PIECE_ALIGNMENT     64

static const operator_buffer *find_buffer(const operator_type *type, tensor_id tensor)
{
    const operator_buffer *b = type->buffers;
    while (b->tensor != tensor && b->tensor != TENSOR_COUNT)
        b++;
    return b->tensor == TENSOR_COUNT ? NULL : b;
}

/* Like strchr(), it returns a non-const pointer into `args`. */
dmattn_buffer *dmattn_operator_buffer(const operator_type *type, const void *args, tensor_id tensor)
{
    const operator_buffer *b = find_buffer(type, tensor);
    return b ? (dmattn_buffer *)((const char *)args + b->offset) : NULL;
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

static dmattn_status check_sizes(const dmattn_plan *plan)
{
    const messenger *m = &plan->ctx->messenger;
    for (int t = 0; t < TENSOR_COUNT; t++)
        TRY(dmattn_check_bytes(m, dmattn_tensor_name((tensor_id)t), plan->tensor[t].bytes));
    return dmattn_check_bytes(m, "the workspace", plan->workspace_size);
}

/* Makes a plan. `builds`: with its pipelines. */
static dmattn_status make(const dmattn_context *ctx, const operator_type *type, const void *desc, const void *tiles,
                          bool builds, dmattn_plan **out)
{
    dmattn_plan *plan = dmattn_host_allocate(ctx->allocator, type->size);
    if (!plan)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "there is no host memory for a plan");
    plan->type = type;
    plan->ctx = ctx;
    plan->pipelines = (pipeline_set){.ctx = ctx, .builds = builds};
    dmattn_status status = type->fill(plan, desc, tiles);
    if (!status)
        status = check_sizes(plan);
    if (status)
        dmattn_plan_destroy(plan);
    else
        *out = plan;
    return status;
}

dmattn_status dmattn_plan_create(dmattn_context *ctx, const operator_type *type, const void *desc, const void *tiles,
                                 dmattn_plan **out)
{
    if (out)
        *out = NULL;
    else if (ctx)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "`plan` is NULL");
    if (!ctx || !out)
        return DMATTN_ERROR_INVALID;
    TRY(make(ctx, type, desc, tiles, true, out));
    dmattn_message_send(&ctx->messenger, DMATTN_SEVERITY_INFO, "planned %s: %s", type->name, (*out)->name);
    return DMATTN_SUCCESS;
}

static void keep_message(void *user, dmattn_severity severity, const char *text)
{
    dmattn_support *support = user;
    if (severity == DMATTN_SEVERITY_ERROR)
        snprintf(support->message, sizeof support->message, "%s", text);
}

static void copy_info(const dmattn_plan *plan, dmattn_support *support)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    support->level = info.level;
    support->list_queries = info.list_queries;
    support->workspace_size = info.workspace_size;
    support->data_alignment = info.data_alignment;
    support->lists_size = info.lists_size;
    support->flops = info.flops;
    support->bytes = info.bytes;
    snprintf(support->why_not_higher, sizeof support->why_not_higher, "%s", info.why_not_higher);
    snprintf(support->kernel, sizeof support->kernel, "%s", info.kernel);
}

dmattn_status dmattn_plan_check(const dmattn_context *ctx, const operator_type *type, const void *desc,
                                dmattn_support *out)
{
    dmattn_support unused = {0}, *support = out ? out : &unused;
    dmattn_plan *plan = NULL;
    *support = (dmattn_support){.status = DMATTN_ERROR_INVALID, .message = "the context is NULL"};
    if (!ctx)
        return support->status;
    *support->message = 0;
    dmattn_context quiet = *ctx; /* its messages go to *support */
    quiet.messenger = (messenger){keep_message, support};
    support->status = make(&quiet, type, desc, NULL, false, &plan);
    if (plan)
        copy_info(plan, support);
    dmattn_plan_destroy(plan);
    return support->status;
}

void dmattn_plan_destroy(dmattn_plan *plan)
{
    if (!plan)
        return;
    dmattn_pipelines_release(&plan->pipelines);
    dmattn_host_free(plan->ctx->allocator, plan);
}

uint64_t dmattn_plan_reserve(dmattn_plan *plan, uint64_t bytes)
{
    const uint64_t offset = plan->workspace_size;
    plan->workspace_size =
        dmattn_add(plan->workspace_size, (bytes + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT);
    return offset;
}

void dmattn_plan_reserve_tensor(dmattn_plan *plan, tensor_id tensor)
{
    plan_tensor *t = &plan->tensor[tensor];
    t->in_workspace = true;
    t->offset = dmattn_plan_reserve(plan, t->bytes);
}

void dmattn_plan_get_info(const dmattn_plan *plan, dmattn_plan_info *info)
{
    if (!info)
        return;
    *info = (dmattn_plan_info){.why_not_higher = "", .kernel = ""};
    if (!plan)
        return;
    const tensor_id data[] = {TENSOR_Q,  TENSOR_K,  TENSOR_V,  TENSOR_OUT,   TENSOR_DOUT,
                              TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_OUT_A, TENSOR_OUT_B};
    uint64_t data_alignment = 1;
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        if (plan->tensor[data[i]].bytes && plan->tensor[data[i]].alignment > data_alignment)
            data_alignment = plan->tensor[data[i]].alignment;
    *info = (dmattn_plan_info){
        .level = DMATTN_LEVEL_PORTABLE,
        .why_not_higher = "",
        .kernel = plan->name,
        .workspace_size = plan->workspace_size,
        .workspace_alignment = WORKSPACE_ALIGNMENT,
        .data_alignment = data_alignment,
        .stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
        .reads = VK_ACCESS_SHADER_READ_BIT,
        .writes = VK_ACCESS_SHADER_WRITE_BIT,
        .flops = plan->flops,
        .bytes = plan->bytes,
    };
    plan->type->describe(plan, info);
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_plan_check_type(const dmattn_plan *plan, const operator_type *type)
{
    if (plan->type != type)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "the plan is for %s, not for %s",
                           plan->type->name, type->name);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_begin_record(const dmattn_plan *plan, const operator_type *type, VkCommandBuffer commands,
                                       recorder *r)
{
    TRY(dmattn_plan_check_type(plan, type));
    if (!commands)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "the command buffer is NULL");
    *r = (recorder){.ctx = plan->ctx, .commands = commands};
    return DMATTN_SUCCESS;
}

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

dmattn_status dmattn_plan_resolve_tensor(const dmattn_plan *plan, recorder *r, tensor_id tensor,
                                         const dmattn_buffer *buffer)
{
    const plan_tensor *t = &plan->tensor[tensor];
    if (!t->bytes)
        return DMATTN_SUCCESS;
    if (t->in_workspace && !(buffer && buffer->buffer)) {
        r->tensor[tensor] = r->workspace + t->offset;
        r->bytes[tensor] = t->bytes;
        return DMATTN_SUCCESS;
    }
    r->bytes[tensor] = buffer ? buffer->size : 0;
    return dmattn_plan_resolve_buffer(plan, dmattn_tensor_name(tensor), buffer, t->bytes, t->alignment,
                                      &r->tensor[tensor]);
}

static dmattn_status resolve_all(const dmattn_plan *plan, recorder *r, const void *args)
{
    const operator_type *type = plan->type;
    const dmattn_buffer *workspace = (const dmattn_buffer *)((const char *)args + type->workspace);
    if (plan->workspace_size)
        TRY(dmattn_plan_resolve_buffer(plan, "workspace", workspace, plan->workspace_size, WORKSPACE_ALIGNMENT,
                                       &r->workspace));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const operator_buffer *b = find_buffer(type, (tensor_id)i);
        const dmattn_buffer *buffer = b ? (const dmattn_buffer *)((const char *)args + b->offset) : NULL;
        if (!b || !b->optional || buffer->buffer)
            TRY(dmattn_plan_resolve_tensor(plan, r, (tensor_id)i, buffer));
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_plan_record(const dmattn_plan *plan, const operator_type *type, VkCommandBuffer commands,
                                 const void *args, uint32_t reuse)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "`args` is NULL");
    recorder r;
    TRY(dmattn_plan_begin_record(plan, type, commands, &r));
    TRY(resolve_all(plan, &r, args));
    type->record(plan, &r, reuse);
    return DMATTN_SUCCESS;
}
