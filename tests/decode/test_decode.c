/* SPDX-License-Identifier: MIT
 * Decoding against attention over the whole sequences, from the definition. Random events: new tokens, tokens taken
 * back, sequences that start again, prompts, and copies of sequences. */
#include "decode_model.h"
#include "support/few_registers.h"

#include <stdio.h>

typedef struct decode_case {
    const char *name;
    dmattn_decode_desc desc;
    decode_habits habits;
    unsigned rounds;
    bool strides;
    bool extra; /* not run by default, because other cases have its options, too */
} decode_case;

#define F32  DMATTN_TYPE_F32
#define F16  DMATTN_TYPE_F16
#define BF16 DMATTN_TYPE_BF16

/* Sequences, maximum number of new tokens, heads, kv heads, dimension. */
#define SHAPE(of, b, t, h_, hk, d) \
    .type = (of), .batch = (b), .queries = (t), .heads = (h_), .kv_heads = (hk), .head_dim = (d), .lse = true
#define TOPW(...)            .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true, .window = __VA_ARGS__}
#define EARLIER              .tie_break = DMATTN_TIE_BREAK_EARLIER
#define ALL(...)             .selection = {.causal = true, __VA_ARGS__}
#define ABOVE(...)           .selection = {.select = DMATTN_SELECT_THRESHOLD, .causal = true, .threshold = __VA_ARGS__}
#define FORMATS(k, v)        .k_format = DMATTN_FORMAT_##k, .v_format = DMATTN_FORMAT_##v
#define PAGES(size, n, keys) .cache = DMATTN_CACHE_PAGED, .page_size = (size), .pages = (n), .max_keys = (keys)

/* All events, for sequences of a few tens of tokens. */
#define LIVELY                    \
    .habits = {.rollback = 5,     \
               .too_far = 60,     \
               .restart = 40,     \
               .fork = 6,         \
               .fill = 3,         \
               .pause = 6,        \
               .most_tokens = 90, \
               .levels = 5,       \
               .odd_numbers = 20}
/* The same for one sequence that is rarely begun anew. */
#define LONG_LIVED                \
    .habits = {.rollback = 4,     \
               .too_far = 500,    \
               .restart = 60,     \
               .fork = 4,         \
               .fill = 2,         \
               .pause = 8,        \
               .most_tokens = 60, \
               .levels = 4,       \
               .odd_numbers = 30}
#define PAGED_CACHE               \
    .habits = {.rollback = 5,     \
               .restart = 40,     \
               .fork = 2,         \
               .fill = 3,         \
               .pause = 6,        \
               .most_tokens = 90, \
               .levels = 5,       \
               .odd_numbers = 20}

