/* SPDX-License-Identifier: MIT */
#include "union_lists.h"

#include "../shape.h"
#include "lists.h"

#include <string.h>

/* Words of shared memory for the members of entries. The kernel looks at all lists of a tile once for each of these
 * parts of a segment. With the lower number, it needs no more than the 16 KiB that Vulkan guarantees. The higher one is
 * the best on the H200 (docs/notes/experiments.md). */
#define MEMBERS      3072
#define FEW_MEMBERS  1024
#define MANY_MEMBERS 32768 /* bytes of shared memory of a device with the higher number */

/* A subgroup reads the list of a query at a time, so only tiles of more queries need large workgroups. */
#define FEW_QUERIES 8

/* Adreno spills in workgroups of 1024. */
#define MANY_REGISTERS  255
#define FEWER_WORKGROUP 512

uint32_t dmattn_union_lists_workgroup(const capabilities *caps, const union_lists_desc *d)
{
    const uint32_t most = dmattn_capabilities_registers(caps) < MANY_REGISTERS ? FEWER_WORKGROUP : UINT32_MAX;
    const uint32_t workgroup = dmattn_lists_workgroup(caps, d->queries > FEW_QUERIES);
    return workgroup < most ? workgroup : most;
}

static uint32_t member_words(const union_lists_desc *d)
{
    return dmattn_ceil_div(d->list_queries, 32);
}

uint32_t dmattn_union_lists_capacity(const union_lists_desc *d)
{
    const uint32_t queries = d->list_queries < d->queries ? d->list_queries : d->queries;
    const uint64_t selected = dmattn_product(queries, d->count), numbers = dmattn_ceil_div(d->keys, d->block);
    return (uint32_t)((selected < numbers ? selected : numbers) + 15) / 16 * 16;
}

static uint32_t lists_of_plane(const union_lists_desc *d)
{
    return dmattn_ceil_div(d->queries, d->list_queries);
}

uint64_t dmattn_union_lists_bytes(const union_lists_desc *d)
{
    const uint64_t lists = dmattn_product(d->batch, d->heads, lists_of_plane(d));
    const uint64_t headers = (dmattn_product(16, lists) + LIST_UNIT - 1) / LIST_UNIT * LIST_UNIT;
    const uint64_t entry = 4 * (1 + (uint64_t)member_words(d));
    return dmattn_add(headers, dmattn_product(lists, dmattn_union_lists_capacity(d), entry));
}

grid dmattn_union_lists_grid(const union_lists_desc *d)
{
    return (grid){lists_of_plane(d), dmattn_workgroups(dmattn_product(d->batch, d->heads)), 1};
}

dmattn_status dmattn_union_lists_plan(union_lists_stage *s, pipeline_set *set, const union_lists_desc *d)
{
    const dmattn_context *ctx = set->ctx;
    const uint32_t members = ctx->caps.shared_memory >= MANY_MEMBERS ? MEMBERS : FEW_MEMBERS;
    const uint32_t constants[UNION_LISTS_CONSTANT_COUNT] = {
        [UNION_LISTS_WORKGROUP] = dmattn_union_lists_workgroup(&ctx->caps, d),
        [UNION_LISTS_CAUSAL] = d->causal,
        [UNION_LISTS_MEMBER_WORDS] = member_words(d),
        [UNION_LISTS_SLOTS] = members / member_words(d),
        [UNION_LISTS_COUNTS] = d->counts,
    };
    s->desc = *d;
    TRY(dmattn_check_grid(ctx, "the lists of selected keys", dmattn_union_lists_grid(d)));
    if (dmattn_union_lists_bytes(d) / LIST_UNIT > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the lists of selected keys need more than 256 GiB");
    return dmattn_pipelines_add(
        set, "union_lists", DMATTN_LEVEL_PORTABLE,
        &(kernel_values){constants, UNION_LISTS_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(&ctx->caps)},
        &s->pipeline);
}

void dmattn_union_lists_record(const union_lists_stage *s, recorder *r)
{
    const union_lists_desc *d = &s->desc;
    union_lists_params params = {
        .selected = r->tensor[TENSOR_SELECTED],
        .batch_stride = d->batch_stride,
        .head_stride = d->head_stride,
        .query_stride = d->query_stride,
        .lists = r->tensor[TENSOR_LISTS],
        .counts = r->tensor[TENSOR_COUNTS],
        .queries = d->queries,
        .keys = d->keys,
        .planes = d->batch * d->heads,
        .heads = d->heads,
        .list_queries = d->list_queries,
        .count = d->count,
        .capacity = dmattn_union_lists_capacity(d),
    };
    while (d->block >> params.shift > 1)
        params.shift++;
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, dmattn_union_lists_grid(d));
}
