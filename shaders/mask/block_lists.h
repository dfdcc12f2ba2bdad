/* SPDX-License-Identifier: MIT
 * Parameters of block_rows.comp and block_map.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). */
#define BLOCK_LISTS_CONSTANTS(X) \
    X(0, WORKGROUP, 256)         \
    X(1, BITS, 0) /* rows: each block has a bit for each pair; map: a block is a bit instead of a byte */

/* Push constants. */
#define BLOCK_LISTS_PARAMS                            \
    DMATTN_ADDRESS indptr; /* or the map */           \
    DMATTN_ADDRESS indices;                           \
    DMATTN_ADDRESS bits;                              \
    DMATTN_ADDRESS selected;                          \
    DMATTN_UINT queries;                              \
    DMATTN_UINT keys;                                 \
    DMATTN_UINT query_block;                          \
    DMATTN_UINT shift; /* a block has 2^shift keys */ \
    DMATTN_UINT index_count;                          \
    DMATTN_UINT count; /* numbers of a list */
