/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "model/model.h"
#include "model/rope.h"
#include "vulkan/die.h"
#include "vulkan/work.h"

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
    const dmattn_attention_desc attention = attention_of(s, STEP_TOKENS, sizes->format);
    if (!sizes->pages)
        return (dmattn_decode_desc){.attention = attention,
                                    .selection = model_selection(sizes->window),
                                    .rollback = STEP_TOKENS, /* plans with fewer new tokens then have the same slots */
                                    .chunk_tokens = sizes->chunks ? CHUNK_TOKENS : 0};
    return (dmattn_decode_desc){.attention = attention,
                                .selection = {.causal = true},
                                .cache = DMATTN_CACHE_PAGED,
                                .page_size = PAGE_TOKENS,
                                .pages = sizes->pages,
                                .max_keys = sizes->max_tokens};
}

static void plan_steps(server *s)
{
    dmattn_cache_layout of_step;
    dmattn_decode_desc one = s->desc;
    one.attention = attention_of(s, 1, s->desc.attention.k_format);
    one.chunk_tokens = 0;
    DMATTN(dmattn_decode_plan(s->layers.app->dmattn, &s->desc, &s->steps));
    DMATTN(dmattn_decode_plan(s->layers.app->dmattn, &one, &s->step));
    DMATTN(dmattn_decode_get_layout(s->steps, &s->cache));
    DMATTN(dmattn_decode_get_layout(s->step, &of_step));
    if (s->cache.sequence_size != of_step.sequence_size || s->cache.page_size != of_step.page_size)
        die("the caches of the two plans differ");
}

/* With pages, a chunk attends to those of all tokens so far, whose importance is in the pages, too. Its own importance
 * is computed before its values are rounded. */
static void plan_chunks(server *s)
{
    dmattn_context *context = s->layers.app->dmattn;
    dmattn_dma_desc d = {.attention = layers_attention(&s->layers, 1, CHUNK_TOKENS, s->desc.max_keys),
                         .importance_given = true,
                         .selection = s->desc.selection};
    d.attention.k_format = d.attention.v_format = s->desc.attention.k_format;
    d.attention.page_size = s->desc.page_size;
    d.attention.pages = s->desc.pages;
    d.attention.page_bytes = s->cache.page_size;
    d.attention.lengths = true;
    const dmattn_mask_desc importance = {.stages = DMATTN_STAGE_IMPORTANCE,
                                         .batch = 1,
                                         .keys = CHUNK_TOKENS,
                                         .kv_heads = d.attention.kv_heads,
                                         .value_dim = d.attention.head_dim,
                                         .v_strides = d.attention.v_strides};
    DMATTN(dmattn_dma_plan(context, &d, &s->chunk));
    DMATTN(dmattn_mask_plan(context, &importance, &s->scores));
}

/* The state of a sequence without tokens is 0. */
static void clear(app *a, const buffer *b)
{
    const VkCommandBuffer commands = app_begin(a, &a->compute);
    vkCmdFillBuffer(commands, b->handle, 0, VK_WHOLE_SIZE, 0);
    VK(vkEndCommandBuffer(commands));
    app_submit(a, &a->compute, commands);
}

/* All runs use the same one, because they follow each other. */
static void make_workspace(server *s)
{
    const dmattn_plan *const plans[] = {s->steps, s->step, s->chunk, s->scores};
    VkDeviceSize most = 0;
    for (int i = 0; i < (s->chunk ? 4 : 2); i++) {
        dmattn_plan_info info;
        dmattn_plan_get_info(plans[i], &info);
        most = info.workspace_size > most ? info.workspace_size : most;
    }
    if (most)
        s->workspace = app_buffer(s->layers.app, MEMORY_DEVICE, most);
}

static void make_buffers(server *s)
{
    app *a = s->layers.app;
    const model_shape *shape = &s->layers.weights->shape;
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
    s->importance = device_floats(a, (size_t)CHUNK_TOKENS * shape->kv_heads);
    make_workspace(s);
    s->layers.rope = app_buffer(a, MEMORY_HOST, sizeof(float) * s->layers.max_rows * shape->head_dim);
    memset(s->layers.rope.mapped, 0, s->layers.rope.size);
}

void server_create(server *s, app *a, const weights *w, const server_sizes *sizes)
{
    *s = (server){.sequences = sizes->sequences, .chunks = sizes->chunks};
    layers_create(&s->layers, a, w, sizes->sequences * STEP_TOKENS + (sizes->chunks ? CHUNK_TOKENS : 0));
    s->desc = describe(s, sizes);
    s->angles = rope_table(sizes->max_tokens, w->shape.head_dim, w->rope_theta);
    if (!s->angles)
        die("no host memory");
    plan_steps(s);
    if (sizes->chunks && sizes->pages)
        plan_chunks(s);
    make_buffers(s);
}

void server_destroy(server *s)
{
    layers_destroy(&s->layers);
    dmattn_plan_destroy(s->steps);
    dmattn_plan_destroy(s->step);
    dmattn_plan_destroy(s->chunk);
    dmattn_plan_destroy(s->scores);
    free(s->angles);
}

/* ---- pages and states -------------------------------------------------------------------------------------------- */

int32_t *server_row(const server *s, uint32_t index)
{
    return (int32_t *)s->table.mapped + (size_t)index * s->cache.table_pages;
}

dmattn_buffer of_layer(const buffer *b, VkDeviceSize size, uint32_t layer)
{
    return (dmattn_buffer){b->handle, layer * size, size};
}

void server_submit(server *s, VkCommandBuffer commands)
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
    server_submit(s, commands);
}

void server_fork(server *s, uint32_t from, uint32_t to)
{
    app *a = s->layers.app;
    const VkCommandBuffer commands = app_begin(a, &a->compute);
    for (uint32_t i = 0; i < s->layers.weights->shape.layers; i++) {
        const dmattn_buffer state = of_layer(&s->states, s->cache.state_size, i);
        DMATTN(dmattn_decode_fork_record(s->steps, commands, &state, from, to));
    }
    server_submit(s, commands);
}
