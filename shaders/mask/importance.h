/* SPDX-License-Identifier: MIT
 * Parameters of importance.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Values of ACTIVATION, those of dmattn_activation. */
#define ACTIVATION_EXP_SOFTPLUS 0
#define ACTIVATION_SOFTPLUS     1

/* Specialization constants, X(id, name, default). Strides as in attention.h. */
#define IMPORTANCE_CONSTANTS(X)                                                            \
    X(0, WORKGROUP, 128)                                                                   \
    X(1, COLUMN_LANES, 8) /* neighbouring invocations that share a key */                  \
    X(2, LANE_KEYS, 4)    /* keys of an invocation */                                      \
    X(3, LANE_HEADS, 4)   /* kv heads of a workgroup; each invocation computes all */      \
    X(4, KV_HEADS, 4)                                                                      \
    X(5, VALUE_DIM, 64)                                                                    \
    X(6, TYPE, TYPE_F32)                                                                   \
    X(7, PARAMETER_TYPE, TYPE_F32)                                                         \
    X(8, ACTIVATION, ACTIVATION_EXP_SOFTPLUS)                                              \
    X(9, DT_BIAS, 0)                                                                       \
    X(10, ALIGNED, 1) /* rows of v begin at multiples of 16 bytes */                       \
    X(11, DERIVED_STRIDES, 1)  /* the batch stride is keys times the sequence stride */    \
    X(12, V_BATCH_LOW, 0)                                                                  \
    X(13, V_BATCH_HIGH, 0)                                                                 \
    X(14, V_SEQUENCE_LOW, 0)                                                               \
    X(15, V_SEQUENCE_HIGH, 0)                                                              \
    X(16, V_HEAD_LOW, 0)                                                                   \
    X(17, V_HEAD_HIGH, 0)

/* Push constants. */
#define IMPORTANCE_PARAMS      \
    DMATTN_ADDRESS v;          \
    DMATTN_ADDRESS dt_weight;  \
    DMATTN_ADDRESS a;          \
    DMATTN_ADDRESS dt_bias;    \
    DMATTN_ADDRESS importance; \
    DMATTN_UINT keys;

/* Push constants of the variant importance_terms. If dz or da_terms is 0, it is not written. */
#define IMPORTANCE_TERMS_PARAMS                    \
    DMATTN_ADDRESS v;                              \
    DMATTN_ADDRESS dt_weight;                      \
    DMATTN_ADDRESS a;                              \
    DMATTN_ADDRESS dt_bias;                        \
    DMATTN_ADDRESS dimportance;                    \
    DMATTN_ADDRESS dz;       /* f32 [B, Hk, Sk] */ \
    DMATTN_ADDRESS da_terms; /* likewise */        \
    DMATTN_UINT keys;
