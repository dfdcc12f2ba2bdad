/* SPDX-License-Identifier: MIT
 * Parameters of peak_*.comp, for C and for GLSL. */
#include "../../../shaders/lib/shared.h"

/* Invocations or subgroups that have the same data are so many apart: neighbours have different ones. */
#define PEAK_FMA_WINDOWS    64
#define PEAK_MATRIX_WINDOWS 16

/* Specialization constants, X(id, name, default). */
#define PEAK_COPY_CONSTANTS(X)                                                                                         \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, PIECES, 8) /* of 16 bytes, an invocation's */

#define PEAK_FMA_CONSTANTS(X)                                                                                          \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, PAIRS, 8)  /* of an invocation */                                                                             \
    X(2, TURNS, 16) /* of a repeat: the loop's own instructions must not weigh */

#define PEAK_MATRIX_CONSTANTS(X)                                                                                       \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, SUBGROUP, 32)                                                                                                 \
    X(2, MATRIX_M, 16)                                                                                                 \
    X(3, MATRIX_N, 16)                                                                                                 \
    X(4, MATRIX_K, 16)                                                                                                 \
    X(5, ROWS, 2)    /* matrices A of a subgroup, */                                                                   \
    X(6, COLUMNS, 4) /* matrices B; it sums up the product of each with each */

/* Push constants of all of them. */
#define PEAK_PARAMS                                                                                                    \
    DMATTN_ADDRESS from;                                                                                               \
    DMATTN_ADDRESS to;                                                                                                 \
    DMATTN_UINT repeats; /* of the loop; copying has none */
