/* SPDX-License-Identifier: MIT
 * Parameters of the kernels of decoding, for C and for GLSL. */
#include "../lib/score.h"
#include "../lib/shared.h"
#include "../mask/selection.h"

/* Values of CACHE. They are equal to those of dmattn_cache. */
#define CACHE_BOUNDED 0
#define CACHE_PAGED   1

/* The maximum number of new tokens of a sequence in a step, and of tokens that are taken back. */
#define DECODE_MAX_TOKENS 16

/* The number of invocations that copy a row together. */
#define COPY_LANES 8

/* The state, 32-bit words. Each sequence has STATE_BYTES: for each kv head a header of HEADER_WORDS, then, if the cache
 * is bounded, arrays of CAPACITY slots for each kv head: four words (position + 1, 0 being an empty slot; importance;
 * evicted, see below; 0), then rows of k, then rows of v, then, if their formats have scales, those of k and of v. */
#define HEADER_LENGTH  0 /* tokens of the sequence so far */
#define HEADER_FLOOR   1 /* bounded: the smallest length, besides 0, to which tokens can be taken back */
#define HEADER_READERS 1 /* balanced, of the first sequence: how many workgroups have read all lengths in this step */
#define HEADER_ARRIVED 2 /* the number of row blocks that are done in this step */
#define HEADER_FLAGS   3
#define HEADER_ROW_BLOCKS   4 /* for each row block, the number of workgroups that are done */
#define HEADER_WORDS   12

#define FLAG_BROKEN 1 /* more tokens were taken back than the cache allows: keys that are needed are lost */
#define FLAG_LAYOUT 2 /* the fragment layout was checked and is the known one */

/* The maximum number of row blocks with their own workgroups. */
#define DECODE_MAX_ROW_BLOCKS (HEADER_WORDS - HEADER_ROW_BLOCKS)

/* `evicted` is the position of the token that evicted a key from the `window` most important ones. If the key never was
 * one of them, it is the key's own position. NEVER: the key is one of them. */
#define NEVER 0x7fffffff

