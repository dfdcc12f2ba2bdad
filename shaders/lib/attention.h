/* SPDX-License-Identifier: MIT
 * Parameters of the attention kernels, for C and for GLSL. */
#include "fragment_layout.h"
#include "score.h"
#include "shared.h"

/* Values of the constants below. MASK has the values of dmattn_mask. */
#define MASK_NONE      0
#define MASK_DENSE     1
#define MASK_INTERVALS 2
#define MASK_ADDITIVE  3
#define MASK_SELECTED  4

#define SCORE_HEADS_ONE 0 /* the mask or bias has one head, for all query heads */
#define SCORE_HEADS_KV  1 /* it has a head for each kv head */
#define SCORE_HEADS_ALL 2 /* it has a head for each query head */

/* Specialization constants, X(id, name, default). Strides are in bytes, as low and high words. The stride of a
 * broadcast dimension is 0. A stride that follows from the lengths is 0, and its bit in DERIVED_STRIDES is set. So
 * problems that differ only in lengths share a pipeline. */
#define ATTENTION_CONSTANTS(X)                                                                                     \
    X(0, WORKGROUP, 128)    /* invocations */                                                                      \
    X(1, TILE_ROWS, 64)     /* rows of a tile, HEADS_PER_TILE for each query */                                    \
    X(2, TILE_KEYS, 32)     /* columns of a tile */                                                                \
    X(3, HEADS_PER_TILE, 1) /* head packing: heads of a group that share a tile */                                 \
    X(4, LIST_QUERIES, 1)   /* queries of a tile list, a multiple of the tile's */                                 \
    X(5, KEY_LANES, 8)      /* portable: neighbouring invocations that share a row of the tile */                  \
    X(6, HEAD_DIM, 64)                                                                                             \
    X(7, VALUE_DIM, 64)                                                                                            \
    X(8, GROUP, 1) /* query heads per kv head */                                                                   \
    X(9, TYPE, TYPE_F32)                                                                                           \
    X(10, BIAS_TYPE, TYPE_F32)                                                                                     \
    X(11, MASK, MASK_NONE)                                                                                         \
    X(12, BIAS, 0)                                                                                                 \
    X(13, CAUSAL, 0)                                                                                               \
    X(14, HEADS, 1) /* query heads */                                                                              \
    X(15, LSE, 0)                                                                                                  \
    X(16, ALIGNED, 1) /* rows of q, k, v and out begin at multiples of 16 bytes */                                 \
    X(17, DERIVED_STRIDES, 0)                                                                                      \
    X(18, MASK_BATCHES, 0) /* 1: the mask has a batch dimension */                                                 \
    X(19, MASK_HEADS, SCORE_HEADS_ONE)                                                                             \
    X(20, MASK_QUERIES, 0) /* 1: the mask has a query dimension */                                                 \
    X(21, BIAS_BATCHES, 0)                                                                                         \
    X(22, BIAS_HEADS, SCORE_HEADS_ONE)                                                                             \
    X(23, BIAS_QUERIES, 0)                                                                                         \
    X(24, Q_BATCH_LOW, 0)                                                                                          \
    X(25, Q_BATCH_HIGH, 0)                                                                                         \
    X(26, Q_SEQUENCE_LOW, 0)                                                                                       \
    X(27, Q_SEQUENCE_HIGH, 0)                                                                                      \
    X(28, Q_HEAD_LOW, 0)                                                                                           \
    X(29, Q_HEAD_HIGH, 0)                                                                                          \
    X(30, K_BATCH_LOW, 0)                                                                                          \
    X(31, K_BATCH_HIGH, 0)                                                                                         \
    X(32, K_SEQUENCE_LOW, 0)                                                                                       \
    X(33, K_SEQUENCE_HIGH, 0)                                                                                      \
    X(34, K_HEAD_LOW, 0)                                                                                           \
    X(35, K_HEAD_HIGH, 0)                                                                                          \
    X(36, V_BATCH_LOW, 0)                                                                                          \
    X(37, V_BATCH_HIGH, 0)                                                                                         \
    X(38, V_SEQUENCE_LOW, 0)                                                                                       \
    X(39, V_SEQUENCE_HIGH, 0)                                                                                      \
    X(40, V_HEAD_LOW, 0)                                                                                           \
    X(41, V_HEAD_HIGH, 0)                                                                                          \
    X(42, OUT_BATCH_LOW, 0)                                                                                        \
    X(43, OUT_BATCH_HIGH, 0)                                                                                       \
    X(44, OUT_SEQUENCE_LOW, 0)                                                                                     \
    X(45, OUT_SEQUENCE_HIGH, 0)                                                                                    \
    X(46, OUT_HEAD_LOW, 0)                                                                                         \
    X(47, OUT_HEAD_HIGH, 0)                                                                                        \
    X(48, MASK_BATCH_LOW, 0)                                                                                       \
    X(49, MASK_BATCH_HIGH, 0)                                                                                      \
    X(50, MASK_HEAD_LOW, 0)                                                                                        \
    X(51, MASK_HEAD_HIGH, 0)                                                                                       \
    X(52, MASK_QUERY_LOW, 0)                                                                                       \
    X(53, MASK_QUERY_HIGH, 0)                                                                                      \
    X(54, BIAS_BATCH_LOW, 0)                                                                                       \
    X(55, BIAS_BATCH_HIGH, 0)                                                                                      \
    X(56, BIAS_HEAD_LOW, 0)                                                                                        \
    X(57, BIAS_HEAD_HIGH, 0)                                                                                       \
    X(58, BIAS_QUERY_LOW, 0)                                                                                       \
    X(59, BIAS_QUERY_HIGH, 0)                                                                                      \
    X(60, DEPTH, 16)      /* portable: elements of a row of q and k staged at a time */                            \
    X(61, VALUE_KEYS, 16) /* portable: rows of v staged at a time */                                               \
    X(62, SUBGROUP, 32)   /* matrix: invocations of a subgroup */                                                  \
    X(63, MATRIX_M, 16)   /* matrix: the device's matrices: M x K times K x N */                                   \
    X(64, MATRIX_N, 16)                                                                                            \
    X(65, MATRIX_K, 16)                                                                                            \
    X(66, QUERY_BLOCKS, 16) /* matrix: blocks of K of a row of q in registers; the others are in shared memory */  \
    X(67, SUMS_SHARED, 0)   /* matrix, form shared: the output is in shared memory, not in registers */            \
    X(68, GUARDED, 0)       /* matrix: no loads after the last tile */                                             \
    X(69, NEAR, 0)          /* matrix: k and v of a head span less than 4 GiB */                                   \
    X(70, SPLIT, 0)         /* several workgroups share the keys; their partial results are combined */            \
    X(71, OUT_TYPE, TYPE_F32)                                                                                      \
    X(72, OUT_ALIGNED, 1)                                                                                          \
    X(73, GRADIENTS, 0) /* backward: bits of the gradients that the kernel computes */                             \
    X(74, DOUT_BATCH_LOW, 0)                                                                                       \
    X(75, DOUT_BATCH_HIGH, 0)                                                                                      \
    X(76, DOUT_SEQUENCE_LOW, 0)                                                                                    \
    X(77, DOUT_SEQUENCE_HIGH, 0)                                                                                   \
    X(78, DOUT_HEAD_LOW, 0)                                                                                        \
    X(79, DOUT_HEAD_HIGH, 0)                                                                                       \
    X(80, DV_BATCH_LOW, 0)                                                                                         \
    X(81, DV_BATCH_HIGH, 0)                                                                                        \
    X(82, DV_SEQUENCE_LOW, 0)                                                                                      \
    X(83, DV_SEQUENCE_HIGH, 0)                                                                                     \
    X(84, DV_HEAD_LOW, 0)                                                                                          \
    X(85, DV_HEAD_HIGH, 0)                                                                                         \
    X(86, DOUT_BLOCKS, 16)                 /* matrix, backward: as QUERY_BLOCKS, for a row of dout or v */         \
    X(87, TILE_BUFFERS, 2)                 /* matrix, backward: tiles whose rows are in shared memory at a time */ \
    X(88, FRAGMENT_LAYOUT, LAYOUT_UNKNOWN) /* matrix, forms fragments and shared */                                \
    X(89, REAL_UNITS, 0)                   /* matrix: scores and biases are not in units of the scale */           \
    X(90, BY_UNIT, 0)      /* portable: loops stay loops, sums are computed unit by unit: for few registers */     \
    X(91, SINK, 0)         /* each query head has a sink (score.glsl) */                                           \
    X(92, LSE_GRADIENT, 0) /* backward: lse has a gradient */                                                      \
    X(93, SLOPES, 0) /* biases are multiplied by a slope per query head; without BIAS, distances are the biases */ \
    X(94, Q_TYPE, TYPE_F32) /* TYPE is that of k and v */                                                          \
    X(95, FIRST_COLUMN, 0)  /* portable, backward: of the band of the gradient */                                  \
    SCORE_CONSTANTS(X)

