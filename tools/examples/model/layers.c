/* SPDX-License-Identifier: MIT */
#include "layers.h"

#include "vulkan/die.h"
#include "vulkan/work.h"

enum { ADD = 1, AT_POSITION = 2 }; /* options of MATMUL */

static const char *const names[] = {"embed", "norm", "matmul", "rope", "gate", "argmax"};

/* ---- creating ---------------------------------------------------------------------------------------------------- */

buffer device_floats(app *a, size_t count)
{
    return app_buffer(a, MEMORY_DEVICE, count * sizeof(float));
}

uint32_t qkv_width(const model_shape *s)
{
    return (s->heads + 2 * s->kv_heads) * s->head_dim;
}

dmattn_attention_desc layers_attention(const layers *l, uint32_t batch, uint32_t queries, uint32_t keys)
{
    const model_shape *s = &l->weights->shape;
    const uint32_t width = qkv_width(s);
    const dmattn_strides slice = {.batch = (uint64_t)queries * width, .sequence = width, .head = s->head_dim};
    return (dmattn_attention_desc){.batch = batch,
                                   .queries = queries,
                                   .keys = keys,
                                   .heads = s->heads,
                                   .kv_heads = s->kv_heads,
                                   .head_dim = s->head_dim,
                                   .q_strides = slice,
                                   .k_strides = slice,
                                   .v_strides = slice};
}

void layers_create(layers *l, app *a, const weights *w, uint32_t max_rows)
{
    const model_shape *s = &w->shape;
    const size_t n = max_rows;
    *l = (layers){.app = a, .weights = w, .max_rows = max_rows};
    l->sequence = app_buffer(a, MEMORY_HOST, sizeof(sequence) + (n + 1) * sizeof(uint32_t));
    l->parameters = device_floats(a, w->count);
    l->x = device_floats(a, n * s->hidden);
    l->normed = device_floats(a, n * s->hidden);
    l->qkv = device_floats(a, n * qkv_width(s));
    l->attended = device_floats(a, n * s->heads * s->head_dim);
    l->gate_up = device_floats(a, n * 2 * s->inner);
    l->gated = device_floats(a, n * s->inner);
    app_upload(a, &l->parameters, w->data, w->count * sizeof(float));

    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = sizeof(params)};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &range};
    VK(vkCreatePipelineLayout(a->device, &info, NULL, &l->layout));
    for (int i = 0; i < SHADER_COUNT; i++)
        l->pipelines[i] = app_pipeline(a, l->layout, names[i]);
}

void layers_destroy(layers *l)
{
    for (int i = 0; i < SHADER_COUNT; i++)
        vkDestroyPipeline(l->app->device, l->pipelines[i], NULL);
    vkDestroyPipelineLayout(l->app->device, l->layout, NULL);
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

void record_order(recording *r, VkPipelineStageFlags stages, VkAccessFlags reads, VkAccessFlags writes)
{
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = r->writes, .dstAccessMask = reads | writes};
    if (r->stages)
        vkCmdPipelineBarrier(r->commands, r->stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
    r->stages = stages;
    r->writes = writes;
}

void record_order_plan(recording *r, const dmattn_plan *plan)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    record_order(r, info.stages, info.reads, info.writes);
}

void record_shader(recording *r, shader s, params p, uint32_t groups_x, uint32_t groups_y)
{
    const uint32_t *most = r->l->app->properties.limits.maxComputeWorkGroupCount;
    if (groups_x > most[0] || groups_y > most[1])
        refuse("%u tokens at once are too many: %s needs %u x %u workgroups, but the device allows %u x %u", r->rows,
               names[s], groups_x, groups_y, most[0], most[1]);
    record_order(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT, VK_ACCESS_SHADER_WRITE_BIT);
    p.sequence = r->l->sequence.address;
    p.rows = r->rows;
    vkCmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, r->l->pipelines[s]);
    vkCmdPushConstants(r->commands, r->l->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof p, &p);
    vkCmdDispatch(r->commands, groups_x, groups_y, 1);
}

dmattn_buffer whole(const buffer *b)
{
    return (dmattn_buffer){b->handle, 0, b->size};
}

dmattn_buffer from_float(const buffer *b, size_t offset)
{
    return (dmattn_buffer){b->handle, offset * sizeof(float), b->size - offset * sizeof(float)};
}

static uint32_t groups(uint64_t invocations)
{
    return (uint32_t)((invocations + 63) / 64);
}

static VkDeviceAddress weight(const layers *l, size_t offset)
{
    return l->parameters.address + offset * sizeof(float);
}

static void norm(recording *r, const buffer *x, size_t offset)
{
    const layers *l = r->l;
    const params p = {.source = x->address,
                      .target = l->normed.address,
                      .weight = weight(l, offset),
                      .width = l->weights->shape.hidden,
                      .epsilon = l->weights->epsilon};
    record_shader(r, NORM, p, r->rows, 1);
}

/* to = from * weight^T; with a residual: to = residual * to + from * weight^T. */
static void matmul(recording *r, const buffer *from, const buffer *to, size_t offset, const size_t *residual,
                   uint32_t width, uint32_t columns, uint32_t option)
{
    const params p = {.source = from->address,
                      .target = to->address,
                      .weight = weight(r->l, offset),
                      .other = residual ? weight(r->l, *residual) : 0,
                      .width = width,
                      .columns = columns,
                      .option = option};
    record_shader(r, MATMUL, p, groups(columns), (r->rows + 3) / 4);
}

static void layer(recording *r, uint32_t index)
{
    const layers *m = r->l;
    const model_shape *s = &m->weights->shape;
    const layer_weights *l = &m->weights->layer[index];
    const uint32_t width = qkv_width(s), rotated = s->heads + s->kv_heads;

    norm(r, &m->x, l->norm);
    matmul(r, &m->normed, &m->qkv, l->q, NULL, s->hidden, width, 0);
    const params rope = {.source = m->rope.address,
                         .target = m->qkv.address,
                         .weight = weight(m, l->q_norm),
                         .other = weight(m, l->k_norm),
                         .width = width,
                         .columns = rotated,
                         .option = s->heads,
                         .dim = s->head_dim,
                         .epsilon = m->weights->epsilon};
    record_shader(r, ROPE, rope, groups((uint64_t)r->rows * rotated), 1);
    r->attend(r, index);
    matmul(r, &m->attended, &m->x, l->o, &l->residual, s->heads * s->head_dim, s->hidden, ADD);

    norm(r, &m->x, l->mlp_norm);
    matmul(r, &m->normed, &m->gate_up, l->gate, NULL, s->hidden, 2 * s->inner, 0);
    record_shader(r, GATE, (params){m->gate_up.address, m->gated.address, .columns = s->inner},
                  groups((uint64_t)r->rows * s->inner), 1);
    matmul(r, &m->gated, &m->x, l->down, &l->mlp_residual, s->inner, s->hidden, ADD);
}

void record_layers(recording *r)
{
    const layers *l = r->l;
    const weights *w = l->weights;
    const uint32_t hidden = w->shape.hidden;
    record_shader(r, EMBED, (params){.target = l->x.address, .weight = weight(l, w->embed), .width = hidden},
                  groups((uint64_t)r->rows * hidden), 1);
    for (uint32_t i = 0; i < w->shape.layers; i++)
        layer(r, i);
}

void record_logits(recording *r, const buffer *x, const buffer *logits, bool at_position)
{
    const weights *w = r->l->weights;
    norm(r, x, w->norm);
    matmul(r, &r->l->normed, logits, w->head, NULL, w->shape.hidden, w->shape.vocabulary,
           at_position ? AT_POSITION : 0);
}