/* Specialization constants, X(id, name, default). Strides in bytes, low and high words. */
#define DECODE_CONSTANTS(X)                                                                     \
    X(0, WORKGROUP, 128)                                                                        \
    X(1, CACHE, CACHE_BOUNDED)                                                                  \
    X(2, TYPE, TYPE_F32)                                                                        \
    X(3, TOKENS, 1) /* maximum number of new tokens of a sequence */                            \
    X(4, KV_HEADS, 1)                                                                           \
    X(5, GROUP, 1) /* query heads per kv head */                                                \
    X(6, HEAD_DIM, 64)                                                                          \
    X(7, VALUE_DIM, 64)                                                                         \
    X(8, KEY_LANES, 8) /* neighbouring invocations that share a row of k */                     \
    X(9, BLOCK_ROWS, 4) /* rows (tokens times group) that are computed together */              \
    X(10, BLOCK_KEYS, 256) /* keys that are processed at a time */                              \
    X(11, SPLITS, 1) /* workgroups that share the keys of a sequence and head */                \
    X(12, COLUMN_LANES, 8) /* as in importance.h */                                             \
    X(13, ROW_BLOCKS, 1) /* workgroups that share the blocks of rows */                         \
    X(14, LSE, 0)                                                                               \
    X(15, ALIGNED, 1) /* rows of q, k, v and out begin at multiples of 16 bytes */              \
    X(16, BIAS, 1) /* the importance is added to scores */                                      \
    X(17, IMPORTANCE_GIVEN, 0)                                                                  \
    X(18, PARAMETER_TYPE, TYPE_F32)                                                             \
    X(19, ACTIVATION, 0) /* as in importance.h */                                               \
    X(20, DT_BIAS, 0)                                                                           \
    X(21, SUBGROUP, 32) /* matrix: invocations of a subgroup */                                 \
    X(22, MATRIX_M, 16) /* matrix: the device's matrices: M x K times K x N */                  \
    X(23, MATRIX_N, 16)                                                                         \
    X(24, MATRIX_K, 16)                                                                         \
    X(25, PAGES, 1) /* paged: number of pages in the pool */                                    \
    X(26, LOADS_AHEAD, 8) /* loads of a kind in flight; fewer need fewer registers */           \
    X(27, ROLLBACK, 0)                                                                          \
    X(28, CAPACITY, 1) /* bounded: slots; paged: maximum number of keys of a sequence */        \
    X(29, PAGE_SIZE, 16) /* paged */                                                            \
    X(30, MASK, 0) /* 1: a mask exists, [B or 1, heads, T or 1, paged: CAPACITY, bounded: T] */ \
    X(31, MASK_HEADS, 1) /* heads of the mask: 1, KV_HEADS, or all query heads */               \
    X(32, MASK_BATCH_LOW, 0)                                                                    \
    X(33, MASK_BATCH_HIGH, 0)                                                                   \
    X(34, MASK_HEAD_LOW, 0)                                                                     \
    X(35, MASK_HEAD_HIGH, 0)                                                                    \
    X(36, MASK_QUERY_LOW, 0)                                                                    \
    X(37, MASK_QUERY_HIGH, 0)                                                                   \
    X(38, Q_BATCH_LOW, 0)                                                                       \
    X(39, Q_BATCH_HIGH, 0)                                                                      \
    X(40, Q_SEQUENCE_LOW, 0)                                                                    \
    X(41, Q_SEQUENCE_HIGH, 0)                                                                   \
    X(42, Q_HEAD_LOW, 0)                                                                        \
    X(43, Q_HEAD_HIGH, 0)                                                                       \
    X(44, K_BATCH_LOW, 0)                                                                       \
    X(45, K_BATCH_HIGH, 0)                                                                      \
    X(46, K_SEQUENCE_LOW, 0)                                                                    \
    X(47, K_SEQUENCE_HIGH, 0)                                                                   \
    X(48, K_HEAD_LOW, 0)                                                                        \
    X(49, K_HEAD_HIGH, 0)                                                                       \
    X(50, V_BATCH_LOW, 0)                                                                       \
    X(51, V_BATCH_HIGH, 0)                                                                      \
    X(52, V_SEQUENCE_LOW, 0)                                                                    \
    X(53, V_SEQUENCE_HIGH, 0)                                                                   \
    X(54, V_HEAD_LOW, 0)                                                                        \
    X(55, V_HEAD_HIGH, 0)                                                                       \
    X(56, OUT_BATCH_LOW, 0)                                                                     \
    X(57, OUT_BATCH_HIGH, 0)                                                                    \
    X(58, OUT_SEQUENCE_LOW, 0)                                                                  \
    X(59, OUT_SEQUENCE_HIGH, 0)                                                                 \
    X(60, OUT_HEAD_LOW, 0)                                                                      \
    X(61, OUT_HEAD_HIGH, 0)                                                                     \
    X(62, STATE_LOW, 0) /* bytes of a sequence's state */                                       \
    X(63, STATE_HIGH, 0)                                                                        \
    X(64, SINK, 0) /* each query head has a sink (score.glsl) */                                \
    X(65, PAIR_BIAS, 0) /* paged: 1: a bias exists, of the dimensions of a mask */              \
    X(66, PAIR_BIAS_TYPE, TYPE_F32)                                                             \
    X(67, PAIR_BIAS_HEADS, 1) /* as MASK_HEADS */                                               \
    X(68, PAIR_BIAS_BATCH_LOW, 0)                                                               \
    X(69, PAIR_BIAS_BATCH_HIGH, 0)                                                              \
    X(70, PAIR_BIAS_HEAD_LOW, 0)                                                                \
    X(71, PAIR_BIAS_HEAD_HIGH, 0)                                                               \
    X(72, PAIR_BIAS_QUERY_LOW, 0)                                                               \
    X(73, PAIR_BIAS_QUERY_HIGH, 0)                                                              \
    X(74, SLOPES, 0) /* paged: as in lib/attention.h */                                         \
    X(75, Q_TYPE, TYPE_F32) /* TYPE is that of new k and v */                                   \
    X(76, OUT_TYPE, TYPE_F32)                                                                   \
    X(77, K_FORMAT, FORMAT_F32) /* formats of the cache: that of TYPE, or with FORMATS any */   \
    X(78, V_FORMAT, FORMAT_F32)                                                                 \
    X(79, TWO_LOOPS, 0) /* formats by matrices: lists without new tokens have a loop of their own */ \
    SELECT_CONSTANTS(X)                                                                         \
    SCORE_CONSTANTS(X)

/* Further ones of the variants with BALANCED (balance.h). */
#define BALANCE_CONSTANTS(X) \
    X(90, BATCH, 1)          \
    X(91, SHARES, 1)         \
    X(92, LEAST_KEYS, 1) /* the fewest keys that are worth a workgroup */

/* Push constants of decode.comp. With a paged cache, the parameters of the importance have two
 * names, because there is no room for more. */
