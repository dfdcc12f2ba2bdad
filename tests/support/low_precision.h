/* SPDX-License-Identifier: MIT
 * The operator once more, in the plainest way that a kernel could compute it: float sums in order of the keys,
 * probabilities and results rounded to the case's type. Its distance from the reference says how far a good kernel may
 * be off, as in FlashAttention's tests.
 *
 * That holds at every level. Kernels by matrices round the probability relative to the row's maximum so far, before
 * they divide by the sum, which is of probabilities not rounded: a probability's relative error is at most
 * type_epsilon() in both, and in f16 what falls below 2^-14, where errors are absolute, is less, as nothing was divided
 * yet. Products of 16-bit numbers are exact in f32. bf16 as f16 rounds probabilities to 2^-11 instead of 2^-8; its
 * inputs are numbers of f16 from 2^-17 to 65504, and smaller ones are off by 2^-25 at most. */
#ifndef DMATTN_TESTS_LOW_PRECISION_H
#define DMATTN_TESTS_LOW_PRECISION_H

#include "gradients.h"

/* out [B, Sq, H, Dv] and lse [B, H, Sq], contiguous. `desc` is resolved. */
void low_precision_attention(const dmattn_attention_desc *desc, const reference_inputs *in, float *out, float *lse);

/* All gradients that there are, as a 16-bit FlashAttention has them: P from lse; P and dS rounded to the type before
 * they are multiplied, and dq, dk and dv in the end; sums, and all of the importance, in float. Of dma p must want that
 * of the importance, too. `out`: of the forward run, contiguous. The kernel to be judged has it from there, too: its
 * rounding moves D, and with it all of a row of dS the same way, for which another rounding of out would be no measure.
 * `size`: how large a gradient would be if nothing in it cancelled; 0 where no visible pair has a part in it. Both are
 * created for p.
 */
void low_precision_backward(const problem *p, const float *out, gradients *g, gradients *size);

/* Half the distance from 1 to the next number of a type: 2^-24, 2^-11 or 2^-8. */
double type_epsilon(dmattn_type type);

typedef struct errors {
    double out, lse;                 /* largest difference of finite elements */
    double out_max, lse_max;         /* largest finite magnitude in the reference */
    uint64_t out_at, lse_at;         /* where the difference is largest, or the first mismatch */
    bool out_mismatch, lse_mismatch; /* an infinity or a NaN in one and not in the other, or not 0 where 0 must be */
} errors;

/* `lse` and `want_lse` may be NULL. */
errors compare_results(const dmattn_attention_desc *desc, const float *out, const float *lse, const double *want_out,
                       const double *want_lse);

/* What compare_results() may find, given what it found for low_precision_attention(). */
typedef struct tolerances {
    double out, lse;
} tolerances;
tolerances derive_tolerances(const dmattn_attention_desc *desc, const errors *low);

/* Of each gradient that the problem wants. */
typedef struct gradient_errors {
    double error[TENSOR_COUNT];  /* largest difference */
    uint64_t at[TENSOR_COUNT];   /* where that is, or the first mismatch */
    bool mismatch[TENSOR_COUNT]; /* not finite, or not 0 where 0 must be */
} gradient_errors;
gradient_errors compare_gradients(const problem *p, const gradients *got, const gradients *want, const gradients *size);

/* What compare_gradients() may find, given what it found for low_precision_backward(): some rounding of sums besides,
 * as dP - D may cancel entirely, in the one order of summation and not in the other. */
double gradient_tolerance(const problem *p, const gradient_errors *low, const gradients *want, const gradients *size,
                          tensor_id gradient);

#endif