/* Bits of DERIVED_STRIDES. If set, the batch stride is the length times the sequence stride; the mask or bias is
 * contiguous. */
#define DERIVED_Q    1
#define DERIVED_K    2
#define DERIVED_V    4
#define DERIVED_OUT  8
#define DERIVED_MASK 16
#define DERIVED_BIAS 32
#define DERIVED_DOUT 64
#define DERIVED_DV   128

/* Bits of GRADIENTS, the same as in dmattn_gradient. */
#define GRADIENT_Q    1
#define GRADIENT_K    2
#define GRADIENT_V    4
#define GRADIENT_BIAS 8

/* Keys sorted by the codes of range_codes.comp are pairs (code, key). The length of a plane is a multiple of this. */
#define KEY_ORDER_BLOCK 1024

/* Gradients of keys: the approximate number of work items that share all the work, and the minimum number of query
 * tiles of a work item. */
#define WORK_ITEMS     512
#define MIN_ITEM_TILES 8

/* The header before the work items (backward/key_schedule.glsl), in units of 16 bytes: its size, and the position of
 * the unit whose first word is not 0 if some row is dropped (backward/dout.glsl). */
#define WORK_HEADER  3
#define DROPPED_ROWS 2

/* `work_at` if there are no work items. */
#define NO_WORK 0xffffffff