#define DECODE_PARAMS                                                                                         \
    DMATTN_ADDRESS q;                                                                                         \
    DMATTN_ADDRESS k;                                                                                         \
    DMATTN_ADDRESS v;                                                                                         \
    DMATTN_ADDRESS out_;                                                                                      \
    DMATTN_ADDRESS lse;                                                                                       \
    DMATTN_ADDRESS state;                                                                                     \
    DMATTN_ADDRESS partials;  /* for each kv head f32 [splits, T * G, Dv], then pairs (maximum, sum) */       \
    DMATTN_ADDRESS counts;    /* int32 [B] */                                                                 \
    DMATTN_ADDRESS keep;      /* int32 [B] */                                                                 \
    DMATTN_ADDRESS dt_weight; /* or the importance, f32 [B, Hk, T] */                                         \
    DMATTN_ADDRESS a;                                                                                         \
    DMATTN_ADDRESS dt_bias;

/* Additional push constants of the variants for a bounded cache. */
#define BOUNDED_PARAMS DMATTN_ADDRESS sink; /* f32 [H] */

/* Additional push constants of the variants with a mask of the new tokens. */
#define TREE_PARAMS DMATTN_ADDRESS mask; /* uint8 [B or 1, T or 1, T] */

/* Additional push constants of the variants for a paged cache. */
#define PAGED_SINK   a         /* f32 [H], if no importance is computed */
#define PAGED_SLOPES dt_bias   /* f32 [H], if there is no importance */
#define PAGED_BIAS   dt_weight /* likewise */
#define PAGED_LISTS  mask      /* with selected keys (lib/lists.h) */
#define PAGED_PARAMS                                                                                  \
    DMATTN_ADDRESS pages;                                                                             \
    DMATTN_ADDRESS table; /* int32 [B, maximum number of pages of a sequence] */                      \
    DMATTN_ADDRESS mask;

/* Push constants of the kernels that fill the cache of a sequence with tokens. Strides are in bytes unless stated
 * otherwise. */
#define FILL_PARAMS                                                                        \
    DMATTN_ADDRESS k;          /* of the new tokens [keys, Hk, D] */                       \
    DMATTN_ADDRESS v;          /* likewise */                                              \
    DMATTN_ADDRESS importance; /* f32 [Hk, importance_stride] */                           \
    DMATTN_ADDRESS state;                                                                  \
    DMATTN_ADDRESS pages;                                                                  \
    DMATTN_ADDRESS table;                                                                  \
    DMATTN_ADDRESS k_sequence;                                                             \
    DMATTN_ADDRESS k_head;                                                                 \
    DMATTN_ADDRESS v_sequence;                                                             \
    DMATTN_ADDRESS v_head;                                                                 \
    DMATTN_UINT sequence;                                                                  \
    DMATTN_UINT first;             /* tokens that the sequence keeps, if it has as many */ \
    DMATTN_UINT keys;              /* new tokens */                                        \
    DMATTN_UINT importance_stride; /* elements */                                          \
    DMATTN_UINT aligned;           /* rows of k and v begin at multiples of 16 bytes */

/* Push constants of chunk_keys.comp; those with the same names are as in FILL_PARAMS. */
#define CHUNK_PARAMS                                                               \
    DMATTN_ADDRESS k;                                                              \
    DMATTN_ADDRESS v;                                                              \
    DMATTN_ADDRESS importance;                                                     \
    DMATTN_ADDRESS state;                                                          \
    DMATTN_ADDRESS results; /* arrays of the keys of the cache and of the chunk */ \
    DMATTN_ADDRESS k_sequence;                                                     \
    DMATTN_ADDRESS k_head;                                                         \
    DMATTN_ADDRESS v_sequence;                                                     \
    DMATTN_ADDRESS v_head;                                                         \
    DMATTN_UINT sequence;                                                          \
    DMATTN_UINT first;                                                             \
    DMATTN_UINT keys;                                                              \
    DMATTN_UINT importance_stride;                                                 \
    DMATTN_UINT aligned;                                                           \
    DMATTN_UINT cached; /* the smaller one of `first` and CAPACITY */

/* Push constants of chunk_broken.comp. */
#define CHUNK_BROKEN_PARAMS                          \
    DMATTN_ADDRESS out_;         /* [keys, H, Dv] */ \
    DMATTN_ADDRESS lse;          /* f32 [H, keys] */ \
    DMATTN_ADDRESS state;                            \
    DMATTN_ADDRESS out_sequence; /* bytes */         \
    DMATTN_ADDRESS out_head;                         \
    DMATTN_UINT sequence;                            \
    DMATTN_UINT keys;

/* Push constants of copy_state.comp, which copies the state of a sequence to another one. */
#define COPY_PARAMS      \
    DMATTN_ADDRESS from; \
    DMATTN_ADDRESS to;   \
    DMATTN_UINT quads;
