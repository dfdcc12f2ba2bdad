/* SPDX-License-Identifier: MIT */
#include "element.h"
#include "pairs.h"

#include <math.h>
#include <stdlib.h>

void reference_attention_row(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                             uint32_t query, double *scores, double *out, double *lse)
{
    const double sink = reference_sink(d, in, head);
    const item_rows keys = reference_item(d, in, batch, 1);
    double max = sink, sum; /* of a score of NaN the sum becomes NaN, and so out and lse */
    bool sees_any = false;
    for (uint32_t j = 0; j < d->keys; j++) {
        scores[j] = reference_score(d, in, batch, head, query, j, NULL);
        max = fmax(max, scores[j]);
        sees_any = sees_any || scores[j] != -INFINITY;
    }
    for (uint32_t i = 0; i < d->value_dim; i++)
        out[i] = 0;
    *lse = sink;
    if (!sees_any)
        return;

    sum = sink == -INFINITY ? 0 : exp(sink - max);
    for (uint32_t j = 0; j < d->keys; j++) {
        if (scores[j] == -INFINITY)
            continue;
        double p = exp(scores[j] - max);
        uint64_t v = reference_row(&d->v_strides, keys.batch, keys.first + j, reference_kv_head(d, head));
        sum += p;
        for (uint32_t i = 0; i < d->value_dim; i++)
            out[i] += p * element_load(d->type, in->v, v + i);
    }
    for (uint32_t i = 0; i < d->value_dim; i++)
        out[i] /= sum;
    *lse = max + log(sum);
}

dmattn_status reference_attention(const dmattn_attention_desc *d, const reference_inputs *in, double *out, double *lse)
{
    double *scores = malloc(d->keys * sizeof *scores);
    if (!scores)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    const row_shape shape = dmattn_query_rows(d);
    const uint64_t rows = (uint64_t)shape.batch * shape.rows * d->heads;
    for (uint64_t i = 0; i < rows * d->value_dim; i++)
        out[i] = 0;
    for (uint64_t i = 0; lse && i < rows; i++)
        lse[i] = -INFINITY;
    for (uint32_t b = 0; b < d->batch; b++) {
        const item_rows item = reference_item(d, in, b, 0);
        const uint32_t queries = d->total_queries ? item.count : d->queries;
        for (uint32_t t = item.first; t < item.first + queries; t++)
            for (uint32_t h = 0; h < d->heads; h++) {
                uint64_t row = ((uint64_t)item.batch * shape.rows + t) * d->heads + h;
                double row_lse;
                reference_attention_row(d, in, b, h, t - item.first, scores, out + row * d->value_dim, &row_lse);
                if (lse)
                    lse[((uint64_t)item.batch * d->heads + h) * shape.rows + t] = row_lse;
            }
    }
    free(scores);
    return DMATTN_SUCCESS;
}