/* Push constants. The app's buffers are addresses. If a kernel has several intermediate buffers, they are offsets from
 * the workspace, in units of 16 bytes. */

/* Push constants of all kernels that process pairs of a query and a key. Some members have two names; MASK says which
 * is valid. */
#define DENSE_MASK     visible[0]
#define INTERVAL_BEGIN visible[0]
#define INTERVAL_END   visible[1]
#define ITEM_COUNTS    visible[1]
#define SCHEDULE       visible[1] /* PACKED: a list of schedule_items.h */
#define PAIR_MEMBERS                                                                \
    DMATTN_ADDRESS q;                                                               \
    DMATTN_ADDRESS k;                                                               \
    DMATTN_ADDRESS v;                                                               \
    DMATTN_ADDRESS bias;                                                            \
    DMATTN_ADDRESS visible[2]; /* DENSE_MASK, or INTERVAL_BEGIN and INTERVAL_END */ \
    DMATTN_UINT queries;                                                            \
    DMATTN_UINT keys;
#ifdef GL_core_profile /* GLSL */
#define PAIR_PARAMS PAIR_MEMBERS
#else
#define PAIR_PARAMS pair_params pair;
#endif

/* mask_tiles.comp */
#define MASK_TILES_PARAMS \
    PAIR_PARAMS           \
    DMATTN_ADDRESS walk; /* result: the bitmap */

/* attention*.comp. If SPLIT, out_ is `partials` of combine_splits.comp, and the two words of lse are the distance from
 * there to `sums`, in units of 16 bytes, and the number of splits; with PACKED, the number of rows of `partials` of a
 * head. */
#define PACKED_ROWS lists_end.x /* PACKED: rows of out */
#define ATTENTION_PARAMS                                                            \
    PAIR_PARAMS                                                                     \
    DMATTN_ADDRESS walk; /* the bitmap of a mask, or the tile lists of intervals */ \
    DMATTN_ADDRESS out_;                                                            \
    DMATTN_ADDRESS lse;                                                             \
    DMATTN_ADDRESS lists_end; /* number of words in the memory of the tile lists */ \
    DMATTN_ADDRESS sink;      /* f32 [H] */                                         \
    DMATTN_ADDRESS slopes;    /* f32 [H], if SLOPES; last, so that most plans need not load it */

/* combine_splits.comp */
#define COMBINE_PARAMS                                                         \
    DMATTN_ADDRESS partials; /* f32 rows of out for each split */              \
    DMATTN_ADDRESS sums;     /* f32 pairs of maximum and sum for each split */ \
    DMATTN_ADDRESS out_;                                                       \
    DMATTN_ADDRESS lse;                                                        \
    DMATTN_ADDRESS sink; /* f32 [H] */                                         \
    DMATTN_UINT queries;                                                       \
    DMATTN_UINT splits;

