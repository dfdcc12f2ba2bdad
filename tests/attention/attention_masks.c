/* SPDX-License-Identifier: MIT
 * Cases with masks and biases, and the content of masks and biases. */
#include "attention_cases.h"

#include "reference/element.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Every broadcast of a score shape for 2 batch items, 4 query heads, 2 kv heads, and SQ queries. */
#define BROADCASTS(X, SQ)                                                                                          \
    X(1, 1, 1), X(1, 2, 1), X(1, 4, 1), X(2, 1, 1), X(2, 2, 1), X(2, 4, 1), X(1, 1, SQ), X(1, 2, SQ), X(1, 4, SQ), \
        X(2, 1, SQ), X(2, 2, SQ), X(2, 4, SQ)

#define MASK(b, h, t)                                     \
    {                                                     \
        .name = "mask " #b " x " #h " x " #t, .desc = {   \
            F32,                                          \
            SIZE(2, (t) > 1 ? (t) : 15, 71, 4, 2, 16, 0), \
            LSE,                                          \
            DENSE(.batch = b, .heads = h, .queries = t)   \
        }                                                 \
    }
static const attention_case dense[] = {
    BROADCASTS(MASK, 66),
    {.name = "f16", .desc = {F16, SIZE(1, 33, 130, 2, 1, 32, 0), LSE, DENSE(.queries = 33)}},
    {.name = "bf16", .desc = {BF16, SIZE(1, 130, 33, 2, 1, 32, 0), LSE, CAUSAL, DENSE(.heads = 2, .queries = 130)}},
    {.name = "causal",
     .desc = {F32, SIZE(2, 100, 131, 4, 2, 16, 0), LSE, CAUSAL, DENSE(.batch = 2, .heads = 2, .queries = 100)}},
    {.name = "causal, by key", .desc = {F32, SIZE(2, 131, 100, 4, 2, 16, 0), LSE, CAUSAL, DENSE(.batch = 2)}},
    {.name = "one key", .desc = {F32, SIZE(1, 70, 1, 2, 1, 16, 0), LSE, DENSE(.queries = 70)}},
    {.name = "one query", .desc = {F32, SIZE(2, 1, 203, 4, 1, 64, 0), LSE, DENSE(.batch = 2, .heads = 4)}},
    {.name = "3 x 3",
     .desc = {F16, SIZE(2, 3, 3, 2, 2, 8, 0), LSE, CAUSAL, DENSE(.batch = 2, .heads = 2, .queries = 3)}},
    {.name = "rows apart",
     .desc = {F32, SIZE(2, 40, 71, 4, 2, 16, 0), LSE,
              DENSE(.batch = 2, .heads = 2, .queries = 40, .batch_stride = 2 * 40 * 75 + 5, .head_stride = 40 * 75,
                    .query_stride = 75)}},
    {.name = "queries before heads",
     .desc = {F32, SIZE(2, 40, 71, 4, 2, 16, 0), LSE,
              DENSE(.batch = 2, .heads = 4, .queries = 40, .batch_stride = 71, .head_stride = 2 * 71,
                    .query_stride = 4 * 2 * 71)}},
    {.name = "repeated by stride 0",
     .desc = {F32, SIZE(2, 40, 71, 4, 2, 16, 0), LSE, CAUSAL,
              DENSE(.batch = 2, .heads = 4, .queries = 40, .batch_stride = 0, .head_stride = 77, .query_stride = 0)}},
    {.name = "slice of a band, rows overlap",
     .desc = {F32, SIZE(1, 70, 64, 2, 1, 16, 0), LSE, DENSE(.queries = 70, .query_stride = 1)}},
};
GROUP(dense, dense);

static const attention_case dense_tiles[] = {
    {.name = "tiles", .desc = {F32, SIZE(1, 200, 300, 2, 1, 16, 0), LSE, DENSE(.queries = 200)}, .data = DATA_TILES},
    {.name = "tiles by head",
     .desc = {F16, SIZE(2, 200, 300, 4, 2, 16, 0), LSE, DENSE(.heads = 4, .queries = 200)},
     .data = DATA_TILES},
    {.name = "tiles, causal",
     .desc = {F32, SIZE(1, 200, 300, 2, 2, 16, 0), LSE, CAUSAL, DENSE(.heads = 2, .queries = 200)},
     .data = DATA_TILES},
    {.name = "tiles, causal, more queries",
     .desc = {F32, SIZE(1, 300, 200, 2, 1, 16, 0), LSE, CAUSAL, DENSE(.queries = 300)},
     .data = DATA_TILES},
    {.name = "tiles by key", .desc = {F32, SIZE(2, 200, 300, 2, 1, 16, 0), LSE, DENSE(.batch = 2)}, .data = DATA_TILES},
    {.name = "tiles, wide",
     .desc = {F16, SIZE(1, 130, 200, 2, 1, 160, 0), LSE, DENSE(.queries = 130)},
     .data = DATA_TILES},
    {.name = "tiles, few queries",
     .desc = {F32, SIZE(1, 9, 2200, 2, 1, 16, 0), LSE, DENSE(.queries = 9)},
     .data = DATA_TILES},
    {.name = "tiles, many",
     .desc = {F32, SIZE(1, 70, 4300, 1, 1, 8, 0), LSE, DENSE(.queries = 70)},
     .data = DATA_TILES},
    {.name = "dead rows",
     .desc = {F32, SIZE(1, 200, 150, 2, 1, 16, 0), LSE, DENSE(.queries = 200)},
     .data = DATA_DEAD_ROWS},
    {.name = "dead rows f16, causal",
     .desc = {F16, SIZE(2, 150, 100, 4, 2, 16, 0), LSE, CAUSAL, DENSE(.heads = 4, .queries = 150)},
     .data = DATA_DEAD_ROWS},
    {.name = "nothing", .desc = {F32, SIZE(1, 70, 150, 2, 1, 16, 0), LSE, DENSE(.queries = 70)}, .data = DATA_NOTHING},
    {.name = "nothing, by key",
     .desc = {F16, SIZE(2, 70, 150, 2, 1, 16, 0), LSE, DENSE(.batch = 2, .heads = 2)},
     .data = DATA_NOTHING},
    {.name = "everything",
     .desc = {F32, SIZE(1, 70, 150, 2, 1, 16, 0), LSE, DENSE(.queries = 70)},
     .data = DATA_EVERYTHING},
    {.name = "everything, causal",
     .desc = {BF16, SIZE(1, 150, 70, 2, 1, 16, 0), LSE, CAUSAL, DENSE(.heads = 2, .queries = 150)},
     .data = DATA_EVERYTHING},
    {.name = "one key each",
     .desc = {F32, SIZE(1, 150, 130, 2, 1, 16, 0), LSE, DENSE(.heads = 2, .queries = 150)},
     .data = DATA_ONE},
};
GROUP(dense_tiles, dense_tiles);