static const decode_case selections[] = {
    {.name = "window 8",
     .extra = true,
     .desc = {{SHAPE(F32, 4, 4, 4, 2, 8)}, .importance_given = true, TOPW(8), .rollback = 6},
     LIVELY,
     .rounds = 30},
    {.name = "window 1",
     .desc = {{SHAPE(F32, 3, 2, 2, 1, 8)}, .importance_given = true, TOPW(1), .rollback = 2},
     LIVELY,
     .rounds = 30},
    {.name = "sinks",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 2, 2, 8)}, .importance_given = true, TOPW(5, .sinks = 3), .rollback = 3},
     LIVELY,
     .rounds = 30},
    {.name = "recent",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 5, 2, 2, 8)}, .importance_given = true, TOPW(5, .recent = 7), .rollback = 16},
     LIVELY,
     .rounds = 30},
    {.name = "sliding",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 4, 2, 2, 8)}, .importance_given = true, TOPW(9, .sliding = 12), .rollback = 5},
     LIVELY,
     .rounds = 30},
    {.name = "all of them",
     .desc = {{SHAPE(F32, 4, 16, 2, 1, 8)},
              .importance_given = true,
              TOPW(7, .sinks = 2, .recent = 4, .sliding = 20),
              .rollback = 16},
     LIVELY,
     .rounds = 40},
    {.name = "no rollback",
     .desc = {{SHAPE(F32, 3, 16, 2, 1, 8)}, .importance_given = true, TOPW(7, .sinks = 1, .recent = 2)},
     LIVELY,
     .rounds = 40},
    {.name = "earlier, all of them",
     .desc = {{SHAPE(F32, 4, 16, 2, 1, 8)},
              .importance_given = true,
              TOPW(7, EARLIER, .sinks = 2, .recent = 4, .sliding = 20),
              .rollback = 16},
     LIVELY,
     .rounds = 30},
    {.name = "earlier, no rollback",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 16, 2, 1, 8)}, .importance_given = true, TOPW(7, EARLIER)},
     LIVELY,
     .rounds = 40},
    {.name = "earlier, all equal",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 2, 2, 8)}, .importance_given = true, TOPW(5, EARLIER, .recent = 2), .rollback = 4},
     .habits = {.rollback = 5, .restart = 40, .fork = 6, .fill = 3, .pause = 6, .most_tokens = 40, .levels = 1},
     .rounds = 20},
    {.name = "sliding window",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 4, 2, 1, 8)},
              .importance_given = true,
              ALL(.sliding = 10, .sinks = 2, .recent = 30),
              .rollback = 4},
     LIVELY,
     .rounds = 30},
    {.name = "threshold",
     .desc = {{SHAPE(F32, 3, 4, 2, 1, 8)},
              .importance_given = true,
              ABOVE(2, .sliding = 14, .sinks = 1, .recent = 3),
              .rollback = 4},
     LIVELY,
     .rounds = 30},
    {.name = "learned sinks",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 4, 4, 2, 16), .sink = true}, TOPW(9, .sinks = 1), .rollback = 4},
     LIVELY,
     .rounds = 8},
    {.name = "q and out f32, learned sinks",
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 24), .q_f32 = true, .out_f32 = true, .sink = true},
              .importance_given = true,
              TOPW(12),
              .rollback = 4},
     LIVELY,
     .rounds = 6,
     .strides = true},
    {.name = "no importance",
     .desc = {{SHAPE(F32, 3, 4, 2, 1, 8)}, .no_importance = true, ALL(.sliding = 14, .sinks = 1), .rollback = 4},
     LIVELY,
     .rounds = 30},
};

#define TREE .mask = DMATTN_MASK_DENSE, .mask_shape

/* Steps of bounded caches whose new tokens have a mask. It is random, so most are no trees. */
static const decode_case trees[] = {
    {.name = "tree, window",
     .desc = {{SHAPE(F32, 3, 16, 2, 1, 8), TREE = {.batch = 3, .queries = 16}},
              .importance_given = true,
              TOPW(20, .sinks = 2, .recent = 3),
              .rollback = 16},
     LIVELY,
     .rounds = 30},
    {.name = "tree, small window, earlier",
     .desc = {{SHAPE(F32, 3, 7, 4, 2, 8), TREE = {.queries = 7}},
              .importance_given = true,
              TOPW(3, EARLIER, .sliding = 12),
              .rollback = 7},
     LIVELY,
     .rounds = 30},
    {.name = "tree, threshold, sliding",
     .desc = {{SHAPE(F16, 3, 5, 4, 2, 16), TREE = {.batch = 3, .queries = 5}},
              .importance_given = true,
              ABOVE(2, .sliding = 14, .sinks = 1, .recent = 3),
              .rollback = 5},
     LIVELY,
     .rounds = 20},
    {.name = "tree, int8 and e4m3, computed importance",
     .desc = {{SHAPE(BF16, 3, 8, 8, 2, 64), FORMATS(INT8, E4M3), TREE = {.batch = 3, .queries = 8}},
              TOPW(12, .recent = 2),
              .rollback = 8},
     LIVELY,
     .rounds = 8},
    {.name = "tree, many slots",
     .extra = true,
     .desc = {{SHAPE(F16, 2, 12, 4, 1, 16), .sink = true, TREE = {.batch = 2, .queries = 12}},
              .importance_given = true,
              TOPW(300),
              .rollback = 12},
     .habits = {.rollback = 3, .fill = 1, .most_tokens = 700, .levels = 30},
     .rounds = 10},
    {.name = "tree, sliding window, q8_0 and q4_0",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 4, 4, 2, 32), FORMATS(Q8_0, Q4_0), TREE = {.batch = 3, .queries = 4}},
              .no_importance = true,
              ALL(.sliding = 10, .sinks = 2),
              .rollback = 4},
     LIVELY,
     .rounds = 10},
};

