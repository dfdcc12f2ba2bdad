/* SPDX-License-Identifier: MIT
 * Conversion of the elements of host tensors to and from double. */
#ifndef DMATTN_REFERENCE_ELEMENT_H
#define DMATTN_REFERENCE_ELEMENT_H

#include <dmattn/dmattn.h>

/* Returns element `index` of an array of `type`. */
double element_load(dmattn_type type, const void *array, uint64_t index);

/* Stores `value`, rounded to nearest even. */
void element_store(dmattn_type type, void *array, uint64_t index, double value);

#endif
