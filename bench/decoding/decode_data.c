/* SPDX-License-Identifier: MIT */
#include "decode_data.h"

#include "reference/element.h"
#include "timing/device_memory.h"

#include <math.h>
#include <stdlib.h>

uint64_t decoding_element(const decoding *d)
{
    return dmattn_type_size(d->desc.attention.type);
}

dmattn_strides stream_strides(uint64_t head_step)
{
    return (dmattn_strides){SEQUENCE_STEP * TOKEN_STEP, TOKEN_STEP, head_step};
}

uint64_t decoding_q_element(const decoding *d)
{
    return dmattn_type_size(dmattn_attention_type(&d->desc.attention, TENSOR_Q));
}

uint32_t decoding_context(const decoding *d, uint32_t sequence)
{
    return sequence ? d->others : d->context;
}

uint32_t decoding_start(const decoding *d, uint32_t sequence)
{
    return d->context - decoding_context(d, sequence);
}

uint32_t decoding_queries(const decoding *d, uint32_t sequence)
{
    return sequence ? d->other_queries : d->queries;
}

uint64_t decoding_row(const decoding *d, uint32_t sequence)
{
    return sequence ? d->queries + (sequence - UINT64_C(1)) * d->other_queries : 0;
}

dmattn_buffer buffer_behind(const dmattn_buffer *buffer, uint64_t offset)
{
    return (dmattn_buffer){buffer->buffer, offset, buffer->size - offset};
}

uint64_t importance_at(uint32_t sequence)
{
    return (uint64_t)SEQUENCE_STEP * sequence;
}

static dmattn_type type_of(const decoding *d, int stream)
{
    return stream == STREAM_IMPORTANCE ? DMATTN_TYPE_F32
           : stream == STREAM_Q        ? dmattn_attention_type(&d->desc.attention, TENSOR_Q)
                                       : d->desc.attention.type;
}

void decoding_describe(decoding *d, const bench_case *c)
{
    d->desc = c->decode;
    d->mask = c->mask;
    dmattn_attention_desc *a = &d->desc.attention;
    const bool prefill = c->pass == PASS_PREFILL;
    const uint32_t new_tokens = prefill ? 0 : c->desc.queries, kv_heads = a->kv_heads ? a->kv_heads : a->heads;
    d->context = c->desc.keys - new_tokens;
    d->others = case_keys(c, 1) - new_tokens;
    d->queries = c->desc.queries;
    d->other_queries = case_queries(c, 1);
    d->packed = c->packed;
    d->first_query = c->desc.keys - c->desc.queries;
    const uint64_t sequences =
        SEQUENCE_STEP * (uint64_t)a->batch; /* tokens from the first sequence to behind the last */
    const uint64_t queries =
                       (d->packed ? decoding_row(d, a->batch) : d->queries) + (prefill ? 0 : NEW_TOKENS) + sequences,
                   tokens = d->first_query + queries;
    d->head_step = TOKEN_STEP * (sequences + 1);
    a->q_strides = a->k_strides = a->v_strides = stream_strides(d->head_step);
    d->count[STREAM_Q] = TOKEN_STEP * queries + d->head_step * a->heads + DMATTN_MAX_HEAD_DIM;
    d->count[STREAM_K] = d->count[STREAM_V] = TOKEN_STEP * tokens + d->head_step * kv_heads + DMATTN_MAX_HEAD_DIM;
    d->count[STREAM_IMPORTANCE] = d->desc.no_importance ? 1 : tokens * kv_heads + sequences;
}

static dmattn_status upload(decoding *d, const void *data, uint64_t bytes, dmattn_buffer *buffer)
{
    TRY(dmattn_buffer_create(d->settings->device, bytes, buffer));
    return dmattn_upload(d->settings->device, buffer, 0, data, bytes);
}

static dmattn_status make_streams(decoding *d)
{
    for (int i = 0; i < STREAM_COUNT; i++) {
        const dmattn_type type = type_of(d, i);
        const uint64_t bytes = d->count[i] * dmattn_type_size(type);
        uint64_t random = d->settings->seed + (uint64_t)i * UINT64_C(0xd1342543de82ef95);
        d->stream[i] = malloc(bytes);
        if (!d->stream[i])
            return dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the tokens of the sequences");
        for (uint64_t n = 0; n < d->count[i]; n++)
            element_store(type, d->stream[i], n,
                          i == STREAM_IMPORTANCE ? random_uniform(&random) : random_normal(&random));
        TRY(upload(d, d->stream[i], bytes, &d->buffer[i]));
    }
    return DMATTN_SUCCESS;
}

