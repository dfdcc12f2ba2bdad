/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include "reference/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- data ---------------------------------------------------------------------------------------------------- */

/* Random numbers at first, then pieces of these from random offsets: drawing hundreds of millions takes too long. */
static void fill_normal(dmattn_type type, void *data, uint64_t bytes, uint64_t *state)
{
    const uint64_t block = 65536, piece = 4096, size = dmattn_type_size(type), count = bytes / size;
    for (uint64_t i = 0; i < count && i < block; i++)
        element_store(type, data, i, random_normal(state));
    for (uint64_t at = block; at < count; at += piece) {
        uint64_t length = count - at < piece ? count - at : piece;
        uint64_t from = random_bits(state) % (block - length + 1);
        memcpy((char *)data + at * size, (const char *)data + from * size, length * size);
    }
}

/* The position of a query among the keys. */
static int64_t position(const dmattn_attention_desc *d, int64_t query)
{
    return query + d->keys - d->queries;
}

#define MASK_TILE 64

/* Tiles are on at random, except that tiles with a query's own position are always on, so that `causal` leaves no row
 * empty. */
static void fill_dense(const dmattn_attention_desc *d, uint8_t *mask, double fraction, uint64_t *state)
{
    for (uint32_t first = 0; first < d->queries; first += MASK_TILE) {
        uint8_t *row = mask + (uint64_t)first * d->keys;
        uint32_t end = d->queries - first < MASK_TILE ? d->queries : first + MASK_TILE;
        int64_t low = position(d, first), high = position(d, end - 1);
        low = low < 0 ? 0 : low;
        high = high < 0 ? 0 : high;
        for (uint32_t key = 0; key < d->keys; key += MASK_TILE) {
            uint32_t width = d->keys - key < MASK_TILE ? d->keys - key : MASK_TILE;
            bool on = random_uniform(state)
                      < fraction; /* drawn for every tile, so that tiles are independent of each other */
            on = on || (low < (int64_t)key + width && high >= key);
            memset(row + key, on, width);
        }
        for (uint32_t t = first + 1; t < end; t++)
            memcpy(mask + (uint64_t)t * d->keys, row, d->keys);
    }
}

/* 0 up to a query's own position, -infinity after it. */
static void fill_additive(const dmattn_attention_desc *d, void *mask)
{
    for (uint32_t t = 0; t < d->queries; t++)
        for (uint32_t j = 0; j < d->keys; j++)
            element_store(d->bias_type, mask, (uint64_t)t * d->keys + j, j <= position(d, t) ? 0 : (double)-INFINITY);
}

static int32_t clip(int64_t value, uint32_t high)
{
    return (int32_t)(value < 0 ? 0 : value > high ? high : value);
}

/* Each key is visible from its own position on. */
static void fill_intervals(const dmattn_attention_desc *d, int32_t *begin, int32_t *end, const mask_choice *mask,
                           uint64_t *state)
{
    for (uint32_t h = 0; h < d->mask_shape.heads; h++)
        for (uint32_t j = 0; j < d->keys; j++) {
            int64_t first = (int64_t)j + d->queries - d->keys;
            const uint64_t most = 2 * (uint64_t)mask->window;
            int64_t visible = mask->sliding ? mask->window : 1 + (int64_t)(random_bits(state) % most);
            *begin++ = clip(first, d->queries);
            *end++ = clip(first + visible, d->queries);
        }
}

/* A number from 0 to `last` for entry i of `count` entries; those of different entries hardly ever are equal. */
static int32_t draw_number(uint32_t i, uint32_t count, uint32_t last, uint64_t state)
{
    return (int32_t)(((double)i + random_uniform(&state)) / count * ((double)last + 1));
}

/* An entry of the pool of a list is drawn anew after so many queries, each at another time. */
#define POOL_QUERIES 128

