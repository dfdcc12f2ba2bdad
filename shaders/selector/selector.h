/* SPDX-License-Identifier: MIT
 * Parameters of the kernels of a selector, for C and for GLSL. A number is a key, or a block of keys.
 *
 * Scores are f32 in the workspace, in rows of `row_words` numbers, a multiple of TILE_KEYS. A tile has rows of
 * TILE_QUERIES queries of a list head. All tiles of all planes (list heads of batch items) have numbers; a dispatch
 * handles those from first_tile on. */
#include "../lib/shared.h"

/* ---- pool_keys.comp: the mean of each block of keys ------------------------------------------------------------ */

/* Specialization constants, X(id, name, default). Strides as in attention.h. */
#define POOL_CONSTANTS(X)                                                      \
    X(0, WORKGROUP, 128)                                                       \
    X(1, TYPE, TYPE_F32)                                                       \
    X(2, ALIGNED, 1) /* rows of k begin at multiples of 16 bytes */            \
    X(3, KV_HEADS, 1)                                                          \
    X(4, HEAD_DIM, 64)                                                         \
    X(5, COUNTS, 0)                                                            \
    X(6, UNIT_LANES, 16)     /* invocations beside each other in a row of k */ \
    X(7, DERIVED_STRIDES, 1) /* the batch stride follows from the length */    \
    X(8, K_BATCH_LOW, 0)                                                       \
    X(9, K_BATCH_HIGH, 0)                                                      \
    X(10, K_SEQUENCE_LOW, 0)                                                   \
    X(11, K_SEQUENCE_HIGH, 0)                                                  \
    X(12, K_HEAD_LOW, 0)                                                       \
    X(13, K_HEAD_HIGH, 0)
#define POOL_PAGED_CONSTANTS(X) /* with PAGED, behind the others */ \
    X(14, PAGE_SIZE, 1)         /* tokens of a page */              \
    X(15, PAGES, 1)             /* of the pool */                   \
    X(16, TABLE_PAGES, 1)       /* of a row of the block table */

/* Push constants. */
#define POOL_PARAMS                                                     \
    DMATTN_ADDRESS k; /* or the pool */                                 \
    DMATTN_ADDRESS counts;                                              \
    DMATTN_ADDRESS means; /* of TYPE, contiguous [B, numbers, Hk, D] */ \
    DMATTN_UINT keys;                                                   \
    DMATTN_UINT shift; /* a block has 2^shift keys */                   \
    DMATTN_UINT numbers;
#define POOL_PAGED_PARAMS DMATTN_ADDRESS table; /* with PAGED: the block table */

/* ---- score_keys*.comp: the scores ------------------------------------------------------------------------------ */

#define SCORES_CONSTANTS(X)                                                                           \
    X(0, WORKGROUP, 128)                                                                              \
    X(1, SUBGROUP, 32)                                                                                \
    X(2, TYPE, TYPE_F32)                                                                              \
    X(3, ALIGNED, 1) /* rows of q and k begin at multiples of 16 bytes */                             \
    X(4, HEADS, 1)                                                                                    \
    X(5, KV_HEADS, 1)                                                                                 \
    X(6, LISTS, 1) /* lists of a query */                                                             \
    X(7, HEAD_DIM, 64)                                                                                \
    X(8, RELU, 0)                                                                                     \
    X(9, WEIGHTS, 0)                                                                                  \
    X(10, CAUSAL, 0)                                                                                  \
    X(11, COUNTS, 0)                                                                                  \
    X(12, TILE_QUERIES, 32)                                                                           \
    X(13, TILE_KEYS, 64)                                                                              \
    X(14, QUERY_LANES, 8) /* portable: invocations whose queries differ */                            \
    X(15, MATRIX_M, 16)                                                                               \
    X(16, MATRIX_N, 16)                                                                               \
    X(17, MATRIX_K, 16)                                                                               \
    X(18, ROW_HEADS, 1)       /* matrices: heads that have rows of their own in a block of rows */    \
    X(19, STEPS, 4)           /* matrices: blocks of rows of q that are in shared memory at a time */ \
    X(20, DERIVED_STRIDES, 3) /* bits: the batch stride is the length times the sequence stride */    \
    X(21, Q_BATCH_LOW, 0)                                                                             \
    X(22, Q_BATCH_HIGH, 0)                                                                            \
    X(23, Q_SEQUENCE_LOW, 0)                                                                          \
    X(24, Q_SEQUENCE_HIGH, 0)                                                                         \
    X(25, Q_HEAD_LOW, 0)                                                                              \
    X(26, Q_HEAD_HIGH, 0)                                                                             \
    X(27, K_BATCH_LOW, 0)                                                                             \
    X(28, K_BATCH_HIGH, 0)                                                                            \
    X(29, K_SEQUENCE_LOW, 0)                                                                          \
    X(30, K_SEQUENCE_HIGH, 0)                                                                         \
    X(31, K_HEAD_LOW, 0)                                                                              \
    X(32, K_HEAD_HIGH, 0)
#define SCORES_PAGED_CONSTANTS(X) /* as POOL_PAGED_CONSTANTS */ \
    X(33, PAGE_SIZE, 1)                                         \
    X(34, PAGES, 1)                                             \
    X(35, TABLE_PAGES, 1)

/* Bits of DERIVED_STRIDES. */
#define SCORES_DERIVED_Q 1
#define SCORES_DERIVED_K 2

#define SCORES_PARAMS                                 \
    DMATTN_ADDRESS q;                                 \
    DMATTN_ADDRESS k; /* or the means, or the pool */ \
    DMATTN_ADDRESS weights;                           \
    DMATTN_ADDRESS counts;                            \
    DMATTN_ADDRESS scores; /* of tile first_tile */   \
    DMATTN_UINT queries;                              \
    DMATTN_UINT keys;                                 \
    DMATTN_UINT shift;                                \
    DMATTN_UINT numbers;                              \
    DMATTN_UINT first_tile;                           \
    DMATTN_UINT row_words;
#define SCORES_PAGED_PARAMS POOL_PAGED_PARAMS

/* ---- select_numbers.comp: the lists ------------------------------------------------------------------------------ */

#define SELECT_NUMBERS_CONSTANTS(X) \
    X(0, WORKGROUP, 256)            \
    X(1, CAUSAL, 0)                 \
    X(2, COUNTS, 0)                 \
    X(3, LISTS, 1)                  \
    X(4, TILE_QUERIES, 32)          \
    X(5, LOADS, 1) /* that each invocation has in flight */

#define SELECT_NUMBERS_PARAMS                         \
    DMATTN_ADDRESS scores; /* of tile first_tile */   \
    DMATTN_ADDRESS counts;                            \
    DMATTN_ADDRESS selected;                          \
    DMATTN_UINT queries;                              \
    DMATTN_UINT keys;                                 \
    DMATTN_UINT shift;                                \
    DMATTN_UINT first_tile;                           \
    DMATTN_UINT row_words;                            \
    DMATTN_UINT count;  /* numbers of a list */       \
    DMATTN_UINT first;  /* first numbers that stay */ \
    DMATTN_UINT recent; /* numbers up to the query's own that stay */
