/* SPDX-License-Identifier: MIT */
#include "gradients.h"

#include "reference/backward.h"

#include <stdlib.h>

/* ---- in host memory ------------------------------------------------------------------------------------------ */

uint64_t gradient_count(const problem *p, tensor_id t)
{
    if (!problem_bytes(p, t))
        return 0;
    const tensor_box box = problem_box(p, t);
    return tensor_box_rows(&box) * box.row;
}

dmattn_status gradients_create(const problem *p, gradients *g)
{
    *g = (gradients){0};
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++) {
        const uint64_t count = gradient_count(p, (tensor_id)t);
        if (count && !(g->tensor[t] = calloc(count, sizeof(float)))) {
            gradients_destroy(g);
            return DMATTN_ERROR_OUT_OF_MEMORY;
        }
    }
    return DMATTN_SUCCESS;
}

void gradients_destroy(gradients *g)
{
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        free(g->tensor[t]);
    *g = (gradients){0};
}

/* ---- on the CPU ---------------------------------------------------------------------------------------------- */

/* Computes the gradients in double. `all` holds the selected gradients, and those from which they are computed. */
static dmattn_status differentiate(const problem *p, double *const all[TENSOR_COUNT])
{
    const reference_inputs in = problem_inputs(p);
    const reference_dout dout = {p->tensor[TENSOR_DOUT], p->backward.dout_strides, p->tensor[TENSOR_DLSE]};
    double *dbias = all[p->dma ? TENSOR_DIMPORTANCE : TENSOR_DBIAS];
    const attention_gradients of_attention = {all[TENSOR_DQ], all[TENSOR_DK], all[TENSOR_DV], dbias, all[TENSOR_DSINK]};
    TRY(reference_attention_backward(&p->desc, &in, &dout, &of_attention));
    if (p->dma && !p->dma_desc.importance_given) {
        const mask_inputs mask_in = problem_mask_inputs(p);
        const importance_gradients g = {all[TENSOR_DV], all[TENSOR_DDT_WEIGHT], all[TENSOR_DA], all[TENSOR_DDT_BIAS]};
        reference_importance_backward(&p->mask_desc, &mask_in, dbias, &g);
    }
    return DMATTN_SUCCESS;
}

dmattn_status gradients_on_cpu(const problem *p, gradients *g)
{
    double *all[TENSOR_COUNT] = {NULL};
    dmattn_status status = DMATTN_SUCCESS;
    for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++) {
        uint64_t count = gradient_count(p, (tensor_id)i);
        if (i == TENSOR_DIMPORTANCE && p->dma) /* the gradients of the parameters are computed from it */
            count = (uint64_t)p->desc.batch * p->desc.kv_heads * p->desc.keys;
        if (count && !(all[i] = malloc(count * sizeof(double))))
            status = DMATTN_ERROR_OUT_OF_MEMORY;
    }
    if (!status)
        status = differentiate(p, all);
    for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++) {
        for (uint64_t at = 0; !status && at < gradient_count(p, (tensor_id)i); at++)
            g->tensor[i][at] = (float)all[i][at];
        free(all[i]);
    }
    return status;
}
