/* SPDX-License-Identifier: MIT */
#include "poison.h"

#include "reference/element.h"
#include "reference/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether an element of a dense or additive mask shows the pair. */
static bool shows(const problem *p, uint64_t at)
{
    if (p->desc.mask == DMATTN_MASK_DENSE)
        return ((const uint8_t *)p->tensor[TENSOR_MASK])[at] != 0;
    return element_counted_bias(element_load(p->desc.bias_type, p->tensor[TENSOR_BIAS], at)) != -INFINITY;
}

/* Whether such a mask hides a key from all queries. */
static bool is_masked_for_all(const problem *p, uint64_t at)
{
    const dmattn_score_shape *s = &p->desc.mask_shape;
    for (uint32_t t = 0; t < s->queries; t++)
        if (shows(p, at + t * s->query_stride))
            return false;
    return true;
}

/* Whether no query of a kv head sees a key. */
static bool is_unselected(const problem *p, uint32_t b, uint32_t kv_head, uint32_t j)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint32_t group = d->heads / d->kv_heads, step = d->mask_shape.heads == d->heads ? 1 : group;
    for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head += step)
        for (uint32_t t = 0; t < d->queries; t++)
            if (reference_sees(d, &in, b, head, t, j))
                return false;
    return true;
}

/* Whether the interval and causality, or another mask, hide a key of a kv head from all queries. */
static bool is_hidden_from_all(const problem *p, uint32_t b, uint32_t kv_head, uint32_t j)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    const uint32_t group = d->heads / d->kv_heads;
    const reference_inputs in = problem_inputs(p);
    if (j >= reference_item(d, &in, b, 1).count)
        return true;
    if (d->mask == DMATTN_MASK_NONE)
        return false;
    if (d->mask == DMATTN_MASK_SELECTED)
        return is_unselected(p, b, kv_head, j);
    for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        uint64_t at = (s->batch > 1 ? b : 0) * s->batch_stride
                      + dmattn_score_head(s, head, d->heads, d->kv_heads) * s->head_stride + j;
        if (d->mask != DMATTN_MASK_INTERVALS) {
            if (!is_masked_for_all(p, at))
                return false;
        } else {
            int32_t begin = ((const int32_t *)p->tensor[TENSOR_BEGIN])[at];
            int32_t end = ((const int32_t *)p->tensor[TENSOR_END])[at];
            int32_t causal = d->causal ? (int32_t)j + (int32_t)d->queries - (int32_t)d->keys : 0;
            begin = begin > causal ? begin : causal;
            if ((begin > 0 ? begin : 0) < (end < (int32_t)d->queries ? end : (int32_t)d->queries))
                return false;
        }
    }
    return true;
}

void poison_hidden_keys(problem *p, tensor_id tensor, bool masked_by_query)
{
    const dmattn_attention_desc *d = &p->desc;
    const tensor_box box = problem_box(p, tensor);
    const uint64_t size = dmattn_type_size(d->type), bytes = problem_bytes(p, tensor);
    const bool all = masked_by_query || d->mask_shape.queries <= 1 || d->mask == DMATTN_MASK_SELECTED;
    unsigned char *rows = p->tensor[tensor], *original = malloc(bytes);
    memcpy(original, rows, bytes);
    for (int hidden = 1; hidden >= 0;
         hidden--) /* visible keys come last, because rows may be shared by a stride of 0 */
        for (uint64_t row = 0; row < tensor_box_rows(&box); row++) {
            const uint64_t at = size * tensor_box_at(&box, row);
            uint32_t item, j, head;
            const bool exists = problem_find_key(p, row, &item, &j, &head);
            const bool now = all && (!exists || is_hidden_from_all(p, item, head, j));
            if (hidden && now)
                memset(rows + at, 0xff, size * box.row);
            else if (!hidden && !now)
                memcpy(rows + at, original + at, size * box.row);
        }
    free(original);
}
