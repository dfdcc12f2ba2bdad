/* SPDX-License-Identifier: MIT */
#include "unpack.h"

#include "../descriptors/format.h"
#include "pages.h"

#include "../../shaders/lib/attention.h"

#define WORKGROUP 64

/* ---- without a device ------------------------------------------------------------------------------------------ */

static bool is_unpacked(const dmattn_attention_desc *d, tensor_id tensor)
{
    return d->page_size || (tensor == TENSOR_K ? d->k_format : d->v_format) != DMATTN_FORMAT_TYPE;
}

/* Whether packed keys are read from pages. The kernel then finds the item of each row. */
static bool is_packed(const dmattn_attention_desc *d)
{
    return d->page_size && d->total_keys;
}

static uint32_t dim_of(const dmattn_attention_desc *d, tensor_id tensor)
{
    return tensor == TENSOR_K ? d->head_dim : d->value_dim;
}

static dmattn_strides contiguous(const dmattn_attention_desc *d, tensor_id tensor)
{
    const uint64_t head = dim_of(d, tensor), sequence = dmattn_product(d->kv_heads, head);
    return (dmattn_strides){
        .batch = dmattn_product(dmattn_key_rows(d).rows, sequence), .sequence = sequence, .head = head};
}

dmattn_attention_desc dmattn_unpack_attention(const dmattn_attention_desc *desc)
{
    dmattn_attention_desc d = *desc;
    d.k_format = d.v_format = DMATTN_FORMAT_TYPE;
    d.page_size = d.pages = 0;
    d.page_bytes = 0;
    if (is_unpacked(desc, TENSOR_K))
        d.k_strides = contiguous(desc, TENSOR_K);
    if (is_unpacked(desc, TENSOR_V))
        d.v_strides = contiguous(desc, TENSOR_V);
    return d;
}

uint64_t dmattn_unpack_alignment(const dmattn_attention_desc *d, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_K:
    case TENSOR_V: return is_unpacked(d, tensor) ? dmattn_format_alignment(dmattn_attention_format(d, tensor)) : 0;
    case TENSOR_PAGES: return 16;
    case TENSOR_K_SCALES:
    case TENSOR_V_SCALES:
    case TENSOR_TABLE: return 4;
    default: return 0;
    }
}

uint32_t dmattn_unpack_bits(const dmattn_attention_desc *d)
{
    return (is_unpacked(d, TENSOR_K) ? DERIVED_K : 0) | (is_unpacked(d, TENSOR_V) ? DERIVED_V : 0);
}

uint64_t dmattn_unpack_bytes(const dmattn_attention_desc *d, tensor_id tensor)
{
    if (!is_unpacked(d, tensor))
        return 0;
    const row_shape k = dmattn_key_rows(d);
    return dmattn_product(dmattn_type_size(d->type), k.batch, k.rows, d->kv_heads, dim_of(d, tensor));
}

/* Where the kernel finds rows. */
typedef struct source {
    uint32_t dim;
    dmattn_format format;
    dmattn_strides bytes;        /* in bytes; `batch` is from one page to the next if there are pages */
    tensor_id rows, scales;      /* the buffers */
    uint64_t rows_at, scales_at; /* offsets in them */
} source;

static source of_pages(const dmattn_attention_desc *d, int i)
{
    const page_layout l = dmattn_page_layout(d);
    const uint64_t rows_at[] = {0, l.values, l.importance}, scales_at[] = {l.k_scales, l.v_scales, 0};
    source s = {.dim = 1, .format = DMATTN_FORMAT_F32, .rows = TENSOR_PAGES, .scales = TENSOR_PAGES};
    if (i != UNPACK_IMPORTANCE) {
        s.dim = dim_of(d, i == UNPACK_KEYS ? TENSOR_K : TENSOR_V);
        s.format = dmattn_attention_format(d, i == UNPACK_KEYS ? TENSOR_K : TENSOR_V);
    }
    s.bytes.batch = d->page_bytes;
    s.bytes.sequence = dmattn_format_bytes(s.format, s.dim);
    s.bytes.head = d->page_size * s.bytes.sequence;
    s.rows_at = rows_at[i];
    s.scales_at = scales_at[i];
    return s;
}

static source source_of(const dmattn_attention_desc *d, int i)
{
    if (d->page_size)
        return of_pages(d, i);
    const bool keys = i == UNPACK_KEYS;
    const tensor_id t = keys ? TENSOR_K : TENSOR_V;
    const dmattn_format format = dmattn_attention_format(d, t);
    const dmattn_strides *elements = keys ? &d->k_strides : &d->v_strides;
    return (source){.dim = dim_of(d, t),
                    .format = format,
                    .bytes = {.batch = dmattn_format_bytes(format, elements->batch),
                              .sequence = dmattn_format_bytes(format, elements->sequence),
                              .head = dmattn_format_bytes(format, elements->head)},
                    .rows = t,
                    .scales = keys ? TENSOR_K_SCALES : TENSOR_V_SCALES};
}

