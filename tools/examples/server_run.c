/* SPDX-License-Identifier: MIT
 * A run of the server: the tokens of a chunk and those of a step go through the layers together. */
#include "server.h"
#include "vulkan/die.h"
#include "vulkan/work.h"

#include <string.h>

typedef struct run {
    server *s;
    const server_item *items;
    const server_chunk *chunk;
    uint32_t first, most; /* the row of the first sequence's step; rows of each sequence */
} run;

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Appends the keys and values of the new tokens of all sequences to the layer's cache, and attends to it. */
static void attend_step(recording *r, const run *n, uint32_t layer)
{
    const server *s = n->s;
    const layers *of = &s->layers;
    const model_shape *shape = &of->weights->shape;
    const layer_weights *l = &of->weights->layer[layer];
    const size_t q = (size_t)n->first * qkv_width(shape), k = q + shape->heads * shape->head_dim,
                 v = k + shape->kv_heads * shape->head_dim;
    const dmattn_plan *plan = n->most > 1 ? s->steps : s->step;
    const dmattn_decode_args args = {.q = from_float(&of->qkv, q),
                                     .k = from_float(&of->qkv, k),
                                     .v = from_float(&of->qkv, v),
                                     .out =
                                         from_float(&of->attended, (size_t)n->first * shape->heads * shape->head_dim),
                                     .dt_weight = from_float(&of->parameters, l->dt),
                                     .a = from_float(&of->parameters, l->a),
                                     .counts = whole(&s->counts),
                                     .keep = whole(&s->keep),
                                     .state = of_layer(&s->states, s->cache.state_size, layer),
                                     .pages = of_layer(&s->pool, s->cache.pages_size, layer),
                                     .table = whole(&s->table),
                                     .workspace = whole(&s->workspace)};
    record_order_plan(r, plan);
    DMATTN(dmattn_decode_record(plan, r->commands, &args));
}

/* Fills the pages of the chunk, and attends to those of all its sequence's tokens so far. */
static void attend_chunk_in_pages(recording *r, const run *n, uint32_t layer)
{
    const server *s = n->s;
    const layers *of = &s->layers;
    const model_shape *shape = &of->weights->shape;
    const layer_weights *l = &of->weights->layer[layer];
    const size_t k = shape->heads * shape->head_dim, v = k + shape->kv_heads * shape->head_dim;
    const dmattn_strides slice = {.sequence = qkv_width(shape), .head = shape->head_dim};
    const VkDeviceSize row = sizeof(int32_t) * s->cache.table_pages;
    const dmattn_mask_args importance = {.v = from_float(&of->qkv, v),
                                         .dt_weight = from_float(&of->parameters, l->dt),
                                         .a = from_float(&of->parameters, l->a),
                                         .importance = whole(&s->importance),
                                         .workspace = whole(&s->workspace)};
    const dmattn_decode_fill_args fill = {.sequence = n->chunk->index,
                                          .first = n->chunk->keep,
                                          .keys = CHUNK_TOKENS,
                                          .k = from_float(&of->qkv, k),
                                          .v = from_float(&of->qkv, v),
                                          .k_strides = slice,
                                          .v_strides = slice,
                                          .importance = whole(&s->importance),
                                          .state = of_layer(&s->states, s->cache.state_size, layer),
                                          .pages = of_layer(&s->pool, s->cache.pages_size, layer),
                                          .table = whole(&s->table)};
    const dmattn_dma_args attention = {.q = whole(&of->qkv),
                                       .out = whole(&of->attended),
                                       .pages = fill.pages,
                                       .table = {s->table.handle, n->chunk->index * row, row},
                                       .queries = CHUNK_TOKENS,
                                       .keys = n->chunk->keep + CHUNK_TOKENS,
                                       .workspace = whole(&s->workspace)};
    record_order_plan(r, s->scores);
    DMATTN(dmattn_mask_record(s->scores, r->commands, &importance));
    record_order_plan(r, s->steps);
    DMATTN(dmattn_decode_fill_record(s->steps, r->commands, &fill));
    record_order_plan(r, s->chunk);
    DMATTN(dmattn_dma_record(s->chunk, r->commands, &attention));
}

