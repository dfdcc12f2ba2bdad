/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "../attention/desc.h"
#include "../descriptors/format.h"

#include <stdio.h>

/* The number of keys that a workgroup of cache_select.comp handles at a time. Most devices allow workgroups of this
 * size. */
#define SELECT_WORKGROUP 512

static bool is_aligned(const dmattn_attention_desc *a)
{
    const uint32_t size = dmattn_type_size(a->type);
    const uint32_t q = dmattn_type_size(dmattn_attention_type(a, TENSOR_Q));
    const uint32_t out = dmattn_type_size(dmattn_attention_type(a, TENSOR_OUT));
    return dmattn_strides_aligned(&a->q_strides, a->batch, a->queries, a->heads, q)
           && dmattn_strides_aligned(&a->k_strides, a->batch, a->queries, a->kv_heads, size)
           && dmattn_strides_aligned(&a->v_strides, a->batch, a->queries, a->kv_heads, size)
           && dmattn_strides_aligned(&a->out_strides, a->batch, a->queries, a->heads, out);
}

static bool choose_tile(void *stage, const capabilities *caps, dmattn_level level, level_kernels *kernels, char *why,
                        size_t size)
{
    decode_stage *s = stage;
    if (!dmattn_decode_tile_choose(caps, &s->desc, level, &s->tile, why, size))
        return false;
    dmattn_decode_tile_kernel(&s->tile, &s->desc, kernels->name[0]);
    return true;
}

/* The number of workgroups, at most what every device allows. Workgroups loop over the rest. */
static uint32_t copying_workgroups(uint64_t pieces, uint32_t at_a_time)
{
    const uint64_t all = (pieces + at_a_time - 1) / at_a_time;
    return all < 65535 ? (uint32_t)all : 65535;
}

static dmattn_status build(decode_stage *s, pipeline_set *set)
{
    const bool paged = s->desc.cache == DMATTN_CACHE_PAGED;
    uint32_t constants[DECODE_CONSTANT_COUNT];
    const kernel_values values = {constants, DECODE_CONSTANT_COUNT, s->tile.subgroup_size};
    dmattn_decode_constants(&s->desc, &s->tile, s->aligned, constants);
    char kernel_name[KERNEL_NAME];
    dmattn_decode_tile_kernel(&s->tile, &s->desc, kernel_name);
    TRY(dmattn_pipelines_add(set, kernel_name, s->tile.level, &values, &s->step));
    snprintf(kernel_name, sizeof kernel_name, "cache_copy_%s%s", paged ? "paged" : "bounded",
             dmattn_decode_has_formats(&s->desc) ? "_formats" : "");
    TRY(dmattn_pipelines_add(set, kernel_name, DMATTN_LEVEL_PORTABLE, &values, &s->copy));
    TRY(dmattn_pipelines_add(set, "copy_state", DMATTN_LEVEL_PORTABLE, &values, &s->copy_state));
    if (s->desc.chunk_tokens) {
        TRY(dmattn_pipelines_add(set, dmattn_decode_has_formats(&s->desc) ? "chunk_keys_formats" : "chunk_keys",
                                 DMATTN_LEVEL_PORTABLE, &values, &s->chunk_keys));
        TRY(dmattn_pipelines_add(set, "chunk_broken", DMATTN_LEVEL_PORTABLE, &values, &s->chunk_broken));
    }
    if (!paged && set->ctx->caps.max_invocations >= SELECT_WORKGROUP)
        constants[DECODE_WORKGROUP] = SELECT_WORKGROUP;
    return dmattn_pipelines_add(set, paged ? "cache_length" : "cache_select", DMATTN_LEVEL_PORTABLE, &values,
                                &s->begin_fill);
}

