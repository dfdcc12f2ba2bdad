/* SPDX-License-Identifier: MIT
 * Parameters of importance_values.comp, importance_weights.comp and sum_keys.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). Strides as in attention.h. */
#define IMPORTANCE_BACKWARD_CONSTANTS(X)                                                   \
    X(0, WORKGROUP, 128)                                                                   \
    X(1, COLUMN_LANES, 8) /* neighbouring invocations that share a key */                  \
    X(2, LANE_KEYS, 4)    /* keys that an invocation processes at a time */                \
    X(3, BLOCK_HEADS, 4)  /* kv heads of a workgroup (importance_weights), or at a time */ \
    X(4, KV_HEADS, 4)                                                                      \
    X(5, VALUE_DIM, 64)                                                                    \
    X(6, TYPE, TYPE_F32)                                                                   \
    X(7, PARAMETER_TYPE, TYPE_F32)                                                         \
    X(8, ALIGNED, 1) /* rows begin at multiples of 16 bytes */                             \
    X(9, DERIVED_STRIDES, 1)  /* the batch stride is keys times the sequence stride */     \
    X(10, BATCH_LOW, 0)                                                                    \
    X(11, BATCH_HIGH, 0)                                                                   \
    X(12, SEQUENCE_LOW, 0)                                                                 \
    X(13, SEQUENCE_HIGH, 0)                                                                \
    X(14, HEAD_LOW, 0)                                                                     \
    X(15, HEAD_HIGH, 0)

/* Push constants. A chunk consists of consecutive tiles of keys. Tiles are numbered over all batch items. */
#define IMPORTANCE_BACKWARD_PARAMS                                    \
    DMATTN_ADDRESS rows; /* v, or dv */                               \
    DMATTN_ADDRESS dt_weight;                                         \
    DMATTN_ADDRESS terms; /* dz or da_terms, f32 [B, Hk, Sk] */       \
    DMATTN_ADDRESS sums;  /* result: the sums of each chunk */        \
    DMATTN_UINT keys;                                                 \
    DMATTN_UINT tiles;       /* number of tiles of all batch items */ \
    DMATTN_UINT item_tiles;  /* number of tiles of one batch item */  \
    DMATTN_UINT chunk_tiles; /* number of tiles of a chunk; the last chunk may have fewer */
