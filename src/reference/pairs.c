/* SPDX-License-Identifier: MIT */
#include "pairs.h"

#include "element.h"

#include <math.h>

uint64_t reference_row(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t head)
{
    return batch * s->batch + sequence * s->sequence + head * s->head;
}

uint32_t reference_kv_head(const dmattn_attention_desc *d, uint32_t head)
{
    return head / (d->heads / d->kv_heads);
}

uint64_t reference_score_at(const dmattn_attention_desc *d, const dmattn_score_shape *s, uint32_t batch, uint32_t head,
                            uint32_t query, uint32_t key)
{
    return (s->batch == 1 ? 0 : batch) * s->batch_stride
           + dmattn_score_head(s, head, d->heads, d->kv_heads) * s->head_stride
           + (s->queries == 1 ? 0 : query) * s->query_stride + key;
}

/* Whether the list of the query has the key, or its block. */
static bool selects(const dmattn_attention_desc *d, const reference_inputs *in, uint64_t list, uint32_t key)
{
    const int32_t *numbers = (const int32_t *)in->selected + list, number = (int32_t)(key / d->selected_block);
    bool found = false;
    for (uint32_t i = 0; i < d->selected_count; i++) /* without a return, compilers compare several at a time */
        found |= numbers[i] == number;
    return found;
}

static uint32_t at_most(int64_t count, uint32_t most)
{
    return count < 0 ? 0 : count > most ? most : (uint32_t)count;
}

item_rows reference_item(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, int keys)
{
    const uint32_t most = keys ? d->keys : d->queries, total = keys ? d->total_keys : d->total_queries;
    item_rows item = {.batch = total ? 0 : batch, .count = most};
    if (d->counts)
        item.count = at_most(in->counts[2 * batch + (uint32_t)keys], most);
    for (uint32_t b = 0; total && b < batch; b++)
        item.first = at_most((int64_t)item.first + at_most(in->counts[2 * b + (uint32_t)keys], most), total);
    if (total)
        item.count = at_most(item.count, total - item.first);
    return item;
}

/* The position of a query among the keys. */
static int64_t position_of(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t query)
{
    return (int64_t)query + reference_item(d, in, batch, 1).count - reference_item(d, in, batch, 0).count;
}

bool reference_sees(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                    uint32_t query, uint32_t key)
{
    if (query >= reference_item(d, in, batch, 0).count || key >= reference_item(d, in, batch, 1).count)
        return false;
    if (d->causal && key > position_of(d, in, batch, query))
        return false;
    if (d->mask == DMATTN_MASK_NONE)
        return true;
    if (d->mask == DMATTN_MASK_SELECTED)
        return selects(d, in, reference_score_at(d, &d->mask_shape, batch, head, query, 0), key);
    uint64_t at = reference_score_at(d, &d->mask_shape, batch, head, query, key);
    if (d->mask == DMATTN_MASK_ADDITIVE)
        return element_counted_bias(element_load(d->bias_type, in->bias, at)) != -INFINITY;
    if (d->mask == DMATTN_MASK_DENSE)
        return ((const uint8_t *)in->mask)[at] != 0;
    const int32_t *begin = in->begin, *end = in->end;
    return begin[at] <= (int64_t)query && (int64_t)query < end[at];
}

/* The bias, or minus the distance, times the slope. */
static double bias_of(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                      uint32_t query, uint32_t key)
{
    double bias = -fabs((double)position_of(d, in, batch, query) - key);
    if (d->bias) {
        const uint64_t at = reference_score_at(d, &d->bias_shape, batch, head, query, key);
        bias = element_counted_bias(element_load(d->bias_type, in->bias, at));
    }
    if (!d->slopes || bias == 0)
        return bias;
    return element_counted_bias(element_in_f32_range(((const float *)in->slopes)[head] * bias));
}

double reference_score(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                       uint32_t query, uint32_t key, double *slope)
{
    if (!reference_sees(d, in, batch, head, query, key))
        return -INFINITY;
    const item_rows of_q = reference_item(d, in, batch, 0), of_k = reference_item(d, in, batch, 1);
    uint64_t q = reference_row(&d->q_strides, of_q.batch, of_q.first + query, head);
    uint64_t k = reference_row(&d->k_strides, of_k.batch, of_k.first + key, reference_kv_head(d, head));
    const dmattn_type q_type = dmattn_attention_type(d, TENSOR_Q);
    double dot = 0;
    for (uint32_t i = 0; i < d->head_dim; i++)
        dot += element_load(q_type, in->q, q + i) * element_load(d->type, in->k, k + i);
    double s = element_in_f32_range(d->scale * element_in_f32_range(dot)), by_dot = 1;
    if (d->soft_cap > 0) {
        const double x = s / d->soft_cap, e = exp(-2 * fabs(x));
        s = d->soft_cap * tanh(x);
        by_dot = 4 * e / ((1 + e) * (1 + e)); /* 1 - tanh^2 would lose its digits where tanh is near 1 */
    }
    if (slope)
        *slope = by_dot;
    if (d->bias || d->slopes)
        s = element_in_f32_range(s + bias_of(d, in, batch, head, query, key));
    return s;
}

double reference_sink(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t head)
{
    return d->sink ? element_counted_bias(((const float *)in->sink)[head]) : -INFINITY;
}