/* Chosen so that the importance of new tokens is about 0.2 to 1.2; that of the prompt's tokens is 0 to 1. */
static dmattn_status make_parameters(decoding *d)
{
    static const tensor_id tensors[] = {TENSOR_DT_WEIGHT, TENSOR_A, TENSOR_DT_BIAS, TENSOR_SINK, TENSOR_SLOPES};
    _Static_assert(sizeof tensors / sizeof *tensors == PARAMETERS, "the same tensors as in decode_data.h");
    uint64_t random = d->settings->seed + 99;
    for (int i = 0; i < PARAMETERS; i++) {
        const uint64_t bytes = dmattn_decode_tensor_bytes(&d->desc, tensors[i]), count = bytes / sizeof(float);
        const double columns = (double)d->desc.attention.kv_heads * d->desc.attention.value_dim;
        if (!bytes)
            continue;
        float *values = d->parameter[i] = malloc(bytes);
        if (!values)
            return dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for parameters");
        for (uint64_t n = 0; n < count; n++)
            values[n] = (float)(i ? 0.6 : random_normal(&random) / sqrt(columns));
        TRY(upload(d, values, bytes, &d->parameters[i]));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status make_table(decoding *d)
{
    const uint32_t batch = d->desc.attention.batch, row = d->layout.table_pages, pages = d->desc.pages;
    const uint32_t of_others = (pages - row) / (batch > 1 ? batch - 1 : 1);
    int32_t *table = calloc((size_t)batch * row, sizeof *table);
    if (!table)
        return dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a block table");
    for (uint32_t b = 0, page = 0; b < batch; b++)
        for (uint32_t i = 0; i < (b ? of_others : row); i++, page++) /* no two consecutive pages are adjacent */
            table[(size_t)b * row + i] = (int32_t)(page % 2 ? pages - 1 - page / 2 : page / 2);
    const dmattn_status status = upload(d, table, (uint64_t)batch * row * sizeof *table, &d->table);
    free(table);
    return status;
}

/* The lists of a sequence have keys up to those of its new tokens. */
static dmattn_status make_lists(decoding *d)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const uint64_t bytes = dmattn_decode_tensor_bytes(&d->desc, TENSOR_SELECTED);
    uint64_t random = d->settings->seed + 98;
    if (!bytes)
        return DMATTN_SUCCESS;
    d->lists = malloc(bytes);
    if (!d->lists)
        return dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for lists of keys");
    for (uint32_t b = 0; b < a->batch; b++) {
        dmattn_attention_desc one = *a;
        one.mask_shape.batch = 1;
        one.keys = decoding_context(d, b) + a->queries;
        case_fill_selected(&one, d->lists + b * a->mask_shape.batch_stride, &d->mask, &random);
    }
    return upload(d, d->lists, bytes, &d->selected);
}

/* In pieces, because the caches of many sequences may have gigabytes. */
static dmattn_status zeros(decoding *d, uint64_t bytes, dmattn_buffer *buffer)
{
    const uint64_t most = UINT64_C(1) << 24;
    TRY(dmattn_buffer_create(d->settings->device, bytes, buffer));
    void *piece = calloc(1, most);
    dmattn_status status =
        piece ? DMATTN_SUCCESS : dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for zeros");
    for (uint64_t at = 0; !status && at < bytes; at += most)
        status = dmattn_upload(d->settings->device, buffer, at, piece, bytes - at < most ? bytes - at : most);
    free(piece);
    return status;
}

static dmattn_status check_sizes(const decoding *d)
{
    const double pages = (double)d->layout.pages_size;
    const double out = (double)d->out_bytes + (double)d->lse_bytes;
    double all = pages + out + (double)d->layout.state_size + (double)d->workspace_bytes;
    for (int i = 0; i < STREAM_COUNT; i++)
        all += (double)d->count[i] * dmattn_type_size(type_of(d, i));
    TRY(check_allocation(d->settings, d->log, "the paged cache", pages));
    TRY(check_allocation(d->settings, d->log, "the state of the caches", (double)d->layout.state_size));
    return check_memory(d->settings, d->log, all);
}

dmattn_status decoding_create(decoding *d)
{
    dmattn_device *device = d->settings->device;
    const dmattn_attention_desc *a = &d->desc.attention;
    const decode_tiles tiles = {.step = d->tile};
    TRY(dmattn_decode_plan_tiles(dmattn_device_context(device), &d->desc, &tiles, &d->plan));
    TRY(dmattn_decode_desc_resolve(&d->desc, &d->desc, d->log));
    dmattn_plan_get_info(d->plan, &d->info);
    TRY(dmattn_decode_get_layout(d->plan, &d->layout));
    if (!d->out_bytes) {
        const uint32_t steps = d->queries / a->queries; /* of as many tokens as a chunk */
        d->out_bytes = steps * dmattn_decode_tensor_bytes(&d->desc, TENSOR_OUT);
        d->lse_bytes = steps * dmattn_decode_tensor_bytes(&d->desc, TENSOR_LSE);
        d->workspace_bytes = d->info.workspace_size;
    }
    TRY(check_sizes(d));
    TRY(make_streams(d));
    TRY(make_parameters(d));
    TRY(dmattn_buffer_create(device, d->out_bytes, &d->out));
    TRY(dmattn_buffer_create(device, d->lse_bytes, &d->lse));
    TRY(dmattn_buffer_create(device, d->workspace_bytes, &d->workspace));
    TRY(zeros(d, d->layout.state_size, &d->state));
    if (d->desc.cache == DMATTN_CACHE_BOUNDED)
        return DMATTN_SUCCESS;
    /* each step removes the token of the previous one, so that all steps have the same context */
    int32_t *keep = malloc(a->batch * sizeof *keep);
    if (!keep)
        return dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for lengths");
    for (uint32_t b = 0; b < a->batch; b++)
        keep[b] = (int32_t)decoding_context(d, b);
    const dmattn_status status = upload(d, keep, a->batch * sizeof *keep, &d->keep);
    free(keep);
    TRY(status);
    TRY(make_lists(d));
    TRY(make_table(d));
    return dmattn_buffer_create(device, d->layout.pages_size, &d->pages);
}

uint64_t decoding_cache_bytes(const decoding *d)
{
    return d->layout.sequence_size + d->layout.pages_size / d->desc.attention.batch;
}

dmattn_status decoding_fill(decoding *d)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(d->settings->device, &commands));
    dmattn_status status = DMATTN_SUCCESS;
    for (uint32_t b = 0; !status && b < d->desc.attention.batch; b++) {
        const uint64_t first = (uint64_t)SEQUENCE_STEP * b + decoding_start(d, b);
        const uint64_t offset = decoding_element(d) * TOKEN_STEP * first;
        const uint64_t importance = d->desc.no_importance ? 0 : sizeof(float) * importance_at(b);
        const dmattn_decode_fill_args args = {
            .sequence = b,
            .keys = decoding_context(d, b),
            .k = buffer_behind(&d->buffer[STREAM_K], offset),
            .v = buffer_behind(&d->buffer[STREAM_V], offset),
            .k_strides = stream_strides(d->head_step),
            .v_strides = stream_strides(d->head_step),
            .importance = buffer_behind(&d->buffer[STREAM_IMPORTANCE], importance),
            .state = d->state,
            .pages = d->pages,
            .table = d->table,
        };
        status = dmattn_decode_fill_record(d->plan, commands, &args);
    }
    if (status) {
        dmattn_commands_cancel(d->settings->device);
        return status;
    }
    d->steps = 0;
    return dmattn_commands_submit(d->settings->device);
}

void decoding_destroy(decoding *d)
{
    dmattn_device *device = d->settings->device;
    dmattn_buffer *const buffers[] = {&d->out,   &d->lse,   &d->keep,     &d->state,
                                      &d->pages, &d->table, &d->selected, &d->workspace};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        dmattn_buffer_destroy(device, buffers[i]);
    for (int i = 0; i < STREAM_COUNT; i++) {
        dmattn_buffer_destroy(device, &d->buffer[i]);
        free(d->stream[i]);
    }
    for (int i = 0; i < PARAMETERS; i++) {
        dmattn_buffer_destroy(device, &d->parameters[i]);
        free(d->parameter[i]);
    }
    free(d->lists);
    dmattn_plan_destroy(d->plan);
}
