/* SPDX-License-Identifier: MIT */
#include "problem.h"

#include "reference/element.h"

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

uint64_t problem_bytes(const problem *p, tensor_id t)
{
    if (!p->dma)
        return dmattn_attention_tensor_bytes(&p->desc, t);
    return dmattn_dma_tensor_bytes(&(dma_parts){p->desc, p->mask_desc}, t);
}

static bool is_result(int tensor)
{
    return tensor == TENSOR_OUT || tensor == TENSOR_LSE;
}

static dmattn_status allocate(problem *p, const messenger *m)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t bytes = problem_bytes(p, (tensor_id)t);
        if (!bytes || is_result(t))
            continue;
        p->tensor[t] = bytes <= SIZE_MAX ? calloc(1, (size_t)bytes) : NULL;
        if (!p->tensor[t]) {
            problem_destroy(p);
            return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "%s does not fit in host memory with its %llu bytes",
                               dmattn_tensor_name((tensor_id)t), (unsigned long long)bytes);
        }
    }
    return DMATTN_SUCCESS;
}

dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *m, problem *p)
{
    *p = (problem){0};
    TRY(dmattn_attention_desc_resolve(desc, &p->desc, m));
    return allocate(p, m);
}

dmattn_status problem_create_dma(const dmattn_dma_desc *desc, const messenger *m, problem *p)
{
    dma_parts parts;
    *p = (problem){0};
    TRY(dmattn_dma_desc_resolve(desc, &parts, m));
    p->dma = true;
    p->dma_desc = *desc;
    p->desc = parts.attention;
    p->mask_desc = parts.mask;
    return allocate(p, m);
}

void problem_destroy(problem *p)
{
    for (int t = 0; t < TENSOR_COUNT; t++)
        free(p->tensor[t]);
    *p = (problem){0};
}

reference_inputs problem_inputs(const problem *p)
{
    return (reference_inputs){
        .q = p->tensor[TENSOR_Q],
        .k = p->tensor[TENSOR_K],
        .v = p->tensor[TENSOR_V],
        .mask = p->tensor[TENSOR_MASK],
        .begin = p->tensor[TENSOR_BEGIN],
        .end = p->tensor[TENSOR_END],
        .bias = p->tensor[p->dma ? TENSOR_IMPORTANCE : TENSOR_BIAS],
    };
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

/* Where row `index` of a strided box begins, counted in order of its extents. */
static uint64_t row_at(const uint32_t extent[3], const uint64_t stride[3], uint64_t index)
{
    return index / extent[2] / extent[1] * stride[0] + index / extent[2] % extent[1] * stride[1]
           + index % extent[2] * stride[2];
}

typedef struct box {
    uint32_t extent[3];
    uint64_t stride[3];
    uint32_t row;
} box;

static box tensor_box(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim)
{
    return (box){{batch, sequence, heads}, {s->batch, s->sequence, s->head}, dim};
}

static box score_box(const dmattn_score_shape *s, uint32_t keys)
{
    return (box){{s->batch, s->heads, s->queries}, {s->batch_stride, s->head_stride, s->query_stride}, keys};
}

static box box_of(const dmattn_attention_desc *d, int tensor)
{
    switch (tensor) {
    case TENSOR_Q: return tensor_box(&d->q_strides, d->batch, d->queries, d->heads, d->head_dim);
    case TENSOR_K: return tensor_box(&d->k_strides, d->batch, d->keys, d->kv_heads, d->head_dim);
    case TENSOR_V: return tensor_box(&d->v_strides, d->batch, d->keys, d->kv_heads, d->value_dim);
    case TENSOR_OUT: return tensor_box(&d->out_strides, d->batch, d->queries, d->heads, d->value_dim);
    case TENSOR_BIAS: return score_box(&d->bias_shape, d->keys);
    default: return score_box(&d->mask_shape, d->keys);
    }
}

static uint64_t rows(const box *b)
{
    return (uint64_t)b->extent[0] * b->extent[1] * b->extent[2];
}

/* One in eight intervals is empty by its mark, 0 to 0; some others by their length, and some end after the last query.
 */
static void random_interval(uint32_t queries, uint64_t *state, int32_t *begin, int32_t *end)
{
    bool empty = random_bits(state) % 8 == 0;
    uint64_t first = random_bits(state) % queries, length = random_bits(state) % (queries / 2 + 2);
    uint64_t last = first + length < INT32_MAX ? first + length : INT32_MAX;
    *begin = empty ? 0 : (int32_t)first;
    *end = empty ? 0 : (int32_t)last;
}

static void random_rows(const problem *p, tensor_id t, uint64_t *state)
{
    const dmattn_attention_desc *d = &p->desc;
    void *data = p->tensor[t];
    const dmattn_type type = t == TENSOR_BIAS ? d->bias_type : d->type;
    const box b = box_of(d, t);
    for (uint64_t row = 0; row < rows(&b); row++) {
        uint64_t at = row_at(b.extent, b.stride, row);
        for (uint64_t i = at; i < at + b.row; i++)
            if (t == TENSOR_MASK)
                ((uint8_t *)data)[i] = random_bits(state) & 1;
            else if (t == TENSOR_BEGIN)
                random_interval(d->queries, state, (int32_t *)data + i, (int32_t *)p->tensor[TENSOR_END] + i);
            else
                element_store(type, data, i, random_normal(state));
    }
}

/* Ascending, from 0 to `length`, or a little less. */
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

/* The tensors that only dynamic masks have. */
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

/* A sequence for each tensor. */
static uint64_t tensor_seed(uint64_t seed, tensor_id t)
{
    return seed + (uint64_t)t * UINT64_C(0xd1342543de82ef95);
}

void problem_randomize_mask(problem *p, uint64_t seed)
{
    for (int t = TENSOR_DT_WEIGHT; t < TENSOR_COUNT; t++) {
        uint64_t state = tensor_seed(seed, (tensor_id)t);
        if (p->tensor[t])
            random_mask_input(p, (tensor_id)t, &state);
    }
}

void problem_randomize(problem *p, uint64_t seed)
{
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        if (!p->tensor[t] || t == TENSOR_END)
            continue;
        memset(p->tensor[t], 0xff, problem_bytes(p, t)); /* NaN in each of the types */
        if (t == TENSOR_BEGIN)
            memset(p->tensor[TENSOR_END], 0xff, problem_bytes(p, TENSOR_END));
        uint64_t state = tensor_seed(seed, t);
        if (t < TENSOR_DT_WEIGHT)
            random_rows(p, t, &state);
    }
    problem_randomize_mask(p, seed);
}