#define SCORE(b, h, t)                                      \
    {                                                       \
        .name = "bias " #b " x " #h " x " #t, .desc = {     \
            F32,                                            \
            SIZE(2, 14, 71, 4, 2, 16, 0),                   \
            LSE,                                            \
            BIAS(F32, .batch = b, .heads = h, .queries = t) \
        }                                                   \
    }
static const attention_case bias[] = {
    BROADCASTS(SCORE, 14),
    {.name = "f16 of f16",
     .desc = {F16, SIZE(1, 33, 65, 4, 2, 24, 0), LSE, CAUSAL, BIAS(F16, .heads = 2, .queries = 33)}},
    {.name = "bf16 of bf16", .desc = {BF16, SIZE(1, 65, 33, 4, 2, 24, 0), LSE, BIAS(BF16, .heads = 4, .queries = 65)}},
    {.name = "f32 of f16", .desc = {F16, SIZE(1, 13, 65, 4, 2, 24, 0), LSE, BIAS(F32, .heads = 2)}},
    {.name = "f16 of f32", .desc = {F32, SIZE(2, 13, 65, 4, 2, 24, 0), LSE, CAUSAL, BIAS(F16, .batch = 2, .heads = 2)}},
    {.name = "bf16 of f32", .desc = {F32, SIZE(1, 33, 65, 4, 2, 24, 0), LSE, BIAS(BF16, .heads = 4, .queries = 33)}},
    {.name = "f16 of bf16", .desc = {BF16, SIZE(2, 33, 65, 4, 2, 24, 0), LSE, BIAS(F16, .batch = 2, .queries = 33)}},
    {.name = "f32 of bf16, one query",
     .desc = {BF16, SIZE(2, 1, 65, 4, 2, 24, 0), LSE, CAUSAL, BIAS(F32, .batch = 2, .heads = 2)}},
    {.name = "rows apart f16",
     .desc = {F16, SIZE(2, 40, 71, 4, 2, 16, 0), LSE,
              BIAS(F16, .batch = 2, .heads = 2, .queries = 40, .batch_stride = 2 * 40 * 75 + 5, .head_stride = 40 * 75,
                   .query_stride = 75)}},
    {.name = "queries before heads",
     .desc = {F32, SIZE(2, 40, 71, 4, 2, 16, 0), LSE, CAUSAL,
              BIAS(F32, .batch = 2, .heads = 4, .queries = 40, .batch_stride = 71, .head_stride = 2 * 71,
                   .query_stride = 4 * 2 * 71)}},
    {.name = "relative positions",
     .desc = {F32, SIZE(1, 70, 64, 2, 1, 16, 0), LSE,
              BIAS(BF16, .heads = 2, .queries = 70, .head_stride = 133, .query_stride = 1)}},
    {.name = "infinite by query",
     .desc = {F32, SIZE(1, 66, 71, 4, 2, 16, 0), LSE, BIAS(F32, .heads = 2, .queries = 66)},
     .data = DATA_INFINITE_BIAS},
    {.name = "infinite by query f16, causal",
     .desc = {F16, SIZE(1, 71, 66, 4, 2, 16, 0), LSE, CAUSAL, BIAS(F16, .heads = 4, .queries = 71)},
     .data = DATA_INFINITE_BIAS},
    {.name = "infinite by key bf16",
     .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, BIAS(BF16, .batch = 2, .heads = 4)},
     .data = DATA_INFINITE_BIAS},
    {.name = "infinite all over",
     .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, BIAS(F32, .heads = 2, .queries = 66)},
     .data = DATA_NOTHING},
};
GROUP(bias, bias);

static const attention_case bias_and_dense[] = {
    {.name = "alike",
     .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, DENSE(.batch = 2, .heads = 2, .queries = 66),
              BIAS(F32, .batch = 2, .heads = 2, .queries = 66)}},
    {.name = "mask by key, bias by query",
     .desc = {F16, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, DENSE(.batch = 2), BIAS(F16, .heads = 4, .queries = 66)}},
    {.name = "mask by query, bias by key",
     .desc = {BF16, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, CAUSAL, DENSE(.heads = 4, .queries = 66),
              BIAS(F32, .batch = 2)}},
    {.name = "tiles and bias by key",
     .desc = {F32, SIZE(1, 200, 300, 4, 2, 16, 0), LSE, CAUSAL, DENSE(.heads = 2, .queries = 200),
              BIAS(F32, .heads = 2)},
     .data = DATA_TILES},
    {.name = "dead rows and bias",
     .desc = {F32, SIZE(1, 150, 71, 4, 2, 16, 0), LSE, DENSE(.queries = 150), BIAS(F16, .heads = 2, .queries = 150)},
     .data = DATA_DEAD_ROWS},
    {.name = "infinite bias",
     .desc = {F32, SIZE(1, 66, 71, 4, 2, 16, 0), LSE, DENSE(.heads = 4, .queries = 66),
              BIAS(F32, .heads = 2, .queries = 66)},
     .data = DATA_INFINITE_BIAS},
    {.name = "soft cap",
     .desc = {F16, SIZE(1, 66, 71, 4, 1, 40, 0), LSE, CAUSAL, .soft_cap = 4, DENSE(.queries = 66),
              BIAS(BF16, .heads = 4)}},
};
GROUP(bias_and_dense, bias_and_dense);

