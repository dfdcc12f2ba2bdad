/* SPDX-License-Identifier: MIT */
#include "guarded.h"

#include "reference/element.h"
#include "reference/pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD   256  /* bytes before and after a tensor */
#define PATTERN 0xa5 /* for results and workspace; the guards of inputs are 0xff, NaN in every type */

static dmattn_buffer *range_of(dmattn_attention_args *args, int tensor)
{
    return tensor == TENSOR_COUNT ? &args->workspace
                                  : dmattn_operator_buffer(&dmattn_attention_operator, args, (tensor_id)tensor);
}

static bool is_result(int tensor)
{
    return tensor == TENSOR_OUT || tensor == TENSOR_LSE || tensor == TENSOR_COUNT;
}

/* The offset with the smallest alignment that the plan allows. */
static uint64_t offset_of(const dmattn_plan_info *info, const dmattn_attention_desc *d, int tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT: return GUARD + info->data_alignment;
    case TENSOR_PAGES: return GUARD + 16;
    case TENSOR_COUNTS: return GUARD + 8;
    case TENSOR_MASK: return GUARD + 3;
    case TENSOR_BIAS: /* with a first row at a multiple of 16 bytes, if that is where the next ones are, too */
        return GUARD + (d->keys * dmattn_type_size(d->bias_type) % 16 ? dmattn_type_size(d->bias_type) : 0);
    case TENSOR_COUNT: return GUARD + info->workspace_alignment;
    default: return GUARD + 4;
    }
}

/* Makes the larger buffer of a tensor and fills all of it. */
static dmattn_status fill(guarded_problem *g, int tensor, uint64_t offset, uint64_t bytes, const void *data)
{
    uint64_t size = offset + bytes + GUARD;
    if (!g->whole[tensor].buffer)
        TRY(dmattn_buffer_create(h.device, size, &g->whole[tensor]));
    g->offset[tensor] = offset;
    g->bytes[tensor] = bytes;
    *range_of(&g->args, tensor) = (dmattn_buffer){g->whole[tensor].buffer, offset, bytes};
    unsigned char *image = malloc(size);
    memset(image, is_result(tensor) ? PATTERN : 0xff, size);
    if (data)
        memcpy(image + offset, data, bytes);
    dmattn_status status = dmattn_upload(h.device, &g->whole[tensor], 0, image, size);
    free(image);
    return status;
}

static dmattn_status create(guarded_problem *g)
{
    const problem *p = g->problem;
    dmattn_plan_info info;
    const dmattn_attention_desc d = problem_device_desc(p);
    TRY(dmattn_attention_plan_tile(h.context, &d, p->tile, &g->plan));
    dmattn_plan_get_info(g->plan, &info);
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t bytes = dmattn_attention_tensor_bytes(&d, (tensor_id)t);
        if (bytes)
            TRY(fill(g, t, offset_of(&info, &p->desc, t), bytes, problem_device_data(p, (tensor_id)t)));
    }
    if (info.workspace_size)
        TRY(fill(g, TENSOR_COUNT, offset_of(&info, &p->desc, TENSOR_COUNT), info.workspace_size, NULL));
    return DMATTN_SUCCESS;
}

dmattn_status guarded_create(const problem *p, guarded_problem *g)
{
    *g = (guarded_problem){.problem = p};
    dmattn_status status = create(g);
    if (status)
        guarded_destroy(g);
    return status;
}

void guarded_destroy(guarded_problem *g)
{
    for (int t = 0; t <= TENSOR_COUNT; t++)
        dmattn_buffer_destroy(h.device, &g->whole[t]);
    dmattn_plan_destroy(g->plan);
    *g = (guarded_problem){0};
}

dmattn_status guarded_run(guarded_problem *g, bool reuse_mask_tiles)
{
    for (int t = TENSOR_OUT; t <= TENSOR_LSE; t++)
        if (g->whole[t].buffer)
            TRY(fill(g, t, g->offset[t], g->bytes[t], NULL));
    g->args.reuse_mask_tiles = reuse_mask_tiles;
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(h.device, &commands));
    dmattn_status status = dmattn_attention_record(g->plan, commands, &g->args);
    if (status) {
        dmattn_commands_cancel(h.device);
        return status;
    }
    return dmattn_commands_submit(h.device);
}

