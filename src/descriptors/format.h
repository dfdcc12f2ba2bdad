/* SPDX-License-Identifier: MIT
 * How rows of keys and values are stored. Pure functions. */
#ifndef DMATTN_FORMAT_H
#define DMATTN_FORMAT_H

#include "../message.h"

/* INVALID unless `format` is a dmattn_format. `name`: the member of the descriptor. */
dmattn_status dmattn_check_format(const messenger *messenger, const char *name, dmattn_format format);

/* The format itself, or instead of DMATTN_FORMAT_TYPE that of the elements of `type`. The functions below expect such a
 * format. */
dmattn_format dmattn_format_of(dmattn_format format, dmattn_type type);

/* Whether rows are elements of `type`, as they are. */
bool dmattn_format_is_type(dmattn_format format, dmattn_type type);

/* Whether each token and head has a scale, in a tensor of its own. */
bool dmattn_format_has_scales(dmattn_format format);

/* Elements of a block: 1, or 32. Rows and strides are multiples of it. */
uint32_t dmattn_format_block(dmattn_format format);

/* Bytes of a block. */
uint32_t dmattn_format_block_bytes(dmattn_format format);

/* Bytes of a number of elements, which is a multiple of a block; TOO_MANY_BYTES if there are too many. */
uint64_t dmattn_format_bytes(dmattn_format format, uint64_t elements);

/* The alignment of a row in bytes. */
uint32_t dmattn_format_alignment(dmattn_format format);

/* "f32", "int8", "q8_0", … */
const char *dmattn_format_string(dmattn_format format);

#endif
