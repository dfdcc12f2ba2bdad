/* SPDX-License-Identifier: MIT
 * Keys and values in formats of their own, and in pages, in host memory. */
#include "problem.h"

#include "attention/pages.h"
#include "descriptors/format.h"
#include "reference/element.h"
#include "reference/format.h"

#include <string.h>

bool problem_is_stored(const problem *p)
{
    return p->stored.k_format || p->stored.v_format || p->stored.page_size;
}

dmattn_attention_desc problem_device_desc(const problem *p)
{
    dmattn_attention_desc d = p->desc;
    d.page_size = p->stored.page_size;
    d.pages = p->stored.pages;
    d.page_bytes = p->stored.page_bytes;
    d.k_format = p->stored.k_format;
    d.v_format = p->stored.v_format;
    if (d.k_format)
        d.k_strides = p->stored.k_strides;
    if (d.v_format)
        d.v_strides = p->stored.v_strides;
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

/* A row of k or v. `bytes` is NULL if it is in no page, because packed keys have no such row. */
typedef struct stored_row {
    uint64_t at;          /* of its first element in `tensor` of the problem */
    unsigned char *bytes; /* as it is stored */
    float *scale;         /* NULL without scales */
} stored_row;

/* The page of a key, as the kernels read the block table. */
static uint32_t page_of(const problem *p, uint32_t item, uint32_t key)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    const uint32_t *table = p->stored.tensor[TENSOR_TABLE];
    const uint32_t page = table[item * dmattn_table_pages(&d) + key / d.page_size];
    return page < d.pages ? page : d.pages - 1;
}

static stored_row row_in_page(const problem *p, tensor_id t, uint32_t item, uint32_t key, uint32_t head)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    const page_layout l = dmattn_page_layout(&d);
    const uint64_t row_bytes =
        dmattn_format_bytes(dmattn_attention_format(&d, t), t == TENSOR_K ? d.head_dim : d.value_dim);
    const uint64_t in_page = (uint64_t)head * d.page_size + key % d.page_size;
    unsigned char *page = (unsigned char *)p->stored.tensor[TENSOR_PAGES] + page_of(p, item, key) * d.page_bytes;
    float *scales = (float *)(void *)(page + (t == TENSOR_K ? l.k_scales : l.v_scales));
    return (stored_row){.bytes = page + (t == TENSOR_K ? 0 : l.values) + in_page * row_bytes,
                        .scale = scales + in_page};
}

static stored_row row_of(const problem *p, tensor_id t, uint64_t row)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    const dmattn_format format = dmattn_attention_format(&d, t);
    const dmattn_strides *s = t == TENSOR_K ? &d.k_strides : &d.v_strides;
    const tensor_box box = problem_box(p, t);
    const uint64_t at = row / d.kv_heads, rows = dmattn_key_rows(&d).rows;
    const uint64_t elements = at / rows * s->batch + at % rows * s->sequence + row % d.kv_heads * s->head;
    uint32_t item, key, head;
    const bool exists = problem_find_key(p, row, &item, &key, &head);
    float *scales = p->stored.tensor[t == TENSOR_K ? TENSOR_K_SCALES : TENSOR_V_SCALES];
    stored_row r = {.bytes = (unsigned char *)p->stored.tensor[t] + dmattn_format_bytes(format, elements),
                    .scale = scales + row};
    if (d.page_size)
        r = exists ? row_in_page(p, t, item, key, head) : (stored_row){0};
    r.at = tensor_box_at(&box, row);
    r.scale = dmattn_format_has_scales(format) ? r.scale : NULL;
    return r;
}

static void store(problem *p, tensor_id t)
{
    const tensor_box box = problem_box(p, t);
    const dmattn_attention_desc d = problem_device_desc(p);
    float numbers[DMATTN_MAX_HEAD_DIM];
    for (uint64_t n = 0; n < tensor_box_rows(&box); n++) {
        const stored_row row = row_of(p, t, n);
        if (!row.bytes)
            continue;
        for (uint32_t e = 0; e < box.row; e++)
            numbers[e] = (float)element_load(d.type, p->tensor[t], row.at + e);
        const float scale = format_store(dmattn_attention_format(&d, t), row.bytes, numbers, box.row);
        if (row.scale)
            *row.scale = scale;
    }
}