static const decode_case types_and_sizes[] = {
    {.name = "f16",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 8, 2, 64)}, TOPW(20), .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "bf16", .desc = {{SHAPE(BF16, 3, 2, 4, 4, 128)}, TOPW(20), .rollback = 4}, LIVELY, .rounds = 6},
    {.name = "f16, bias, softplus",
     .desc = {{SHAPE(F16, 3, 2, 4, 2, 32), .value_dim = 48},
              .importance = {.activation = DMATTN_ACTIVATION_SOFTPLUS, .parameter_type = F16, .dt_bias = true},
              TOPW(20),
              .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "f32, bf16 parameters, soft cap",
     .desc = {{SHAPE(F32, 3, 16, 6, 3, 40), .value_dim = 8, .soft_cap = 2, .scale = -0.7f},
              .importance = {.parameter_type = BF16},
              TOPW(20),
              .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "wide",
     .extra = true,
     .desc = {{SHAPE(F16, 2, 3, 2, 1, 256)}, TOPW(30), .rollback = 4},
     LIVELY,
     .rounds = 4},
    {.name = "wide values",
     .desc = {{SHAPE(BF16, 2, 3, 12, 1, 8), .value_dim = 256}, TOPW(30), .rollback = 4},
     LIVELY,
     .rounds = 4},
    {.name = "latent",
     .desc = {{SHAPE(F16, 2, 2, 8, 1, 576), .value_dim = 512}, TOPW(30), .rollback = 4},
     LIVELY,
     .rounds = 4},
    {.name = "soft cap",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 2, 4, 2, 16), .soft_cap = 2, .scale = -0.7f}, TOPW(20), .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "strides, f16",
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 24)}, .importance_given = true, TOPW(12), .rollback = 4},
     LIVELY,
     .rounds = 6,
     .strides = true},
    {.name = "strides, f32",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 4, 2, 16)}, .importance_given = true, TOPW(12), .rollback = 4},
     LIVELY,
     .rounds = 6,
     .strides = true},
    {.name = "many slots",
     .desc = {{SHAPE(F16, 1, 2, 4, 1, 16)}, .importance_given = true, TOPW(400), .rollback = 4},
     .habits = {.rollback = 9, .fill = 2, .most_tokens = 1000},
     .rounds = 20},
    {.name = "many slots, earlier",
     .desc = {{SHAPE(F16, 1, 2, 4, 1, 16)}, .importance_given = true, TOPW(300, EARLIER), .rollback = 4},
     .habits = {.rollback = 9, .fill = 2, .most_tokens = 700, .levels = 3, .odd_numbers = 20},
     .rounds = 10},
    {.name = "many sequences",
     .extra = true,
     .desc = {{SHAPE(F16, 70, 1, 2, 2, 16)}, .importance_given = true, TOPW(300), .rollback = 4},
     .habits = {.rollback = 9, .fork = 2, .fill = 1, .most_tokens = 700},
     .rounds = 8},
};