/* Attends to the slots and the chunk, whose tokens then join the cache. */
static void attend_chunk_in_slots(recording *r, const run *n, uint32_t layer)
{
    const server *s = n->s;
    const layers *of = &s->layers;
    const model_shape *shape = &of->weights->shape;
    const layer_weights *l = &of->weights->layer[layer];
    const size_t k = shape->heads * shape->head_dim, v = k + shape->kv_heads * shape->head_dim;
    const dmattn_decode_chunk_args args = {.sequence = n->chunk->index,
                                           .first = n->chunk->keep,
                                           .keys = CHUNK_TOKENS,
                                           .q = whole(&of->qkv),
                                           .k = from_float(&of->qkv, k),
                                           .v = from_float(&of->qkv, v),
                                           .out = whole(&of->attended),
                                           .dt_weight = from_float(&of->parameters, l->dt),
                                           .a = from_float(&of->parameters, l->a),
                                           .state = of_layer(&s->states, s->cache.state_size, layer),
                                           .workspace = whole(&s->workspace)};
    record_order_plan(r, s->steps);
    DMATTN(dmattn_decode_chunk_record(s->steps, r->commands, &args));
}

static void attend(recording *r, uint32_t layer)
{
    const run *n = r->user;
    if (n->chunk->tokens)
        (n->s->chunk ? attend_chunk_in_pages : attend_chunk_in_slots)(r, n, layer);
    attend_step(r, n, layer);
}

/* ---- inputs and results ------------------------------------------------------------------------------------------ */

/* Writes `count` tokens from position `keep` on to the rows from `row` on. */
static void write_rows(const server *s, uint32_t row, const uint32_t *tokens, uint32_t count, uint32_t keep)
{
    const size_t dim = s->layers.weights->shape.head_dim;
    sequence *in = s->layers.sequence.mapped;
    memcpy(in->token + row, tokens, count * sizeof *tokens);
    memcpy((float *)s->layers.rope.mapped + row * dim, s->angles + keep * dim, count * dim * sizeof(float));
}

static void write_inputs(const run *n)
{
    const server *s = n->s;
    memset(s->layers.sequence.mapped, 0, s->layers.sequence.size); /* nobody reads the results of other rows */
    if (n->chunk->tokens)
        write_rows(s, 0, n->chunk->tokens, CHUNK_TOKENS, n->chunk->keep);
    for (uint32_t b = 0; b < s->sequences; b++) {
        const server_item *item = &n->items[b];
        ((int32_t *)s->counts.mapped)[b] = (int32_t)item->count;
        ((int32_t *)s->keep.mapped)[b] = item->count ? (int32_t)item->keep : -1;
        if (item->count)
            write_rows(s, n->first + b * n->most, item->tokens, item->count, item->keep);
    }
}

/* Copies a row of x, of a sequence's last new token, to its row of `last`. */
static void gather_row(const recording *r, const server *s, uint32_t row, uint32_t b)
{
    const VkDeviceSize size = sizeof(float) * s->layers.weights->shape.hidden;
    const VkBufferCopy copy = {row * size, b * size, size};
    vkCmdCopyBuffer(r->commands, s->layers.x.handle, s->last.handle, 1, &copy);
}

static void gather_last_rows(recording *r, const run *n)
{
    record_order(r, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT, VK_ACCESS_TRANSFER_WRITE_BIT);
    for (uint32_t b = 0; b < n->s->sequences; b++)
        if (n->items[b].count)
            gather_row(r, n->s, n->first + b * n->most + n->items[b].count - 1, b);
    if (n->chunk->tokens)
        gather_row(r, n->s, CHUNK_TOKENS - 1, n->chunk->index);
}

const float *server_run(server *s, const server_item *items, const server_chunk *chunk)
{
    app *a = s->layers.app;
    run n = {s, items, chunk, chunk->tokens ? CHUNK_TOKENS : 0, 1};
    for (uint32_t b = 0; b < s->sequences; b++)
        n.most = items[b].count > 1 ? STEP_TOKENS : n.most;
    write_inputs(&n);
    recording r = {.l = &s->layers,
                   .commands = app_begin(a, &a->compute),
                   .rows = n.first + s->sequences * n.most,
                   .attend = attend,
                   .user = &n};
    record_layers(&r);
    gather_last_rows(&r, &n);
    r.rows = s->sequences;
    record_logits(&r, &s->last, &s->logits, false);
    record_order(&r, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT, 0);
    server_submit(s, r.commands);
    return s->logits.mapped;
}
