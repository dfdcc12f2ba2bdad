/* SPDX-License-Identifier: MIT
 * The CPU reference of gradients, straight from the formulas of dmattn/attention.h and dma.h, in double. It takes
 * nothing from a forward run: probabilities are computed again from the inputs. */
#ifndef DMATTN_REFERENCE_BACKWARD_H
#define DMATTN_REFERENCE_BACKWARD_H

#include "mask.h"
#include "reference.h"

/* The gradient of out, of the descriptor's type. */
typedef struct reference_dout {
    const void *data;
    dmattn_strides strides; /* filled in */
} reference_dout;

/* Where the gradients of attention go, all contiguous; any may be NULL. */
typedef struct attention_gradients {
    double *dq, *dk, *dv; /* [B, Sq, H, D], [B, Sk, Hk, D], [B, Sk, Hk, Dv] */
    double *dbias;        /* of the extents of bias_shape, summed over what they broadcast */
} attention_gradients;

/* `desc` is resolved. OUT_OF_MEMORY. */
dmattn_status reference_attention_backward(const dmattn_attention_desc *desc, const reference_inputs *in,
                                           const reference_dout *dout, const attention_gradients *gradients);

/* Those of what the importance is made of; any may be NULL. */
typedef struct importance_gradients {
    double *dv;                         /* [B, Sk, Hk, Dv]: added to what is there */
    double *ddt_weight, *da, *ddt_bias; /* in the parameters' shapes */
} importance_gradients;

/* From the gradient of the importance [B, Hk, Sk]. Keys of an importance of -infinity, and so of NaN, pass none on.
 * desc->v_strides is filled in. */
void reference_importance_backward(const dmattn_mask_desc *desc, const mask_inputs *in, const double *dimportance,
                                   const importance_gradients *gradients);

#endif
