/* SPDX-License-Identifier: MIT
 * Parameters of unpack.comp, for C and for GLSL. */
#include "../lib/shared.h"

/* Specialization constants, X(id, name, default). Strides as in attention.h, of the rows that are read. */
#define UNPACK_CONSTANTS(X)                                                                        \
    X(0, WORKGROUP, 64)                                                                            \
    X(1, FORMAT, FORMAT_F16) /* of the rows that are read */                                       \
    X(2, TYPE, TYPE_F16)     /* of the rows that are written */                                    \
    X(3, DIM, 64)            /* 1: importances */                                                  \
    X(4, ROW_LANES, 8)       /* invocations that share a row */                                    \
    X(5, HEADS, 1)                                                                                 \
    X(6, DERIVED_STRIDE, 1) /* the batch stride is the number of keys times the sequence stride */ \
    X(7, BATCH_LOW, 0)                                                                             \
    X(8, BATCH_HIGH, 0)                                                                            \
    X(9, SEQUENCE_LOW, 0)                                                                          \
    X(10, SEQUENCE_HIGH, 0)                                                                        \
    X(11, HEAD_LOW, 0)                                                                             \
    X(12, HEAD_HIGH, 0)                                                                            \
    X(13, PAGE_SIZE, 0) /* tokens of a page; the batch stride is that of pages. 0: no pages */     \
    X(14, PAGES, 0)     /* number of pages in the pool */                                          \
    X(15, COUNTS, 0)    /* items have their own numbers of keys */

/* Push constants. If rows are in pages, `from` and `scales` are addresses in page 0. */
#define UNPACK_PARAMS                                                                        \
    DMATTN_ADDRESS from;                                                                     \
    DMATTN_ADDRESS scales; /* f32 [B, Sk, Hk], or [Hk, PAGE_SIZE] in a page, if there are */ \
    DMATTN_ADDRESS table;  /* i32 [B, table_pages] */                                        \
    DMATTN_ADDRESS counts; /* i32 [B, 2], if COUNTS: the second numbers */                   \
    DMATTN_ADDRESS to;     /* TYPE [B, Sk, Hk, DIM], or f32 [B, Hk, Sk] if DIM is 1 */       \
    DMATTN_UINT keys;                                                                        \
    DMATTN_UINT table_pages;

/* Members after these, if PACKED. `counts` is then the items of schedule_items.h, and `keys` the rows of all items. */
#define UNPACK_PACKED_PARAMS \
    DMATTN_UINT items;       \
    DMATTN_UINT unused;
