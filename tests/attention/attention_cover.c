/* SPDX-License-Identifier: MIT
 * The traits of each case of the table, and the few cases that together have all traits. */
#include "attention_cases.h"

#include "support/cover.h"

#include <criterion/criterion.h>

/* Classes of head_dim and value_dim: up to 16, 64, 128, 256 or more; a multiple of a matrix's size or not. */
static unsigned dim_class(uint32_t dim)
{
    const unsigned size = dim <= 16 ? 0 : dim <= 64 ? 1 : dim <= 128 ? 2 : dim <= 256 ? 3 : 4;
    return 2 * size + (dim % 16 != 0);
}

typedef enum layout { LAYOUT_CONTIGUOUS, LAYOUT_ALIGNED, LAYOUT_ODD, LAYOUT_REPEATED } layout;

static layout layout_of(const dmattn_strides *s, dmattn_type type)
{
    if (!s->batch && !s->sequence && !s->head)
        return LAYOUT_CONTIGUOUS;
    const uint32_t units = 16 / dmattn_type_size(type);
    if (s->batch % units || s->sequence % units || s->head % units)
        return LAYOUT_ODD;
    return s->sequence && s->head ? LAYOUT_ALIGNED : LAYOUT_REPEATED;
}

static unsigned heads_class(uint32_t heads, const dmattn_attention_desc *d)
{
    return heads <= 1 ? 0 : heads == d->heads ? 2 : 1;
}

/* Adds the dimensions over which a mask or bias is broadcast. */
static void add_shape(cover_traits *t, const dmattn_score_shape *s, bool is, const dmattn_attention_desc *d)
{
    const unsigned batches = s->batch > 1, heads = heads_class(s->heads, d), queries = s->queries > 1;
    const bool strided = s->batch_stride || s->head_stride || s->query_stride;
    cover_add(t, is ? 1 + batches : 0);
    cover_add(t, is ? 1 + heads : 0);
    cover_add(t, is ? 1 + queries : 0);
    cover_add(t, is && strided);
    cover_add_kernel(t, is ? 1 + batches + 2 * heads + 6 * queries : 0);
}

static cover_traits traits_of(const attention_case *c, size_t number, dmattn_type type, bool gradients)
{
    const dmattn_attention_desc *d = &c->desc;
    const uint32_t group = d->kv_heads ? d->heads / d->kv_heads : 1,
                   value_dim = d->value_dim ? d->value_dim : d->head_dim;
    const layout layouts[] = {layout_of(&d->q_strides, type), layout_of(&d->k_strides, type),
                              layout_of(&d->v_strides, type), layout_of(&d->out_strides, type)};
    const uint32_t packing = (uint32_t)d->counts + (d->total_queries != 0) + (d->total_keys != 0);
    cover_traits t = {.paired = gradients ? 2 : 4};
    /* each pair of these traits is covered; for gradients, which need three kernels, only pairs of the first two */
    cover_add(&t, type);
    cover_add(&t, d->mask);
    const bool bias = d->bias || d->mask == DMATTN_MASK_ADDITIVE;
    cover_add(&t, bias ? 1 + d->bias_type : 0);
    cover_add(&t, d->causal);

    cover_add(&t, 2 * d->mask + d->causal); /* for gradients, these two are no pair */
    add_shape(&t, &d->mask_shape, d->mask && d->mask != DMATTN_MASK_ADDITIVE, d);
    add_shape(&t, &d->bias_shape, bias, d);
    cover_add(&t, d->soft_cap > 0);
    cover_add(&t, d->scale < 0 ? 0 : d->scale == 0 ? 1 : 2);
    cover_add(&t, d->lse);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        cover_add(&t, gradients && i != 1 ? 0 : layouts[i]);
    cover_add(&t, dim_class(d->head_dim) / (gradients ? 2 : 1));
    cover_add(&t, value_dim == d->head_dim ? 0 : value_dim < d->head_dim ? 1 : 2);
    cover_add(&t, d->queries == 1 ? 0 : d->queries * group <= 16 ? 1 : 2);
    cover_add(&t, d->keys == 1 ? 0 : d->keys < d->queries ? 1 : 2);
    cover_add(&t, gradients ? group > 1 : group <= 3 ? group : group <= 16 ? 4 : 5);
    cover_add(&t, d->q_f32);
    cover_add(&t, d->out_f32);
    cover_add(&t, d->k_format);
    cover_add(&t, d->v_format);
    cover_add(&t, packing);
    cover_add(&t, d->counts && d->mask == DMATTN_MASK_SELECTED); /* kernels of their own */
    cover_add(&t, d->page_size > 16 ? 2 : d->page_size > 0);
    cover_add(&t, d->sink);
    cover_add(&t, d->slopes ? 1 + (d->bias || d->mask == DMATTN_MASK_ADDITIVE) : 0);
    cover_add(&t, c->data);
    cover_add(&t, d->list_capacity != 0);
    cover_add(&t, d->selected_block == 0 ? 0 : d->selected_block == 1 ? 1 : d->selected_block < 128 ? 2 : 3);

    const uint64_t values[] = {type,        d->q_f32,        d->out_f32,
                               d->k_format, d->v_format,     d->page_size,
                               packing,     d->mask,         bias ? 1 + (uint64_t)d->bias_type : 0,
                               d->causal,   d->soft_cap > 0, d->sink,
                               d->slopes,   d->lse,          d->head_dim,
                               value_dim,   group,           d->queries * group <= 16};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cover_add_kernel(&t, values[i]);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i] || d->mask_shape.batch_stride || d->mask_shape.query_stride || d->bias_shape.query_stride)
            cover_add_kernel(&t, 1 + number);
    return t;
}

