/* SPDX-License-Identifier: MIT
 * The table of cases of dynamic mask attention. */
#ifndef DMATTN_TESTS_DMA_CASES_H
#define DMATTN_TESTS_DMA_CASES_H

#include "attention/attention_cases.h"

typedef struct dma_case {
    const char *name;
    dmattn_dma_desc desc;
} dma_case;

typedef struct dma_group {
    const dma_case *cases;
    size_t count;
} dma_group;

/* Each group is a test. */
#define DMA_GROUPS(X)  \
    X(types_and_sizes) \
    X(selections)      \
    X(importances)
#define DECLARE_GROUP(name) extern const dma_group cases_##name;
DMA_GROUPS(DECLARE_GROUP)
#undef DECLARE_GROUP

/* Lists all cases of the table at a level, and which of them are the few that run by default. At matrix levels, f32
 * cases run in f16. For gradients, the few cases have every value of every option, except for options of the selection,
 * because gradients only read the intervals. Returns the number of all cases. */
#define DMA_MOST_CASES 96
size_t dma_choose(dmattn_level level, bool gradients, const dma_case *cases[DMA_MOST_CASES],
                  bool chosen[DMA_MOST_CASES]);

/* Whether a case is one of the few that run by default. */
bool dma_is_chosen(const dma_case *c, dmattn_level level, bool gradients);

/* Abbreviations for the tables, besides those of attention_cases.h. */
#define TOPW(...)              .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true, .window = __VA_ARGS__}
#define SHARED(...)            .selection = {.select = DMATTN_SELECT_TOPW_SHARED, .window = __VA_ARGS__}
#define THRESHOLD(...)         .selection = {.select = DMATTN_SELECT_THRESHOLD, .threshold = __VA_ARGS__}
#define ALL(...)               .selection = {__VA_ARGS__}
#define PARAMETERS(of)         .parameter_type = DMATTN_TYPE_##of
#define DMA_GROUP(name, array) const dma_group cases_##name = {array, sizeof(array) / sizeof *(array)}

#endif