static const attention_case intervals[] = {
    {.name = "1 x 1", .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, INTERVALS(.batch = 1)}},
    {.name = "1 x 2", .desc = {F32, SIZE(2, 14, 71, 4, 2, 16, 0), LSE, INTERVALS(.heads = 2)}},
    {.name = "1 x 4", .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, INTERVALS(.heads = 4)}},
    {.name = "2 x 1", .desc = {F16, SIZE(2, 14, 71, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2)}},
    {.name = "2 x 2", .desc = {BF16, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "2 x 4", .desc = {F32, SIZE(2, 14, 71, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 4)}},
    {.name = "causal", .desc = {F32, SIZE(2, 130, 171, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "causal, more queries",
     .desc = {F32, SIZE(2, 171, 130, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.batch = 2, .heads = 4)}},
    {.name = "one query", .desc = {F16, SIZE(2, 1, 203, 4, 2, 64, 0), LSE, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "one key", .desc = {F32, SIZE(2, 70, 1, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "nothing",
     .desc = {F32, SIZE(2, 70, 130, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2)},
     .data = DATA_NOTHING},
    {.name = "nothing, causal",
     .desc = {F16, SIZE(2, 70, 130, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.heads = 2)},
     .data = DATA_NOTHING},
    {.name = "everything",
     .desc = {F32, SIZE(2, 70, 130, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2)},
     .data = DATA_EVERYTHING},
    {.name = "everything, causal",
     .desc = {F32, SIZE(2, 130, 70, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.heads = 4)},
     .data = DATA_EVERYTHING},
    {.name = "one query each",
     .desc = {F32, SIZE(1, 130, 170, 4, 2, 16, 0), LSE, INTERVALS(.heads = 2)},
     .data = DATA_ONE},
    {.name = "window",
     .desc = {F32, SIZE(1, 300, 300, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.heads = 2)},
     .data = DATA_WINDOW},
    {.name = "window, not causal",
     .desc = {F16, SIZE(1, 200, 333, 2, 1, 16, 0), LSE, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "window, more queries",
     .desc = {BF16, SIZE(1, 250, 133, 2, 1, 16, 0), LSE, INTERVALS(.heads = 2)},
     .data = DATA_WINDOW},
    {.name = "window, many tiles",
     .desc = {F32, SIZE(1, 20, 4400, 1, 1, 8, 0), LSE, CAUSAL, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "window, wide",
     .desc = {F32, SIZE(1, 150, 150, 2, 1, 192, 0), LSE, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "a group of 3", .desc = {F32, SIZE(2, 100, 90, 6, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "a group of 70",
     .desc = {F16, SIZE(1, 20, 90, 70, 1, 16, 0), LSE, CAUSAL, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "lists that do not fit",
     .desc = {F32, SIZE(2, 200, 300, 4, 2, 16, 0), LSE, CAUSAL, INTERVALS(.batch = 2, .heads = 2), .list_capacity = 1}},
    {.name = "lists that do not fit, everything",
     .desc = {F16, SIZE(1, 70, 130, 4, 2, 16, 0), LSE, INTERVALS(.heads = 4), .list_capacity = 20},
     .data = DATA_EVERYTHING},
    {.name = "lists of two levels",
     .desc = {F16, SIZE(1, 1100, 500, 4, 1, 8, 0), LSE, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "strided",
     .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE,
              INTERVALS(.batch = 2, .heads = 2, .batch_stride = 75, .head_stride = 170)}},
    {.name = "repeated by stride 0",
     .desc = {F32, SIZE(2, 66, 71, 4, 2, 16, 0), LSE, CAUSAL,
              INTERVALS(.batch = 2, .heads = 4, .batch_stride = 400, .head_stride = 0)}},
};
GROUP(intervals, intervals);

static const attention_case intervals_and_bias[] = {
    {.name = "bias by kv head",
     .desc = {F32, SIZE(2, 130, 71, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2),
              BIAS(F32, .batch = 2, .heads = 2)}},
    {.name = "bias by kv head f16, causal",
     .desc = {F16, SIZE(2, 71, 130, 4, 2, 64, 0), LSE, CAUSAL, INTERVALS(.batch = 2, .heads = 2),
              BIAS(F16, .batch = 2, .heads = 2)}},
    {.name = "bias for all",
     .desc = {BF16, SIZE(2, 71, 130, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 4), BIAS(BF16, .heads = 1)}},
    {.name = "bias by head",
     .desc = {F16, SIZE(2, 71, 130, 4, 2, 16, 0), INTERVALS(.heads = 1), BIAS(F32, .batch = 2, .heads = 4)}},
    {.name = "window",
     .desc = {F32, SIZE(1, 200, 200, 4, 2, 32, 0), LSE, CAUSAL, INTERVALS(.heads = 2), BIAS(F32, .heads = 2)},
     .data = DATA_WINDOW},
    {.name = "infinite bias",
     .desc = {F32, SIZE(2, 71, 130, 4, 2, 16, 0), LSE, INTERVALS(.batch = 2, .heads = 2),
              BIAS(F32, .batch = 2, .heads = 2)},
     .data = DATA_INFINITE_BIAS},
    {.name = "decoding",
     .desc = {F16, SIZE(2, 1, 500, 8, 2, 128, 0), LSE, INTERVALS(.batch = 2, .heads = 2),
              BIAS(F16, .batch = 2, .heads = 2)}},
    {.name = "soft cap",
     .desc = {F32, SIZE(1, 71, 130, 4, 2, 16, 0), LSE, .soft_cap = 3, INTERVALS(.heads = 2), BIAS(F32, .heads = 2)}},
    {.name = "odd rows",
     .desc = {BF16, SIZE(1, 71, 130, 2, 1, 16, 0), LSE, .v_strides = {0, 17, 0}, INTERVALS(.heads = 1),
              BIAS(F32, .heads = 1)}},
};
GROUP(intervals_and_bias, intervals_and_bias);

/* A mask that is added. Where all its elements are 0, kernels add nothing; where all are -infinity, they skip. */
static const attention_case additive[] = {
    {.name = "f32",
     .desc = {F32, SIZE(2, 70, 90, 4, 2, 16, 0), LSE, ADDITIVE(F32, .batch = 2, .heads = 4, .queries = 70)}},
    {.name = "f16 tiles",
     .desc = {F16, SIZE(1, 140, 260, 4, 2, 64, 0), LSE, ADDITIVE(F16, .queries = 140)},
     .data = DATA_TILES},
    {.name = "bf16 tiles of kv heads",
     .desc = {BF16, SIZE(1, 130, 200, 4, 2, 24, 40), LSE, .scale = 0.3f, ADDITIVE(BF16, .heads = 2, .queries = 130)},
     .data = DATA_TILES},
    {.name = "causal",
     .desc = {F16, SIZE(1, 130, 140, 2, 1, 64, 0), LSE, ADDITIVE(F16, .queries = 130)},
     .data = DATA_CAUSAL},
    {.name = "one row adds",
     .desc = {F16, SIZE(1, 260, 304, 4, 2, 64, 0), LSE, SINK, ADDITIVE(F16, .queries = 260)},
     .data = DATA_ONE_ADDS},
    {.name = "window",
     .desc = {BF16, SIZE(2, 200, 304, 3, 3, 32, 0), LSE, ADDITIVE(BF16, .queries = 200)},
     .data = DATA_WINDOW},
    {.name = "causal in both ways, odd rows",
     .desc = {F32, SIZE(2, 90, 75, 2, 1, 16, 0), LSE, CAUSAL,
              ADDITIVE(F16, .batch = 2, .queries = 90, .batch_stride = 90 * 77, .query_stride = 77)},
     .data = DATA_CAUSAL},
    {.name = "by key",
     .desc = {F16, SIZE(2, 70, 300, 4, 2, 32, 0), LSE, ADDITIVE(F32, .batch = 2, .heads = 2)},
     .data = DATA_TILES},
    {.name = "by key and head", .desc = {BF16, SIZE(1, 20, 90, 4, 1, 16, 0), LSE, ADDITIVE(BF16, .heads = 4)}},
    {.name = "few queries", .desc = {F16, SIZE(2, 3, 300, 8, 2, 64, 0), LSE, ADDITIVE(F16, .queries = 3)}},
    {.name = "rows that see nothing",
     .desc = {F32, SIZE(1, 130, 140, 2, 1, 16, 0), LSE, ADDITIVE(F16, .queries = 130)},
     .data = DATA_DEAD_ROWS},
    {.name = "nothing is visible",
     .desc = {F32, SIZE(1, 70, 70, 2, 1, 16, 0), LSE, ADDITIVE(F32, .queries = 70)},
     .data = DATA_NOTHING},
    {.name = "everything is visible",
     .desc = {F16, SIZE(1, 70, 140, 2, 1, 16, 0), LSE, ADDITIVE(F16, .queries = 70)},
     .data = DATA_EVERYTHING},
    {.name = "soft cap and sinks",
     .desc = {F32, SIZE(1, 70, 140, 4, 2, 16, 0), LSE, SINK, .soft_cap = 2, ADDITIVE(F32, .queries = 70)},
     .data = DATA_TILES},
};
GROUP(additive, additive);

/* Lists of keys or of blocks. Random ones have numbers that occur twice and numbers that are no key. */
static const attention_case selected[] = {
    {.name = "one list", .desc = {F32, SIZE(2, 70, 90, 4, 2, 16, 0), LSE, SELECTED(20, 1, .queries = 1)}},
    {.name = "for all heads", .desc = {F16, SIZE(2, 70, 130, 4, 2, 64, 0), LSE, SELECTED(12, 1, .queries = 70)}},
    {.name = "by kv head, causal",
     .desc = {BF16, SIZE(2, 71, 130, 4, 2, 32, 0), LSE, CAUSAL, SELECTED(17, 1, .batch = 2, .heads = 2, .queries = 71)},
     .data = DATA_NEIGHBOURS},
    {.name = "by head, causal, more queries than keys",
     .desc = {F32, SIZE(1, 150, 90, 4, 2, 16, 0), LSE, CAUSAL, SELECTED(9, 1, .heads = 4, .queries = 150)}},
    {.name = "one query", .desc = {F16, SIZE(2, 1, 700, 8, 2, 64, 0), LSE, SELECTED(300, 1, .batch = 2, .heads = 2)}},
    {.name = "one key", .desc = {F32, SIZE(1, 40, 1, 2, 1, 16, 0), LSE, SELECTED(1, 1, .queries = 40)}},
    {.name = "longer than the keys", .desc = {F16, SIZE(1, 33, 40, 2, 1, 24, 0), LSE, SELECTED(90, 1, .queries = 33)}},
    {.name = "blocks of 16",
     .desc = {F16, SIZE(1, 70, 300, 4, 2, 64, 40), LSE, CAUSAL, SELECTED(5, 16, .heads = 2, .queries = 70)}},
    {.name = "blocks of 32, odd rows",
     .desc = {BF16, SIZE(1, 40, 201, 2, 1, 24, 0), LSE, .k_strides = {0, 25, 0}, .v_strides = {0, 27, 0},
              SELECTED(3, 32, .queries = 40)},
     .data = DATA_NEIGHBOURS},
    {.name = "blocks of 128",
     .desc = {F32, SIZE(1, 100, 500, 2, 2, 16, 0), LSE, SELECTED(2, 128, .heads = 2, .queries = 100)}},
    {.name = "bias by key, soft cap, sinks",
     .desc = {F16, SIZE(2, 40, 130, 4, 2, 32, 0), LSE, CAUSAL, SINK, .soft_cap = 3,
              SELECTED(24, 1, .batch = 2, .queries = 40), BIAS(F16, .batch = 2, .heads = 2)}},
    {.name = "bias of pairs",
     .desc = {F32, SIZE(1, 40, 90, 4, 2, 16, 0), LSE, SELECTED(15, 1, .queries = 40), BIAS(BF16, .queries = 40)}},
    {.name = "distances, q and out f32",
     .desc = {BF16, .q_f32 = true, .out_f32 = true, SIZE(1, 66, 140, 6, 2, 40, 0), LSE, CAUSAL, SLOPES,
              SELECTED(4, 16, .heads = 2, .queries = 66)}},
    {.name = "nothing is selected",
     .desc = {F16, SIZE(1, 40, 60, 2, 1, 16, 0), LSE, SINK, SELECTED(5, 1, .queries = 40)},
     .data = DATA_NOTHING},
    {.name = "all keys",
     .desc = {F32, SIZE(1, 70, 150, 2, 1, 16, 0), LSE, CAUSAL, SELECTED(150, 1, .queries = 70)},
     .data = DATA_EVERYTHING},
    {.name = "rows apart",
     .desc = {F32, SIZE(2, 30, 80, 4, 2, 16, 0), LSE,
              SELECTED(7, 1, .batch = 2, .heads = 2, .queries = 30, .batch_stride = 1, .head_stride = 700,
                       .query_stride = 20)}},
    {.name = "a group of 128, 64 queries",
     .desc = {BF16, SIZE(1, 9, 100, 128, 1, 24, 16), LSE, SELECTED(30, 1, .queries = 9)}},
    {.name = "many entries, segments of keys",
     .desc = {F32, SIZE(1, 17, 33000, 1, 1, 8, 0), LSE, CAUSAL, SELECTED(400, 1, .queries = 17)}},
    {.name = "ascending, segments of keys",
     .desc = {F16, SIZE(1, 70, 20000, 1, 1, 8, 0), LSE, CAUSAL, SELECTED(333, 1, .queries = 70)},
     .data = DATA_ASCENDING},
    {.name = "ascending blocks of 2, a group of 128, 64 queries",
     .desc = {BF16, SIZE(1, 9, 20000, 128, 1, 8, 0), LSE, SELECTED(70, 2, .queries = 9)},
     .data = DATA_ASCENDING},
    {.name = "the last list does not ascend at its end",
     .desc = {F32, SIZE(1, 33, 20000, 1, 1, 8, 0), LSE, SELECTED(333, 1, .queries = 33)},
     .data = DATA_LATE_DISORDER},
};
GROUP(selected, selected);

/* Slopes multiply the bias or, without one, the distance. */
static const attention_case slopes[] = {
    {.name = "distances", .desc = {F32, SIZE(2, 70, 90, 4, 2, 16, 0), LSE, SLOPES}},
    {.name = "distances f16 causal", .desc = {F16, SIZE(1, 130, 140, 4, 2, 64, 0), LSE, CAUSAL, SLOPES}},
    {.name = "distances bf16, one query", .desc = {BF16, SIZE(2, 1, 300, 8, 2, 64, 0), LSE, CAUSAL, SLOPES, SINK}},
    {.name = "distances, intervals", .desc = {F16, SIZE(1, 70, 140, 4, 2, 24, 0), LSE, SLOPES, INTERVALS(.heads = 2)}},
    {.name = "more queries than keys", .desc = {F32, SIZE(1, 90, 40, 3, 1, 16, 0), LSE, SLOPES, .soft_cap = 3}},
    {.name = "additive mask",
     .desc = {F16, SIZE(1, 130, 140, 4, 2, 32, 0), LSE, SLOPES, ADDITIVE(F16, .queries = 130)},
     .data = DATA_TILES},
    {.name = "additive mask by key",
     .desc = {BF16, SIZE(2, 40, 140, 4, 1, 16, 0), LSE, SLOPES, ADDITIVE(F32, .batch = 2)}},
    {.name = "bias and dense mask",
     .desc = {F32, SIZE(1, 70, 90, 4, 2, 16, 0), LSE, SLOPES, DENSE(.queries = 70), BIAS(F16, .queries = 70)}},
};
GROUP(slopes, slopes);

/* Each head has a sink. A query that sees no key has it as lse. */
static const attention_case sinks[] = {
    {.name = "f32", .desc = {F32, SIZE(2, 70, 90, 4, 2, 16, 0), LSE, SINK}},
    {.name = "f16 causal", .desc = {F16, SIZE(1, 70, 90, 4, 2, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "bf16 soft cap and bias",
     .desc = {BF16, SIZE(1, 66, 70, 6, 2, 24, 40), LSE, SINK, .soft_cap = 2, BIAS(F32, .heads = 6)}},
    {.name = "no lse", .desc = {F16, SIZE(1, 20, 90, 4, 1, 32, 0), SINK}},
    {.name = "more queries than keys", .desc = {F32, SIZE(1, 90, 40, 2, 1, 16, 0), LSE, CAUSAL, SINK}},
    {.name = "one query in splits", .desc = {F16, SIZE(1, 1, 700, 8, 2, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "few queries, dense, bias",
     .desc = {F32, SIZE(2, 3, 300, 4, 2, 32, 0), LSE, SINK, DENSE(.queries = 3), BIAS(F16, .queries = 3)}},
    {.name = "dense rows that see nothing",
     .desc = {BF16, SIZE(1, 130, 140, 2, 1, 16, 0), LSE, SINK, DENSE(.queries = 130)},
     .data = DATA_DEAD_ROWS},
    {.name = "intervals", .desc = {F16, SIZE(2, 70, 140, 4, 2, 32, 0), LSE, SINK, INTERVALS(.batch = 2, .heads = 2)}},
    {.name = "nothing is visible",
     .desc = {F32, SIZE(1, 70, 70, 2, 1, 16, 0), LSE, SINK, INTERVALS(.heads = 1)},
     .data = DATA_NOTHING},
    {.name = "infinite bias",
     .desc = {F16, SIZE(1, 66, 71, 4, 2, 16, 0), LSE, SINK, BIAS(F32, .queries = 66)},
     .data = DATA_INFINITE_BIAS},
    {.name = "large scores", .desc = {F32, SIZE(1, 16, 66, 2, 1, 32, 0), LSE, SINK, .scale = -1}, .data = DATA_LARGE},
    {.name = "wide", .desc = {F16, SIZE(1, 40, 50, 2, 1, 136, 0), LSE, CAUSAL, SINK}},
};
GROUP(sinks, sinks);

/* Cases for matrix levels: dimensions and tiles are divided into matrices, and scores are in units of q k. */
static const attention_case matrices[] = {
    {.name = "d136 dv72 odd rows",
     .desc = {F16, SIZE(1, 40, 50, 2, 1, 136, 72), LSE, CAUSAL, .q_strides = {0, 275, 137}, .k_strides = {0, 137, 0},
              .v_strides = {0, 73, 0}, .out_strides = {0, 147, 73}}},
    {.name = "d248", .desc = {F16, SIZE(1, 20, 40, 2, 1, 248, 0), LSE}},
    {.name = "d72 dv248 bf16", .desc = {BF16, SIZE(1, 40, 40, 2, 1, 72, 248), LSE, CAUSAL}},
    {.name = "d24 dv8 odd rows bf16",
     .desc = {BF16, SIZE(2, 17, 33, 3, 1, 24, 8), LSE, .q_strides = {17 * 77, 77, 25}, .k_strides = {33 * 25, 25, 0},
              .v_strides = {33 * 9, 9, 0}, .out_strides = {17 * 29, 29, 9}}},
    {.name = "d40 one key", .desc = {F16, SIZE(2, 20, 1, 3, 1, 40, 0), LSE}},
    {.name = "one query, a group of 5", .desc = {F16, SIZE(1, 1, 77, 10, 2, 64, 0), LSE, CAUSAL}},
    {.name = "a group of 70, dense",
     .desc = {F16, SIZE(1, 5, 70, 70, 1, 16, 0), LSE, DENSE(.queries = 5), BIAS(F16, .queries = 5)}},
    {.name = "scale -0.3, soft cap, bias by query",
     .desc = {F16, SIZE(2, 33, 66, 4, 2, 40, 0), LSE, CAUSAL, .scale = -0.3f, .soft_cap = 2,
              BIAS(F32, .batch = 2, .heads = 4, .queries = 33)}},
    {.name = "scale -1, bias by key",
     .desc = {F16, SIZE(1, 40, 66, 2, 1, 24, 0), LSE, .scale = -1, BIAS(F32, .heads = 1)}},
    {.name = "scale -2, intervals and bias bf16",
     .desc = {BF16, SIZE(1, 71, 130, 4, 2, 16, 0), LSE, .scale = -2, INTERVALS(.heads = 2), BIAS(F32, .heads = 2)}},
    {.name = "scale 1e-6, bias by key",
     .desc = {F16, SIZE(1, 40, 66, 2, 1, 16, 0), LSE, .scale = 1e-6f, BIAS(F16, .heads = 2)}},
    /* The scale is above 1 / log2 e, so the lowest number times the scale times log2 e is -infinity. */
    {.name = "scale 5, dead rows",
     .desc = {F16, SIZE(1, 200, 150, 2, 1, 16, 0), LSE, .scale = 5, DENSE(.queries = 200)},
     .data = DATA_DEAD_ROWS},
    {.name = "scale 5, window",
     .desc = {F16, SIZE(1, 150, 300, 2, 1, 16, 0), LSE, .scale = 5, CAUSAL, INTERVALS(.heads = 1)},
     .data = DATA_WINDOW},
    {.name = "scale 5, infinite bias",
     .desc = {F16, SIZE(1, 66, 71, 4, 2, 16, 0), LSE, .scale = 5, BIAS(F32, .heads = 2, .queries = 66)},
     .data = DATA_INFINITE_BIAS},
    {.name = "lowest bias by query",
     .desc = {F16, SIZE(1, 66, 130, 2, 1, 16, 0), LSE, BIAS(F32, .queries = 66)},
     .data = DATA_LOWEST_BIAS},
    {.name = "lowest bias by query bf16, scale 5",
     .desc = {BF16, SIZE(1, 66, 71, 2, 1, 16, 0), LSE, .scale = 5, BIAS(BF16, .heads = 2, .queries = 66)},
     .data = DATA_LOWEST_BIAS},
    {.name = "lowest bias by key, causal",
     .desc = {F16, SIZE(1, 66, 130, 2, 1, 16, 0), LSE, CAUSAL, BIAS(F32, .heads = 1)},
     .data = DATA_LOWEST_BIAS},
    {.name = "lowest bias and intervals",
     .desc = {F16, SIZE(1, 66, 130, 2, 1, 16, 0), LSE, INTERVALS(.heads = 1), BIAS(F32, .heads = 1)},
     .data = DATA_LOWEST_BIAS},
    /* their lse is the lowest number, too, and is not checked */
    {.name = "rows of lowest bias",
     .desc = {F16, SIZE(1, 66, 130, 2, 1, 16, 0), BIAS(F32, .queries = 66)},
     .data = DATA_LOWEST_ROWS},
    {.name = "large values", .desc = {F16, SIZE(1, 40, 130, 2, 1, 32, 0), LSE, CAUSAL}, .data = DATA_LARGE_VALUES},
    {.name = "large values bf16, intervals",
     .desc = {BF16, SIZE(1, 40, 130, 2, 1, 32, 0), LSE, INTERVALS(.heads = 1)},
     .data = DATA_LARGE_VALUES},
    {.name = "lists in blocks",
     .desc = {F16, SIZE(1, 200, 300, 6, 2, 24, 0), LSE, CAUSAL, INTERVALS(.heads = 2), BIAS(F16, .heads = 2),
              .list_capacity = 1}},
    {.name = "lists in blocks, odd rows bf16",
     .desc = {BF16, SIZE(1, 40, 301, 3, 1, 40, 72), LSE, .k_strides = {0, 41, 0}, .v_strides = {0, 73, 0},
              INTERVALS(.heads = 1), .list_capacity = 1}},
    {.name = "few keys in lists", .desc = {F16, SIZE(2, 70, 5, 4, 2, 72, 0), LSE, INTERVALS(.batch = 2, .heads = 4)}},
    {.name = "one query each, soft cap",
     .desc = {F16, SIZE(1, 130, 170, 4, 2, 16, 0), LSE, .soft_cap = 1, INTERVALS(.heads = 2)},
     .data = DATA_ONE},
};
GROUP(matrices, matrices);

/* ---- data ---------------------------------------------------------------------------------------------------- */

/* Whether the pair is visible in a dense mask with this data. DATA_RANDOM keeps the random value `was`. */
static bool dense_visible(case_data data, uint32_t t, uint32_t j, bool was)
{
    switch (data) {
    case DATA_TILES: {
        uint64_t state = 1000 * (t / 64) + j / 64;
        uint64_t kind = random_bits(&state) % 3;
        return kind == 0 ? false : kind == 1 ? true : was;
    }
    case DATA_DEAD_ROWS: return t % 3 && t / 64 != 1 && was;
    case DATA_NOTHING: return false;
    case DATA_EVERYTHING: return true;
    case DATA_ONE: return j == t * 7 % 130;
    default: return was;
    }
}

static void fill_dense(const attention_case *c, problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    uint64_t state = 5;
    for (uint32_t b = 0; b < s->batch; b++)
        for (uint32_t head = 0; head < s->heads; head++)
            for (uint32_t t = 0; t < s->queries; t++)
                for (uint32_t j = 0; j < d->keys; j++) {
                    uint8_t *byte = (uint8_t *)p->tensor[TENSOR_MASK] + b * s->batch_stride + head * s->head_stride
                                    + t * s->query_stride + j;
                    /* any byte except 0 */
                    *byte = dense_visible(c->data, t, j, *byte) ? (uint8_t)(1 << random_bits(&state) % 8) : 0;
                }
}

static void fill_intervals(const attention_case *c, problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    const int32_t queries = (int32_t)d->queries, offset = (int32_t)d->keys - queries;
    for (uint32_t b = 0; b < s->batch; b++)
        for (uint32_t head = 0; head < s->heads; head++)
            for (uint32_t j = 0; j < d->keys; j++) {
                uint64_t at = b * s->batch_stride + head * s->head_stride + j;
                int32_t *begin = (int32_t *)p->tensor[TENSOR_BEGIN] + at, *end = (int32_t *)p->tensor[TENSOR_END] + at;
                const int32_t position = (int32_t)j - offset;
                switch (c->data) {
                case DATA_NOTHING: /* the three kinds of empty interval */
                    *begin = j % 3 == 0 ? 0 : j % 3 == 1 ? queries : (int32_t)(j % d->queries);
                    *end = j % 3 == 0 ? 0 : j % 3 == 1 ? INT32_MAX : *begin - (int32_t)(j % 2);
                    break;
                case DATA_EVERYTHING:
                    *begin = j % 2 ? 0 : INT32_MIN;
                    *end = j % 3 ? queries : INT32_MAX;
                    break;
                case DATA_ONE:
                    *begin = (int32_t)(j * 11 % d->queries);
                    *end = *begin + 1;
                    break;
                case DATA_WINDOW:
                    *begin = position;
                    *end = position + 40;
                    break;
                default: break;
                }
            }
}

static void fill_bias(const attention_case *c, problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->bias_shape;
    static const double lowest[] = {
        [DMATTN_TYPE_F32] = -FLT_MAX, [DMATTN_TYPE_F16] = -65504, [DMATTN_TYPE_BF16] = -0x1.fep127};
    const bool finite = c->data == DATA_LOWEST_BIAS || c->data == DATA_LOWEST_ROWS;
    const double low = finite ? lowest[d->bias_type] : (double)-INFINITY;
    uint64_t state = 6;
    for (uint32_t b = 0; b < s->batch; b++)
        for (uint32_t head = 0; head < s->heads; head++)
            for (uint32_t t = 0; t < s->queries; t++) {
                uint64_t row = b * s->batch_stride + head * s->head_stride + t * s->query_stride;
                const bool whole = c->data == DATA_NOTHING || (c->data != DATA_LOWEST_BIAS && t % 7 == 3);
                for (uint32_t j = 0; j < d->keys; j++)
                    if (random_bits(&state) % 4 == 0 || whole)
                        element_store(d->bias_type, p->tensor[TENSOR_BIAS], row + j, low);
            }
}

/* Visible pairs of an additive mask have 0 or a random number, and all of a full tile have 0. */
static void fill_additive(const attention_case *c, problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->bias_shape;
    uint64_t state = 9;
    for (uint64_t row = 0; row < (uint64_t)s->batch * s->heads * s->queries; row++) {
        const uint32_t t = (uint32_t)(row % s->queries), head = (uint32_t)(row / s->queries % s->heads);
        const uint64_t at = row / s->queries / s->heads * s->batch_stride + head * s->head_stride + t * s->query_stride;
        for (uint32_t j = 0; j < d->keys; j++) {
            uint64_t tile = 1000 * (t / 64) + j / 64;
            const int64_t position = (int64_t)t + d->keys - d->queries;
            const bool causal = c->data == DATA_CAUSAL || c->data == DATA_ONE_ADDS || c->data == DATA_WINDOW;
            const bool full = c->data == DATA_TILES && random_bits(&tile) % 3 == 1;
            const bool visible = c->data == DATA_WINDOW ? j / 8 <= position / 8 && j / 8 + 5 > position / 8
                                 : causal               ? j <= position
                                                        : dense_visible(c->data, t, j, random_bits(&state) % 3 != 0);
            const bool zero = causal ? c->data != DATA_ONE_ADDS || t != 64 || j >= 8
                                     : full || c->data == DATA_EVERYTHING || random_bits(&state) % 2;
            const bool is_infinite = random_bits(&state) % 8 || c->data == DATA_WINDOW;
            const double hidden = is_infinite ? (double)-INFINITY : (double)NAN;
            element_store(d->bias_type, p->tensor[TENSOR_BIAS], at + j,
                          !visible ? hidden
                          : zero   ? 0
                                   : random_normal(&state));
        }
    }
}

/* Each list is the one before it with one number replaced, in another order. */
static void fill_neighbours(const dmattn_attention_desc *d, const tensor_box *b, int32_t *lists)
{
    uint64_t state = 9;
    for (uint64_t row = 1; row < tensor_box_rows(b); row++) {
        int32_t *list = lists + tensor_box_at(b, row);
        const int32_t *last = lists + tensor_box_at(b, row - 1);
        for (uint32_t i = 0; i < b->row; i++)
            list[i] = last[(i + 1) % b->row];
        list[random_bits(&state) % b->row] = (int32_t)(random_bits(&state) % (1 + (d->keys - 1) / d->selected_block));
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b; /* -1 is the greatest */
    return (x > y) - (x < y);
}

static void sort_lists(const tensor_box *b, bool late_disorder, int32_t *lists)
{
    for (uint64_t row = 0; row < tensor_box_rows(b); row++) {
        int32_t *list = lists + tensor_box_at(b, row);
        qsort(list, b->row, sizeof *list, compare_numbers);
        if (late_disorder && row + 1 == tensor_box_rows(b))
            list[b->row - 1] = 1;
    }
}

static void fill_selected(const attention_case *c, problem *p)
{
    const tensor_box b = problem_box(p, TENSOR_SELECTED);
    int32_t *lists = p->tensor[TENSOR_SELECTED];
    if (c->data == DATA_ASCENDING || c->data == DATA_LATE_DISORDER)
        sort_lists(&b, c->data == DATA_LATE_DISORDER, lists);
    if (c->data == DATA_NEIGHBOURS)
        fill_neighbours(&p->desc, &b, lists);
    if (c->data != DATA_NOTHING && c->data != DATA_EVERYTHING)
        return;
    for (uint64_t row = 0; row < tensor_box_rows(&b); row++)
        for (uint32_t i = 0; i < b.row; i++)
            lists[tensor_box_at(&b, row) + i] =
                c->data == DATA_NOTHING ? (i % 2 ? -1 : (int32_t)p->desc.keys) : (int32_t)(b.row - 1 - i);
}

/* From about 1 to 1/4, of either sign. */
static void fill_slopes(problem *p)
{
    for (uint32_t head = 0; head < p->desc.heads; head++)
        ((float *)p->tensor[TENSOR_SLOPES])[head] = (head % 3 == 2 ? -0.3f : 1) / (float)(1 + head % 4);
}

static void enlarge_q(problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t count = dmattn_attention_tensor_bytes(d, TENSOR_Q) / dmattn_type_size(d->type);
    for (uint64_t i = 0; i < count; i++)
        element_store(d->type, p->tensor[TENSOR_Q], i, 30 * element_load(d->type, p->tensor[TENSOR_Q], i));
}

/* dout, if it exists, is made smaller, so that f16 can hold dS. */
static void enlarge_v(problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t count = dmattn_attention_tensor_bytes(d, TENSOR_V) / dmattn_type_size(d->type);
    uint64_t state = 8;
    for (uint64_t i = 0; i < count; i++) {
        const double size = 57000 + 8000 * random_uniform(&state);
        element_store(d->type, p->tensor[TENSOR_V], i, random_bits(&state) % 2 ? size : -size);
    }
    for (uint64_t i = 0; i < problem_bytes(p, TENSOR_DOUT) / dmattn_type_size(d->type); i++)
        element_store(d->type, p->tensor[TENSOR_DOUT], i, 0x1p-8 * element_load(d->type, p->tensor[TENSOR_DOUT], i));
}

void case_fill_inputs(const attention_case *c, problem *p)
{
    uint64_t seed = 0;
    for (const char *name = c->name; *name; name++)
        seed = 31 * seed + (unsigned char)*name;
    problem_randomize(p, seed);
    if (p->desc.mask == DMATTN_MASK_DENSE)
        fill_dense(c, p);
    if (p->desc.mask == DMATTN_MASK_INTERVALS)
        fill_intervals(c, p);
    if (p->desc.mask == DMATTN_MASK_SELECTED)
        fill_selected(c, p);
    if (p->desc.mask == DMATTN_MASK_ADDITIVE)
        fill_additive(c, p);
    if (p->desc.slopes)
        fill_slopes(p);
    const bool low_bias = c->data == DATA_INFINITE_BIAS || c->data == DATA_NOTHING || c->data == DATA_LOWEST_BIAS
                          || c->data == DATA_LOWEST_ROWS;
    if (p->desc.bias && low_bias && p->desc.mask != DMATTN_MASK_ADDITIVE)
        fill_bias(c, p);
    if (c->data == DATA_LARGE_VALUES)
        enlarge_v(p);
    if (c->data == DATA_LARGE)
        enlarge_q(p);
}
