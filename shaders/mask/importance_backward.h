/* SPDX-License-Identifier: MIT
 * Parameters of importance_values.comp, importance_weights.comp and sum_keys.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). Strides as in attention.h. */
#define IMPORTANCE_BACKWARD_CONSTANTS(X)                                                  \
    X(0, WORKGROUP, 128)                                                                  \
    X(1, COLUMN_LANES, 8) /* invocations beside each other that share a key */            \
    X(2, LANE_KEYS, 4)    /* keys of an invocation at a time */                           \
    X(3, BLOCK_HEADS, 4)  /* kv heads of a workgroup, or at a time */                     \
    X(4, KV_HEADS, 4)                                                                     \
    X(5, VALUE_DIM, 64)                                                                   \
    X(6, TYPE, TYPE_F32)                                                                  \
    X(7, PARAMETER_TYPE, TYPE_F32)                                                        \
    X(8, ALIGNED, 1) /* rows lie at multiples of 16 bytes */                              \
    X(9, DERIVED_STRIDES, 1)  /* the batch's stride is the number of keys times theirs */ \
    X(10, BATCH_LOW, 0)                                                                   \
    X(11, BATCH_HIGH, 0)                                                                  \
    X(12, SEQUENCE_LOW, 0)                                                                \
    X(13, SEQUENCE_HIGH, 0)                                                               \
    X(14, HEAD_LOW, 0)                                                                    \
    X(15, HEAD_HIGH, 0)

/* Push constants. A chunk is some tiles of keys, counted through all batch items. */
#define IMPORTANCE_BACKWARD_PARAMS                              \
    DMATTN_ADDRESS rows; /* v, or dv */                         \
    DMATTN_ADDRESS dt_weight;                                   \
    DMATTN_ADDRESS terms; /* dz or da_terms, f32 [B, Hk, Sk] */ \
    DMATTN_ADDRESS sums;  /* of each chunk */                   \
    DMATTN_UINT keys;                                           \
    DMATTN_UINT tiles;       /* of all batch items */           \
    DMATTN_UINT item_tiles;  /* of one */                       \
    DMATTN_UINT chunk_tiles; /* of a chunk; the last may have fewer */
