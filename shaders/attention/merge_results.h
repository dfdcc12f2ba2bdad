/* SPDX-License-Identifier: MIT
 * Parameters of merge_results.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). Strides as in attention.h. */
#define MERGE_CONSTANTS(X)                                                                        \
    X(0, WORKGROUP, 64)                                                                           \
    X(1, TYPE, TYPE_F32)                                                                          \
    X(2, ALIGNED, 1) /* rows of all three tensors begin at multiples of 16 bytes */               \
    X(3, HEADS, 4)                                                                                \
    X(4, VALUE_DIM, 64)                                                                           \
    X(5, LSE, 1)                                                                                  \
    X(6, DERIVED_STRIDES, 7) /* bits: the batch stride is the length times the sequence stride */ \
    X(7, A_BATCH_LOW, 0)                                                                          \
    X(8, A_BATCH_HIGH, 0)                                                                         \
    X(9, A_SEQUENCE_LOW, 0)                                                                       \
    X(10, A_SEQUENCE_HIGH, 0)                                                                     \
    X(11, A_HEAD_LOW, 0)                                                                          \
    X(12, A_HEAD_HIGH, 0)                                                                         \
    X(13, B_BATCH_LOW, 0)                                                                         \
    X(14, B_BATCH_HIGH, 0)                                                                        \
    X(15, B_SEQUENCE_LOW, 0)                                                                      \
    X(16, B_SEQUENCE_HIGH, 0)                                                                     \
    X(17, B_HEAD_LOW, 0)                                                                          \
    X(18, B_HEAD_HIGH, 0)                                                                         \
    X(19, OUT_BATCH_LOW, 0)                                                                       \
    X(20, OUT_BATCH_HIGH, 0)                                                                      \
    X(21, OUT_SEQUENCE_LOW, 0)                                                                    \
    X(22, OUT_SEQUENCE_HIGH, 0)                                                                   \
    X(23, OUT_HEAD_LOW, 0)                                                                        \
    X(24, OUT_HEAD_HIGH, 0)

/* Bits of DERIVED_STRIDES. */
#define MERGE_DERIVED_A   1
#define MERGE_DERIVED_B   2
#define MERGE_DERIVED_OUT 4

/* Push constants. */
#define MERGE_PARAMS       \
    DMATTN_ADDRESS out_a;  \
    DMATTN_ADDRESS lse_a;  \
    DMATTN_ADDRESS out_b;  \
    DMATTN_ADDRESS lse_b;  \
    DMATTN_ADDRESS out_;   \
    DMATTN_ADDRESS lse;    \
    DMATTN_UINT queries;