/* The number of an entry of the pool at query t. */
static int32_t pool_number(const dmattn_attention_desc *d, uint32_t i, uint32_t size, uint32_t t, uint64_t seed)
{
    const uint32_t phase = i * 37 % POOL_QUERIES, epoch = (t + phase) / POOL_QUERIES;
    const int64_t drawn = (int64_t)epoch * POOL_QUERIES - phase, at = position(d, drawn > 0 ? drawn : 0);
    const uint32_t last = (uint32_t)(at > 0 ? at : 0) / d->selected_block;
    return draw_number(i, size, last, seed + ((uint64_t)epoch << 32 | i) * UINT64_C(0x2545f4914f6cdd1d));
}

/* A query takes nine tenths of a pool that changes slowly, so that neighbours share about nine tenths of their numbers,
 * and queries that are farther from each other somewhat fewer. Random lists share nothing. */
void case_fill_selected(const dmattn_attention_desc *d, int32_t *lists, const mask_choice *mask, uint64_t *state)
{
    const uint32_t count = d->selected_count, size = count + count / 9 + 1, step = size % 7919 ? 7919 : 1;
    for (uint64_t plane = 0; plane < (uint64_t)d->mask_shape.batch * d->mask_shape.heads; plane++) {
        const uint64_t seed = random_bits(state);
        for (uint32_t t = 0; t < d->queries; t++, lists += count) {
            const int64_t at = position(d, t);
            const uint32_t last = (uint32_t)(at > 0 ? at : 0) / d->selected_block;
            const uint64_t first = random_bits(state) % size;
            for (uint32_t i = 0; i < count; i++)
                lists[i] = last < size    ? (i <= last ? (int32_t)i : -1)
                           : mask->random ? draw_number(i, count, last, random_bits(state))
                                          : pool_number(d, (uint32_t)((first + i) * step % size), size, t, seed);
        }
    }
}

/* 2^(-8 (h + 1) / H), as the ALiBi paper has them. */
static void fill_slopes(const dmattn_attention_desc *d, float *slopes)
{
    for (uint32_t h = 0; h < d->heads; h++)
        slopes[h] = (float)exp2(-8.0 * (h + 1) / d->heads);
}

dmattn_status case_create(const bench_case *c, const messenger *m, problem *p)
{
    TRY(c->mask.dynamic ? problem_create_dma(&c->dma, m, p) : problem_create(&c->desc, m, p));
    /* an additive mask is not learned */
    const uint32_t gradients =
        DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | (c->desc.sink ? (uint32_t)DMATTN_GRADIENT_SINK : 0);
    const problem_backward wanted = {.gradients = c->mask.mask == DMATTN_MASK_ADDITIVE ? gradients : 0};
    const dmattn_status status = c->pass & PASS_BACKWARD ? problem_add_backward(p, &wanted, m) : DMATTN_SUCCESS;
    if (status)
        problem_destroy(p);
    return status;
}

void case_fill(problem *p, const mask_choice *mask, uint64_t seed)
{
    const dmattn_attention_desc *d = &p->desc;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const bool others = t >= TENSOR_DT_WEIGHT && t != TENSOR_DOUT; /* problem_randomize_mask() fills them */
        if (!p->tensor[t] || others || t == TENSOR_END || (p->dma && t == TENSOR_BEGIN))
            continue;
        const tensor_id tensor = (tensor_id)t;
        uint64_t state =
            seed + (uint64_t)t * UINT64_C(0xd1342543de82ef95); /* each tensor has its own random sequence */
        if (t == TENSOR_BIAS && d->mask == DMATTN_MASK_ADDITIVE)
            fill_additive(d, p->tensor[t]);
        else if (t == TENSOR_SLOPES)
            fill_slopes(d, p->tensor[t]);
        else if (t == TENSOR_MASK)
            fill_dense(d, p->tensor[t], mask->fraction, &state);
        else if (t == TENSOR_BEGIN)
            fill_intervals(d, p->tensor[t], p->tensor[TENSOR_END], mask, &state);
        else if (t == TENSOR_SELECTED)
            case_fill_selected(d, p->tensor[t], mask, &state);
        else
            fill_normal(problem_type(p, tensor), p->tensor[t], problem_bytes(p, tensor), &state);
    }
    problem_randomize_mask(p, seed);
    problem_randomize_table(p, seed);
    problem_store(p);
}