/* ---- on a device --------------------------------------------------------------------------------------------- */

/* No output is so large that host memory should hold it twice. */
#define POISON_CHUNK (UINT64_C(16) << 20)

/* Makes a buffer with `data` in it; without, it holds NaN in every type, which shows what was not written. */
static dmattn_status make_buffer(dmattn_device *device, uint64_t size, const void *data, dmattn_buffer *buffer)
{
    TRY(dmattn_buffer_create(device, size, buffer));
    if (data)
        return dmattn_upload(device, buffer, 0, data, size);
    const uint64_t chunk = size < POISON_CHUNK ? size : POISON_CHUNK;
    void *poison = malloc((size_t)chunk);
    if (!poison)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    memset(poison, 0xff, (size_t)chunk);
    dmattn_status status = DMATTN_SUCCESS;
    for (uint64_t at = 0; at < size && !status; at += chunk)
        status = dmattn_upload(device, buffer, at, poison, size - at < chunk ? size - at : chunk);
    free(poison);
    return status;
}

static dmattn_buffer *place_of(device_problem *dp, tensor_id tensor)
{
    dmattn_attention_args *a = &dp->args;
    dmattn_dma_args *d = &dp->dma_args;
    dmattn_buffer *const attention[TENSOR_COUNT] = {&a->q,    &a->k,     &a->v,   &a->out, &a->lse,
                                                    &a->mask, &a->begin, &a->end, &a->bias};
    dmattn_buffer *const dma[TENSOR_COUNT] = {
        [TENSOR_Q] = &d->q,
        [TENSOR_K] = &d->k,
        [TENSOR_V] = &d->v,
        [TENSOR_OUT] = &d->out,
        [TENSOR_LSE] = &d->lse,
        [TENSOR_BEGIN] = &d->begin,
        [TENSOR_END] = &d->end,
        [TENSOR_DT_WEIGHT] = &d->dt_weight,
        [TENSOR_A] = &d->a,
        [TENSOR_DT_BIAS] = &d->dt_bias,
        [TENSOR_KEY_VALID] = &d->key_valid,
        [TENSOR_QUERY_OFFSETS] = &d->query_offsets,
        [TENSOR_KEY_OFFSETS] = &d->key_offsets,
        [TENSOR_IMPORTANCE] = &d->importance,
    };
    return (dp->problem->dma ? dma : attention)[tensor];
}

