/* SPDX-License-Identifier: MIT
 * Parameters of lists.comp, for C and for GLSL. */
#include "shared.h"

/* Lists begin at multiples of this, in bytes, and their offsets are counted in it. */
#define LIST_UNIT 64

/* Keys in a block, of those lists that hold blocks: its logarithm. */
#define LIST_BLOCK_SHIFT 5

/* Queries of a node whose list is for the level below, at most: visible ranges within it take 16 bits. */
#define LIST_MAX_NODE_QUERIES 65535

/* Instead of a node's count of keys: they did not fit. */
#define LIST_OVERFLOW 0xffffffff

/* Specialization constants, X(id, name, default). */
#define LISTS_CONSTANTS(X)                                                                 \
    X(0, WORKGROUP, 256)                                                                   \
    X(1, HAS_PARENTS, 0) /* 0: the candidates are all keys; 1: those of the nodes above */ \
    X(2, FINAL, 1)       /* the lists for the attention kernels; 0: for the level below */ \
    X(3, CAUSAL, 0)

/* Push constants. */
#define LISTS_PARAMS                                              \
    DMATTN_ADDRESS begin; /* of plane 0 */                        \
    DMATTN_ADDRESS end;                                           \
    DMATTN_ADDRESS batch_stride; /* of begin and end, in bytes */ \
    DMATTN_ADDRESS head_stride;                                   \
    DMATTN_ADDRESS parents;                                       \
    DMATTN_ADDRESS lists;                                         \
    DMATTN_UINT queries;                                          \
    DMATTN_UINT keys;                                             \
    DMATTN_UINT heads; /* planes of a batch item */               \
    DMATTN_UINT node_queries;                                     \
    DMATTN_UINT fanout;   /* nodes that share a parent */         \
    DMATTN_UINT capacity; /* keys of a list, a multiple of LIST_UNIT / 4 */
