/* SPDX-License-Identifier: MIT
 * Parameters of sum_partials.comp, for C and for GLSL. */
#include "shared.h"

/* Specialization constants, X(id, name, default). */
#define SUM_PARTIALS_CONSTANTS(X) X(0, WORKGROUP, 128)

/* Push constants. */
#define SUM_PARTIALS_PARAMS                                 \
    DMATTN_ADDRESS in_;  /* f32 [outer, partials, inner] */ \
    DMATTN_ADDRESS out_; /* f32 [outer, inner] */           \
    DMATTN_UINT partials;                                   \
    DMATTN_UINT inner;
