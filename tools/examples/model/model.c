/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "rope.h"
#include "vulkan/die.h"
#include "vulkan/work.h"

#include <stdlib.h>

/* ---- creating the model ------------------------------------------------------------------------------------------ */

dmattn_selection model_selection(uint32_t window)
{
    /* torch.topk, with which Doge selects, keeps the earlier of equal keys on CUDA. */
    return (dmattn_selection){
        .select = DMATTN_SELECT_TOPW_CAUSAL, .window = window, .tie_break = DMATTN_TIE_BREAK_EARLIER, .causal = true};
}

/* All layers use the same workspace, because they run one after another. */
buffer plan_workspace(app *a, const dmattn_plan *plan)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    return info.workspace_size ? app_buffer(a, MEMORY_DEVICE, info.workspace_size) : (buffer){0};
}

void model_create(model *m, app *a, const weights *w, uint32_t window, uint32_t max_tokens)
{
    const model_shape *s = &w->shape;
    if ((uint64_t)max_tokens * s->vocabulary >= 1 << 30) /* the shaders' indices have 32 bits */
        refuse("%u tokens with %u logits each are too many", max_tokens, s->vocabulary);
    *m = (model){.window = window};
    layers_create(&m->layers, a, w, max_tokens);
    const dmattn_decode_desc desc = {.attention = layers_attention(&m->layers, 1, 1, 0),
                                     .selection = model_selection(window)};
    DMATTN(dmattn_decode_plan(a->dmattn, &desc, &m->decode));
    DMATTN(dmattn_decode_get_layout(m->decode, &m->cache));
    m->logits = device_floats(a, (size_t)max_tokens * s->vocabulary);
    m->importance = device_floats(a, (size_t)max_tokens * s->kv_heads);
    m->workspace = plan_workspace(a, m->decode);
    m->states = app_buffer(a, MEMORY_DEVICE, m->cache.state_size * s->layers);
    m->layers.rope = device_floats(a, (size_t)max_tokens * s->head_dim);
    float *table = rope_table(max_tokens, s->head_dim, w->rope_theta);
    app_upload(a, &m->layers.rope, table, m->layers.rope.size);
    free(table);
}

void model_destroy(model *m)
{
    layers_destroy(&m->layers);
    dmattn_plan_destroy(m->decode);
}

sequence *model_sequence(const model *m)
{
    return m->layers.sequence.mapped;
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* What the attention of a run needs. */
typedef struct attention {
    const model *m;
    dmattn_plan *plan; /* of dynamic mask attention; NULL for a decoding step */
    buffer workspace;
} attention;

/* Computes `attended` from `qkv` and appends the keys and values to the layer's cache. */
static void attend(recording *r, uint32_t layer)
{
    const attention *run = r->user;
    const model *m = run->m;
    const layers *of = &m->layers;
    const model_shape *s = &of->weights->shape;
    const layer_weights *l = &of->weights->layer[layer];
    const size_t k = s->heads * s->head_dim, v = k + s->kv_heads * s->head_dim;
    const dmattn_buffer state = {m->states.handle, layer * m->cache.state_size, m->cache.state_size};
    if (!run->plan) {
        const dmattn_decode_args args = {.q = whole(&of->qkv),
                                         .k = from_float(&of->qkv, k),
                                         .v = from_float(&of->qkv, v),
                                         .out = whole(&of->attended),
                                         .dt_weight = from_float(&of->parameters, l->dt),
                                         .a = from_float(&of->parameters, l->a),
                                         .state = state,
                                         .workspace = whole(&run->workspace)};
        record_order_plan(r, m->decode);
        DMATTN(dmattn_decode_record(m->decode, r->commands, &args));
        return;
    }
    const dmattn_dma_args args = {.q = whole(&of->qkv),
                                  .k = from_float(&of->qkv, k),
                                  .v = from_float(&of->qkv, v),
                                  .out = whole(&of->attended),
                                  .dt_weight = from_float(&of->parameters, l->dt),
                                  .a = from_float(&of->parameters, l->a),
                                  .importance = whole(&m->importance), /* the cache needs it, too */
                                  .workspace = whole(&run->workspace)};
    record_order_plan(r, run->plan);
    DMATTN(dmattn_dma_record(run->plan, r->commands, &args));
    const dmattn_strides slice = {.sequence = qkv_width(s), .head = s->head_dim};
    const dmattn_decode_fill_args fill = {.keys = r->rows,
                                          .k = args.k,
                                          .v = args.v,
                                          .k_strides = slice,
                                          .v_strides = slice,
                                          .importance = args.importance,
                                          .state = state};
    record_order_plan(r, m->decode);
    DMATTN(dmattn_decode_fill_record(m->decode, r->commands, &fill));
}

static VkCommandBuffer record(const model *m, uint32_t rows, dmattn_plan *plan)
{
    app *a = m->layers.app;
    const attention of = {m, plan, plan ? plan_workspace(a, plan) : m->workspace};
    recording r = {.l = &m->layers, .commands = app_begin(a, &a->compute), .rows = rows, .attend = attend, .user = &of};
    record_layers(&r);
    record_logits(&r, &m->layers.x, &m->logits, true);
    record_shader(&r, ARGMAX, (params){.source = m->logits.address, .width = m->layers.weights->shape.vocabulary}, 1,
                  1);
    record_order(&r, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT, 0);
    VK(vkEndCommandBuffer(r.commands));
    return r.commands;
}

VkCommandBuffer model_record_prefill(model *m, uint32_t n, dmattn_plan **plan)
{
    const dmattn_dma_desc desc = {.attention = layers_attention(&m->layers, 1, n, n),
                                  .selection = model_selection(m->window)};
    DMATTN(dmattn_dma_plan(m->layers.app->dmattn, &desc, plan));
    return record(m, n, *plan);
}

VkCommandBuffer model_record_step(model *m)
{
    return record(m, 1, NULL);
}