/* As few invocations share a row as still read all of it in the fewest steps. */
static uint32_t row_lanes(uint32_t dim)
{
    const uint32_t units = dmattn_ceil_div(dim, 8);
    return dmattn_ceil_div(units, dmattn_ceil_div(units, WORKGROUP));
}

static grid grid_of(const dmattn_attention_desc *d, uint32_t dim)
{
    const row_shape k = dmattn_key_rows(d);
    return (grid){dmattn_ceil_div(k.rows, WORKGROUP / row_lanes(dim)), d->kv_heads, k.batch};
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

static void put_strides(const dmattn_attention_desc *d, const source *s, bool given, uint32_t c[UNPACK_CONSTANT_COUNT])
{
    const uint32_t several = 2; /* so that no stride is left out */
    const row_shape k = dmattn_key_rows(d);
    c[UNPACK_DERIVED_STRIDE] = dmattn_put_strides(c, UNPACK_BATCH_LOW, &s->bytes, k.batch, k.rows, d->kv_heads, 1, 1);
    if (d->page_size || given) {
        dmattn_put_stride(c, UNPACK_BATCH_LOW, d->page_size ? several : k.batch, s->bytes.batch, 1);
        c[UNPACK_DERIVED_STRIDE] = 0;
    }
    if (d->page_size)
        dmattn_put_stride(c, UNPACK_SEQUENCE_LOW, several, s->bytes.sequence, 1);
}

static dmattn_status add(unpack_stage *stage, pipeline_set *set, int i, bool given_strides)
{
    const dmattn_attention_desc *d = &stage->desc;
    const source s = source_of(d, i);
    uint32_t c[UNPACK_CONSTANT_COUNT] = {
        [UNPACK_WORKGROUP] = WORKGROUP,
        [UNPACK_FORMAT] = s.format,
        [UNPACK_TYPE] = i == UNPACK_IMPORTANCE ? DMATTN_TYPE_F32 : d->type,
        [UNPACK_DIM] = s.dim,
        [UNPACK_ROW_LANES] = row_lanes(s.dim),
        [UNPACK_HEADS] = d->kv_heads,
        [UNPACK_PAGE_SIZE] = d->page_size,
        [UNPACK_PAGES] = d->pages,
        [UNPACK_COUNTS] = d->counts && !d->total_keys, /* packed: all rows, whatever item they belong to */
    };
    put_strides(d, &s, given_strides, c);
    stage->grid[i] = grid_of(d, s.dim);
    TRY(dmattn_check_grid(set->ctx, "unpacking keys and values", stage->grid[i]));
    return dmattn_pipelines_add(set, is_packed(d) ? "unpack_packed" : "unpack", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){c, UNPACK_CONSTANT_COUNT, 0}, &stage->pipeline[i]);
}

dmattn_status dmattn_unpack_stage_plan(unpack_stage *s, pipeline_set *set, const dmattn_attention_desc *d,
                                       uint32_t given_strides, bool importance)
{
    s->desc = *d;
    s->table_pages = d->page_size ? dmattn_table_pages(d) : 0;
    if (is_unpacked(d, TENSOR_K))
        TRY(add(s, set, UNPACK_KEYS, given_strides & DERIVED_K));
    if (is_unpacked(d, TENSOR_V))
        TRY(add(s, set, UNPACK_VALUES, given_strides & DERIVED_V));
    return importance ? add(s, set, UNPACK_IMPORTANCE, false) : DMATTN_SUCCESS;
}

void dmattn_unpack_stage_shorten(unpack_stage *s, const dmattn_attention_desc *run)
{
    s->desc = *run;
    for (int i = 0; i < UNPACKED_TENSORS; i++)
        if (s->grid[i].x)
            s->grid[i] = grid_of(run, source_of(run, i).dim);
}

void dmattn_unpack_stage_record(const unpack_stage *stage, recorder *r)
{
    const VkDeviceAddress to[] = {r->workspace + stage->at[0], r->workspace + stage->at[1],
                                  r->tensor[TENSOR_IMPORTANCE]};
    bool first = true;
    for (int i = 0; i < UNPACKED_TENSORS; i++) {
        if (!stage->grid[i].x)
            continue;
        const source s = source_of(&stage->desc, i);
        const unpack_params params = {
            .from = r->tensor[s.rows] + s.rows_at,
            .scales = r->tensor[s.scales] + s.scales_at,
            .table = r->tensor[TENSOR_TABLE],
            .counts = is_packed(&stage->desc) ? r->workspace + stage->items_at : r->tensor[TENSOR_COUNTS],
            .to = to[i],
            .keys = dmattn_key_rows(&stage->desc).rows,
            .table_pages = stage->table_pages,
            .items = stage->desc.batch,
        };
        dmattn_recorder_one_of(r, &first);
        dmattn_recorder_dispatch(r, stage->pipeline[i], &params, sizeof params, stage->grid[i]);
    }
    for (int i = UNPACK_KEYS; i <= UNPACK_VALUES; i++)
        if (stage->grid[i].x) {
            const tensor_id t = i == UNPACK_KEYS ? TENSOR_K : TENSOR_V;
            r->tensor[t] = to[i];
            r->bytes[t] = dmattn_unpack_bytes(&stage->desc, t);
        }
}
