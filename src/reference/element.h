/* SPDX-License-Identifier: MIT
 * Conversion of the elements of host tensors to and from double. */
#ifndef DMATTN_REFERENCE_ELEMENT_H
#define DMATTN_REFERENCE_ELEMENT_H

#include <dmattn/dmattn.h>

/* Returns element `index` of an array of `type`. */
double element_load(dmattn_type type, const void *array, uint64_t index);

/* `value`, or an infinity if it is beyond the range of f32. */
double element_in_f32_range(double value);

/* A bias, or an importance, as scores take it: NaN counts as -infinity, +infinity as FLT_MAX. */
double element_counted_bias(double bias);

/* Stores `value`, rounded to nearest even. */
void element_store(dmattn_type type, void *array, uint64_t index, double value);

#endif