dmattn_status dmattn_decode_stage_plan(decode_stage *s, pipeline_set *set, const dmattn_decode_desc *desc,
                                       const decode_tile *tile)
{
    const dmattn_context *ctx = set->ctx;
    const dmattn_attention_desc *a = &s->desc.attention;
    s->desc = *desc;
    s->layout = dmattn_decode_layout(desc);
    if (tile)
        s->tile = *tile;
    else
        TRY(dmattn_level_choose(ctx, a->level, a->max_level, "decoding cannot run", choose_tile, s, s->why_not));
    s->aligned = is_aligned(a);
    s->grid = (grid){s->tile.splits * s->tile.row_blocks, a->kv_heads, a->batch};
    if (s->tile.shares)
        s->grid = (grid){a->kv_heads * s->tile.row_blocks, (uint32_t)dmattn_decode_all_splits(desc, &s->tile), 1};
    const attention_tile named = {.level = s->tile.level, .form = s->tile.form, .operands = s->tile.operands};
    char how[KERNEL_NAME];
    dmattn_tile_describe(&named, a->type, how);
    char formats[32] = "";
    if (dmattn_decode_has_formats(desc))
        snprintf(formats, sizeof formats, " %s/%s", dmattn_format_string(dmattn_attention_format(a, TENSOR_K)),
                 dmattn_format_string(dmattn_attention_format(a, TENSOR_V)));
    snprintf(s->name, sizeof s->name, "%s decode %s%s d%u/%u in %u %s", how,
             a->mask == DMATTN_MASK_SELECTED     ? "selected"
             : desc->cache == DMATTN_CACHE_PAGED ? "paged"
                                                 : "bounded",
             formats, a->head_dim, a->value_dim, s->tile.shares ? s->tile.shares : s->tile.splits,
             s->tile.shares ? "shares" : "splits");
    TRY(dmattn_check_grid(ctx, "a step of decoding", s->grid));
    return build(s, set);
}

void dmattn_decode_stage_record(const decode_stage *s, recorder *r)
{
    const VkDeviceAddress *t = r->tensor;
    const bool paged = s->desc.cache == DMATTN_CACHE_PAGED;
    decode_params step = {
        .q = t[TENSOR_Q],
        .k = t[TENSOR_K],
        .v = t[TENSOR_V],
        .out_ = t[TENSOR_OUT],
        .lse = t[TENSOR_LSE],
        .state = t[TENSOR_STATE],
        .partials = r->workspace + s->partials_at,
        .counts = t[TENSOR_COUNTS],
        .keep = t[TENSOR_KEEP],
        .dt_weight = t[s->desc.importance_given ? TENSOR_IMPORTANCE : TENSOR_DT_WEIGHT],
        .a = t[TENSOR_A],
        .dt_bias = t[TENSOR_DT_BIAS],
    };
    if (paged) {
        if (s->desc.attention.sink)
            step.PAGED_SINK = t[TENSOR_SINK];
        if (s->desc.attention.slopes)
            step.PAGED_SLOPES = t[TENSOR_SLOPES];
        if (s->desc.attention.bias)
            step.PAGED_BIAS = t[TENSOR_BIAS];
        const tensor_id mask = s->desc.attention.mask == DMATTN_MASK_SELECTED ? TENSOR_LISTS : TENSOR_MASK;
        const paged_decode_params params = {step, t[TENSOR_PAGES], t[TENSOR_TABLE], t[mask]};
        dmattn_recorder_dispatch(r, s->step, &params, sizeof params, s->grid);
    } else {
        const tree_decode_params params = {{step, t[TENSOR_SINK]}, t[TENSOR_MASK]};
        dmattn_recorder_dispatch(r, s->step, &params,
                                 dmattn_decode_has_tree(&s->desc) ? sizeof params : sizeof params.step, s->grid);
    }
}

