/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "die.h"
#include "rope.h"
#include "work.h"

#include <stdlib.h>

/* The push constants, as in shaders/common.glsl. */
typedef struct params {
    VkDeviceAddress source, target, weight, other, sequence;
    uint32_t rows, width, columns, option, dim;
    float epsilon;
} params;

enum { ADD = 1, AT_POSITION = 2 }; /* options of MATMUL */

static const char *const names[] = {"embed", "norm", "matmul", "rope", "gate", "argmax"};

/* ---- creating the model
 * ----------------------------------------------------------------------------------------------- */

static buffer floats(app *a, size_t count)
{
    return app_buffer(a, MEMORY_DEVICE, count * sizeof(float));
}

static uint32_t qkv_width(const model_shape *s)
{
    return (s->heads + 2 * s->kv_heads) * s->head_dim;
}

/* q, k and v are slices of the rows that one matrix product computes; with strides dmattn reads them in place. */
static dmattn_attention_desc attention(const model *m, uint32_t queries, uint32_t keys)
{
    const model_shape *s = &m->weights->shape;
    const dmattn_strides slice = {.sequence = qkv_width(s), .head = s->head_dim};
    return (dmattn_attention_desc){.batch = 1,
                                   .queries = queries,
                                   .keys = keys,
                                   .heads = s->heads,
                                   .kv_heads = s->kv_heads,
                                   .head_dim = s->head_dim,
                                   .q_strides = slice,
                                   .k_strides = slice,
                                   .v_strides = slice};
}

static dmattn_selection selection(const model *m)
{
    /* torch.topk, with which Doge selects, keeps the earlier of equal keys on CUDA. */
    return (dmattn_selection){.select = DMATTN_SELECT_TOPW_CAUSAL,
                              .window = m->window,
                              .tie_break = DMATTN_TIE_BREAK_EARLIER,
                              .causal = true};
}

/* All layers use the same workspace, because they run one after another. */
static buffer workspace(const model *m, const dmattn_plan *plan)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    return info.workspace_size ? app_buffer(m->app, MEMORY_DEVICE, info.workspace_size) : (buffer){0};
}

static void create_buffers(model *m)
{
    app *a = m->app;
    const model_shape *s = &m->weights->shape;
    const uint32_t n = m->max_tokens;
    if ((uint64_t)n * s->vocabulary >= 1 << 30) /* the shaders' indices have 32 bits */
        refuse("%u tokens with %u logits each are too many", n, s->vocabulary);
    m->sequence = app_buffer(a, MEMORY_HOST, sizeof(sequence) + (n + 1) * sizeof(uint32_t));
    m->logits = floats(a, (size_t)n * s->vocabulary);
    m->parameters = floats(a, m->weights->count);
    m->rope = floats(a, (size_t)n * s->head_dim);
    m->x = floats(a, (size_t)n * s->hidden);
    m->normed = floats(a, (size_t)n * s->hidden);
    m->qkv = floats(a, (size_t)n * qkv_width(s));
    m->attended = floats(a, (size_t)n * s->heads * s->head_dim);
    m->gate_up = floats(a, (size_t)n * 2 * s->inner);
    m->gated = floats(a, (size_t)n * s->inner);
    m->importance = floats(a, (size_t)n * s->kv_heads);
    m->workspace = workspace(m, m->decode);
    m->states = app_buffer(a, MEMORY_DEVICE, m->cache.state_size * s->layers);
}

void model_create(model *m, app *a, const weights *w, uint32_t window, uint32_t max_tokens)
{
    *m = (model){.app = a, .weights = w, .window = window, .max_tokens = max_tokens};
    const dmattn_decode_desc desc = {.attention = attention(m, 1, 0), .selection = selection(m)};
    DMATTN(dmattn_decode_plan(a->dmattn, &desc, &m->decode));
    DMATTN(dmattn_decode_get_layout(m->decode, &m->cache));
    create_buffers(m);
    app_upload(a, &m->parameters, w->data, w->count * sizeof(float));
    float *table = rope_table(max_tokens, w->shape.head_dim, w->rope_theta);
    app_upload(a, &m->rope, table, m->rope.size);
    free(table);

    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = sizeof(params)};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &range};
    VK(vkCreatePipelineLayout(a->device, &info, NULL, &m->layout));
    for (int i = 0; i < SHADER_COUNT; i++)
        m->pipelines[i] = app_pipeline(a, m->layout, names[i]);
}

