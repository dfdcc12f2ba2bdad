/* SPDX-License-Identifier: MIT
 * Merging two results of attention, for one row of the formula in dmattn/merge.h. */
#ifndef DMATTN_REFERENCE_MERGE_H
#define DMATTN_REFERENCE_MERGE_H

#include <stdint.h>

/* Writes `dim` numbers to `out`, and lse. */
void reference_merge_row(const double *a, double lse_a, const double *b, double lse_b, uint32_t dim, double *out,
                         double *lse);

#endif