static const decode_case paged[] = {
    {.name = "all",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 4, 4, 2, 8)}, .importance_given = true, ALL(.sinks = 0), PAGES(16, 30, 95)},
     PAGED_CACHE,
     .rounds = 20},
    {.name = "threshold",
     .desc =
         {{SHAPE(F32, 3, 4, 4, 2, 8)}, .importance_given = true, ABOVE(2, .sinks = 2, .recent = 5), PAGES(32, 12, 106)},
     PAGED_CACHE,
     .rounds = 20},
    {.name = "sliding",
     .desc = {{SHAPE(F16, 3, 16, 4, 1, 24)}, ALL(.sliding = 25, .sinks = 3), PAGES(4, 90, 112)},
     PAGED_CACHE,
     .rounds = 12},
    {.name = "dense mask",
     .desc = {{SHAPE(BF16, 3, 3, 4, 2, 16), .mask = DMATTN_MASK_DENSE,
               .mask_shape = {.batch = 3, .heads = 4, .queries = 3}},
              .no_importance = true,
              ALL(.sinks = 0),
              PAGES(48, 9, 100)},
     PAGED_CACHE,
     .rounds = 20},
    {.name = "dense mask, broadcast",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 4, 2, 16), .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = 2}},
              .importance_given = true,
              ALL(.sinks = 0),
              PAGES(256, 3, 200)},
     PAGED_CACHE,
     .rounds = 20},
    {.name = "learned sinks",
     .extra = true,
     .desc =
         {{SHAPE(F16, 3, 2, 8, 2, 64), .sink = true}, .no_importance = true, ALL(.sliding = 25), PAGES(16, 30, 112)},
     PAGED_CACHE,
     .rounds = 12},
    {.name = "latent, a group of 128",
     .desc = {{SHAPE(BF16, 2, 1, 128, 1, 576), .value_dim = 512}, .no_importance = true, ALL(), PAGES(16, 20, 107)},
     PAGED_CACHE,
     .rounds = 6},
    {.name = "learned sinks, dense mask, threshold",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 4, 2, 16), .sink = true, .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = 2}},
              .importance_given = true,
              ABOVE(1),
              PAGES(32, 12, 106)},
     PAGED_CACHE,
     .rounds = 12},
    {.name = "bias, q and out f32",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 64), .q_f32 = true, .out_f32 = true, .bias = true, .bias_type = F16,
               .bias_shape = {.batch = 3, .queries = 3}},
              .no_importance = true,
              ALL(),
              PAGES(16, 30, 107)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "distances times slopes",
     .desc =
         {{SHAPE(F32, 3, 3, 6, 2, 16), .slopes = true, .sink = true}, .no_importance = true, ALL(), PAGES(16, 30, 100)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "bias times slopes, dense mask",
     .desc = {{SHAPE(BF16, 2, 2, 4, 2, 24), .slopes = true, .bias = true, .bias_type = F32, .bias_shape = {.heads = 4},
               .mask = DMATTN_MASK_DENSE},
              .no_importance = true,
              ALL(.sliding = 40),
              PAGES(32, 12, 106)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "long",
     .desc = {{SHAPE(F16, 1, 2, 8, 1, 64)}, ABOVE(1), PAGES(64, 20, 1000)},
     .habits = {.rollback = 9, .fill = 2, .most_tokens = 990},
     .rounds = 10},
};

/* Sequences from empty to a thousand tokens in a step: a few splits, or as many as there can be. */
#define UNEQUAL .habits = {.rollback = 5, .restart = 40, .fork = 9, .fill = 1, .pause = 6, .most_tokens = 990}

static const decode_case balanced[] = {
    {.name = "lengths from 0 to 990",
     .desc = {{SHAPE(F16, 5, 3, 4, 2, 16)}, .no_importance = true, ALL(.sinks = 0), PAGES(16, 315, 1000)},
     UNEQUAL,
     .rounds = 6},
    {.name = "threshold, lengths from 0 to 990",
     .extra = true,
     .desc = {{SHAPE(F32, 4, 2, 4, 2, 8)}, .importance_given = true, ABOVE(0.5, .recent = 5), PAGES(8, 500, 1000)},
     UNEQUAL,
     .rounds = 6},
    {.name = "importance of v, lengths from 0 to 990",
     .extra = true,
     .desc = {{SHAPE(BF16, 3, 2, 8, 2, 64)}, ALL(), PAGES(64, 48, 1000)},
     UNEQUAL,
     .rounds = 6},
    {.name = "windows and sinks, lengths from 0 to 990",
     .desc =
         {{SHAPE(F16, 3, 16, 8, 1, 64)}, .no_importance = true, ALL(.sliding = 60, .sinks = 5), PAGES(16, 189, 1000)},
     UNEQUAL,
     .rounds = 6},
    {.name = "a window of a sequence",
     .extra = true,
     .desc =
         {{SHAPE(F32, 1, 2, 4, 2, 16), .sink = true}, .no_importance = true, ALL(.sliding = 100), PAGES(4, 250, 1000)},
     .habits = {.rollback = 5, .restart = 40, .fill = 1, .most_tokens = 990},
     .rounds = 6},
    {.name = "as many sequences as invocations, and more",
     .desc = {{SHAPE(F32, 150, 1, 1, 1, 8)}, .no_importance = true, ALL(), PAGES(32, 1350, 260)},
     .habits = {.rollback = 9, .restart = 60, .fill = 1, .pause = 3, .most_tokens = 250},
     .rounds = 4},
    {.name = "int8, lengths from 0 to 990",
     .desc = {{SHAPE(F16, 4, 3, 8, 2, 64), FORMATS(INT8, INT8)}, .no_importance = true, ALL(), PAGES(16, 252, 1000)},
     UNEQUAL,
     .rounds = 4},
    {.name = "q8_0 and q4_0, windows, lengths from 0 to 990",
     .extra = true,
     .desc = {{SHAPE(BF16, 3, 2, 4, 2, 32), FORMATS(Q8_0, Q4_0)}, ALL(.sliding = 200), PAGES(32, 96, 1000)},
     UNEQUAL,
     .rounds = 6},
};

