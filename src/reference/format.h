/* SPDX-License-Identifier: MIT
 * Rows of keys and values in all formats, in host memory. */
#ifndef DMATTN_REFERENCE_FORMAT_H
#define DMATTN_REFERENCE_FORMAT_H

#include <dmattn/dmattn.h>

/* Element `index` of a row. `format` is not DMATTN_FORMAT_TYPE; `scale` is that of the row, if the format has scales.
 */
double format_load(dmattn_format format, const void *row, float scale, uint64_t index);

/* Stores a row of `count` numbers: the same bits as the kernels. Returns the scale of the row; 0 if the format has no
 * scales. `count` is a multiple of the format's block. */
float format_store(dmattn_format format, void *row, const float *x, uint32_t count);

#endif
