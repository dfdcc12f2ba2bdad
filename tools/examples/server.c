/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "die.h"
#include "model.h"
#include "rope.h"
#include "work.h"

#include <stdlib.h>
#include <string.h>

/* ---- creating ---------------------------------------------------------------------------------------------------- */

static dmattn_attention_desc attention_of(const server *s, uint32_t new_tokens, dmattn_format format)
{
    dmattn_attention_desc a = layers_attention(&s->layers, s->sequences, new_tokens, 0);
    a.k_format = a.v_format = format;
    return a;
}

static dmattn_decode_desc describe(const server *s, const server_sizes *sizes)
{
    const dmattn_attention_desc attention = attention_of(s, CHUNK, sizes->format);
    if (!sizes->pages)
        return (dmattn_decode_desc){.attention = attention,
                                    .selection = model_selection(sizes->window),
                                    .rollback = CHUNK}; /* plans with fewer new tokens then have the same slots */
    return (dmattn_decode_desc){.attention = attention,
                                .selection = {.causal = true},
                                .cache = DMATTN_CACHE_PAGED,
                                .page_size = PAGE_TOKENS,
                                .pages = sizes->pages,
                                .max_keys = sizes->max_tokens};
}

static void make_plans(server *s)
{
    dmattn_cache_layout of_step;
    dmattn_decode_desc one = s->desc;
    one.attention = attention_of(s, 1, s->desc.attention.k_format);
    DMATTN(dmattn_decode_plan(s->layers.app->dmattn, &s->desc, &s->chunk));
    DMATTN(dmattn_decode_plan(s->layers.app->dmattn, &one, &s->step));
    DMATTN(dmattn_decode_get_layout(s->chunk, &s->cache));
    DMATTN(dmattn_decode_get_layout(s->step, &of_step));
    if (s->cache.sequence_size != of_step.sequence_size || s->cache.page_size != of_step.page_size)
        die("the caches of the two plans differ");
}

/* The state of a sequence without tokens is 0. */
static void clear(app *a, const buffer *b)
{
    const VkCommandBuffer commands = app_begin(a, &a->compute);
    vkCmdFillBuffer(commands, b->handle, 0, VK_WHOLE_SIZE, 0);
    VK(vkEndCommandBuffer(commands));
    app_submit(a, &a->compute, commands);
}

static void make_buffers(server *s)
{
    app *a = s->layers.app;
    const model_shape *shape = &s->layers.weights->shape;
    dmattn_plan_info of_chunk, of_step;
    dmattn_plan_get_info(s->chunk, &of_chunk);
    dmattn_plan_get_info(s->step, &of_step);
    s->states = app_buffer(a, MEMORY_DEVICE, s->cache.state_size * shape->layers);
    clear(a, &s->states);
    if (s->cache.pages_size) {
        s->pool = app_buffer(a, MEMORY_DEVICE, s->cache.pages_size * shape->layers);
        s->table = app_buffer(a, MEMORY_HOST, sizeof(int32_t) * s->sequences * s->cache.table_pages);
    }
    s->counts = app_buffer(a, MEMORY_HOST, sizeof(int32_t) * s->sequences);
    s->keep = app_buffer(a, MEMORY_HOST, sizeof(int32_t) * s->sequences);
    s->last = device_floats(a, (size_t)s->sequences * shape->hidden);
    s->logits = app_buffer(a, MEMORY_HOST, sizeof(float) * s->sequences * shape->vocabulary);
    s->workspace = plan_workspace(a, of_chunk.workspace_size > of_step.workspace_size ? s->chunk : s->step);
    s->layers.rope = app_buffer(a, MEMORY_HOST, sizeof(float) * s->layers.max_rows * shape->head_dim);
    memset(s->layers.rope.mapped, 0, s->layers.rope.size);
}

void server_create(server *s, app *a, const weights *w, const server_sizes *sizes)
{
    *s = (server){.sequences = sizes->sequences};
    layers_create(&s->layers, a, w, sizes->sequences * CHUNK);
    s->desc = describe(s, sizes);
    s->angles = rope_table(sizes->max_tokens, w->shape.head_dim, w->rope_theta);
    if (!s->angles)
        die("no host memory");
    make_plans(s);
    make_buffers(s);
}

void server_destroy(server *s)
{
    layers_destroy(&s->layers);
    dmattn_plan_destroy(s->chunk);
    dmattn_plan_destroy(s->step);
    free(s->angles);
}

/* ---- pages and states -------------------------------------------------------------------------------------------- */

int32_t *server_row(const server *s, uint32_t index)
{
    return (int32_t *)s->table.mapped + (size_t)index * s->cache.table_pages;
}

static dmattn_buffer of_layer(const buffer *b, VkDeviceSize size, uint32_t layer)
{
    return (dmattn_buffer){b->handle, layer * size, size};
}

/* Submissions wait for each other, so these commands need no barriers of their own. */
static void submit_once(server *s, VkCommandBuffer commands)
{
    app *a = s->layers.app;
    VK(vkEndCommandBuffer(commands));
    app_submit(a, &a->compute, commands);
    app_wait(a);
    vkFreeCommandBuffers(a->device, a->compute.pool, 1, &commands);
}

