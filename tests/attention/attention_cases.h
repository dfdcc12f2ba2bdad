/* SPDX-License-Identifier: MIT
 * The table of cases that every attention kernel must get right on every device. */
#ifndef DMATTN_TESTS_ATTENTION_CASES_H
#define DMATTN_TESTS_ATTENTION_CASES_H

#include "problem.h"

/* What is in the inputs, besides what problem_randomize() puts there. */
typedef enum case_data {
    DATA_RANDOM = 0,
    DATA_TILES,         /* dense: tiles of 64 x 64 empty, full, or random */
    DATA_DEAD_ROWS,     /* dense: every third query sees nothing, nor do queries 64 to 127 */
    DATA_NOTHING,       /* no query sees any key */
    DATA_EVERYTHING,    /* all see all; interval bounds lie far outside */
    DATA_ONE,           /* each query sees one key only; with intervals, each key lives for one query */
    DATA_WINDOW,        /* intervals: each key is seen from its own position on, for 40 queries */
    DATA_INFINITE_BIAS, /* one bias in four is -infinity, and so is every seventh row of it */
    DATA_LARGE,         /* scores in the hundreds: q is 30 times as large */
    DATA_LOWEST_BIAS,   /* one bias in four is the lowest number that its type has, as if it were -infinity */
    DATA_LOWEST_ROWS,   /* the same, and so is every seventh row of it */
    DATA_LARGE_VALUES   /* v from 57000 to 65000, which f16 just holds, of either sign */
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

/* Each group is a test, so that several processes share the work. */
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
    X(matrices)
#define DECLARE_GROUP(name) extern const attention_group cases_##name;
ATTENTION_GROUPS(DECLARE_GROUP)
#undef DECLARE_GROUP

/* Fills a problem made of the case's descriptor. Repeatable. */
void case_fill_inputs(const attention_case *c, problem *p);

/* Matrices do not compute in f32, so at their levels a case of f32 is one of f16 or of bf16, for its sizes, masks and
 * biases. `in_group`: the case's place in its group. */
dmattn_type attention_case_type(const attention_case *c, size_t in_group, dmattn_level level);

/* A case as it is run at a level, and whether it is one of the few that are run unless all are asked for. */
typedef struct attention_choice {
    const attention_case *c;
    dmattn_type type;
    bool chosen;
} attention_choice;

#define ATTENTION_MOST_CASES 320

/* All cases of the table at a level, or those whose gradients are computed; how many they are. */
size_t attention_choose(dmattn_level level, bool gradients, attention_choice choice[ATTENTION_MOST_CASES]);

/* Whether a case is one of the few. */
bool attention_is_chosen(const attention_case *c, dmattn_level level, bool gradients);

/* For the tables. */
#define SIZE(b, sq, sk, h, hk, d, dv) \
    .batch = (b), .queries = (sq), .keys = (sk), .heads = (h), .kv_heads = (hk), .head_dim = (d), .value_dim = (dv)
#define F32                .type = DMATTN_TYPE_F32
#define F16                .type = DMATTN_TYPE_F16
#define BF16               .type = DMATTN_TYPE_BF16
#define LSE                .lse = true
#define CAUSAL             .causal = true
#define DENSE(...)         .mask = DMATTN_MASK_DENSE, .mask_shape = {__VA_ARGS__}
#define INTERVALS(...)     .mask = DMATTN_MASK_INTERVALS, .mask_shape = {__VA_ARGS__}
#define BIAS(of, ...)      .bias = true, .bias_type = DMATTN_TYPE_##of, .bias_shape = {__VA_ARGS__}
#define GROUP(name, array) const attention_group cases_##name = {array, sizeof(array) / sizeof *(array)}

#endif