static void read_stored(problem *p, tensor_id t)
{
    const tensor_box box = problem_box(p, t);
    const dmattn_attention_desc d = problem_device_desc(p);
    const dmattn_format format = dmattn_attention_format(&d, t);
    for (uint64_t n = 0; n < tensor_box_rows(&box); n++) {
        const stored_row row = row_of(p, t, n);
        for (uint32_t e = 0; row.bytes && e < box.row; e++)
            element_store(d.type, p->tensor[t], row.at + e,
                          format_load(format, row.bytes, row.scale ? *row.scale : 1, e));
    }
}

/* The importance of a key in its page. */
static float *importance_in_page(const problem *p, uint32_t item, uint32_t key, uint32_t head)
{
    const dmattn_attention_desc d = problem_device_desc(p);
    unsigned char *page = (unsigned char *)p->stored.tensor[TENSOR_PAGES] + page_of(p, item, key) * d.page_bytes;
    return (float *)(void *)(page + dmattn_page_layout(&d).importance) + head * d.page_size + key % d.page_size;
}

/* Copies importances that are inputs to the pages, or from there. */
static void copy_importances(problem *p, bool to_pages)
{
    const dmattn_attention_desc *d = &p->desc;
    if (!p->stored.page_size || !p->dma || !p->dma_desc.importance_given)
        return;
    float *importance = p->tensor[TENSOR_IMPORTANCE];
    for (uint32_t item = 0; item < d->batch; item++)
        for (uint32_t head = 0; head < d->kv_heads; head++)
            for (uint32_t key = 0; key < d->keys; key++, importance++) {
                float *stored = importance_in_page(p, item, key, head);
                if (to_pages)
                    *stored = *importance;
                else
                    *importance = *stored;
            }
}

/* NaN where nothing is stored, if the format has it. */
static void clear(problem *p)
{
    static const tensor_id tensors[] = {TENSOR_K, TENSOR_V, TENSOR_PAGES};
    for (int i = 0; i < 3; i++)
        if (p->stored.tensor[tensors[i]])
            memset(p->stored.tensor[tensors[i]], 0xff, problem_device_bytes(p, tensors[i]));
}

/* Calls a function for k and v where they are stored in another way. */
static void for_stored(problem *p, void (*function)(problem *p, tensor_id t))
{
    if (p->stored.k_format || p->stored.page_size)
        function(p, TENSOR_K);
    if (p->stored.v_format || p->stored.page_size)
        function(p, TENSOR_V);
}

void problem_store(problem *p)
{
    clear(p);
    for_stored(p, store);
    copy_importances(p, true);
    problem_read_stored(p);
}

void problem_read_stored(problem *p)
{
    for_stored(p, read_stored);
    copy_importances(p, false);
}

void problem_randomize_table(problem *p, uint64_t seed)
{
    static const uint32_t no_page[] = {UINT32_MAX, 0x80000000, 0x7fffffff};
    uint32_t *table = p->stored.tensor[TENSOR_TABLE];
    const uint32_t entries = table ? (uint32_t)(problem_device_bytes(p, TENSOR_TABLE) / sizeof *table) : 0;
    const uint32_t pages = p->stored.pages;
    for (uint32_t i = 0; i < entries; i++) { /* the last pages, in a random order */
        const uint32_t at = (uint32_t)(random_bits(&seed) % (i + 1));
        table[i] = table[at];
        table[at] = pages - 1 - i % pages;
    }
    for (uint32_t i = 0; i < entries; i++)
        if (table[i] == pages - 1)
            table[i] = no_page[random_bits(&seed) % 3];
}
