/* SPDX-License-Identifier: MIT */
#include "problem.h"

#include "attention/unpack.h"
#include "reference/element.h"
#include "reference/pairs.h"
#include "shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- random numbers ------------------------------------------------------------------------------------------ */

uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double random_uniform(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

double random_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - random_uniform(state))); /* Box and Muller 1958 */
    return radius * cos(6.283185307179586 * random_uniform(state));
}

/* ---- in host memory ------------------------------------------------------------------------------------------ */

static tensor_box rows_box(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim)
{
    return (tensor_box){{batch, sequence, heads}, {s->batch, s->sequence, s->head}, dim};
}

static tensor_box score_box(const dmattn_score_shape *s, uint32_t keys)
{
    return (tensor_box){{s->batch, s->heads, s->queries}, {s->batch_stride, s->head_stride, s->query_stride}, keys};
}

static tensor_box contiguous_box(uint32_t first, uint32_t second, uint32_t third, uint32_t row)
{
    return (tensor_box){{first, second, third}, {(uint64_t)second * third * row, (uint64_t)third * row, row}, row};
}

tensor_box problem_box(const problem *p, tensor_id t)
{
    const dmattn_attention_desc *d = &p->desc;
    const problem_backward *b = &p->backward;
    const row_shape q = dmattn_query_rows(d), k = dmattn_key_rows(d);
    switch (t) {
    case TENSOR_Q: return rows_box(&d->q_strides, q.batch, q.rows, d->heads, d->head_dim);
    case TENSOR_K: return rows_box(&d->k_strides, k.batch, k.rows, d->kv_heads, d->head_dim);
    case TENSOR_V: return rows_box(&d->v_strides, k.batch, k.rows, d->kv_heads, d->value_dim);
    case TENSOR_OUT: return rows_box(&d->out_strides, q.batch, q.rows, d->heads, d->value_dim);
    case TENSOR_BIAS: return score_box(&d->bias_shape, d->keys);
    case TENSOR_DOUT: return rows_box(&b->dout_strides, d->batch, d->queries, d->heads, d->value_dim);
    case TENSOR_DQ: return rows_box(&b->dq_strides, d->batch, d->queries, d->heads, d->head_dim);
    case TENSOR_DK: return rows_box(&b->dk_strides, d->batch, d->keys, d->kv_heads, d->head_dim);
    case TENSOR_DV: return rows_box(&b->dv_strides, d->batch, d->keys, d->kv_heads, d->value_dim);
    case TENSOR_DBIAS: return contiguous_box(d->bias_shape.batch, d->bias_shape.heads, d->bias_shape.queries, d->keys);
    case TENSOR_DIMPORTANCE: return contiguous_box(1, d->batch, d->kv_heads, d->keys);
    case TENSOR_DDT_WEIGHT: return contiguous_box(1, d->kv_heads, d->kv_heads, d->value_dim);
    case TENSOR_DA:
    case TENSOR_DDT_BIAS: return contiguous_box(1, 1, 1, d->kv_heads);
    case TENSOR_SINK:
    case TENSOR_SLOPES:
    case TENSOR_DSINK: return contiguous_box(1, 1, 1, d->heads);
    case TENSOR_DLSE: return contiguous_box(1, d->batch, d->heads, d->queries);
    default: return score_box(&d->mask_shape, dmattn_mask_row(d));
    }
}

uint64_t tensor_box_rows(const tensor_box *b)
{
    return (uint64_t)b->extent[0] * b->extent[1] * b->extent[2];
}

uint64_t tensor_box_at(const tensor_box *b, uint64_t row)
{
    return row / b->extent[2] / b->extent[1] * b->stride[0] + row / b->extent[2] % b->extent[1] * b->stride[1]
           + row % b->extent[2] * b->stride[2];
}

bool problem_find_key(const problem *p, uint64_t row, uint32_t *item, uint32_t *key, uint32_t *head)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t at = row / d->kv_heads;
    *head = (uint32_t)(row % d->kv_heads);
    *item = (uint32_t)(at / d->keys);
    *key = (uint32_t)(at % d->keys);
    for (uint32_t b = 0; d->total_keys && b < d->batch; b++) {
        const item_rows rows = reference_item(d, &in, b, 1);
        *item = b;
        *key = (uint32_t)at - rows.first;
        if (at >= rows.first && *key < rows.count)
            return true;
    }
    return !d->total_keys;
}

/* The number of elements from the first to the last, gaps included. */
static uint64_t box_elements(const tensor_box *b)
{
    return tensor_box_at(b, tensor_box_rows(b) - 1) + b->row;
}

