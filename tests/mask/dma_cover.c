/* SPDX-License-Identifier: MIT
 * The traits of each case of the table, and the few cases that together have all traits. */
#include "dma_cases.h"

#include "support/cover.h"

#include <criterion/criterion.h>

static unsigned dim_class(uint32_t dim)
{
    return dim <= 16 ? 0 : dim <= 64 ? 1 : dim <= 128 ? 2 : dim <= 256 ? 3 : 4;
}

/* Gradients only read the intervals, so for them, only the kind of selection counts. Of the options of attention, only
 * those count that the importance's part of the gradients depends on: attention's own gradients have all of them, also
 * with intervals. */
static cover_traits traits_of(const dma_case *c, size_t number, dmattn_level level, bool gradients)
{
    const dmattn_attention_desc *d = &c->desc.attention;
    const dmattn_selection *s = &c->desc.selection;
    const dmattn_importance *importance = &c->desc.importance;
    const uint32_t group = d->kv_heads ? d->heads / d->kv_heads : 1;
    const bool given = c->desc.importance_given;
    cover_traits t = {.paired = gradients ? 0 : 2};
    cover_add(&t, d->type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE ? DMATTN_TYPE_F16 : d->type);
    cover_add(&t, s->select);

    const unsigned options[] = {s->causal,
                                s->sinks > 0,
                                s->recent > 0,
                                s->sliding > 0,
                                s->key_valid,
                                s->documents > 0,
                                s->window <= 1        ? s->window
                                : s->window < d->keys ? 2
                                                      : 3,
                                s->threshold > 1000};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        cover_add(&t, gradients ? 0 : options[i]);
    cover_add(&t, given);
    cover_add(&t, given ? 0 : 1 + importance->activation);
    cover_add(&t, given ? 0 : 1 + importance->parameter_type);
    cover_add(&t, importance->dt_bias);
    cover_add(&t, d->v_strides.batch || d->v_strides.sequence);
    cover_add(&t, dim_class(d->value_dim ? d->value_dim : d->head_dim));
    cover_add(&t, d->kv_heads > 8);
    const unsigned of_attention[] = {d->soft_cap > 0,
                                     d->q_strides.batch || d->q_strides.sequence,
                                     d->k_strides.batch || d->k_strides.sequence,
                                     dim_class(d->head_dim),
                                     d->value_dim == 0            ? 0
                                     : d->value_dim < d->head_dim ? 1
                                                                  : 2,
                                     d->queries == 1            ? 0
                                     : d->queries * group <= 16 ? 1
                                     : d->queries < 1000        ? 2
                                                                : 3,
                                     d->keys < d->queries,
                                     group <= 3    ? group
                                     : group <= 16 ? 4
                                                   : 5,
                                     d->list_capacity > 0};
    for (size_t i = 0; i < sizeof of_attention / sizeof *of_attention; i++)
        cover_add(&t, gradients ? 0 : of_attention[i]);
    cover_add(&t, group > 1);
    cover_add_kernel(&t, 1 + number);
    return t;
}

size_t dma_choose(dmattn_level level, bool gradients, const dma_case *cases[DMA_MOST_CASES],
                  bool chosen[DMA_MOST_CASES])
{
#define POINTER(name) &cases_##name,
    static const dma_group *const groups[] = {DMA_GROUPS(POINTER)};
#undef POINTER
    static cover_traits traits[DMA_MOST_CASES];
    size_t count = 0;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t i = 0; i < groups[g]->count; i++) {
            cr_assert_lt(count, DMA_MOST_CASES);
            cases[count] = &groups[g]->cases[i];
            traits[count] = traits_of(cases[count], count, level, gradients);
            count++;
        }
    cover_choose(traits, count, chosen);
    return count;
}

bool dma_is_chosen(const dma_case *c, dmattn_level level, bool gradients)
{
    static struct {
        size_t count;
        const dma_case *cases[DMA_MOST_CASES];
        bool chosen[DMA_MOST_CASES];
    } tables[DMATTN_LEVEL_MATRIX2 + 1][2];
    const int which = gradients;
    if (!tables[level][which].count)
        tables[level][which].count =
            dma_choose(level, gradients, tables[level][which].cases, tables[level][which].chosen);
    for (size_t i = 0; i < tables[level][which].count; i++)
        if (tables[level][which].cases[i] == c)
            return tables[level][which].chosen[i];
    return false;
}