void model_destroy(model *m)
{
    for (int i = 0; i < SHADER_COUNT; i++)
        vkDestroyPipeline(m->app->device, m->pipelines[i], NULL);
    vkDestroyPipelineLayout(m->app->device, m->layout, NULL);
    dmattn_plan_destroy(m->decode);
}

sequence *model_sequence(const model *m)
{
    return m->sequence.mapped;
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* A command buffer that is being recorded. */
typedef struct recording {
    const model *m;
    VkCommandBuffer commands;
    uint32_t rows;               /* count of tokens */
    dmattn_plan *plan;           /* of dynamic mask attention; NULL for a decoding step */
    buffer workspace;            /* of that plan */
    VkPipelineStageFlags stages; /* of the last dispatch */
    VkAccessFlags writes;        /* of the last dispatch */
} recording;

/* Records a barrier before a dispatch with these stages and accesses, which reads what the last one has written. */
static void order(recording *r, VkPipelineStageFlags stages, VkAccessFlags reads, VkAccessFlags writes)
{
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = r->writes, .dstAccessMask = reads | writes};
    if (r->stages)
        vkCmdPipelineBarrier(r->commands, r->stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
    r->stages = stages;
    r->writes = writes;
}

static void order_plan(recording *r, const dmattn_plan *plan)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    order(r, info.stages, info.reads, info.writes);
}

static void run(recording *r, shader s, params p, uint32_t groups_x, uint32_t groups_y)
{
    const uint32_t *most = r->m->app->properties.limits.maxComputeWorkGroupCount;
    if (groups_x > most[0] || groups_y > most[1])
        refuse("%u tokens at once are too many: %s needs %u x %u workgroups, but the device allows %u x %u", r->rows,
               names[s], groups_x, groups_y, most[0], most[1]);
    order(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT, VK_ACCESS_SHADER_WRITE_BIT);
    p.sequence = r->m->sequence.address;
    p.rows = r->rows;
    vkCmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, r->m->pipelines[s]);
    vkCmdPushConstants(r->commands, r->m->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof p, &p);
    vkCmdDispatch(r->commands, groups_x, groups_y, 1);
}

static uint32_t groups(uint64_t invocations)
{
    return (uint32_t)((invocations + 63) / 64);
}

static VkDeviceAddress weight(const model *m, size_t offset)
{
    return m->parameters.address + offset * sizeof(float);
}

static void norm(recording *r, size_t offset)
{
    const model *m = r->m;
    const params p = {.source = m->x.address,
                      .target = m->normed.address,
                      .weight = weight(m, offset),
                      .width = m->weights->shape.hidden,
                      .epsilon = m->weights->epsilon};
    run(r, NORM, p, r->rows, 1);
}

/* to = from * weight^T; with a residual: to = residual * to + from * weight^T. */
static void matmul(recording *r, const buffer *from, const buffer *to, size_t offset, const size_t *residual,
                   uint32_t width, uint32_t columns)
{
    const uint32_t option = to == &r->m->logits ? AT_POSITION : 0;
    const params p = {.source = from->address,
                      .target = to->address,
                      .weight = weight(r->m, offset),
                      .other = residual ? weight(r->m, *residual) : 0,
                      .width = width,
                      .columns = columns,
                      .option = residual ? ADD : option};
    run(r, MATMUL, p, groups(columns), (r->rows + 3) / 4);
}

static dmattn_buffer whole(const buffer *b)
{
    return (dmattn_buffer){b->handle, 0, b->size};
}

/* A buffer of floats from an offset to its end. */
static dmattn_buffer from_float(const buffer *b, size_t offset)
{
    return (dmattn_buffer){b->handle, offset * sizeof(float), b->size - offset * sizeof(float)};
}

