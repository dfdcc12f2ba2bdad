/* SPDX-License-Identifier: MIT
 * Parameters of key_lists.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* The maximum number of keys in a tile. */
#define KEY_LISTS_MAX_KEYS 64

/* Specialization constants, X(id, name, default). */
#define KEY_LISTS_CONSTANTS(X)                                                             \
    X(0, WORKGROUP, 256)                                                                   \
    X(1, CAUSAL, 0)                                                                        \
    X(2, MEMBER_WORDS, 1) /* of an entry of a tile list of queries */                      \
    X(3, TILE_KEYS, 32)                                                                    \
    X(4, FINAL, 1) /* 0: only counts the queries; 1: stores them, with the counts at hand */

/* Push constants. */
#define KEY_LISTS_PARAMS                                                     \
    DMATTN_ADDRESS lists;     /* those of union_lists.comp */                \
    DMATTN_ADDRESS key_lists; /* result */                                   \
    DMATTN_UINT queries;                                                     \
    DMATTN_UINT keys;                                                        \
    DMATTN_UINT planes;       /* all batch items and heads of the lists */   \
    DMATTN_UINT list_queries; /* queries of a list */
