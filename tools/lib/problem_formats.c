/* SPDX-License-Identifier: MIT
 * Keys and values in formats of their own, in host memory. */
#include "problem.h"

#include "format.h"
#include "reference/element.h"
#include "reference/format.h"

#include <string.h>

static const tensor_id tensors[] = {TENSOR_K, TENSOR_V};
static const tensor_id scales[] = {TENSOR_K_SCALES, TENSOR_V_SCALES};

dmattn_attention_desc problem_device_desc(const problem *p)
{
    dmattn_attention_desc d = p->desc;
    if (p->stored.k_format) {
        d.k_format = p->stored.k_format;
        d.k_strides = p->stored.k_strides;
    }
    if (p->stored.v_format) {
        d.v_format = p->stored.v_format;
        d.v_strides = p->stored.v_strides;
    }
    return d;
}

uint64_t problem_device_bytes(const problem *p, tensor_id t)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    if (t >= TENSOR_DOUT)
        return problem_bytes(p, t);
    return p->dma ? dmattn_dma_tensor_bytes(&(dma_descs){d, p->mask_desc}, t) : dmattn_attention_tensor_bytes(&d, t);
}

const void *problem_device_data(const problem *p, tensor_id t)
{
    return p->stored.tensor[t] ? p->stored.tensor[t] : p->tensor[t];
}

/* A row of k or v, in both forms. */
typedef struct stored_row {
    uint64_t at; /* of its first element in tensor[] */
    unsigned char *bytes;
    float *scale; /* NULL without scales */
} stored_row;

static stored_row row_of(const problem *p, int i, uint64_t row)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    const dmattn_strides *s = i == 0 ? &d.k_strides : &d.v_strides;
    const tensor_box box = problem_box(p, tensors[i]);
    const uint64_t j = row / d.kv_heads;
    const uint64_t elements = j / d.keys * s->batch + j % d.keys * s->sequence + row % d.kv_heads * s->head;
    float *of_scales = p->stored.tensor[scales[i]];
    return (stored_row){.at = tensor_box_at(&box, row),
                        .bytes = (unsigned char *)p->stored.tensor[tensors[i]]
                                 + dmattn_format_bytes(dmattn_attention_format(&d, tensors[i]), elements),
                        .scale = of_scales ? of_scales + row : NULL};
}

static void store(problem *p, int i)
{
    const tensor_box box = problem_box(p, tensors[i]);
    const dmattn_attention_desc d = problem_device_desc(p);
    float numbers[DMATTN_MAX_HEAD_DIM];
    memset(p->stored.tensor[tensors[i]], 0xff, problem_device_bytes(p, tensors[i])); /* NaN in gaps, where possible */
    for (uint64_t n = 0; n < tensor_box_rows(&box); n++) {
        const stored_row row = row_of(p, i, n);
        for (uint32_t e = 0; e < box.row; e++)
            numbers[e] = (float)element_load(d.type, p->tensor[tensors[i]], row.at + e);
        const float scale = format_store(dmattn_attention_format(&d, tensors[i]), row.bytes, numbers, box.row);
        if (row.scale)
            *row.scale = scale;
    }
}

static void read_stored(problem *p, int i)
{
    const tensor_box box = problem_box(p, tensors[i]);
    const dmattn_attention_desc d = problem_device_desc(p);
    const dmattn_format format = dmattn_attention_format(&d, tensors[i]);
    for (uint64_t n = 0; n < tensor_box_rows(&box); n++) {
        const stored_row row = row_of(p, i, n);
        for (uint32_t e = 0; e < box.row; e++)
            element_store(d.type, p->tensor[tensors[i]], row.at + e,
                          format_load(format, row.bytes, row.scale ? *row.scale : 1, e));
    }
}

void problem_store(problem *p)
{
    for (int i = 0; i < 2; i++)
        if (p->stored.tensor[tensors[i]])
            store(p, i);
    problem_read_stored(p);
}

void problem_read_stored(problem *p)
{
    for (int i = 0; i < 2; i++)
        if (p->stored.tensor[tensors[i]])
            read_stored(p, i);
}
