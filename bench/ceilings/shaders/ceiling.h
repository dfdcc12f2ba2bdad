/* SPDX-License-Identifier: MIT
 * Parameters of ceiling_*.comp, for C and for GLSL. */
#include "../../../shaders/lib/shared.h"

/* Different inputs: invocation (or subgroup) i reads window i % WINDOWS, so that neighbours read different data. */
#define CEILING_FMA_WINDOWS    64
#define CEILING_MATRIX_WINDOWS 16

/* Specialization constants, X(id, name, default). */
#define CEILING_COPY_CONSTANTS(X)                                                                                      \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, PIECES, 8) /* of 16 bytes, per invocation */

#define CEILING_FMA_CONSTANTS(X)                                                                                       \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, PAIRS, 8)  /* per invocation */                                                                               \
    X(2, TURNS, 16) /* per repeat; many, so that the loop's own instructions are negligible */

#define CEILING_MATRIX_CONSTANTS(X)                                                                                    \
    X(0, WORKGROUP, 128)                                                                                               \
    X(1, SUBGROUP, 32)                                                                                                 \
    X(2, MATRIX_M, 16)                                                                                                 \
    X(3, MATRIX_N, 16)                                                                                                 \
    X(4, MATRIX_K, 16)                                                                                                 \
    X(5, ROWS, 2)    /* matrices A per subgroup */                                                                     \
    X(6, COLUMNS, 4) /* matrices B per subgroup; each product of an A and a B has its own sum */

/* Push constants of all ceiling kernels. */
#define CEILING_PARAMS                                                                                                 \
    DMATTN_ADDRESS from;                                                                                               \
    DMATTN_ADDRESS to;                                                                                                 \
    DMATTN_UINT repeats; /* of the loop; unused by the copy */