/* Caches whose rows have other formats than the type: each format for k and for v, in both caches. */
static const decode_case formats[] = {
    {.name = "int8 pages",
     .desc = {{SHAPE(F16, 3, 3, 8, 2, 64), FORMATS(INT8, INT8)}, ALL(.sinks = 0), PAGES(16, 30, 112)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "int8 slots",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 40), FORMATS(INT8, INT8), .value_dim = 24}, TOPW(20, .recent = 3), .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "e4m3 pages of 4 tokens, threshold",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 4, 4, 2, 24), FORMATS(E4M3, E4M3)},
              .importance_given = true,
              ABOVE(2, .recent = 5),
              PAGES(4, 90, 106)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "e4m3 slots, strides",
     .desc = {{SHAPE(BF16, 3, 16, 4, 1, 128), FORMATS(E4M3, E4M3)}, .importance_given = true, TOPW(20), .rollback = 16},
     LIVELY,
     .rounds = 4,
     .strides = true},
    {.name = "q8_0 pages of a token, sinks and slopes",
     .desc = {{SHAPE(F16, 3, 3, 6, 3, 96), FORMATS(Q8_0, Q8_0), .slopes = true, .sink = true},
              .no_importance = true,
              ALL(.sliding = 70),
              PAGES(1, 360, 107)},
     PAGED_CACHE,
     .rounds = 6},
    {.name = "q8_0 slots",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 2, 4, 2, 32), FORMATS(Q8_0, Q8_0), .value_dim = 64}, TOPW(12), .rollback = 4},
     LIVELY,
     .rounds = 8},
    {.name = "q4_0 pages",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 4, 2, 96), FORMATS(Q4_0, Q4_0), .value_dim = 32},
              .importance_given = true,
              ALL(),
              PAGES(32, 12, 106)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "q4_0 slots",
     .desc = {{SHAPE(BF16, 3, 3, 8, 1, 64), FORMATS(Q4_0, Q4_0)}, TOPW(12), .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "q8_0 and q4_0 pages, latent",
     .extra = true,
     .desc = {{SHAPE(F16, 2, 1, 16, 1, 576), .value_dim = 512, FORMATS(Q8_0, Q4_0)},
              .no_importance = true,
              ALL(),
              PAGES(16, 20, 107)},
     PAGED_CACHE,
     .rounds = 4},
    {.name = "int8 pages, long",
     .extra = true,
     .desc = {{SHAPE(BF16, 2, 2, 16, 4, 128), FORMATS(INT8, INT8)}, .no_importance = true, ALL(), PAGES(64, 40, 1000)},
     .habits = {.rollback = 9, .fill = 1, .most_tokens = 990},
     .rounds = 4},
    {.name = "e4m3 and q4_0 pages",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 8, 2, 64), FORMATS(E4M3, Q4_0), .value_dim = 96}, ALL(.sinks = 0), PAGES(16, 30, 112)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "q8_0 and int8 slots",
     .extra = true,
     .desc = {{SHAPE(BF16, 3, 3, 8, 2, 128), FORMATS(Q8_0, INT8), .value_dim = 80},
              TOPW(20, .recent = 3),
              .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "f32 and int8 pages of 2 tokens",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 24), FORMATS(F32, INT8)}, .importance_given = true, ALL(), PAGES(2, 180, 106)},
     PAGED_CACHE,
     .rounds = 6},
    {.name = "e4m3 and bf16 slots",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 3, 4, 2, 24), FORMATS(E4M3, BF16)}, .importance_given = true, TOPW(12), .rollback = 4},
     LIVELY,
     .rounds = 6},
    {.name = "q4_0 and f16 pages of 8 tokens",
     .extra = true,
     .desc = {{SHAPE(F16, 3, 3, 4, 2, 32), FORMATS(Q4_0, F16), .value_dim = 8}, ALL(), PAGES(8, 60, 106)},
     PAGED_CACHE,
     .rounds = 6},
};

