/* SPDX-License-Identifier: MIT
 * The operator as the simplest kernel would compute it: f32 sums in the order of keys, probabilities and results
 * rounded to the case's type. Its distance from the reference gives the tolerance for kernels, as in FlashAttention's
 * tests.
 *
 * This is valid at every level. Matrix kernels round the probability relative to the row's maximum so far, before they
 * divide by the sum of probabilities that are not rounded. In both cases, the relative error of a probability is at
 * most type_epsilon(). In f16, errors below 2^-14 are absolute; there, matrix kernels lose less, because they have not
 * divided yet. Products of 16-bit numbers are exact in f32. bf16 as f16 rounds probabilities to 2^-11 instead of 2^-8.
 * Its inputs are exact in f16 from 2^-17 to 65504; smaller ones have an error of at most 2^-25. */
#ifndef DMATTN_TOOLS_LOW_PRECISION_H
#define DMATTN_TOOLS_LOW_PRECISION_H

#include "gradients.h"

/* out [B, Sq, H, Dv] and lse [B, H, Sq], contiguous. `desc` is resolved. */
void low_precision_attention(const dmattn_attention_desc *desc, const reference_inputs *in, float *out, float *lse);

/* The importance of each key in f32, [B, Hk, Sk]. Returns the relative error that a kernel may have: twice the largest
 * one of this computation, plus a few units in the last place. For dma. */
double low_precision_importance(const problem *p, float *importance);

/* All gradients, as a 16-bit FlashAttention computes them. P is computed from lse. P and dS are rounded to the type
 * before they are multiplied; dq, dk and dv are rounded at the end. Sums and the importance are f32. With dma, p must
 * also request the gradient of the importance. `out` is from the forward run, contiguous. The kernel under test uses
 * the same out: its rounding changes D, and with it a whole row of dS in the same direction, so another rounding of out
 * would give no useful tolerance. `size` is the size of a gradient if no terms in it cancelled; 0 if no visible pair
 * contributes. Both are created for p.
 */
void low_precision_backward(const problem *p, const float *out, gradients *g, gradients *size);

/* Half the distance from 1 to the next number of a type: 2^-24, 2^-11 or 2^-8. */
double type_epsilon(dmattn_type type);

typedef struct errors {
    double out, lse;                 /* largest difference of finite elements */
    double out_max, lse_max;         /* largest finite magnitude in the reference */
    uint64_t out_at, lse_at;         /* index of the largest difference, or of the first mismatch */
    bool out_mismatch, lse_mismatch; /* only one of the two is infinite or NaN, or a result is not 0 but must be */
} errors;

/* `lse` and `want_lse` may be NULL. */
errors compare_results(const dmattn_attention_desc *desc, const float *out, const float *lse, const double *want_out,
                       const double *want_lse);

/* The errors that a kernel may have, derived from those of low_precision_attention(). */
typedef struct tolerances {
    double out, lse;
} tolerances;
tolerances derive_tolerances(const dmattn_attention_desc *desc, const errors *low);

/* Errors of each gradient that the problem requests. */
typedef struct gradient_errors {
    double error[TENSOR_COUNT];  /* largest difference */
    uint64_t at[TENSOR_COUNT];   /* its index, or that of the first mismatch */
    bool mismatch[TENSOR_COUNT]; /* a result is not finite, or is not 0 but must be */
} gradient_errors;
gradient_errors compare_gradients(const problem *p, const gradients *got, const gradients *want, const gradients *size);

/* The error that a kernel may have, derived from that of low_precision_backward(). It includes some rounding of sums,
 * because dP - D may cancel completely in one order of summation but not in another. */
double gradient_tolerance(const problem *p, const gradient_errors *low, const gradients *want, const gradients *size,
                          tensor_id gradient);

#endif
