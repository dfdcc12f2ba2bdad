/* SPDX-License-Identifier: MIT
 * Parameters of lists.comp, for C and for GLSL. */
#include "shared.h"

/* Lists begin at multiples of this number of bytes. It is also the unit of their offsets. */
#define LIST_UNIT 64

/* If a list holds blocks of keys, a block has 2^LIST_BLOCK_SHIFT keys. */
#define LIST_BLOCK_SHIFT 5

/* Lists of selected keys (union_lists.comp): an entry is a word, which is a key or a block of 2^shift keys, and then 32
 * or 64 bits, one for each query of the tile. The blocks of the app have at most 2^SELECTED_MAX_SHIFT keys. */
#define SELECTED_MAX_SHIFT   12
#define SELECTED_MAX_QUERIES 64

/* The maximum number of queries of a node with a union list: begin and end of a visible range within it have 16 bits
 * each. */
#define LIST_MAX_NODE_QUERIES 65535

/* The stored number of keys of a node whose keys did not fit. */
#define LIST_OVERFLOW 0xffffffff

/* Specialization constants, X(id, name, default). */
#define LISTS_CONSTANTS(X)                                                                    \
    X(0, WORKGROUP, 256)                                                                      \
    X(1, HAS_PARENTS, 0) /* 0: the candidates are all keys; 1: the keys of the parent node */ \
    X(2, FINAL, 1)       /* 1: tile lists, for the attention kernels; 0: union lists */       \
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
    DMATTN_UINT planes; /* all batch items and heads */           \
    DMATTN_UINT heads;  /* planes of a batch item */              \
    DMATTN_UINT node_queries;                                     \
    DMATTN_UINT fanout;   /* nodes per parent */                  \
    DMATTN_UINT capacity; /* maximum number of keys of a list, a multiple of LIST_UNIT / 4 */

/* The same for union_lists.comp. */
#define UNION_LISTS_CONSTANTS(X)            \
    X(0, WORKGROUP, 256)                    \
    X(1, CAUSAL, 0)                         \
    X(2, MEMBER_WORDS, 1) /* of an entry */ \
    X(3, SLOTS, 1024)     /* entries whose members are found at a time */ \
    X(4, COUNTS, 0)       /* 1: batch items have their own numbers of queries and keys */

#define UNION_LISTS_PARAMS                                                               \
    DMATTN_ADDRESS selected;     /* int32: the keys or blocks that each query selects */ \
    DMATTN_ADDRESS batch_stride; /* of `selected`, in bytes */                           \
    DMATTN_ADDRESS head_stride;                                                          \
    DMATTN_ADDRESS query_stride;                                                         \
    DMATTN_ADDRESS lists;                                                                \
    DMATTN_ADDRESS counts; /* int32 [B, 2], if COUNTS: the numbers of each item */       \
    DMATTN_UINT queries;                                                                 \
    DMATTN_UINT keys;                                                                    \
    DMATTN_UINT planes;       /* all batch items and heads */                            \
    DMATTN_UINT heads;        /* planes of a batch item */                               \
    DMATTN_UINT list_queries; /* queries of a list */                                    \
    DMATTN_UINT count;        /* numbers that a query has */                             \
    DMATTN_UINT shift;        /* a number is a block of 2^shift keys */                  \
    DMATTN_UINT capacity;     /* maximum entries of a list, a multiple of LIST_UNIT / 4 */
