/* SPDX-License-Identifier: MIT
 * Cases of decoding: what test_decode.c runs with random events. */
#ifndef DMATTN_TESTS_DECODE_CASES_H
#define DMATTN_TESTS_DECODE_CASES_H

#include "decode_model.h"

typedef struct decode_case {
    const char *name;
    dmattn_decode_desc desc;
    decode_habits habits;
    unsigned rounds;
    bool strides;
    bool gpu_tiles; /* the tiles of a GPU, also on a CPU */
    bool extra;     /* not run by default, because other cases have its options, too */
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

#define TREE .mask = DMATTN_MASK_DENSE, .mask_shape

/* Sequences from empty to a thousand tokens in a step: a few splits, or as many as there can be. */
#define UNEQUAL .habits = {.rollback = 5, .restart = 40, .fork = 9, .fill = 1, .pause = 6, .most_tokens = 990}

typedef struct decode_cases {
    const decode_case *cases;
    size_t count;
} decode_cases;
#define LIST(table)                            \
    {                                          \
        table, sizeof(table) / sizeof *(table) \
    }

/* Of bounded caches and of both kinds. */
extern const decode_cases decode_selections;
extern const decode_cases decode_trees;
extern const decode_cases decode_types_and_sizes;
extern const decode_cases decode_chunks;

/* Of pages and formats. */
extern const decode_cases decode_paged;
extern const decode_cases decode_balanced;
extern const decode_cases decode_formats;
extern const decode_cases decode_selected;

#endif
