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

static bool is_result(int tensor)
{
    return tensor == TENSOR_OUT || tensor == TENSOR_LSE;
}

dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *m, problem *p)
{
    *p = (problem){0};
    TRY(dmattn_attention_desc_resolve(desc, &p->desc, m));
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t bytes = dmattn_attention_tensor_bytes(&p->desc, t);
        if (!bytes || is_result(t))
            continue;
        p->tensor[t] = bytes <= SIZE_MAX ? calloc(1, (size_t)bytes) : NULL;
        if (!p->tensor[t]) {
            problem_destroy(p);
            return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "%s does not fit in host memory with its %llu bytes",
                               dmattn_attention_tensor_name(t), (unsigned long long)bytes);
        }
    }
    return DMATTN_SUCCESS;
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
        .bias = p->tensor[TENSOR_BIAS],
    };
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

void problem_randomize(problem *p, uint64_t seed)
{
    const dmattn_attention_desc *d = &p->desc;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        void *data = p->tensor[t];
        if (!data || t == TENSOR_END)
            continue;
        memset(data, 0xff, dmattn_attention_tensor_bytes(d, t)); /* NaN in each of the types */
        if (t == TENSOR_BEGIN)
            memset(p->tensor[TENSOR_END], 0xff, dmattn_attention_tensor_bytes(d, TENSOR_END));
        dmattn_type type = t == TENSOR_BIAS ? d->bias_type : d->type;
        uint64_t state = seed + (uint64_t)t * UINT64_C(0xd1342543de82ef95); /* a sequence for each tensor */
        box b = box_of(d, t);
        for (uint64_t row = 0; row < rows(&b); row++) {
            uint64_t at = row_at(b.extent, b.stride, row);
            for (uint64_t i = at; i < at + b.row; i++)
                if (t == TENSOR_MASK)
                    ((uint8_t *)data)[i] = random_bits(&state) & 1;
                else if (t == TENSOR_BEGIN)
                    random_interval(d->queries, &state, (int32_t *)data + i, (int32_t *)p->tensor[TENSOR_END] + i);
                else
                    element_store(type, data, i, random_normal(&state));
        }
    }
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

static dmattn_buffer *buffer_of(dmattn_attention_args *args, int tensor)
{
    dmattn_buffer *const buffers[TENSOR_COUNT] = {&args->q,    &args->k,     &args->v,   &args->out, &args->lse,
                                                  &args->mask, &args->begin, &args->end, &args->bias};
    return buffers[tensor];
}

static dmattn_status fill_device(const problem *p, device_problem *dp)
{
    TRY(dmattn_attention_plan(dmattn_device_context(dp->device), &p->desc, &dp->plan));
    dmattn_plan_info info;
    dmattn_plan_get_info(dp->plan, &info);
    if (info.workspace_size)
        TRY(make_buffer(dp->device, info.workspace_size, NULL, &dp->args.workspace));
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t bytes = dmattn_attention_tensor_bytes(&p->desc, t);
        if (bytes)
            TRY(make_buffer(dp->device, bytes, p->tensor[t], buffer_of(&dp->args, t)));
    }
    return DMATTN_SUCCESS;
}

dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp)
{
    *dp = (device_problem){.device = device, .desc = p->desc};
    dmattn_status status = fill_device(p, dp);
    if (status)
        device_problem_destroy(dp);
    return status;
}

void device_problem_destroy(device_problem *dp)
{
    if (!dp->device)
        return;
    for (int t = 0; t < TENSOR_COUNT; t++)
        dmattn_buffer_destroy(dp->device, buffer_of(&dp->args, t));
    dmattn_buffer_destroy(dp->device, &dp->args.workspace);
    dmattn_plan_destroy(dp->plan);
    *dp = (device_problem){0};
}

dmattn_status device_problem_run(const device_problem *dp)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(dp->device, &commands));
    dmattn_status status = dmattn_attention_record(dp->plan, commands, &dp->args);
    if (status) {
        dmattn_commands_cancel(dp->device);
        return status;
    }
    return dmattn_commands_submit(dp->device);
}

dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse)
{
    uint64_t bytes = dmattn_attention_tensor_bytes(&dp->desc, TENSOR_OUT);
    void *stored = bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
    if (!stored)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    dmattn_status status = dmattn_download(dp->device, &dp->args.out, 0, stored, bytes);
    if (!status) {
        box b = box_of(&dp->desc, TENSOR_OUT);
        for (uint64_t row = 0; row < rows(&b); row++) {
            uint64_t at = row_at(b.extent, b.stride, row);
            for (uint32_t i = 0; i < b.row; i++)
                *out++ = (float)element_load(dp->desc.type, stored, at + i);
        }
    }
    free(stored);
    if (status || !lse || !dp->desc.lse)
        return status;
    return dmattn_download(dp->device, &dp->args.lse, 0, lse, dmattn_attention_tensor_bytes(&dp->desc, TENSOR_LSE));
}