const dmattn_buffer *device_problem_buffer(const device_problem *dp, tensor_id tensor)
{
    return place_of((device_problem *)dp, tensor); /* const again as it comes back */
}

/* Whether the device makes it. */
static bool is_made(const problem *p, tensor_id t)
{
    return is_result(t)
           || (p->dma
               && (t == TENSOR_BEGIN || t == TENSOR_END || (t == TENSOR_IMPORTANCE && !p->dma_desc.importance_given)));
}

static dmattn_status fill_device(const problem *p, device_problem *dp)
{
    dmattn_context *context = dmattn_device_context(dp->device);
    TRY(p->dma ? dmattn_dma_plan_tile(context, &p->dma_desc, p->tile, &dp->plan)
               : dmattn_attention_plan_tile(context, &p->desc, p->tile, &dp->plan));
    dmattn_plan_info info;
    dmattn_plan_get_info(dp->plan, &info);
    if (info.workspace_size)
        TRY(make_buffer(dp->device, info.workspace_size, NULL, p->dma ? &dp->dma_args.workspace : &dp->args.workspace));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = problem_bytes(p, t);
        if (bytes)
            TRY(make_buffer(dp->device, bytes, is_made(p, t) ? NULL : p->tensor[t], place_of(dp, t)));
    }
    return DMATTN_SUCCESS;
}

dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp)
{
    *dp = (device_problem){.device = device, .problem = p};
    dmattn_status status = fill_device(p, dp);
    if (status)
        device_problem_destroy(dp);
    return status;
}

void device_problem_destroy(device_problem *dp)
{
    if (!dp->device)
        return;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        dmattn_buffer *buffer = place_of(dp, (tensor_id)t);
        if (buffer)
            dmattn_buffer_destroy(dp->device, buffer);
    }
    dmattn_buffer_destroy(dp->device, &dp->args.workspace);
    dmattn_buffer_destroy(dp->device, &dp->dma_args.workspace);
    dmattn_plan_destroy(dp->plan);
    *dp = (device_problem){0};
}

dmattn_status device_problem_record(const device_problem *dp, VkCommandBuffer commands, bool reuse_mask)
{
    if (dp->problem->dma) {
        dmattn_dma_args args = dp->dma_args;
        args.reuse_mask = reuse_mask;
        return dmattn_dma_record(dp->plan, commands, &args);
    }
    dmattn_attention_args args = dp->args;
    args.reuse_mask_tiles = reuse_mask;
    return dmattn_attention_record(dp->plan, commands, &args);
}

dmattn_status device_problem_run(const device_problem *dp)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(dp->device, &commands));
    dmattn_status status = device_problem_record(dp, commands, false);
    if (status) {
        dmattn_commands_cancel(dp->device);
        return status;
    }
    return dmattn_commands_submit(dp->device);
}

static dmattn_status download(const device_problem *dp, tensor_id tensor, void *data)
{
    return dmattn_download(dp->device, device_problem_buffer(dp, tensor), 0, data, problem_bytes(dp->problem, tensor));
}

dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse)
{
    const dmattn_attention_desc *d = &dp->problem->desc;
    uint64_t bytes = problem_bytes(dp->problem, TENSOR_OUT);
    void *stored = bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
    if (!stored)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    dmattn_status status = download(dp, TENSOR_OUT, stored);
    if (!status) {
        box b = box_of(d, TENSOR_OUT);
        for (uint64_t row = 0; row < rows(&b); row++) {
            uint64_t at = row_at(b.extent, b.stride, row);
            for (uint32_t i = 0; i < b.row; i++)
                *out++ = (float)element_load(d->type, stored, at + i);
        }
    }
    free(stored);
    return status || !lse || !d->lse ? status : download(dp, TENSOR_LSE, lse);
}

dmattn_status device_problem_download_mask(const device_problem *dp, problem *p)
{
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    for (int i = 0; i < 3; i++)
        if (is_made(p, products[i]))
            TRY(download(dp, products[i], p->tensor[products[i]]));
    return DMATTN_SUCCESS;
}
