/* SPDX-License-Identifier: MIT
 * Checks a device's results against the CPU reference, on sampled rows. */
#ifndef DMATTN_BENCH_CHECK_H
#define DMATTN_BENCH_CHECK_H

#include "problem.h"

/* ---- pure functions ------------------------------------------------------------------------------------------ */

/* The limit of row_error(), lse_error() and gradient_error(). */
double tolerance(dmattn_type type);

/* The limit of check_result.importance_error. */
double importance_tolerance(void);

/* ||got - want|| / ||want||; infinite if the difference is not finite, or if `want` is all zeros and `got` is not. */
double row_error(const double *got, const double *want, uint32_t count);

/* |got - want| / (1 + |want|): absolute for small values, relative for large ones. Infinite if not finite; two equal
 * infinities have error 0. */
double lse_error(double got, double want);

/* The number of elements that are infinite or NaN. */
uint64_t count_not_finite(dmattn_type type, const void *array, uint64_t count);

/* ---- on a device --------------------------------------------------------------------------------------------- */

#define CHECK_ROWS 64

/* The approximate time in seconds that the CPU may take to check a case. */
#define CHECK_SECONDS 1.0

/* The CPU reference of some rows. */
typedef struct checker {
    const problem *problem;
    uint32_t row_count;
    struct check_row {
        uint32_t batch, head, query;
    } row[CHECK_ROWS];
    double *out, *lse; /* owned */
} checker;

/* Samples rows and computes their reference: as many as take about CHECK_SECONDS (estimated from visible_pairs), but at
 * least 8. The problem, which must have lse, must outlive the checker. On failure *c is empty. */
dmattn_status checker_create(const problem *p, uint64_t visible_pairs, uint64_t seed, const messenger *messenger,
                             checker *c);
void checker_destroy(checker *c);

typedef struct check_result {
    double error, lse_error;             /* the largest over the checked rows */
    uint64_t not_finite;                 /* infinite or NaN elements of the whole out, plus NaN elements of lse */
    double importance_error;             /* of dynamic masks: the largest over the sampled keys */
    uint64_t wrong_keys;                 /* visible to a sampled query but should be hidden, or the other way round */
    uint32_t checked_gradients;          /* bits of dmattn_gradient */
    double gradient_error[TENSOR_COUNT]; /* of each checked gradient: the largest over its rows */
} check_result;

/* Checks sampled keys and queries of a dynamic mask that was downloaded into the problem. Fails only with
 * OUT_OF_MEMORY. */
dmattn_status check_mask(const problem *p, uint64_t seed, check_result *result);

/* Checks out and lse of the last run. */
dmattn_status checker_compare(const checker *c, const device_problem *dp, const messenger *messenger,
                              check_result *result);

bool check_passed(const check_result *result, dmattn_type type);

#endif
