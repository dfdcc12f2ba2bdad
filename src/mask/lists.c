/* SPDX-License-Identifier: MIT */
#include "lists.h"

/* The maximum number of topmost nodes of a plane. They look through all keys, so their work grows with their number. */
#define MAX_TOP_NODES 32

/* With a larger number, a node has more unneeded candidates. With a smaller one, the union lists above need more
 * memory: 8 / FINAL_FANOUT of that of the tile lists' keys. */
#define FINAL_FANOUT 32
#define FANOUT       16

/* The number of subgroups per workgroup. The topmost level has few workgroups with much work each, so they are
 * large. But on Apple's GPUs, 1024 invocations have so few registers each that the kernel spilled 101 of them. */
#define TOP_SUBGROUPS     32
#define SUBGROUPS         8
#define TOP_WORKGROUP     1024
#define WORKGROUP         256
#define TOP_REGISTERS     128 /* of a lane; with no more, a workgroup has FEW_TOP_WORKGROUP invocations */
#define FEW_TOP_WORKGROUP 512

uint32_t dmattn_lists_workgroup(const capabilities *caps, bool top)
{
    const uint32_t size = dmattn_capabilities_subgroup_size(caps);
    const bool few = dmattn_capabilities_registers(caps) <= TOP_REGISTERS;
    uint32_t workgroup = !top ? WORKGROUP : few ? FEW_TOP_WORKGROUP : TOP_WORKGROUP;
    while (workgroup > caps->max_invocations || workgroup > (top ? TOP_SUBGROUPS : SUBGROUPS) * size)
        workgroup /= 2;
    return workgroup;
}

static uint64_t level_bytes(uint64_t nodes, uint32_t capacity, uint32_t key_bytes)
{
    const uint64_t headers = (dmattn_product(16, nodes) + LIST_UNIT - 1) / LIST_UNIT * LIST_UNIT;
    return dmattn_add(headers, dmattn_product(key_bytes, nodes, capacity));
}

lists_layout dmattn_lists_layout(const lists_desc *d)
{
    lists_layout l = {.level_count = 1};
    lists_level up[LISTS_MAX_LEVELS] = {{.node_queries = d->list_queries}}; /* from the tile lists up */
    for (lists_level *level = up; l.level_count < LISTS_MAX_LEVELS; level++, l.level_count++) {
        const uint32_t fanout = l.level_count == 1 ? FINAL_FANOUT : FANOUT;
        if (dmattn_ceil_div(d->queries, level->node_queries) <= MAX_TOP_NODES
            || (uint64_t)level->node_queries * fanout > LIST_MAX_NODE_QUERIES)
            break;
        level->fanout = fanout;
        level[1].node_queries = level->node_queries * fanout;
    }
    for (uint32_t i = 0; i < l.level_count; i++) {
        const bool final = i == 0;
        lists_level *level = &l.level[l.level_count - 1 - i];
        *level = up[i];
        level->nodes = dmattn_ceil_div(d->queries, level->node_queries);
        level->capacity = final ? d->capacity : dmattn_list_capacity(d->bound, d->keys, level->node_queries, 0);
        level->bytes = level_bytes(dmattn_product(d->batch, d->heads, level->nodes), level->capacity, final ? 4 : 8);
        l.scratch_bytes = dmattn_add(l.scratch_bytes, final ? 0 : level->bytes);
    }
    return l;
}

uint64_t dmattn_lists_bytes(const lists_layout *l)
{
    return l->level[l->level_count - 1].bytes;
}

grid dmattn_lists_grid(const lists_desc *d, const lists_level *level)
{
    return (grid){level->nodes, dmattn_workgroups(dmattn_product(d->batch, d->heads)), 1};
}

static dmattn_status build(pipeline_set *set, const lists_desc *d, bool has_parents, bool final, VkPipeline *pipeline)
{
    const capabilities *caps = &set->ctx->caps;
    const uint32_t constants[LISTS_CONSTANT_COUNT] = {
        [LISTS_WORKGROUP] = dmattn_lists_workgroup(caps, !has_parents),
        [LISTS_HAS_PARENTS] = has_parents,
        [LISTS_FINAL] = final,
        [LISTS_CAUSAL] = d->causal,
    };
    const kernel_values values = {constants, LISTS_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(caps)};
    return dmattn_pipelines_add(set, "lists", DMATTN_LEVEL_PORTABLE, &values, pipeline);
}

dmattn_status dmattn_lists_stage_plan(lists_stage *s, pipeline_set *set, const lists_desc *d)
{
    const dmattn_context *ctx = set->ctx;
    s->desc = *d;
    s->layout = dmattn_lists_layout(d);
    const uint32_t levels = s->layout.level_count;
    for (uint32_t i = 0; i < levels; i++) {
        TRY(dmattn_check_grid(ctx, "the tile lists", dmattn_lists_grid(d, &s->layout.level[i])));
        if (s->layout.level[i].bytes / LIST_UNIT > UINT32_MAX)
            return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "the tile lists need more than 256 GiB");
    }
    if (levels > 1)
        TRY(build(set, d, false, false, &s->top));
    if (levels > 2)
        TRY(build(set, d, true, false, &s->middle));
    if (levels > 1 && d->lengths)
        TRY(build(set, d, false, true, &s->only));
    return build(set, d, levels > 1, true, &s->final);
}

void dmattn_lists_stage_shorten(lists_stage *s, const lists_desc *run)
{
    s->desc = *run;
    s->layout = dmattn_lists_layout(run);
    if (s->only && s->layout.level_count == 1)
        s->final = s->only;
}

void dmattn_lists_stage_record(const lists_stage *s, recorder *r)
{
    lists_params params = {
        .begin = r->tensor[TENSOR_BEGIN],
        .end = r->tensor[TENSOR_END],
        .batch_stride = s->desc.batch_stride,
        .head_stride = s->desc.head_stride,
        .lists = r->workspace + s->scratch_at,
        .queries = s->desc.queries,
        .keys = s->desc.keys,
        .planes = s->desc.batch * s->desc.heads,
        .heads = s->desc.heads,
    };
    for (uint32_t i = 0; i < s->layout.level_count; i++) {
        const lists_level *level = &s->layout.level[i];
        const bool final = i + 1 == s->layout.level_count;
        const VkDeviceAddress next = params.lists + level->bytes;
        if (final)
            params.lists = r->tensor[TENSOR_LISTS];
        params.node_queries = level->node_queries;
        params.fanout = level->fanout;
        params.capacity = level->capacity;
        dmattn_recorder_dispatch(r,
                                 final ? s->final
                                 : i   ? s->middle
                                       : s->top,
                                 &params, sizeof params, dmattn_lists_grid(&s->desc, level));
        params.parents = params.lists;
        params.lists = next;
    }
}