void dmattn_decode_stage_record_fill(const decode_stage *s, recorder *r, fill_params *params)
{
    const uint32_t heads = s->desc.attention.kv_heads;
    const uint32_t rows = s->desc.cache == DMATTN_CACHE_PAGED ? params->keys : s->layout.slots;
    params->state = r->tensor[TENSOR_STATE];
    params->pages = r->tensor[TENSOR_PAGES];
    params->table = r->tensor[TENSOR_TABLE];
    dmattn_recorder_dispatch(r, s->begin_fill, params, sizeof *params, (grid){heads, 1, 1});
    dmattn_recorder_dispatch(r, s->copy, params, sizeof *params,
                             (grid){copying_workgroups(rows, s->tile.workgroup / COPY_LANES), heads, 1});
}

void dmattn_decode_stage_record_chunk_keys(const decode_stage *s, recorder *r, const chunk_params *params)
{
    const uint64_t rows = (uint64_t)(params->cached ? s->layout.slots : 0) + params->keys;
    dmattn_recorder_dispatch(
        r, s->chunk_keys, params, sizeof *params,
        (grid){copying_workgroups(rows, s->tile.workgroup / COPY_LANES), s->desc.attention.kv_heads, 1});
}

void dmattn_decode_stage_record_chunk_broken(const decode_stage *s, recorder *r, const chunk_broken_params *params)
{
    const dmattn_attention_desc *a = &s->desc.attention;
    const uint64_t quads = (uint64_t)a->heads / a->kv_heads * (a->value_dim / 4);
    dmattn_recorder_dispatch(r, s->chunk_broken, params, sizeof *params,
                             (grid){copying_workgroups(quads, s->tile.workgroup), a->kv_heads, 1});
}

void dmattn_decode_stage_record_fork(const decode_stage *s, recorder *r, uint32_t from, uint32_t to)
{
    const uint64_t size = s->layout.sequence_size;
    const copy_params params = {
        .from = r->tensor[TENSOR_STATE] + from * size,
        .to = r->tensor[TENSOR_STATE] + to * size,
        .quads = (uint32_t)(size / 16),
    };
    dmattn_recorder_dispatch(r, s->copy_state, &params, sizeof params,
                             (grid){copying_workgroups(params.quads, s->tile.workgroup), 1, 1});
}

uint64_t dmattn_decode_partial_bytes(const decode_stage *s)
{
    const dmattn_attention_desc *a = &s->desc.attention;
    const uint64_t splits = s->tile.shares ? dmattn_decode_all_splits(&s->desc, &s->tile) : s->tile.splits;
    const uint64_t rows = dmattn_product(splits, a->queries, a->heads / a->kv_heads);
    const uint64_t of_head = dmattn_add(dmattn_product(rows, 4, a->value_dim), dmattn_product(16, (rows + 1) / 2));
    return dmattn_product(s->tile.shares ? 1 : a->batch, a->kv_heads, of_head);
}

uint64_t dmattn_decode_alignment(const decode_stage *s, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT: return s->aligned ? 16 : dmattn_type_size(dmattn_attention_type(&s->desc.attention, tensor));
    case TENSOR_DT_WEIGHT:
    case TENSOR_STATE:
    case TENSOR_PAGES: return 16;
    case TENSOR_A:
    case TENSOR_DT_BIAS: return dmattn_type_size(s->desc.importance.parameter_type);
    case TENSOR_MASK: return 1;
    case TENSOR_BIAS: return dmattn_type_size(s->desc.attention.bias_type);
    default: return 4;
    }
}

double dmattn_decode_flops(const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    return 2.0 * (a->head_dim + a->value_dim) * (double)dmattn_decode_most_keys(d) * a->batch * a->heads * a->queries;
}

double dmattn_decode_bytes(const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    const double size = dmattn_type_size(a->type), row = dmattn_decode_row_bytes(d) + 4;
    const double queries = size * a->batch * a->queries * a->heads * ((double)a->head_dim + a->value_dim);
    return queries + row * a->batch * a->kv_heads * ((double)dmattn_decode_most_keys(d) + a->queries);
}
