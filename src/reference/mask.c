/* SPDX-License-Identifier: MIT */
#include "mask.h"

#include "element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double reference_importance_z(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, uint32_t head,
                              uint32_t key)
{
    const dmattn_type type = d->importance.parameter_type;
    const dmattn_strides *s = &d->v_strides;
    const uint64_t row = (uint64_t)d->kv_heads * d->value_dim;
    double z = d->importance.dt_bias ? element_load(type, in->dt_bias, head) : 0;
    for (uint32_t g = 0; g < d->kv_heads; g++)
        for (uint32_t i = 0; i < d->value_dim; i++)
            z += element_load(d->type, in->v, batch * s->batch + key * s->sequence + g * s->head + i)
                 * element_load(type, in->dt_weight, head * row + g * d->value_dim + i);
    return element_in_f32_range(z);
}

double reference_softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

double reference_importance(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, uint32_t head,
                            uint32_t key)
{
    const double z = reference_importance_z(d, in, batch, head, key);
    const double x = element_load(d->importance.parameter_type, in->a, head) * reference_softplus(z);
    if (isnan(z) || isnan(x))
        return -INFINITY;
    return element_counted_bias(d->importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS ? exp(x) : x);
}

/* The queries and keys of a document; the ends are exclusive. */
typedef struct document {
    int64_t first_query, end_query, first_key, end_key;
} document;

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Without documents, document 0 holds all queries and keys. Offsets are clamped as in shaders/mask/intervals.comp. */
static document get_document(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, uint32_t number)
{
    document doc = {0, d->queries, 0, d->keys};
    if (!d->selection.documents)
        return doc;
    const uint64_t at = batch * ((uint64_t)d->selection.documents + 1) + number;
    doc.first_query = clamp(in->query_offsets[at], 0, d->queries);
    doc.end_query = clamp(in->query_offsets[at + 1], doc.first_query, d->queries);
    doc.first_key = clamp(in->key_offsets[at], 0, d->keys);
    doc.end_key = clamp(in->key_offsets[at + 1], doc.first_key, d->keys);
    return doc;
}

/* The only document that may hold a key: the last one that begins at or before it. The search is the one in
 * shaders/mask/intervals.comp, so the result is the same for offsets that do not ascend, too. */
static uint32_t document_of_key(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, int64_t key)
{
    const uint64_t row = batch * ((uint64_t)d->selection.documents + 1);
    uint32_t low = 0, high = d->selection.documents;
    while (low < high) {
        const uint32_t middle = (low + high + 1) / 2;
        if (middle < d->selection.documents && in->key_offsets[row + middle] <= key)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Orders by importance, descending; of equal ones the earlier key comes first. */
static int compare_earlier(const void *left, const void *right)
{
    const ranked_key *a = left, *b = right;
    if (a->importance != b->importance)
        return a->importance > b->importance ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* The same, but of equal ones the later key comes first. */
static int compare_later(const void *left, const void *right)
{
    const ranked_key *a = left, *b = right;
    return a->importance == b->importance ? compare_earlier(right, left) : compare_earlier(left, right);
}

/* Sets visible[key] for the keys of one document, if the query belongs to it. */
static void document_visible(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, const float *importance,
                             uint32_t query, uint32_t number, ranked_key *pool, bool *visible)
{
    const dmattn_selection *s = &d->selection;
    const document doc = get_document(d, in, batch, number);
    if (query < doc.first_query || query >= doc.end_query)
        return;
    const int64_t position = doc.end_key - (doc.end_query - query);
    uint32_t count = 0;
    for (int64_t j = doc.first_key; j < doc.end_key; j++) {
        if (s->key_valid && !in->key_valid[(uint64_t)batch * d->keys + (uint64_t)j])
            continue;
        if (s->select == DMATTN_SELECT_TOPW_CAUSAL && j > position)
            continue;
        float x = importance ? importance[j] : 0; /* DMATTN_SELECT_ALL needs no importance */
        pool[count++] = (ranked_key){isnan(x) ? -INFINITY : x, (uint32_t)j};
    }
    const bool ranked = s->select == DMATTN_SELECT_TOPW_CAUSAL || s->select == DMATTN_SELECT_TOPW_SHARED;
    if (ranked)
        qsort(pool, count, sizeof *pool, s->tie_break == DMATTN_TIE_BREAK_LATER ? compare_later : compare_earlier);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t j = pool[i].key;
        if (s->documents && document_of_key(d, in, batch, j) != number)
            continue;
        const bool kept = ranked                                 ? i < s->window
                          : s->select == DMATTN_SELECT_THRESHOLD ? pool[i].importance > s->threshold
                                                                 : true;
        const bool sink = j - doc.first_key < s->sinks;
        const bool recent = position - (int64_t)s->recent < j && j <= position;
        visible[j] = (!s->causal || j <= position) && (kept || sink || recent)
                     && (!s->sliding || sink || position - (int64_t)s->sliding < j);
    }
}

void reference_visible(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, const float *importance,
                       uint32_t query, ranked_key *pool, bool *visible)
{
    const uint32_t documents = d->selection.documents ? d->selection.documents : 1;
    memset(visible, 0, d->keys * sizeof *visible);
    for (uint32_t i = 0; i < documents; i++)
        document_visible(d, in, batch, importance, query, i, pool, visible);
}

static bool plane_intervals(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, const float *importance,
                            int32_t *begin, int32_t *end, ranked_key *pool, bool *visible)
{
    for (uint32_t j = 0; j < d->keys; j++)
        begin[j] = end[j] = 0;
    for (uint32_t t = 0; t < d->queries; t++) {
        reference_visible(d, in, batch, importance, t, pool, visible);
        for (uint32_t j = 0; j < d->keys; j++) {
            if (!visible[j])
                continue;
            if (!end[j])
                begin[j] = (int32_t)t;
            else if (end[j] != (int32_t)t)
                return false;
            end[j] = (int32_t)t + 1;
        }
    }
    return true;
}

dmattn_status reference_intervals(const dmattn_mask_desc *d, const mask_inputs *in, const float *importance,
                                  int32_t *begin, int32_t *end)
{
    ranked_key *pool = malloc(d->keys * sizeof *pool);
    bool *visible = malloc(d->keys * sizeof *visible);
    dmattn_status status = pool && visible ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint64_t plane = 0; !status && plane < (uint64_t)d->batch * d->kv_heads; plane++) {
        const uint64_t at = plane * d->keys;
        if (!plane_intervals(d, in, (uint32_t)(plane / d->kv_heads), importance ? importance + at : NULL, begin + at,
                             end + at, pool, visible))
            status = DMATTN_ERROR_INVALID;
    }
    free(pool);
    free(visible);
    return status;
}