void server_copy_page(server *s, int32_t from, int32_t to)
{
    app *a = s->layers.app;
    const VkCommandBuffer commands = app_begin(a, &a->compute);
    for (uint32_t i = 0; i < s->layers.weights->shape.layers; i++) {
        const VkDeviceSize first = i * s->cache.pages_size, size = s->cache.page_size;
        const VkBufferCopy copy = {first + (uint32_t)from * size, first + (uint32_t)to * size, size};
        vkCmdCopyBuffer(commands, s->pool.handle, s->pool.handle, 1, &copy);
    }
    submit_once(s, commands);
}

void server_fork(server *s, uint32_t from, uint32_t to)
{
    app *a = s->layers.app;
    const VkCommandBuffer commands = app_begin(a, &a->compute);
    for (uint32_t i = 0; i < s->layers.weights->shape.layers; i++) {
        const dmattn_buffer state = of_layer(&s->states, s->cache.state_size, i);
        DMATTN(dmattn_decode_fork_record(s->chunk, commands, &state, from, to));
    }
    submit_once(s, commands);
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

/* What the attention of a run needs. */
typedef struct attention {
    const server *s;
    dmattn_plan *plan;
} attention;

/* Appends the keys and values of all new tokens to the layer's cache, and computes `attended` from `qkv`. */
static void attend(recording *r, uint32_t layer)
{
    const attention *run = r->user;
    const server *s = run->s;
    const layers *of = &s->layers;
    const model_shape *shape = &of->weights->shape;
    const layer_weights *l = &of->weights->layer[layer];
    const size_t k = shape->heads * shape->head_dim, v = k + shape->kv_heads * shape->head_dim;
    const dmattn_decode_args args = {.q = whole(&of->qkv),
                                     .k = from_float(&of->qkv, k),
                                     .v = from_float(&of->qkv, v),
                                     .out = whole(&of->attended),
                                     .dt_weight = from_float(&of->parameters, l->dt),
                                     .a = from_float(&of->parameters, l->a),
                                     .counts = whole(&s->counts),
                                     .keep = whole(&s->keep),
                                     .state = of_layer(&s->states, s->cache.state_size, layer),
                                     .pages = of_layer(&s->pool, s->cache.pages_size, layer),
                                     .table = whole(&s->table),
                                     .workspace = whole(&s->workspace)};
    record_order_plan(r, run->plan);
    DMATTN(dmattn_decode_record(run->plan, r->commands, &args));
}

/* Writes tokens, angles, `counts` and `keep`. The tokens of a sequence are the first of its `most` rows. */
static void write_inputs(server *s, const server_item *items, uint32_t most)
{
    const uint32_t dim = s->layers.weights->shape.head_dim;
    sequence *in = s->layers.sequence.mapped;
    float *angles = s->layers.rope.mapped;
    memset(in, 0, s->layers.sequence.size); /* rows without a token have token 0, whose results nobody reads */
    for (uint32_t b = 0; b < s->sequences; b++) {
        const server_item *item = &items[b];
        ((int32_t *)s->counts.mapped)[b] = (int32_t)item->count;
        ((int32_t *)s->keep.mapped)[b] = item->count ? (int32_t)item->keep : -1;
        if (!item->count)
            continue;
        memcpy(in->token + (size_t)b * most, item->tokens, item->count * sizeof *item->tokens);
        memcpy(angles + (size_t)b * most * dim, s->angles + (size_t)item->keep * dim,
               (size_t)item->count * dim * sizeof *angles);
    }
}

/* Copies the rows of x for which logits are wanted. */
static void gather_last_rows(recording *r, const server *s, const server_item *items, uint32_t most)
{
    const VkDeviceSize row = sizeof(float) * s->layers.weights->shape.hidden;
    record_order(r, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT, VK_ACCESS_TRANSFER_WRITE_BIT);
    for (uint32_t b = 0; b < s->sequences; b++) {
        const VkBufferCopy copy = {(b * most + items[b].count - 1) * row, b * row, row};
        if (items[b].count)
            vkCmdCopyBuffer(r->commands, s->layers.x.handle, s->last.handle, 1, &copy);
    }
}

const float *server_run(server *s, const server_item *items)
{
    app *a = s->layers.app;
    uint32_t most = 1;
    for (uint32_t b = 0; b < s->sequences; b++)
        most = items[b].count > 1 ? CHUNK : most;
    write_inputs(s, items, most);
    const attention of = {s, most > 1 ? s->chunk : s->step};
    recording r = {.l = &s->layers,
                   .commands = app_begin(a, &a->compute),
                   .rows = s->sequences * most,
                   .attend = attend,
                   .user = &of};
    record_layers(&r);
    gather_last_rows(&r, s, items, most);
    r.rows = s->sequences;
    record_logits(&r, &s->last, &s->logits, false);
    record_order(&r, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT, 0);
    submit_once(s, r.commands);
    return s->logits.mapped;
}