/* The rows of q and out that items have. Of packed ones, those behind all items are not written. */
static uint32_t written_rows(const problem *p)
{
    const reference_inputs in = problem_inputs(p);
    if (!p->desc.total_queries)
        return p->desc.queries;
    const item_rows last = reference_item(&p->desc, &in, p->desc.batch - 1, 0);
    return last.first + last.count;
}

/* Reads rows and overwrites them with the pattern. Those that no run writes are 0 in `out`. */
static void take_out(const problem *p, unsigned char *tensor, float *out)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_strides *s = &d->out_strides;
    const dmattn_type type = dmattn_attention_type(d, TENSOR_OUT);
    const uint64_t size = dmattn_type_size(type);
    const row_shape shape = dmattn_query_rows(d);
    for (uint32_t b = 0; b < shape.batch; b++)
        for (uint32_t t = 0; t < shape.rows; t++)
            for (uint32_t head = 0; head < d->heads; head++, out += d->value_dim) {
                unsigned char *row = tensor + size * (b * s->batch + t * s->sequence + head * s->head);
                const bool written = t < written_rows(p);
                for (uint32_t i = 0; i < d->value_dim; i++)
                    out[i] = written ? (float)element_load(type, row, i) : 0;
                if (written)
                    memset(row, PATTERN, size * d->value_dim);
            }
}

/* The same, with -infinity. */
static void take_lse(const problem *p, unsigned char *tensor, float *lse)
{
    const row_shape shape = dmattn_query_rows(&p->desc);
    for (uint64_t i = 0; i < (uint64_t)shape.batch * p->desc.heads * shape.rows; i++) {
        const bool written = i % shape.rows < written_rows(p);
        lse[i] = -INFINITY;
        if (!written)
            continue;
        memcpy(&lse[i], tensor + i * sizeof *lse, sizeof *lse);
        memset(tensor + i * sizeof *lse, PATTERN, sizeof *lse);
    }
}

static bool all_pattern(const unsigned char *bytes, const guarded_problem *g, int tensor, char *why, size_t why_size)
{
    for (uint64_t i = 0; i < g->whole[tensor].size; i++)
        if (bytes[i] != PATTERN) {
            const char *name = tensor < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)tensor) : "workspace";
            snprintf(why, why_size, "byte %lld of %s was written, but it has only %llu bytes",
                     (long long)i - (long long)g->offset[tensor], name, (unsigned long long)g->bytes[tensor]);
            return false;
        }
    return true;
}

/* Downloads a tensor's buffer. *tensor points to its first element. Returns NULL if the tensor does not exist. */
static unsigned char *fetch(const guarded_problem *g, int tensor, unsigned char **first)
{
    const dmattn_buffer *whole = &g->whole[tensor];
    if (!whole->buffer)
        return NULL;
    unsigned char *bytes = malloc(whole->size);
    cr_assert_eq(dmattn_download(h.device, whole, 0, bytes, whole->size), DMATTN_SUCCESS, "%s", h.sentence);
    *first = bytes + g->offset[tensor];
    return bytes;
}

bool guarded_results(const guarded_problem *g, float *out, float *lse, char *why, size_t why_size)
{
    bool intact = true;
    for (int t = TENSOR_OUT; t <= TENSOR_COUNT; t++) {
        unsigned char *first, *bytes = is_result(t) ? fetch(g, t, &first) : NULL;
        if (!bytes)
            continue;
        if (t == TENSOR_OUT)
            take_out(g->problem, first, out);
        else if (t == TENSOR_LSE)
            take_lse(g->problem, first, lse);
        else /* the workspace */
            memset(first, PATTERN, g->bytes[t]);
        intact = intact && all_pattern(bytes, g, t, why, why_size);
        free(bytes);
    }
    return intact;
}

uint64_t guarded_hash(const guarded_problem *g)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (int t = TENSOR_OUT; t <= TENSOR_LSE; t++) {
        unsigned char *first, *bytes = fetch(g, t, &first);
        for (uint64_t i = 0; bytes && i < g->whole[t].size; i++)
            hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
        free(bytes);
    }
    return hash;
}
