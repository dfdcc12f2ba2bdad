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
    return z;
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
    return d->importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS ? exp(x) : x;
}

/* The document of a query, all of the keys and queries without documents. False if it is in none. */
typedef struct document {
    int64_t first_query, end_query, first_key, end_key;
} document;

static bool find_document(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, int64_t query,
                          document *found)
{
    *found = (document){0, d->queries, 0, d->keys};
    if (!d->selection.documents)
        return true;
    const uint64_t row = batch * ((uint64_t)d->selection.documents + 1);
    for (uint32_t i = 0; i < d->selection.documents; i++) {
        *found = (document){in->query_offsets[row + i], in->query_offsets[row + i + 1], in->key_offsets[row + i],
                            in->key_offsets[row + i + 1]};
        if (found->first_query <= query && query < found->end_query)
            return true;
    }
    return false;
}

/* More important first, then later first. */
static int compare(const void *left, const void *right)
{
    const ranked_key *a = left, *b = right;
    if (a->importance != b->importance)
        return a->importance > b->importance ? -1 : 1;
    return a->key > b->key ? -1 : a->key < b->key;
}

void reference_visible(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, const float *importance,
                       uint32_t query, ranked_key *pool, bool *visible)
{
    const dmattn_selection *s = &d->selection;
    document doc;
    memset(visible, 0, d->keys * sizeof *visible);
    if (!find_document(d, in, batch, query, &doc))
        return;
    const int64_t position = doc.end_key - (doc.end_query - query);
    uint32_t count = 0;
    for (int64_t j = doc.first_key; j < doc.end_key; j++) {
        if (s->key_valid && !in->key_valid[(uint64_t)batch * d->keys + (uint64_t)j])
            continue;
        if (s->select == DMATTN_SELECT_TOPW_CAUSAL && s->causal && j > position)
            continue;
        float x = importance ? importance[j] : 0; /* where all are kept it is not needed */
        pool[count++] = (ranked_key){isnan(x) ? -INFINITY : x, (uint32_t)j};
    }
    const bool ranked = s->select == DMATTN_SELECT_TOPW_CAUSAL || s->select == DMATTN_SELECT_TOPW_SHARED;
    if (ranked)
        qsort(pool, count, sizeof *pool, compare);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t j = pool[i].key;
        const bool kept = ranked                                 ? i < s->window
                          : s->select == DMATTN_SELECT_THRESHOLD ? pool[i].importance > s->threshold
                                                                 : true;
        const bool sink = j - doc.first_key < s->sinks;
        const bool recent = position - (int64_t)s->recent < j && j <= position;
        visible[j] = (!s->causal || j <= position) && (kept || sink || recent)
                     && (!s->sliding || sink || position - (int64_t)s->sliding < j);
    }
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