#define SELECTED(count, ...) .mask = DMATTN_MASK_SELECTED, .selected_count = (count), .mask_shape = {__VA_ARGS__}

/* Selected keys of a paged cache, in all formats. */
static const decode_case selected[] = {
    {.name = "selected keys",
     .desc = {{SHAPE(F16, 3, 3, 8, 2, 64), SELECTED(40, .batch = 3, .heads = 2, .queries = 3)},
              .no_importance = true,
              ALL(),
              PAGES(16, 30, 112)},
     PAGED_CACHE,
     .rounds = 12},
    {.name = "selected keys for all heads, in a window, threshold",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 16, 4, 2, 8), SELECTED(30, .batch = 3, .queries = 16)},
              .importance_given = true,
              ABOVE(0.5, .sliding = 40, .sinks = 3, .recent = 5),
              PAGES(8, 60, 112)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "a list for all sequences and tokens, importance",
     .extra = true,
     .desc = {{SHAPE(BF16, 3, 4, 8, 2, 24), SELECTED(50, .heads = 2)}, ALL(), PAGES(4, 90, 112)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "selected blocks, bias and sink",
     .desc = {{SHAPE(F16, 3, 2, 4, 2, 16), SELECTED(4, .batch = 3, .heads = 2, .queries = 2), .selected_block = 8,
               .bias = true, .bias_type = F32, .bias_shape = {.heads = 4}, .sink = true},
              .no_importance = true,
              ALL(),
              PAGES(32, 12, 108)},
     PAGED_CACHE,
     .rounds = 12},
    {.name = "many selected keys, latent",
     .extra = true,
     .desc = {{SHAPE(BF16, 2, 1, 16, 1, 576), .value_dim = 512, SELECTED(600, .batch = 2)},
              .no_importance = true,
              ALL(),
              PAGES(64, 40, 1000)},
     .habits = {.rollback = 5, .restart = 40, .fork = 2, .fill = 1, .most_tokens = 990},
     .rounds = 3},
    {.name = "selected keys, int8 and e4m3",
     .desc = {{SHAPE(F16, 3, 3, 8, 2, 64), FORMATS(INT8, E4M3), SELECTED(40, .batch = 3, .heads = 2, .queries = 3)},
              .no_importance = true,
              ALL(),
              PAGES(16, 30, 112)},
     PAGED_CACHE,
     .rounds = 8},
    {.name = "selected blocks, q8_0 and q4_0",
     .extra = true,
     .desc = {{SHAPE(F32, 3, 4, 6, 3, 32), FORMATS(Q8_0, Q4_0), SELECTED(5, .batch = 3, .queries = 4),
               .selected_block = 4},
              ALL(),
              PAGES(1, 330, 108)},
     PAGED_CACHE,
     .rounds = 8},
};

static void run_case(const decode_case *c, dmattn_level level, uint64_t seed)
{
    char name[64];
    dmattn_decode_desc desc = c->desc;
    decode_results results = {0};
    desc.attention.level = level;
    snprintf(name, sizeof name, "%s, %s", c->name, dmattn_level_string(level));
    /* The code for events is the same at all levels. */
    unsigned rounds = level == DMATTN_LEVEL_PORTABLE ? c->rounds : (c->rounds + 2) / 3;
    if (harness_small_tiles() && !harness_takes_all())
        rounds = rounds / (rounds > 100 ? 16 : 2);
    decode_run(name, &desc, &c->habits, rounds, c->strides, seed, &results);
    cr_expect_gt(results.rows, 0, "%s: nothing was compared", name);
    cr_expect(results.rollbacks || !c->habits.rollback || !c->desc.rollback, "%s: nothing was taken back", name);
    cr_expect(results.broken || !c->habits.too_far || rounds < 20, "%s: nothing was taken back too far", name);
    cr_expect(results.fills || !c->habits.fill, "%s: no prompt", name);
    cr_expect(results.chunks || !c->habits.fill || rounds < 5, "%s: no chunk", name);
    cr_expect(results.forks || !c->habits.fork || rounds < 5, "%s: no fork", name); /* one in a few steps */
    printf("%s: %llu steps, %llu prompts, %llu chunks, %llu rows, errors %.1e and %.1e of lse\n", name,
           (unsigned long long)results.steps, (unsigned long long)(results.fills - results.chunks),
           (unsigned long long)results.chunks, (unsigned long long)results.rows, results.error, results.lse_error);
}

