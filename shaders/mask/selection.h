/* SPDX-License-Identifier: MIT
 * Parameters of the kernels that turn importance into intervals, for C and for GLSL: sort_blocks.comp, merge_runs.comp
 * and intervals.comp, in this order. */
#ifndef DMATTN_SELECTION_H
#define DMATTN_SELECTION_H

#include "../lib/shared.h"

/* Values of SELECTION, the same as in dmattn_select. */
#define SELECT_ALL         0
#define SELECT_TOPW_CAUSAL 1
#define SELECT_TOPW_SHARED 2
#define SELECT_THRESHOLD   3

/* Values of TIE_BREAK, the same as in dmattn_tie_break. */
#define TIE_BREAK_LATER   0
#define TIE_BREAK_EARLIER 1

/* The number of keys is padded to a multiple of TREE_BLOCK. Blocks of this size are sorted first, which makes the
 * tree's lowest TREE_BLOCK_LEVELS levels. */
#define TREE_BLOCK        1024
#define TREE_BLOCK_LEVELS 10

/* Specialization constants, X(id, name, default). Decoding also has these, with the same ids. */
#define SELECT_CONSTANTS(X)                         \
    X(80, SELECTION, SELECT_ALL)                    \
    X(81, WINDOW, 0)                                \
    X(82, THRESHOLD, 0) /* the bits of the float */ \
    X(83, SINKS, 0)                                 \
    X(84, RECENT, 0)                                \
    X(85, SLIDING, 0) /* 0: no limit */             \
    X(86, TIE_BREAK, TIE_BREAK_LATER)

#define SELECTION_CONSTANTS(X) \
    X(0, WORKGROUP, 256)       \
    X(1, CAUSAL, 0)            \
    X(2, KEY_VALID, 0)         \
    X(3, DOCUMENTS, 0)         \
    SELECT_CONSTANTS(X)

/* Push constants. Planes are the heads of all batch items. All kernels have these: */
#define SELECTION_MEMBERS                                                                \
    DMATTN_ADDRESS importance; /* f32 [planes, keys] */                                  \
    DMATTN_ADDRESS key_valid;  /* u8 [batch, keys] */                                    \
    DMATTN_ADDRESS tree;       /* pairs [planes, levels, padded / 32]: mask/tree.glsl */ \
    DMATTN_UINT keys;                                                                    \
    DMATTN_UINT heads;  /* of a batch item */                                            \
    DMATTN_UINT levels; /* of the tree */

/* sort_blocks.comp and merge_runs.comp */
#define SORT_PARAMS                                                        \
    DMATTN_ADDRESS sorted_in; /* pairs [planes, padded]: mask/tree.glsl */ \
    DMATTN_ADDRESS sorted_out;                                             \
    SELECTION_MEMBERS                                                      \
    DMATTN_UINT level; /* the level that merge_runs.comp makes */

/* intervals.comp */
#define INTERVALS_PARAMS                                                       \
    DMATTN_ADDRESS sorted;        /* pairs [planes, padded]: mask/tree.glsl */ \
    DMATTN_ADDRESS query_offsets; /* i32 [batch, documents + 1] */             \
    DMATTN_ADDRESS key_offsets;                                                \
    DMATTN_ADDRESS begin; /* i32 [planes, keys] */                             \
    DMATTN_ADDRESS end;                                                        \
    SELECTION_MEMBERS                                                          \
    DMATTN_UINT queries;                                                       \
    DMATTN_UINT documents;

#endif
