/* SPDX-License-Identifier: MIT
 * The CPU reference of gradients: the formulas of dmattn/attention.h and dma.h in double. It uses no results of a
 * forward run, but computes the probabilities from the inputs. */
#ifndef DMATTN_REFERENCE_BACKWARD_H
#define DMATTN_REFERENCE_BACKWARD_H

#include "mask.h"
#include "reference.h"

/* The gradients of the results. */
typedef struct reference_dout {
    const void *data;       /* that of out, in the type of the descriptor */
    dmattn_strides strides; /* resolved */
    const float *dlse;      /* [B, H, Sq], contiguous; NULL: 0 */
} reference_dout;

/* The gradients of attention. All are contiguous; any may be NULL. */
typedef struct attention_gradients {
    double *dq, *dk, *dv; /* [B, Sq, H, D], [B, Sk, Hk, D], [B, Sk, Hk, Dv] */
    double *dbias;        /* with the extents of bias_shape; summed over broadcast dimensions */
    double *dsink;        /* [H] */
} attention_gradients;

/* `desc` must be resolved. Errors: OUT_OF_MEMORY. */
dmattn_status reference_attention_backward(const dmattn_attention_desc *desc, const reference_inputs *in,
                                           const reference_dout *dout, const attention_gradients *gradients);

/* The gradients of the inputs of the importance; any may be NULL. */
typedef struct importance_gradients {
    double *dv;                         /* [B, Sk, Hk, Dv]; the gradient is added to its contents */
    double *ddt_weight, *da, *ddt_bias; /* with the shapes of the parameters */
} importance_gradients;

/* Computes them from the gradient of the importance [B, Hk, Sk]. A key whose importance is not finite in f32, or
 * would be NaN, contributes nothing. desc->v_strides must be resolved. */
void reference_importance_backward(const dmattn_mask_desc *desc, const mask_inputs *in, const double *dimportance,
                                   const importance_gradients *gradients);

#endif