bool attention_has_no_gradients(const dmattn_attention_desc *d)
{
    const bool selected_bias = d->mask == DMATTN_MASK_SELECTED && d->bias && d->bias_shape.queries > 1;
    return d->q_f32 || d->out_f32 || d->k_format || d->v_format || d->page_size || d->counts || selected_bias;
}

dmattn_type attention_case_type(const attention_case *c, size_t in_group, dmattn_level level)
{
    if (c->desc.type != DMATTN_TYPE_F32 || level == DMATTN_LEVEL_PORTABLE)
        return c->desc.type;
    return in_group % 3 == 2 ? DMATTN_TYPE_BF16 : DMATTN_TYPE_F16;
}

#define MOST_COMPILED 256

size_t attention_choose(dmattn_level level, bool gradients, attention_choice choice[ATTENTION_MOST_CASES])
{
#define POINTER(name) &cases_##name,
    static const attention_group *const groups[] = {ATTENTION_GROUPS(POINTER)};
#undef POINTER
    static cover_traits traits[ATTENTION_MOST_CASES];
    bool chosen[ATTENTION_MOST_CASES];
    size_t count = 0;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t i = 0; i < groups[g]->count; i++) {
            const attention_case *c = &groups[g]->cases[i];
            /* If all biases of a row are the lowest number, rounding loses the sum in lse. */
            const dmattn_attention_desc *d = &c->desc;
            if (gradients && (c->data == DATA_LOWEST_ROWS || attention_has_no_gradients(d)))
                continue;
            /* A CPU needs minutes to compile a matrix kernel of such a row. */
            if (level > DMATTN_LEVEL_PORTABLE && c->desc.head_dim > MOST_COMPILED)
                continue;
            const dmattn_type type = attention_case_type(c, i, level);
            cr_assert_lt(count, ATTENTION_MOST_CASES);
            traits[count] = traits_of(c, count, type, gradients);
            choice[count++] = (attention_choice){c, type, false};
        }
    cover_choose(traits, count, chosen);
    for (size_t i = 0; i < count; i++)
        choice[i].chosen = chosen[i];
    return count;
}

bool attention_is_chosen(const attention_case *c, dmattn_level level, bool gradients)
{
    static struct {
        size_t count;
        attention_choice choice[ATTENTION_MOST_CASES];
    } tables[DMATTN_LEVEL_MATRIX2 + 1][2];
    attention_choice *choice = tables[level][gradients].choice;
    if (!tables[level][gradients].count)
        tables[level][gradients].count = attention_choose(level, gradients, choice);
    for (size_t i = 0; i < tables[level][gradients].count; i++)
        if (choice[i].c == c)
            return choice[i].chosen;
    return false;
}