/* combine_packed.comp. A workgroup has so many times the rows that its invocations combine at a time. */
#define COMBINE_ROUNDS 4
#define COMBINE_PACKED_PARAMS                                                \
    DMATTN_ADDRESS partials; /* f32 rows of out: a tile for each entry */    \
    DMATTN_ADDRESS sums;     /* f32 pairs of maximum and sum for each row */ \
    DMATTN_ADDRESS out_;                                                     \
    DMATTN_ADDRESS lse;                                                      \
    DMATTN_ADDRESS sink;     /* f32 [H] */                                   \
    DMATTN_ADDRESS schedule; /* the parts of schedule_items.h */             \
    DMATTN_UINT tile_queries;                                                \
    DMATTN_UINT partial_rows; /* of a head */                                \
    DMATTN_UINT rows;         /* of out */                                   \
    DMATTN_UINT parts;        /* of the schedule */

/* backward_preprocess.comp */
#define PREPROCESS_PARAMS                                           \
    DMATTN_ADDRESS q;                                               \
    DMATTN_ADDRESS out_;                                            \
    DMATTN_ADDRESS lse;                                             \
    DMATTN_ADDRESS dout;                                            \
    DMATTN_ADDRESS dlse;      /* f32 [B, H, Sq], if LSE_GRADIENT */ \
    DMATTN_ADDRESS workspace; /* f32 pairs [B, H, Sq]: lse and D */ \
    DMATTN_UINT queries;                                            \
    DMATTN_UINT work_at; /* backward/key_schedule.glsl, or NO_WORK */

/* backward_queries*.comp */
#define BACKWARD_QUERY_PARAMS                                                             \
    PAIR_PARAMS                                                                           \
    DMATTN_ADDRESS walk; /* the bitmap of a dense mask, or the tile lists of intervals */ \
    DMATTN_ADDRESS dout;                                                                  \
    DMATTN_ADDRESS workspace; /* begins with what backward_preprocess.comp makes */       \
    DMATTN_ADDRESS dq;                                                                    \
    DMATTN_ADDRESS lists_end; /* number of words in the memory of the tile lists */       \
    DMATTN_ADDRESS slopes;    /* as in ATTENTION_PARAMS */

/* key_ranges.comp, backward_keys*.comp and combine_keys.comp */
#define BACKWARD_KEY_PARAMS                                                                     \
    PAIR_PARAMS                                                                                 \
    DMATTN_ADDRESS dout;                                                                        \
    DMATTN_ADDRESS workspace; /* begins with what backward_preprocess.comp makes */             \
    DMATTN_UINT walk_at;      /* the bitmap of a dense mask, or the sorted keys of intervals */ \
    DMATTN_UINT work_at;      /* backward/key_schedule.glsl */                                  \
    DMATTN_UINT batches;                                                                        \
    DMATTN_UINT unused;                                                                         \
    DMATTN_ADDRESS slopes; /* as in ATTENTION_PARAMS */

/* schedule_keys.comp */
#define SCHEDULE_PARAMS                     \
    DMATTN_ADDRESS workspace;               \
    DMATTN_ADDRESS dk;                      \
    DMATTN_ADDRESS dv;                      \
    DMATTN_ADDRESS dbias; /* f32, by key */ \
    DMATTN_UINT keys;                       \
    DMATTN_UINT work_at;                    \
    DMATTN_UINT batches;

/* backward_bias.comp */
#define BACKWARD_BIAS_PARAMS                                                        \
    PAIR_PARAMS                                                                     \
    DMATTN_ADDRESS dout;                                                            \
    DMATTN_ADDRESS workspace; /* begins with what backward_preprocess.comp makes */ \
    DMATTN_ADDRESS dbias;     /* f32, by query and key */                           \
    DMATTN_UINT batches;                                                            \
    DMATTN_UINT unused;                                                             \
    DMATTN_ADDRESS slopes; /* as in ATTENTION_PARAMS; never used */

/* sink_gradient.comp */
#define SINK_GRADIENT_PARAMS                                                        \
    DMATTN_ADDRESS workspace; /* begins with what backward_preprocess.comp makes */ \
    DMATTN_ADDRESS lse;                                                             \
    DMATTN_ADDRESS sink;  /* f32 [H] */                                             \
    DMATTN_ADDRESS dsink; /* f32 [H] */                                             \
    DMATTN_UINT queries;                                                            \
    DMATTN_UINT batches;