/* Whether there is a kernel of a level. Pages and formats have kernels of the level matrix only on some devices, and
 * wide rows have none. */
static bool has_kernels(const dmattn_decode_desc *of, dmattn_level level)
{
    const dmattn_attention_desc *d = &of->attention;
    dmattn_decode_desc desc = *of;
    dmattn_support support;
    desc.attention.level = level;
    if (level == DMATTN_LEVEL_PORTABLE || dmattn_decode_check(h.context, &desc, &support) == DMATTN_SUCCESS)
        return true;
    cr_expect_eq(support.status, DMATTN_ERROR_UNSUPPORTED);
    const bool common = level == DMATTN_LEVEL_MATRIX && d->type != F32 && !of->cache && !d->mask && !d->k_format
                        && !d->v_format && d->head_dim <= BAND && d->value_dim <= BAND;
    cr_expect(!common, "%s", support.message);
    return false;
}

static void run_cases(const decode_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const decode_case *c = &cases[i];
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
            if (harness_takes(c->name, !c->extra) && has_kernels(&c->desc, level))
                run_case(c, level, 1 + i);
    }
}
#define RUN(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

DEVICE_TEST(decode, selections)
{
    RUN(selections);
}

DEVICE_TEST(decode, trees)
{
    RUN(trees);
}

DEVICE_TEST(decode, types_and_sizes)
{
    RUN(types_and_sizes);
}

DEVICE_TEST(decode, formats)
{
    RUN(formats);
}

DEVICE_TEST(decode, paged)
{
    RUN(paged);
}

DEVICE_TEST(decode, selected)
{
    RUN(selected);
}

DEVICE_TEST(decode, balanced)
{
    RUN(balanced);
}

/* With few registers, fewer rows are computed together, and fewer loads are in flight. */
static const decode_case few_register_cases[] = {
    {.name = "many slots",
     .desc = {{SHAPE(F16, 2, 3, 8, 2, 128)}, TOPW(300), .rollback = 4},
     .habits = {.rollback = 5, .restart = 40, .fork = 6, .fill = 1, .pause = 6, .most_tokens = 700, .levels = 5},
     .rounds = 6},
    {.name = "wide pages",
     .desc = {{SHAPE(F32, 2, 2, 4, 1, 256)}, ALL(), PAGES(16, 20, 120)},
     PAGED_CACHE,
     .rounds = 6},
    {.name = "pages of unequal sequences",
     .desc = {{SHAPE(F16, 3, 2, 8, 1, 128)}, .no_importance = true, ALL(), PAGES(16, 189, 1000)},
     UNEQUAL,
     .rounds = 2},
    {.name = "rows of q and k unit by unit", /* with 8 lanes per row, the last unit of most lanes does not exist */
     .desc = {{SHAPE(F32, 2, 2, 4, 2, 200)}, TOPW(40), .rollback = 2},
     .habits = {.rollback = 2, .most_tokens = 100, .levels = 5},
     .rounds = 6},
};

DEVICE_TEST(decode, few_registers)
{
    for (size_t driver = 0; driver < FEW_REGISTER_DRIVERS; driver++) {
        pretend_few_registers(driver);
        for (size_t i = 0; i < sizeof few_register_cases / sizeof *few_register_cases; i++) {
            decode_case c = few_register_cases[i];
            char name[64];
            snprintf(name, sizeof name, "%s, %s", c.name, few_registers[driver].name);
            c.name = name;
            if (few_registers_take(name, driver, i))
                run_case(&c, DMATTN_LEVEL_PORTABLE, 1 + i);
        }
    }
}