dmattn_type problem_type(const problem *p, tensor_id t)
{
    if (t == TENSOR_BIAS)
        return p->desc.bias_type;
    const bool f32 = t == TENSOR_SINK || t == TENSOR_SLOPES || t == TENSOR_DLSE || t >= TENSOR_DBIAS;
    return f32 ? DMATTN_TYPE_F32 : dmattn_attention_type(&p->desc, t);
}

static bool wants(const problem *p, tensor_id t)
{
    const problem_backward *b = &p->backward;
    return t == TENSOR_DOUT   ? b->gradients != 0
           : t == TENSOR_DLSE ? b->gradients != 0 && b->dlse
                              : (b->gradients & gradient_bit(t)) != 0;
}

static uint64_t backward_bytes(const problem *p, tensor_id t)
{
    if (!wants(p, t))
        return 0;
    const tensor_box box = problem_box(p, t);
    return box_elements(&box) * dmattn_type_size(problem_type(p, t));
}

uint64_t problem_bytes(const problem *p, tensor_id t)
{
    if (t >= TENSOR_DOUT)
        return backward_bytes(p, t);
    if (!p->dma)
        return dmattn_attention_tensor_bytes(&p->desc, t);
    return dmattn_dma_tensor_bytes(&(dma_descs){p->desc, p->mask_desc}, t);
}

static bool is_result(int tensor)
{
    return tensor == TENSOR_OUT || tensor == TENSOR_LSE;
}

static dmattn_status allocate_bytes(tensor_id t, uint64_t bytes, void **memory, const messenger *m)
{
    *memory = bytes <= SIZE_MAX ? calloc(1, (size_t)bytes) : NULL;
    if (!*memory)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the %llu bytes of %s",
                           (unsigned long long)bytes, dmattn_tensor_name(t));
    return DMATTN_SUCCESS;
}

static dmattn_status allocate(problem *p, tensor_id t, const messenger *m)
{
    return allocate_bytes(t, problem_bytes(p, t), &p->tensor[t], m);
}

/* The tensors that a device gets in another form. */
static dmattn_status allocate_stored(problem *p, const messenger *m)
{
    const tensor_id tensors[] = {TENSOR_K, TENSOR_V, TENSOR_K_SCALES, TENSOR_V_SCALES, TENSOR_PAGES, TENSOR_TABLE};
    for (int i = 0; i < 6; i++) {
        const uint64_t bytes = problem_device_bytes(p, tensors[i]);
        const bool same =
            (tensors[i] == TENSOR_K && !p->stored.k_format) || (tensors[i] == TENSOR_V && !p->stored.v_format);
        if (!same && bytes)
            TRY(allocate_bytes(tensors[i], bytes, &p->stored.tensor[tensors[i]], m));
    }
    return DMATTN_SUCCESS;
}

/* Splits a resolved descriptor in what the host and what a device computes. */
static void take_stored(problem *p, const dmattn_attention_desc *d)
{
    p->stored = (problem_stored){.k_format = d->k_format,
                                 .v_format = d->v_format,
                                 .k_strides = d->k_strides,
                                 .v_strides = d->v_strides,
                                 .page_size = d->page_size,
                                 .pages = d->pages,
                                 .page_bytes = d->page_bytes};
    p->desc = dmattn_unpack_attention(d);
}

static dmattn_status allocate_inputs(problem *p, const messenger *m)
{
    dmattn_status status = DMATTN_SUCCESS;
    for (int t = 0; t < TENSOR_COUNT && !status; t++)
        if (problem_bytes(p, (tensor_id)t) && !is_result(t))
            status = allocate(p, (tensor_id)t, m);
    if (!status)
        status = allocate_stored(p, m);
    if (status)
        problem_destroy(p);
    return status;
}

dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *m, problem *p)
{
    dmattn_attention_desc resolved;
    *p = (problem){0};
    TRY(dmattn_attention_desc_resolve(desc, &resolved, m));
    take_stored(p, &resolved);
    return allocate_inputs(p, m);
}

dmattn_status problem_create_dma(const dmattn_dma_desc *desc, const messenger *m, problem *p)
{
    dma_descs descs;
    *p = (problem){0};
    TRY(dmattn_dma_desc_resolve(desc, &descs, m));
    p->dma = true;
    p->dma_desc = *desc;
    take_stored(p, &descs.attention);
    p->mask_desc = descs.mask;
    return allocate_inputs(p, m);
}

uint32_t gradient_bit(tensor_id t)
{
    _Static_assert(1 << (TENSOR_DSINK - TENSOR_DQ) == DMATTN_GRADIENT_SINK,
                   "the bits must have the order of the tensors");
    return UINT32_C(1) << (t - TENSOR_DQ);
}

