/* SPDX-License-Identifier: MIT
 * The table of cases for which every attention kernel must be right on every device. */
#ifndef DMATTN_TESTS_ATTENTION_CASES_H
#define DMATTN_TESTS_ATTENTION_CASES_H

#include "problem.h"

/* What the inputs hold, instead of the random numbers of problem_randomize(). */
typedef enum case_data {
    DATA_RANDOM = 0,
    DATA_TILES,         /* dense, additive: tiles of 64 x 64 are empty, full, or random */
    DATA_DEAD_ROWS,     /* dense: every third query and queries 64 to 127 see no key */
    DATA_NOTHING,       /* no query sees any key */
    DATA_EVERYTHING,    /* all queries see all keys; interval bounds are far outside */
    DATA_ONE,           /* each query sees only one key; with intervals, one query sees each key */
    DATA_WINDOW,        /* intervals, additive: each key is seen from its own position on, for 40 queries, or, in
                           additive masks, each block of 8 keys from its first position on */
    DATA_INFINITE_BIAS, /* one bias in four is -infinity, and every seventh row is only -infinity */
    DATA_LARGE,         /* scores in the hundreds: q is 30 times as large */
    DATA_LOWEST_BIAS,   /* one bias in four is the lowest finite number of its type, instead of -infinity */
    DATA_LOWEST_ROWS,   /* the same, and every seventh row is only that number */
    DATA_CAUSAL,        /* additive: 0 up to the position of the query, -infinity after it */
    DATA_ONE_ADDS,      /* the same, but query 64 has numbers for the first 8 keys */
    DATA_NEIGHBOURS,    /* selected: neighbouring queries have nearly the same list, in another order */
    DATA_ASCENDING,     /* selected: the numbers of each list ascend */
    DATA_LATE_DISORDER, /* the same, but for the last number of the last list */
    DATA_LARGE_VALUES   /* v is from 57000 to 65000, near the limit of f16, of either sign */
} case_data;

typedef struct attention_case {
    const char *name;
    dmattn_attention_desc desc;
    case_data data;
} attention_case;

typedef struct attention_group {
    const attention_case *cases;
    size_t count;
} attention_group;

/* Each group is a separate test, so that several processes share the work. */
#define ATTENTION_GROUPS(X) \
    X(dims)                 \
    X(sizes)                \
    X(heads)                \
    X(scores)               \
    X(layouts)              \
    X(odd_layouts)          \
    X(repeats)              \
    X(dense)                \
    X(dense_tiles)          \
    X(bias)                 \
    X(bias_and_dense)       \
    X(intervals)            \
    X(intervals_and_bias)   \
    X(types)                \
    X(formats)              \
    X(pages)                \
    X(counts)               \
    X(packed)               \
    X(additive)             \
    X(slopes)               \
    X(sinks)                \
    X(matrices)             \
    X(wide)                 \
    X(selected)
#define DECLARE_GROUP(name) extern const attention_group cases_##name;
ATTENTION_GROUPS(DECLARE_GROUP)
#undef DECLARE_GROUP

/* Fills a problem that was made from the case's descriptor. Each call fills in the same numbers. */
void case_fill_inputs(const attention_case *c, problem *p);

/* The type of a case at a level. Matrices do not compute in f32. So at matrix levels, f32 cases run in f16 or bf16,
 * which tests their sizes, masks and biases, too. `in_group`: the case's index in its group. */
dmattn_type attention_case_type(const attention_case *c, size_t in_group, dmattn_level level);

/* Whether the descriptor has an option that gradients refuse. */
bool attention_has_no_gradients(const dmattn_attention_desc *d);

/* A case as it runs at a level, and whether it is one of the few that run by default. */
typedef struct attention_choice {
    const attention_case *c;
    dmattn_type type;
    bool chosen;
} attention_choice;

#define ATTENTION_MOST_CASES 400

/* Returns the number of cases at a level: all of the table, or only those whose gradients are computed. */
size_t attention_choose(dmattn_level level, bool gradients, attention_choice choice[ATTENTION_MOST_CASES]);

/* Whether a case is one of the few that run by default. */
bool attention_is_chosen(const attention_case *c, dmattn_level level, bool gradients);

/* Abbreviations for the tables. */
#define SIZE(b, sq, sk, h, hk, d, dv) \
    .batch = (b), .queries = (sq), .keys = (sk), .heads = (h), .kv_heads = (hk), .head_dim = (d), .value_dim = (dv)
#define F32                .type = DMATTN_TYPE_F32
#define F16                .type = DMATTN_TYPE_F16
#define BF16               .type = DMATTN_TYPE_BF16
#define LSE                .lse = true
#define CAUSAL             .causal = true
#define SINK               .sink = true
#define PAGES(size, count) .page_size = (size), .pages = (count)
#define FORMATS(k, v)      .k_format = DMATTN_FORMAT_##k, .v_format = DMATTN_FORMAT_##v
#define SLOPES             .slopes = true
#define SELECTED(count, block, ...) \
    .mask = DMATTN_MASK_SELECTED, .selected_count = (count), .selected_block = (block), .mask_shape = {__VA_ARGS__}
#define ADDITIVE(of, ...)  .mask = DMATTN_MASK_ADDITIVE, .bias_type = DMATTN_TYPE_##of, .bias_shape = {__VA_ARGS__}
#define DENSE(...)         .mask = DMATTN_MASK_DENSE, .mask_shape = {__VA_ARGS__}
#define INTERVALS(...)     .mask = DMATTN_MASK_INTERVALS, .mask_shape = {__VA_ARGS__}
#define BIAS(of, ...)      .bias = true, .bias_type = DMATTN_TYPE_##of, .bias_shape = {__VA_ARGS__}
#define GROUP(name, array) const attention_group cases_##name = {array, sizeof(array) / sizeof *(array)}

#endif
