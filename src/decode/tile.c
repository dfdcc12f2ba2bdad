/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <string.h>

/* Workgroups that a large device is filled with, twice where each still has many keys; keys that are worth one.
 * Measured on the H200 (docs/performance.md). */
#define FILLING_WORKGROUPS 128
#define MANY_KEYS          256
#define LEAST_KEYS         44
#define MOST_SPLITS        256

/* Elements of rows of q that an invocation holds in registers. */
#define QUERY_ELEMENTS 64

static uint32_t at_most(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* Parts of the keys, where without any there would be so many workgroups. */
static uint32_t choose_splits(uint64_t keys, uint64_t workgroups)
{
    uint64_t splits = (FILLING_WORKGROUPS + workgroups - 1) / workgroups;
    if (keys > splits * MANY_KEYS)
        splits = (2 * FILLING_WORKGROUPS + workgroups - 1) / workgroups;
    if (splits > keys / LEAST_KEYS)
        splits = keys / LEAST_KEYS;
    return splits ? at_most(splits, MOST_SPLITS) : 1;
}

decode_tile dmattn_decode_tile_choose(const device_facts *facts, const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    decode_tile t = {.workgroup = 128, .block_keys = 256};
    t.subgroup_size = dmattn_device_facts_subgroup_size(facts, 32);
    /* 8 elements of a row of k each, or 16: a lane's part of q is in registers. No fewer lanes than rows
     * (sum_of_row()). */
    for (t.key_lanes = 4; t.key_lanes < a->head_dim / 16 && t.key_lanes < 16 && 2 * t.key_lanes <= t.subgroup_size;)
        t.key_lanes *= 2;
    const uint32_t rows = a->queries * (a->heads / a->kv_heads);
    for (t.pack_rows = 1; t.pack_rows < rows && t.pack_rows < 8 && t.pack_rows < t.key_lanes
                          && 2 * t.pack_rows * a->head_dim / t.key_lanes <= QUERY_ELEMENTS;)
        t.pack_rows *= 2;
    t.packs = at_most(dmattn_ceil_div(rows, t.pack_rows), DECODE_MAX_PACKS);
    const uint64_t keys = d->cache == DMATTN_CACHE_PAGED ? d->max_keys : dmattn_cache_slots(d) + a->queries;
    t.splits = choose_splits(keys, (uint64_t)a->batch * a->kv_heads * t.packs);
    return t;
}

/* The arrays of decode.comp's includes. */
uint32_t dmattn_decode_tile_shared_memory(const decode_tile *t, const dmattn_decode_desc *d)
{
    const uint32_t reduction = 20 * t->workgroup / 4 + 12 * d->attention.queries;
    const uint32_t sum_rows = t->pack_rows < 2 ? 1 : 2;
    return 4 * (3 + t->pack_rows) * t->block_keys + 12 * t->pack_rows + 32 * t->workgroup * sum_rows + reduction + 4;
}

void dmattn_decode_constants(const dmattn_decode_desc *d, const decode_tile *t, bool aligned,
                             uint32_t c[DECODE_CONSTANT_COUNT])
{
    const dmattn_attention_desc *a = &d->attention;
    const dmattn_selection *s = &d->selection;
    const dmattn_cache_layout l = dmattn_decode_layout(d);
    const uint32_t size = dmattn_type_size(a->type), group = a->heads / a->kv_heads;
    memset(c, 0, DECODE_CONSTANT_COUNT * sizeof *c);
    c[DECODE_WORKGROUP] = t->workgroup;
    c[DECODE_CACHE] = d->cache;
    c[DECODE_TYPE] = a->type;
    c[DECODE_TOKENS] = a->queries;
    c[DECODE_KV_HEADS] = a->kv_heads;
    c[DECODE_GROUP] = group;
    c[DECODE_HEAD_DIM] = a->head_dim;
    c[DECODE_VALUE_DIM] = a->value_dim;
    c[DECODE_KEY_LANES] = t->key_lanes;
    c[DECODE_PACK_ROWS] = t->pack_rows;
    c[DECODE_BLOCK_KEYS] = t->block_keys;
    c[DECODE_SPLITS] = t->splits;
    c[DECODE_PACKS] = t->packs;
    c[DECODE_COLUMN_LANES] = t->subgroup_size < 8 ? 4 : 8; /* as in importance.c */
    c[DECODE_SOFT_CAP] = a->soft_cap > 0;
    c[DECODE_LSE] = a->lse;
    c[DECODE_ALIGNED] = aligned;
    c[DECODE_BIAS] = !d->no_importance;
    c[DECODE_IMPORTANCE_GIVEN] = d->importance_given;
    c[DECODE_PARAMETER_TYPE] = d->importance.parameter_type;
    c[DECODE_ACTIVATION] = d->importance.activation;
    c[DECODE_DT_BIAS] = d->importance.dt_bias;
    c[DECODE_SELECTION] = s->select;
    c[DECODE_WINDOW] = s->window;
    memcpy(&c[DECODE_THRESHOLD], &s->threshold, sizeof s->threshold);
    c[DECODE_SINKS] = s->sinks;
    c[DECODE_RECENT] = s->recent;
    c[DECODE_SLIDING] = s->sliding;
    c[DECODE_ROLLBACK] = d->rollback;
    c[DECODE_CAPACITY] = d->cache == DMATTN_CACHE_PAGED ? d->max_keys : l.slots;
    c[DECODE_PAGE_SIZE] = d->page_size ? d->page_size : 1;
    c[DECODE_MASK] = a->mask != DMATTN_MASK_NONE;
    c[DECODE_MASK_HEADS] = a->mask_shape.heads ? a->mask_shape.heads : 1;
    dmattn_put_stride(c, DECODE_MASK_BATCH_LOW, a->mask_shape.batch, a->mask_shape.batch_stride, 1);
    dmattn_put_stride(c, DECODE_MASK_HEAD_LOW, a->mask_shape.heads, a->mask_shape.head_stride, 1);
    dmattn_put_stride(c, DECODE_MASK_QUERY_LOW, a->mask_shape.queries, a->mask_shape.query_stride, 1);
    const struct {
        uint32_t id, heads;
        const dmattn_strides *strides;
    } tensors[] = {{DECODE_Q_BATCH_LOW, a->heads, &a->q_strides},
                   {DECODE_K_BATCH_LOW, a->kv_heads, &a->k_strides},
                   {DECODE_V_BATCH_LOW, a->kv_heads, &a->v_strides},
                   {DECODE_OUT_BATCH_LOW, a->heads, &a->out_strides}};
    for (int i = 0; i < 4; i++) {
        dmattn_put_stride(c, tensors[i].id, a->batch, tensors[i].strides->batch, size);
        dmattn_put_stride(c, tensors[i].id + 2, a->queries, tensors[i].strides->sequence, size);
        dmattn_put_stride(c, tensors[i].id + 4, tensors[i].heads, tensors[i].strides->head, size);
    }
    c[DECODE_STATE_LOW] = (uint32_t)l.sequence_size;
    c[DECODE_STATE_HIGH] = (uint32_t)(l.sequence_size >> 32);
}
