/* SPDX-License-Identifier: MIT
 * Selectors: the scores of a query in double, and its list. */
#ifndef DMATTN_REFERENCE_SELECTOR_H
#define DMATTN_REFERENCE_SELECTOR_H

#include <dmattn/dmattn.h>

/* Inputs in host memory; those that the descriptor does not use are ignored. */
typedef struct reference_selector_inputs {
    const void *q, *k;
    const float *weights;
    const int32_t *counts;
} reference_selector_inputs;

/* A list of a query. In all functions, `desc` is resolved. */
typedef struct reference_selector_row {
    uint32_t item, list, query;
} reference_selector_row;

/* A query sees the numbers below the result. */
uint32_t reference_selector_seen(const dmattn_selector_desc *desc, const reference_selector_inputs *in,
                                 reference_selector_row row);

/* Computes the score of each number that the query sees. errors[n] bounds the difference of a score in f32: it is
 * derived from the magnitudes of the products, and four times the bound of sums in any order. `errors` may be NULL. */
void reference_selector_scores(const dmattn_selector_desc *desc, const reference_selector_inputs *in,
                               reference_selector_row row, double *scores, double *errors);

/* Writes desc->count numbers to `list`. Errors: OUT_OF_MEMORY. */
dmattn_status reference_selector_list(const dmattn_selector_desc *desc, const reference_selector_inputs *in,
                                      reference_selector_row row, const double *scores, int32_t *list);

/* Whether a list is right if each score has an error up to errors[n]: it ascends, it has as many numbers as it can
 * have, the numbers that are always in it, and no number whose score must be below that of another one. */
bool reference_selector_agrees(const dmattn_selector_desc *desc, const reference_selector_inputs *in,
                               reference_selector_row row, const double *scores, const double *errors,
                               const int32_t *list);

#endif