/* ---- visible pairs ------------------------------------------------------------------------------------------- */

static uint64_t dense_row_pairs(const dmattn_attention_desc *d, const uint8_t *row, uint32_t query)
{
    int64_t keys = d->causal ? position(d, query) + 1 : d->keys;
    uint64_t count = 0;
    for (int64_t j = 0; j < keys; j++)
        count += row[j] != 0;
    return count;
}

static uint64_t interval_pairs(const dmattn_attention_desc *d, int64_t begin, int64_t end, uint32_t key)
{
    int64_t first = d->causal ? (int64_t)key + d->queries - d->keys : 0;
    first = first < 0 ? 0 : first;
    first = begin > first ? begin : first;
    end = end < d->queries ? end : d->queries;
    return end > first ? (uint64_t)(end - first) : 0;
}

/* Of one list. `seen` has an entry for each number, which is `stamp` once the list has had it. Without it, numbers that
 * occur twice count twice. */
static uint64_t list_pairs(const dmattn_attention_desc *d, const int32_t *list, uint32_t query, uint32_t *seen,
                           uint32_t stamp)
{
    const int64_t keys = d->causal ? position(d, query) + 1 : d->keys, block = d->selected_block;
    uint64_t count = 0;
    for (uint32_t i = 0; i < d->selected_count; i++) {
        const int64_t first = list[i] * block, end = first + block < keys ? first + block : keys;
        if (first < 0 || first >= end || (seen && seen[list[i]] == stamp))
            continue;
        if (seen)
            seen[list[i]] = stamp;
        count += (uint64_t)(end - first);
    }
    return count;
}

static uint64_t selected_pairs(const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const tensor_box b = problem_box(p, TENSOR_SELECTED);
    uint32_t *seen = calloc((size_t)d->keys, sizeof *seen), stamp = 0;
    uint64_t count = 0;
    for (uint64_t plane = 0; plane < (uint64_t)b.extent[0] * b.extent[1]; plane++)
        for (uint32_t t = 0; t < d->queries; t++) {
            const uint64_t row = plane * b.extent[2] + (b.extent[2] == 1 ? 0 : t);
            count +=
                list_pairs(d, (const int32_t *)p->tensor[TENSOR_SELECTED] + tensor_box_at(&b, row), t, seen, ++stamp);
        }
    free(seen);
    return count * ((uint64_t)d->batch * d->heads / ((uint64_t)b.extent[0] * b.extent[1]));
}

uint64_t count_visible_pairs(const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    const uint64_t planes = (uint64_t)d->batch * d->heads;
    if (d->mask == DMATTN_MASK_ADDITIVE) {
        dmattn_attention_desc causal = *d;
        causal.causal = true;
        return (uint64_t)dmattn_attention_pairs(&causal) * planes;
    }
    if (d->mask == DMATTN_MASK_NONE)
        return (uint64_t)dmattn_attention_pairs(d) * planes;
    if (d->mask == DMATTN_MASK_SELECTED)
        return selected_pairs(p);

    uint64_t count = 0;
    for (uint32_t b = 0; b < s->batch; b++)
        for (uint32_t h = 0; h < s->heads; h++) {
            uint64_t at = b * s->batch_stride + h * s->head_stride;
            if (d->mask == DMATTN_MASK_INTERVALS) {
                const int32_t *begin = p->tensor[TENSOR_BEGIN], *end = p->tensor[TENSOR_END];
                for (uint32_t j = 0; j < d->keys; j++)
                    count += interval_pairs(d, begin[at + j], end[at + j], j);
            } else {
                const uint8_t *mask = p->tensor[TENSOR_MASK];
                for (uint32_t t = 0; t < d->queries; t++)
                    count += dense_row_pairs(d, mask + at + (s->queries == 1 ? 0 : t * s->query_stride), t);
            }
        }
    return count * (planes / ((uint64_t)s->batch * s->heads));
}
