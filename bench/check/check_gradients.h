/* SPDX-License-Identifier: MIT
 * Checks a device's gradients against the CPU, which computes the formulas in dmattn/attention.h and dma.h in double:
 * dq of sampled rows; dk, dv and dbias of sampled keys, or of all keys if that takes about CHECK_SECONDS; with all
 * keys, also the gradients of the importance's parameters. P and D are computed from the forward run's out and lse,
 * which are checked separately. So the gradients of a key only need the pairs of that key, not all keys of the queries
 * that see it. */
#ifndef DMATTN_BENCH_CHECK_GRADIENTS_H
#define DMATTN_BENCH_CHECK_GRADIENTS_H

#include "check.h"
#include "gradients.h"

/* The reference of some rows of a gradient; for dbias, da and ddt_bias a row is one element. */
typedef struct gradient_rows {
    uint32_t dim;
    uint64_t count;
    uint64_t *at; /* index of each row in the tensor */
    double *want;
    double *square; /* square of each row's scale, see gradient_error() */
} gradient_rows;

typedef struct gradient_checker {
    const problem *problem;
    uint32_t key_count;
    bool all_keys;
    gradient_rows rows[TENSOR_COUNT]; /* owned; empty for gradients that are not checked */
} gradient_checker;

/* Results of a forward run, contiguous. */
typedef struct forward_results {
    const float *out; /* [B, Sq, H, Dv] */
    const float *lse; /* [B, H, Sq] */
} forward_results;

/* For a problem of a bench_case with gradients, with its mask filled in or downloaded. dq is checked for the rows of
 * `rows`. The problem must outlive the checker. On failure *c is empty. */
dmattn_status gradient_checker_create(const problem *p, const forward_results *forward, const checker *rows,
                                      uint64_t visible_pairs, uint64_t seed, const messenger *messenger,
                                      gradient_checker *c);
void gradient_checker_destroy(gradient_checker *c);

/* The largest error over the checked rows: ||got - want|| / scale. The scale is the larger of ||want|| and the root of
 * the sum of the squares of the row's terms, because rounding errors are proportional to the terms, even if the terms
 * cancel. `got` is the whole gradient, contiguous. */
double gradient_error(const gradient_checker *c, tensor_id gradient, const float *got);

/* Checks the gradients of the last run and adds the errors to the result of checker_compare(). */
dmattn_status gradient_checker_compare(const gradient_checker *c, device_gradients *dg, const messenger *messenger,
                                       check_result *result);

#endif