/* Computes `attended` from `qkv` and appends the keys and values to the layer's cache. */
static void attend(recording *r, uint32_t layer)
{
    const model *m = r->m;
    const model_shape *s = &m->weights->shape;
    const layer_weights *l = &m->weights->layer[layer];
    const size_t k = s->heads * s->head_dim, v = k + s->kv_heads * s->head_dim;
    const dmattn_buffer state = {m->states.handle, layer * m->cache.state_size, m->cache.state_size};
    if (!r->plan) {
        const dmattn_decode_args args = {.q = whole(&m->qkv),
                                         .k = from_float(&m->qkv, k),
                                         .v = from_float(&m->qkv, v),
                                         .out = whole(&m->attended),
                                         .dt_weight = from_float(&m->parameters, l->dt),
                                         .a = from_float(&m->parameters, l->a),
                                         .state = state,
                                         .workspace = whole(&r->workspace)};
        order_plan(r, m->decode);
        DMATTN(dmattn_decode_record(m->decode, r->commands, &args));
        return;
    }
    const dmattn_dma_args args = {.q = whole(&m->qkv),
                                  .k = from_float(&m->qkv, k),
                                  .v = from_float(&m->qkv, v),
                                  .out = whole(&m->attended),
                                  .dt_weight = from_float(&m->parameters, l->dt),
                                  .a = from_float(&m->parameters, l->a),
                                  .importance = whole(&m->importance), /* the cache needs it, too */
                                  .workspace = whole(&r->workspace)};
    order_plan(r, r->plan);
    DMATTN(dmattn_dma_record(r->plan, r->commands, &args));
    const dmattn_strides slice = {.sequence = qkv_width(s), .head = s->head_dim};
    const dmattn_decode_fill_args fill = {.keys = r->rows,
                                          .k = args.k,
                                          .v = args.v,
                                          .k_strides = slice,
                                          .v_strides = slice,
                                          .importance = args.importance,
                                          .state = state};
    order_plan(r, m->decode);
    DMATTN(dmattn_decode_fill_record(m->decode, r->commands, &fill));
}

static void layer(recording *r, uint32_t index)
{
    const model *m = r->m;
    const model_shape *s = &m->weights->shape;
    const layer_weights *l = &m->weights->layer[index];
    const uint32_t width = qkv_width(s), rotated = s->heads + s->kv_heads;

    norm(r, l->norm);
    matmul(r, &m->normed, &m->qkv, l->q, NULL, s->hidden, width);
    const params rope = {.source = m->rope.address,
                         .target = m->qkv.address,
                         .weight = weight(m, l->q_norm),
                         .other = weight(m, l->k_norm),
                         .width = width,
                         .columns = rotated,
                         .option = s->heads,
                         .dim = s->head_dim,
                         .epsilon = m->weights->epsilon};
    run(r, ROPE, rope, groups((uint64_t)r->rows * rotated), 1);
    attend(r, index);
    matmul(r, &m->attended, &m->x, l->o, &l->residual, s->heads * s->head_dim, s->hidden);

    norm(r, l->mlp_norm);
    matmul(r, &m->normed, &m->gate_up, l->gate, NULL, s->hidden, 2 * s->inner);
    run(r, GATE, (params){m->gate_up.address, m->gated.address, .columns = s->inner},
        groups((uint64_t)r->rows * s->inner), 1);
    matmul(r, &m->gated, &m->x, l->down, &l->mlp_residual, s->inner, s->hidden);
}

static VkCommandBuffer record(const model *m, uint32_t rows, dmattn_plan *plan)
{
    recording r = {.m = m,
                   .commands = app_begin(m->app, &m->app->compute),
                   .rows = rows,
                   .plan = plan,
                   .workspace = plan ? workspace(m, plan) : m->workspace};
    const weights *w = m->weights;
    const uint32_t hidden = w->shape.hidden, vocabulary = w->shape.vocabulary;
    run(&r, EMBED, (params){.target = m->x.address, .weight = weight(m, w->embed), .width = hidden},
        groups((uint64_t)rows * hidden), 1);
    for (uint32_t i = 0; i < w->shape.layers; i++)
        layer(&r, i);
    norm(&r, w->norm);
    matmul(&r, &m->normed, &m->logits, w->head, NULL, hidden, vocabulary);
    run(&r, ARGMAX, (params){.source = m->logits.address, .width = vocabulary}, 1, 1);
    order(&r, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT, 0);
    VK(vkEndCommandBuffer(r.commands));
    return r.commands;
}

VkCommandBuffer model_record_prefill(model *m, uint32_t n, dmattn_plan **plan)
{
    const dmattn_dma_desc desc = {.attention = attention(m, n, n), .selection = selection(m)};
    DMATTN(dmattn_dma_plan(m->app->dmattn, &desc, plan));
    return record(m, n, *plan);
}

VkCommandBuffer model_record_step(model *m)
{
    return record(m, 1, NULL);
}