static uint32_t all_gradients(const problem *p)
{
    const uint32_t qkv =
        DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | (p->desc.sink ? (uint32_t)DMATTN_GRADIENT_SINK : 0);
    if (!p->dma)
        return qkv | (p->desc.bias && !p->desc.slopes ? (uint32_t)DMATTN_GRADIENT_BIAS : 0);
    if (p->dma_desc.importance_given)
        return qkv | DMATTN_GRADIENT_IMPORTANCE;
    return qkv | DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A
           | (p->dma_desc.importance.dt_bias ? (uint32_t)DMATTN_GRADIENT_DT_BIAS : 0);
}

dmattn_status problem_add_backward(problem *p, const problem_backward *wanted, const messenger *m)
{
    const dmattn_attention_desc *d = &p->desc;
    problem_backward b = wanted ? *wanted : (problem_backward){0};
    TRY(dmattn_strides_resolve(m, "dout", &b.dout_strides, d->batch, d->queries, d->heads, d->value_dim));
    TRY(dmattn_strides_resolve(m, "dq", &b.dq_strides, d->batch, d->queries, d->heads, d->head_dim));
    TRY(dmattn_strides_resolve(m, "dk", &b.dk_strides, d->batch, d->keys, d->kv_heads, d->head_dim));
    TRY(dmattn_strides_resolve(m, "dv", &b.dv_strides, d->batch, d->keys, d->kv_heads, d->value_dim));
    b.gradients = b.gradients ? b.gradients : all_gradients(p);
    p->backward = b;
    p->desc.lse = p->dma_desc.attention.lse = true;
    if (b.dlse)
        TRY(allocate(p, TENSOR_DLSE, m));
    return allocate(p, TENSOR_DOUT, m);
}

void problem_destroy(problem *p)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        free(p->tensor[t]);
        free(p->stored.tensor[t]);
    }
    *p = (problem){0};
}

reference_inputs problem_inputs(const problem *p)
{
#define SCORE_INPUT(id, name) .name = p->tensor[TENSOR_##id],
    reference_inputs in = {
        .q = p->tensor[TENSOR_Q],
        .k = p->tensor[TENSOR_K],
        .v = p->tensor[TENSOR_V],
        SCORE_TENSORS(SCORE_INPUT) /* and */
            .counts = p->tensor[TENSOR_COUNTS],
    };
#undef SCORE_INPUT
    if (p->dma)
        in.bias = p->tensor[TENSOR_IMPORTANCE];
    return in;
}

mask_inputs problem_mask_inputs(const problem *p)
{
    return (mask_inputs){
        .v = p->tensor[TENSOR_V],
        .dt_weight = p->tensor[TENSOR_DT_WEIGHT],
        .a = p->tensor[TENSOR_A],
        .dt_bias = p->tensor[TENSOR_DT_BIAS],
        .key_valid = p->tensor[TENSOR_KEY_VALID],
        .query_offsets = p->tensor[TENSOR_QUERY_OFFSETS],
        .key_offsets = p->tensor[TENSOR_KEY_OFFSETS],
    };
}

dmattn_status problem_make_mask(problem *p)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    float *importance = p->tensor[TENSOR_IMPORTANCE];
    uint64_t at = 0;
    for (uint32_t b = 0; !p->dma_desc.importance_given && b < d->batch; b++)
        for (uint32_t h = 0; h < d->kv_heads; h++)
            for (uint32_t j = 0; j < d->keys; j++)
                importance[at++] = (float)reference_importance(d, &in, b, h, j);
    return reference_intervals(d, &in, importance, p->tensor[TENSOR_BEGIN], p->tensor[TENSOR_END]);
}

/* ---- random inputs ------------------------------------------------------------------------------------------- */

/* One in eight intervals is 0 to 0, the mark of an empty one. Some others have length 0, and some end after the last
 * query. */
static void random_interval(uint32_t queries, uint64_t *state, int32_t *begin, int32_t *end)
{
    bool empty = random_bits(state) % 8 == 0;
    uint64_t first = random_bits(state) % queries, length = random_bits(state) % (queries / 2 + 2);
    uint64_t last = first + length < INT32_MAX ? first + length : INT32_MAX;
    *begin = empty ? 0 : (int32_t)first;
    *end = empty ? 0 : (int32_t)last;
}

/* One number in eight is no key. */
static int32_t random_selected(const dmattn_attention_desc *d, uint64_t *state)
{
    static const int32_t none[] = {-1, INT32_MIN, INT32_MAX, -2};
    const uint32_t numbers = dmattn_ceil_div(d->keys, d->selected_block);
    const uint64_t kind = random_bits(state) % 40;
    if (kind < 5)
        return kind < 4 ? none[kind] : (int32_t)(numbers + random_bits(state) % 3);
    return (int32_t)(random_bits(state) % numbers);
}

