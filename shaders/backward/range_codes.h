/* SPDX-License-Identifier: MIT
 * Parameters of range_codes.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). */
#define RANGE_CODES_CONSTANTS(X) \
    X(0, WORKGROUP, 256)         \
    X(1, CAUSAL, 0)

/* Push constants. */
#define RANGE_CODES_PARAMS                                                \
    DMATTN_ADDRESS begin;                                                 \
    DMATTN_ADDRESS end;                                                   \
    DMATTN_ADDRESS batch_stride; /* of begin and end, in bytes */         \
    DMATTN_ADDRESS head_stride;                                           \
    DMATTN_ADDRESS codes; /* f32 [planes, keys], one plane per kv head */ \
    DMATTN_UINT queries;                                                  \
    DMATTN_UINT keys;                                                     \
    DMATTN_UINT heads; /* planes of a batch item */                       \
    DMATTN_UINT shift; /* ends of visible ranges are rounded to 2^shift queries */
