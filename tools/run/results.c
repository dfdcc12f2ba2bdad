/* SPDX-License-Identifier: MIT */
#include "results.h"

#include <stdlib.h>

bool results_create(const problem *p, case_results *r)
{
    const dmattn_attention_desc *d = &p->desc;
    *r = (case_results){.lse_count = (uint64_t)d->batch * d->queries * d->heads};
    r->out_count = r->lse_count * d->value_dim;
    if (r->out_count > SIZE_MAX / sizeof(double))
        return false;
    r->out = malloc(r->out_count * sizeof *r->out);
    r->lse = malloc(r->lse_count * sizeof *r->lse);
    return r->out && r->lse && !gradients_create(p, &r->gradients);
}

void results_destroy(case_results *r)
{
    free(r->out);
    free(r->lse);
    gradients_destroy(&r->gradients);
}

/* Adds a tensor unless `data` is NULL. `shape` ends at the first 0. */
static void add(result_tensors *view, tensor_id id, const char *name, safetensors_type type, void *data,
                const uint64_t shape[4])
{
    if (!data)
        return;
    view->id[view->count] = id;
    safetensors_tensor *t = &view->tensors[view->count++];
    *t = (safetensors_tensor){.name = name, .type = type, .data = data};
    for (; t->rank < 4 && shape[t->rank]; t->rank++)
        t->shape[t->rank] = shape[t->rank];
}

static void add_gradients(result_tensors *view, const problem *p, const gradients *g, uint32_t bias_rank)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->bias_shape;
    const uint64_t b = d->batch, keys = d->keys, heads = d->kv_heads;
    const uint64_t bias[2][4] = {{s->batch, s->heads, keys}, {s->batch, s->heads, s->queries, keys}};
    float *const *t = g->tensor;
    add(view, TENSOR_DQ, "dq", SAFETENSORS_F32, t[TENSOR_DQ], (uint64_t[4]){b, d->queries, d->heads, d->head_dim});
    add(view, TENSOR_DK, "dk", SAFETENSORS_F32, t[TENSOR_DK], (uint64_t[4]){b, keys, heads, d->head_dim});
    add(view, TENSOR_DV, "dv", SAFETENSORS_F32, t[TENSOR_DV], (uint64_t[4]){b, keys, heads, d->value_dim});
    add(view, TENSOR_DBIAS, "d_bias", SAFETENSORS_F32, t[TENSOR_DBIAS], bias[bias_rank == 4]);
    add(view, TENSOR_DDT_WEIGHT, "d_dt_weight", SAFETENSORS_F32, t[TENSOR_DDT_WEIGHT],
        (uint64_t[4]){heads, heads * d->value_dim});
    add(view, TENSOR_DA, "d_a", SAFETENSORS_F32, t[TENSOR_DA], (uint64_t[4]){heads});
    add(view, TENSOR_DDT_BIAS, "d_dt_bias", SAFETENSORS_F32, t[TENSOR_DDT_BIAS], (uint64_t[4]){heads});
    add(view, TENSOR_DSINK, "d_sink", SAFETENSORS_F32, t[TENSOR_DSINK], (uint64_t[4]){d->heads});
}

result_tensors results_view(const problem *p, const case_results *r, uint32_t bias_rank)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t plane[4] = {d->batch, d->kv_heads, d->keys};
    result_tensors view = {0};
    add(&view, TENSOR_OUT, "out", SAFETENSORS_F32, r->out, (uint64_t[4]){d->batch, d->queries, d->heads, d->value_dim});
    add(&view, TENSOR_LSE, "lse", SAFETENSORS_F32, r->lse, (uint64_t[4]){d->batch, d->heads, d->queries});
    if (p->dma) {
        add(&view, TENSOR_IMPORTANCE, "importance", SAFETENSORS_F32, p->tensor[TENSOR_IMPORTANCE], plane);
        add(&view, TENSOR_BEGIN, "begin", SAFETENSORS_I32, p->tensor[TENSOR_BEGIN], plane);
        add(&view, TENSOR_END, "end", SAFETENSORS_I32, p->tensor[TENSOR_END], plane);
    }
    add_gradients(&view, p, &r->gradients, bias_rank);
    return view;
}
