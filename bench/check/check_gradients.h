/* SPDX-License-Identifier: MIT
 * Gradients of a device against the CPU, straight from their formulas in dmattn/attention.h and dma.h, in double: dq of
 * sampled rows; dk, dv and the bias's of sampled keys, or of all where that takes about a second; and where it is all,
 * those of the importance's parameters. P and D come from the forward run's out and lse, which have a check of
 * their own: a key's gradients then take as many pairs as there are queries that see it, not all that these see. */
#ifndef DMATTN_BENCH_CHECK_GRADIENTS_H
#define DMATTN_BENCH_CHECK_GRADIENTS_H

#include "check.h"
#include "gradients.h"

/* Some rows of a gradient; of the bias's, da and ddt_bias elements. */
typedef struct gradient_rows {
    uint32_t dim;
    uint64_t count;
    uint64_t *at; /* which rows, in order of the tensor */
    double *want;
    double *square; /* of each row's scale: see gradient_error() */
} gradient_rows;

typedef struct gradient_checker {
    const problem *problem;
    uint32_t key_count;
    bool all_keys;
    gradient_rows rows[TENSOR_COUNT]; /* owned; empty of what is not checked */
} gradient_checker;

/* Results of a forward run, contiguous. */
typedef struct forward_results {
    const float *out; /* [B, Sq, H, Dv] */
    const float *lse; /* [B, H, Sq] */
} forward_results;

/* Of a problem of a bench_case with gradients, whose mask is there; `rows` are those to check dq of. The problem must
 * outlive the checker. On failure *c is empty. */
dmattn_status gradient_checker_create(const problem *p, const forward_results *forward, const checker *rows,
                                      uint64_t visible_pairs, uint64_t seed, const messenger *messenger,
                                      gradient_checker *c);
void gradient_checker_destroy(gradient_checker *c);

/* The largest error of any row that is checked: ||got - want|| as a part of the row's scale, which is ||want||, or what
 * the row's terms come to if they are independent and none cancels another, whichever is more: as rounding errors are
 * of the terms, however small their sum. `got` is the whole gradient, contiguous. */
double gradient_error(const gradient_checker *c, tensor_id gradient, const float *got);

/* Compares what the last run left, and adds it to what checker_compare() found. */
dmattn_status gradient_checker_compare(const gradient_checker *c, device_gradients *dg, const messenger *messenger,
                                       check_result *result);

#endif