/* The result must not depend on which workgroup is the last. */
static void expect_same_bits(const decode_case *c)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        if (!has_kernels(&c->desc, level))
            continue;
        decode_results first = {0}, second = {0};
        dmattn_decode_desc desc = c->desc;
        desc.attention.level = level;
        decode_run("first run", &desc, &c->habits, c->rounds, false, 7, &first);
        decode_run("second run", &desc, &c->habits, c->rounds, false, 7, &second);
        cr_expect_gt(first.rows, 0);
        cr_expect_eq(first.hash, second.hash, "%s: two runs at the level %s differ", c->name,
                     dmattn_level_string(level));
    }
}

DEVICE_TEST(decode, repeatable)
{
    static const decode_case bounded = {
        .name = "bounded",
        .desc = {{SHAPE(F16, 8, 4, 4, 2, 16)}, .importance_given = true, TOPW(200), .rollback = 4},
        .habits = {.rollback = 9, .fill = 1, .most_tokens = 500},
        .rounds = 4};
    static const decode_case unequal = {
        .name = "balanced",
        .desc = {{SHAPE(F16, 4, 2, 4, 2, 16)}, .no_importance = true, ALL(), PAGES(16, 252, 1000)},
        UNEQUAL,
        .rounds = 2};
    expect_same_bits(&bounded);
    expect_same_bits(&unequal);
}

/* 10^5 steps of sequences for each case if all cases are selected; by default on a CPU, a sixteenth for two cases. */
#define PAGES_FOR_LONG PAGES(4, 640, 80)
#define PAGED_FOR_LONG             \
    .habits = {.rollback = 4,      \
               .restart = 60,      \
               .fork = 1,          \
               .fill = 2,          \
               .pause = 8,         \
               .most_tokens = 60,  \
               .levels = 4,        \
               .odd_numbers = 30}, \
    .rounds = 400
#define BOUNDED_FOR_LONG LONG_LIVED, .rounds = 400

DEVICE_TEST(decode, for_long)
{
    static const decode_case long_runs[] = {
        {.name = "window",
         .desc =
             {{SHAPE(F32, 32, 3, 2, 1, 8)}, .importance_given = true, TOPW(6, .sinks = 1, .recent = 2), .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "window, sliding",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)}, .importance_given = true, TOPW(6, .sliding = 9), .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "window, earlier",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 8)}, .importance_given = true, TOPW(6, EARLIER, .recent = 1), .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "window, bf16, no rollback",
         .extra = true,
         .desc = {{SHAPE(BF16, 32, 4, 2, 1, 8)}, .importance_given = true, TOPW(9)},
         BOUNDED_FOR_LONG},
        {.name = "window, trees",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 5, 2, 1, 8), TREE = {.batch = 32, .queries = 5}},
                  .importance_given = true,
                  TOPW(8, .sinks = 1, .recent = 2),
                  .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "threshold, sliding",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)},
                  .importance_given = true,
                  ABOVE(1, .sliding = 12, .sinks = 2, .recent = 3),
                  .rollback = 16},
         BOUNDED_FOR_LONG},
        {.name = "window, int8 and e4m3",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 3, 2, 1, 16), FORMATS(INT8, E4M3)},
                  .importance_given = true,
                  TOPW(6, .sinks = 1, .recent = 2),
                  .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "window, q4_0 and q8_0",
         .extra = true,
         .desc =
             {{SHAPE(BF16, 32, 4, 2, 1, 32), FORMATS(Q4_0, Q8_0)}, .importance_given = true, TOPW(8), .rollback = 9},
         BOUNDED_FOR_LONG},
        {.name = "pages, q8_0 and q4_0",
         .desc = {{SHAPE(F16, 32, 3, 2, 1, 32), FORMATS(Q8_0, Q4_0)}, .no_importance = true, ALL(), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, f32, threshold",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)}, .importance_given = true, ABOVE(1, .recent = 3), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, bf16, dense mask",
         .extra = true,
         .desc = {{SHAPE(BF16, 32, 4, 2, 1, 16), .mask = DMATTN_MASK_DENSE, .mask_shape = {.batch = 32, .queries = 4}},
                  .no_importance = true,
                  ALL(.sliding = 30),
                  PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, e4m3 and int8",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 16), FORMATS(E4M3, INT8)}, .importance_given = true, ALL(), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, sliding", /* balanced */
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 16)}, .no_importance = true, ALL(.sliding = 9, .sinks = 2), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
    };
    RUN(long_runs);
}