static void random_rows(const problem *p, tensor_id t, uint64_t *state)
{
    const dmattn_attention_desc *d = &p->desc;
    void *data = p->tensor[t];
    const dmattn_type type = problem_type(p, t);
    const tensor_box b = problem_box(p, t);
    for (uint64_t row = 0; row < tensor_box_rows(&b); row++) {
        uint64_t at = tensor_box_at(&b, row);
        for (uint64_t i = at; i < at + b.row; i++)
            if (t == TENSOR_MASK)
                ((uint8_t *)data)[i] = random_bits(state) & 1;
            else if (t == TENSOR_BEGIN)
                random_interval(d->queries, state, (int32_t *)data + i, (int32_t *)p->tensor[TENSOR_END] + i);
            else if (t == TENSOR_SELECTED)
                ((int32_t *)data)[i] = random_selected(d, state);
            else
                element_store(type, data, i, random_normal(state));
    }
}

/* Ascending offsets from 0 to `length`. */
static void random_offsets(int32_t *offsets, uint32_t documents, uint32_t length, uint64_t *state)
{
    for (uint32_t i = 0; i <= documents; i++) {
        int32_t x = i == 0 ? 0 : (int32_t)(i == documents ? length : random_bits(state) % (length + 1)),
                at = (int32_t)i;
        for (; at > 0 && offsets[at - 1] > x; at--)
            offsets[at] = offsets[at - 1];
        offsets[at] = x;
    }
}

/* Fills an input that only dynamic masks have. */
static void random_mask_input(const problem *p, tensor_id t, uint64_t *state)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    void *data = p->tensor[t];
    const dmattn_type type = d->importance.parameter_type;
    const uint64_t bytes = problem_bytes(p, t), count = bytes / dmattn_type_size(type);
    const double scale = t == TENSOR_DT_WEIGHT ? 1 / sqrt((double)d->kv_heads * d->value_dim) : t == TENSOR_A ? 0.5 : 1;
    switch (t) {
    case TENSOR_KEY_VALID:
        for (uint64_t i = 0; i < bytes; i++)
            ((uint8_t *)data)[i] = random_bits(state) % 5 != 0;
        break;
    case TENSOR_QUERY_OFFSETS:
    case TENSOR_KEY_OFFSETS:
        for (uint32_t b = 0; b < d->batch; b++)
            random_offsets((int32_t *)data + b * (d->selection.documents + 1), d->selection.documents,
                           t == TENSOR_KEY_OFFSETS ? d->keys : d->queries, state);
        break;
    case TENSOR_IMPORTANCE:
        for (uint64_t i = 0; i < bytes / sizeof(float); i++)
            ((float *)data)[i] = (float)random_normal(state);
        break;
    default:
        for (uint64_t i = 0; i < count; i++)
            element_store(type, data, i, scale * random_normal(state));
    }
}

/* Gives each tensor its own sequence of random numbers. */
static uint64_t tensor_seed(uint64_t seed, tensor_id t)
{
    return seed + (uint64_t)t * UINT64_C(0xd1342543de82ef95);
}

void problem_randomize_mask(problem *p, uint64_t seed)
{
    for (int t = TENSOR_DT_WEIGHT; t <= TENSOR_IMPORTANCE; t++) {
        uint64_t state = tensor_seed(seed, (tensor_id)t);
        if (p->tensor[t])
            random_mask_input(p, (tensor_id)t, &state);
    }
}

/* Of one item all queries and keys. Of others, at most what there is, and now and then a number beyond it. */
static void random_counts(const problem *p, uint64_t seed)
{
    int32_t *counts = p->tensor[TENSOR_COUNTS];
    for (uint32_t i = 0; counts && i < 2 * p->desc.batch; i++) {
        const uint32_t most = i % 2 ? p->desc.keys : p->desc.queries;
        const uint64_t random = random_bits(&seed);
        counts[i] = i < 2 || random % 8 == 0 ? INT32_MAX : random % 8 == 1 ? -5 : (int32_t)((random >> 8) % (most + 1));
    }
}

void problem_randomize(problem *p, uint64_t seed)
{
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        if (!p->tensor[t] || t == TENSOR_END)
            continue;
        memset(p->tensor[t], 0xff, problem_bytes(p, t)); /* NaN in every type */
        if (t == TENSOR_BEGIN)
            memset(p->tensor[TENSOR_END], 0xff, problem_bytes(p, TENSOR_END));
        uint64_t state = tensor_seed(seed, t);
        if (t < TENSOR_DT_WEIGHT || t == TENSOR_DOUT || t == TENSOR_DLSE)
            random_rows(p, t, &state);
    }
    random_counts(p, seed);
    problem_randomize_mask(p, seed);
    problem_randomize_table(p, seed);
    problem_store(p);
}
