/* SPDX-License-Identifier: MIT
 * Results of a device against the CPU reference, on rows that are sampled. */
#ifndef DMATTN_BENCH_CHECK_H
#define DMATTN_BENCH_CHECK_H

#include "problem.h"

/* ---- pure functions ------------------------------------------------------------------------------------------ */

/* How large row_error(), lse_error() and errors of gradients may be. */
double tolerance(dmattn_type type);

double importance_tolerance(void);

/* ||got - want|| / ||want||. Infinite where the difference is not finite, or where `want` is all zeros and got is not.
 */
double row_error(const double *got, const double *want, uint32_t count);

/* |got - want| / (1 + |want|): absolute where small, relative where large. Likewise; two equal infinities are right. */
double lse_error(double got, double want);

/* Elements that are infinite or NaN. */
uint64_t count_not_finite(dmattn_type type, const void *array, uint64_t count);

/* ---- on a device --------------------------------------------------------------------------------------------- */

#define CHECK_ROWS 64

/* How long the CPU may take to check a case, about. */
#define CHECK_SECONDS 1.0

/* What the CPU says about some rows. */
typedef struct checker {
    const problem *problem;
    uint32_t row_count;
    struct check_row {
        uint32_t batch, head, query;
    } row[CHECK_ROWS];
    double *out, *lse; /* owned */
} checker;

/* Samples rows, fewer of a large problem (`visible_pairs` tells), and computes them: about a second at most, unless 8
 * rows take longer. The problem, which has lse, must outlive the checker. On failure *c is empty. */
dmattn_status checker_create(const problem *p, uint64_t visible_pairs, uint64_t seed, const messenger *messenger,
                             checker *c);
void checker_destroy(checker *c);

typedef struct check_result {
    double error, lse_error;    /* the largest of any row */
    uint64_t not_finite;        /* elements of the whole out that are infinite or NaN, and of lse that are NaN */
    double importance_error;    /* of dynamic masks: the largest of any sampled key */
    uint64_t wrong_keys;        /* seen by a sampled query and should not be, or the other way round */
    uint32_t checked_gradients; /* bits of dmattn_gradient */
    double gradient_error[TENSOR_COUNT]; /* of each of them: the largest of any row */
} check_result;

/* Samples a dynamic mask that a device made, in the problem. OUT_OF_MEMORY. */
dmattn_status check_mask(const problem *p, uint64_t seed, check_result *result);

/* Compares what the last run left: all but the mask. */
dmattn_status checker_compare(const checker *c, const device_problem *dp, const messenger *messenger,
                              check_result *result);

bool check_passed(const check_result *result, dmattn_type type);

#endif
