/* SPDX-License-Identifier: MIT
 * Descriptors of every operator on devices of every kind. Plans are made, their sizes are computed again in 128 bits,
 * and they are recorded on a Vulkan without a device (support/fake_vulkan.h). */
#include "fuzz.h"

#include "attention/backward.h"
#include "attention/desc.h"
#include "decode/desc.h"
#include "mask/desc.h"
#include "operators/dma.h"
#include "operators/operators.h"
#include "plan.h"
#include "support/fake_vulkan.h"

#include "../../shaders/lib/lists.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A plan with more work consists of so many dispatches that recording takes too long. */
#define MOST_FLOPS 2e13

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef unsigned __int128 wide;

/* ---- the input as a source of choices ---------------------------------------------------------------------------- */

static const uint8_t *input;
static size_t input_left;
static uint64_t random_state;

/* After the input's end, returns pseudorandom numbers that follow from the input. */
static uint64_t bits(unsigned bytes)
{
    uint64_t value = 0;
    if (input_left >= bytes) {
        for (unsigned i = 0; i < bytes; i++)
            value = value << 8 | input[i];
        input += bytes;
        input_left -= bytes;
        return value;
    }
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    value = (random_state ^ random_state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(bits(n <= 256 ? 1 : 4) % n);
}

static bool once_in(uint32_t n)
{
    return below(n) == 0;
}

static bool flip(void)
{
    return below(2);
}

/* How the sizes of a descriptor are chosen. */
static enum { SIZES_SMALL, SIZES_LARGE, SIZES_WILD } kind;

static uint32_t wild_32(void)
{
    static const uint32_t edges[] = {0,
                                     1,
                                     31,
                                     32,
                                     255,
                                     256,
                                     4096,
                                     65535,
                                     65536,
                                     1u << 24,
                                     (1u << 28) - 1,
                                     1u << 28,
                                     (1u << 30) - 1,
                                     1u << 30,
                                     0x7fffffff,
                                     0x80000000u,
                                     0xffffffffu};
    switch (below(3)) {
    case 0: return (uint32_t)bits(4);
    case 1: return 1u << below(32);
    default: return edges[below(COUNT(edges))];
    }
}

static uint64_t wild_64(void)
{
    static const uint64_t edges[] = {
        0, 1, 8, 1ull << 31, 1ull << 32, 1ull << 58, 1ull << 60, (1ull << 60) - 8, 1ull << 62, 1ull << 63, ~0ull};
    switch (below(3)) {
    case 0: return bits(8);
    case 1: return 1ull << below(64);
    default: return edges[below(COUNT(edges))];
    }
}

static float wild_float(void)
{
    static const float edges[] = {0, -0.0f, 1, -1, 0.5f, 1e-30f, 1e30f, 3.4e38f, 1e-45f, INFINITY, -INFINITY, NAN};
    return edges[below(COUNT(edges))];
}

static uint32_t small_size(void)
{
    return 1 + below(once_in(3) ? 200 : 9);
}

static uint32_t size(void)
{
    if (kind == SIZES_WILD)
        return wild_32();
    if (kind == SIZES_SMALL || flip())
        return small_size();
    const uint32_t power = 1u << below(30);
    return once_in(3) ? power + ((uint32_t)bits(4) & (power - 1)) : power;
}

static uint32_t dimension(void)
{
    return once_in(kind == SIZES_WILD ? 2 : 40) ? wild_32() : 8 * (1 + below(32));
}

/* A value of an enum, or an invalid value. */
static int value_of(int count)
{
    static const int wrong[] = {-1, 3, 4, 5, 99, 0x7fffffff, (int)0x80000000};
    return once_in(kind == SIZES_WILD ? 4 : 60) ? wrong[below(COUNT(wrong))] : (int)below((uint32_t)count);
}

static dmattn_strides strides(uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim)
{
    const uint64_t s = sequence, h = heads, d = dim;
    dmattn_strides contiguous = {s * h * d, h * d, d};
    (void)batch;
    switch (below(8)) {
    case 0: contiguous.batch += below(64); return contiguous;
    case 1:
        contiguous.sequence += 8 * below(16);
        return (dmattn_strides){contiguous.sequence * s, contiguous.sequence, d};
    case 2: return (dmattn_strides){h * s * d, d, s * d};
    case 3: return (dmattn_strides){flip() ? 0 : d, flip() ? d : 0, flip() ? d : 0};
    case 4: return (dmattn_strides){wild_64(), wild_64(), wild_64()};
    default: return (dmattn_strides){0};
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static dmattn_score_shape score_shape(const dmattn_attention_desc *d, bool one_query)
{
    dmattn_score_shape s = {.batch = once_in(3) ? d->batch : below(2),
                            .heads = once_in(3) ? d->heads
                                     : flip()   ? d->kv_heads
                                                : below(2),
                            .queries = !one_query && flip() ? d->queries : below(2)};
    if (once_in(10))
        *(flip() ? &s.batch : flip() ? &s.heads : &s.queries) = wild_32();
    if (once_in(4)) {
        s.batch_stride = flip() ? wild_64() : 0;
        s.head_stride = flip() ? wild_64() : d->keys;
        s.query_stride = flip() ? wild_64() : d->keys;
    }
    return s;
}

static uint32_t kv_heads_of(const dmattn_attention_desc *d)
{
    return d->kv_heads ? d->kv_heads : d->heads;
}

static uint32_t value_dim_of(const dmattn_attention_desc *d)
{
    return d->value_dim ? d->value_dim : d->head_dim;
}

static void draw_sizes(dmattn_attention_desc *d)
{
    d->type = (dmattn_type)value_of(3);
    d->batch = size();
    d->queries = size();
    d->keys = once_in(3) ? d->queries : size();
    d->kv_heads = kind == SIZES_LARGE && flip() ? 1u << below(8) : size();
    d->heads = kind == SIZES_WILD && flip() ? wild_32() : d->kv_heads * (1 + below(kind == SIZES_SMALL ? 4 : 16));
    if (once_in(5))
        d->kv_heads = 0;
    d->head_dim = dimension();
    d->value_dim = once_in(3) ? dimension() : 0;
    d->scale = once_in(6) ? wild_float() : 0;
    d->soft_cap = once_in(5) ? wild_float() : 0;
    d->lse = flip();
    d->q_strides = strides(d->batch, d->queries, d->heads, d->head_dim);
    d->k_strides = strides(d->batch, d->keys, kv_heads_of(d), d->head_dim);
    d->v_strides = strides(d->batch, d->keys, kv_heads_of(d), value_dim_of(d));
    if (once_in(3))
        d->out_strides = strides(d->batch, d->queries, d->heads, value_dim_of(d));
    if (once_in(4))
        d->level = (dmattn_level)value_of(4);
    if (once_in(6))
        d->max_level = (dmattn_level)value_of(4);
}

static void draw_attention(dmattn_attention_desc *d)
{
    draw_sizes(d);
    d->causal = flip();
    d->mask = (dmattn_mask)value_of(3);
    const bool intervals = d->mask == DMATTN_MASK_INTERVALS;
    if (d->mask)
        d->mask_shape = score_shape(d, intervals);
    d->bias = once_in(3);
    if (d->bias) {
        d->bias_type = (dmattn_type)value_of(3);
        d->bias_shape = score_shape(d, intervals);
    }
    d->lists = intervals && once_in(5);
    d->list_capacity = intervals && once_in(3) ? size() : 0;
}

static dmattn_selection selection(uint32_t keys)
{
    return (dmattn_selection){.select = (dmattn_select)value_of(4),
                              .window = once_in(3) ? size() : 1 + below(keys < 100000 ? keys + 2 : 100000),
                              .threshold = once_in(3) ? wild_float() : 0.5f,
                              .sinks = once_in(3) ? wild_32() : below(20),
                              .recent = once_in(3) ? wild_32() : below(20),
                              .sliding = once_in(3) ? wild_32() : below(50),
                              .causal = flip(),
                              .key_valid = once_in(3),
                              .documents = once_in(3) ? size() : 0};
}

static dmattn_importance importance(void)
{
    return (dmattn_importance){
        .activation = (dmattn_activation)value_of(2), .parameter_type = (dmattn_type)value_of(3), .dt_bias = flip()};
}

static void draw_mask(dmattn_mask_desc *d)
{
    static const uint32_t stages[] = {0, 1, 2, 4, 3, 6, 7, 5, 8, 0xffffffffu};
    d->stages = stages[below(once_in(10) ? 10 : 7)];
    d->batch = size();
    d->queries = size();
    d->keys = size();
    d->kv_heads = size();
    d->type = (dmattn_type)value_of(3);
    d->value_dim = dimension();
    d->v_strides = strides(d->batch, d->keys, d->kv_heads, d->value_dim);
    d->importance = importance();
    d->selection = selection(d->keys);
    d->list_queries = once_in(3) ? size() : 16u << below(4);
    d->list_capacity = once_in(3) ? size() : 0;
}

static void draw_dma(dmattn_dma_desc *d)
{
    if (once_in(30))
        draw_attention(&d->attention);
    else
        draw_sizes(&d->attention);
    d->importance = importance();
    d->importance_given = once_in(3);
    d->selection = selection(d->attention.keys);
    d->list_capacity = once_in(3) ? size() : 0;
}

static void draw_decode(dmattn_decode_desc *d)
{
    dmattn_attention_desc *a = &d->attention;
    draw_sizes(a);
    if (!once_in(20)) {
        a->queries = 1 + below(once_in(20) ? 40 : 16);
        a->keys = flip() ? 0 : a->queries;
        a->q_strides = a->k_strides = a->v_strides = a->out_strides = (dmattn_strides){0};
    }
    d->importance = importance();
    d->importance_given = once_in(4);
    d->no_importance = once_in(5);
    d->selection = selection(1000);
    d->selection.causal = !once_in(20);
    d->selection.key_valid = once_in(30);
    d->selection.documents = once_in(30) ? size() : 0;
    d->cache = (dmattn_cache)value_of(2);
    if (d->cache == DMATTN_CACHE_BOUNDED) {
        if (!once_in(4))
            d->selection.select = d->no_importance ? DMATTN_SELECT_ALL : DMATTN_SELECT_TOPW_CAUSAL;
        d->rollback = once_in(10) ? wild_32() : below(17);
        return;
    }
    if (!once_in(4))
        d->selection.select = d->no_importance || flip() ? DMATTN_SELECT_ALL : DMATTN_SELECT_THRESHOLD;
    d->page_size = once_in(10) ? wild_32() : 16 * (1 + below(16));
    d->pages = size();
    d->max_keys = size();
    if (once_in(4)) {
        a->mask = DMATTN_MASK_DENSE;
        a->mask_shape = score_shape(a, false);
    }
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static struct {
    dmattn_attention_desc attention;
    dmattn_attention_backward_desc attention_backward;
    dmattn_mask_desc mask;
    dmattn_dma_desc dma;
    dmattn_dma_backward_desc dma_backward;
    dmattn_decode_desc decode;
} d;

static dmattn_context *context;

static dmattn_status plan_attention(dmattn_plan **plan)
{
    draw_attention(&d.attention);
    return dmattn_attention_plan(context, &d.attention, plan);
}

static void draw_gradient_strides(const dmattn_attention_desc *a, dmattn_strides *dout, dmattn_strides *dq,
                                  dmattn_strides *dk, dmattn_strides *dv)
{
    if (once_in(3))
        *dout = strides(a->batch, a->queries, a->heads, value_dim_of(a));
    if (once_in(4))
        *dq = strides(a->batch, a->queries, a->heads, a->head_dim);
    if (once_in(4))
        *dk = strides(a->batch, a->keys, kv_heads_of(a), a->head_dim);
    if (once_in(4))
        *dv = strides(a->batch, a->keys, kv_heads_of(a), value_dim_of(a));
}

static dmattn_status plan_attention_backward(dmattn_plan **plan)
{
    dmattn_attention_backward_desc *b = &d.attention_backward;
    draw_attention(&b->attention);
    b->gradients = flip() ? 0 : once_in(6) ? wild_32() : below(16);
    draw_gradient_strides(&b->attention, &b->dout_strides, &b->dq_strides, &b->dk_strides, &b->dv_strides);
    return dmattn_attention_backward_plan(context, b, plan);
}

static dmattn_status plan_mask(dmattn_plan **plan)
{
    draw_mask(&d.mask);
    return dmattn_mask_plan(context, &d.mask, plan);
}

static dmattn_status plan_dma(dmattn_plan **plan)
{
    draw_dma(&d.dma);
    return dmattn_dma_plan(context, &d.dma, plan);
}

static dmattn_status plan_dma_backward(dmattn_plan **plan)
{
    dmattn_dma_backward_desc *b = &d.dma_backward;
    draw_dma(&b->dma);
    b->gradients = flip() ? 0 : once_in(6) ? wild_32() : below(256);
    draw_gradient_strides(&b->dma.attention, &b->dout_strides, &b->dq_strides, &b->dk_strides, &b->dv_strides);
    return dmattn_dma_backward_plan(context, b, plan);
}

static dmattn_status plan_decode(dmattn_plan **plan)
{
    draw_decode(&d.decode);
    return dmattn_decode_plan(context, &d.decode, plan);
}

static const struct {
    dmattn_status (*plan)(dmattn_plan **plan);
    const operator_type *type;
} fuzzed[] = {{plan_attention, &dmattn_attention_operator},
              {plan_attention_backward, &dmattn_attention_backward_operator},
              {plan_mask, &dmattn_mask_operator},
              {plan_dma, &dmattn_dma_operator},
              {plan_dma_backward, &dmattn_dma_backward_operator},
              {plan_decode, &dmattn_decode_operator}};

/* ---- sizes in 128 bits ------------------------------------------------------------------------------------------- */

static wide span(const dmattn_strides *s, wide batch, wide sequence, wide heads, wide dim)
{
    return (batch - 1) * s->batch + (sequence - 1) * s->sequence + (heads - 1) * s->head + dim;
}

static wide score_span(const dmattn_score_shape *s, wide keys)
{
    return keys + (wide)(s->batch - 1) * (s->batch > 1 ? s->batch_stride : 0)
           + (wide)(s->heads - 1) * (s->heads > 1 ? s->head_stride : 0)
           + (wide)(s->queries - 1) * (s->queries > 1 ? s->query_stride : 0);
}

static wide attention_bytes(const dmattn_attention_desc *a, tensor_id t)
{
    const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2, bias = a->bias_type == DMATTN_TYPE_F32 ? 4 : 2;
    switch (t) {
    case TENSOR_Q: return element * span(&a->q_strides, a->batch, a->queries, a->heads, a->head_dim);
    case TENSOR_K: return element * span(&a->k_strides, a->batch, a->keys, a->kv_heads, a->head_dim);
    case TENSOR_V: return element * span(&a->v_strides, a->batch, a->keys, a->kv_heads, a->value_dim);
    case TENSOR_OUT: return element * span(&a->out_strides, a->batch, a->queries, a->heads, a->value_dim);
    case TENSOR_LSE: return a->lse ? (wide)4 * a->batch * a->heads * a->queries : 0;
    case TENSOR_MASK: return a->mask == DMATTN_MASK_DENSE ? score_span(&a->mask_shape, a->keys) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return a->mask == DMATTN_MASK_INTERVALS ? 4 * score_span(&a->mask_shape, a->keys) : 0;
    case TENSOR_BIAS: return a->bias ? bias * score_span(&a->bias_shape, a->keys) : 0;
    default: return 0;
    }
}

static wide mask_bytes(const dmattn_mask_desc *m, tensor_id t)
{
    const bool makes_importance = m->stages & DMATTN_STAGE_IMPORTANCE, intervals = m->stages & DMATTN_STAGE_INTERVALS,
               lists = m->stages & DMATTN_STAGE_LISTS;
    const wide plane = (wide)4 * m->batch * m->kv_heads * m->keys, heads = m->kv_heads;
    const wide parameter = m->importance.parameter_type == DMATTN_TYPE_F32 ? 4 : 2;
    switch (t) {
    case TENSOR_V:
        return makes_importance ? (m->type == DMATTN_TYPE_F32 ? 4 : 2)
                                      * span(&m->v_strides, m->batch, m->keys, m->kv_heads, m->value_dim)
                                : 0;
    case TENSOR_DT_WEIGHT: return makes_importance ? parameter * heads * heads * m->value_dim : 0;
    case TENSOR_A: return makes_importance ? parameter * heads : 0;
    case TENSOR_DT_BIAS: return makes_importance && m->importance.dt_bias ? parameter * heads : 0;
    case TENSOR_IMPORTANCE: return makes_importance || (intervals && m->selection.select) ? plane : 0;
    case TENSOR_KEY_VALID: return intervals && m->selection.key_valid ? (wide)m->batch * m->keys : 0;
    case TENSOR_QUERY_OFFSETS:
    case TENSOR_KEY_OFFSETS:
        return intervals && m->selection.documents ? (wide)4 * m->batch * ((wide)m->selection.documents + 1) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return intervals || lists ? plane : 0;
    default: return 0;
    }
}

static void check_attention(const dmattn_plan *plan, const dmattn_attention_desc *resolved)
{
    for (int t = TENSOR_Q; t <= TENSOR_BIAS; t++)
        FUZZ_CHECK(plan->tensor[t].bytes == attention_bytes(resolved, (tensor_id)t));
}

static void check_backward(const dmattn_plan *plan)
{
    dmattn_attention_backward_desc b;
    FUZZ_CHECK(!dmattn_attention_backward_desc_resolve(&d.attention_backward, &b, NULL));
    const dmattn_attention_desc *a = &b.attention;
    const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2;
    dmattn_attention_desc forward = *a;
    forward.lse = true;
    check_attention(plan, &forward);
    const wide gradients[] = {span(&b.dq_strides, a->batch, a->queries, a->heads, a->head_dim),
                              span(&b.dk_strides, a->batch, a->keys, a->kv_heads, a->head_dim),
                              span(&b.dv_strides, a->batch, a->keys, a->kv_heads, a->value_dim)};
    FUZZ_CHECK(plan->tensor[TENSOR_DOUT].bytes
               == element * span(&b.dout_strides, a->batch, a->queries, a->heads, a->value_dim));
    for (int i = 0; i < 3; i++)
        FUZZ_CHECK(plan->tensor[TENSOR_DQ + i].bytes == 0
                   || plan->tensor[TENSOR_DQ + i].bytes == element * gradients[i]);
}

static void check_mask(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_mask_desc m;
    FUZZ_CHECK(!dmattn_mask_desc_resolve(&d.mask, &m, NULL));
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (t != TENSOR_LISTS)
            FUZZ_CHECK(plan->tensor[t].bytes == mask_bytes(&m, (tensor_id)t));
    if (dmattn_selection_sorts(&m.selection))
        FUZZ_CHECK(info->workspace_size >= (wide)16 * m.batch * m.kv_heads * m.keys);
    if (!(m.stages & DMATTN_STAGE_LISTS))
        return;
    const wide lists = (wide)m.batch * m.kv_heads * ((m.queries - 1) / m.list_queries + 1);
    const wide headers = (16 * lists + LIST_UNIT - 1) / LIST_UNIT * LIST_UNIT;
    FUZZ_CHECK(info->lists_size == headers + 4 * lists * m.list_capacity);
}

static void check_dma(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dma_descs descs;
    FUZZ_CHECK(!dmattn_dma_desc_resolve(&d.dma, &descs, NULL));
    const dmattn_attention_desc *a = &descs.attention;
    for (int t = TENSOR_Q; t <= TENSOR_LSE; t++)
        FUZZ_CHECK(plan->tensor[t].bytes == attention_bytes(a, (tensor_id)t));
    const wide plane = (wide)4 * a->batch * a->kv_heads * a->keys;
    FUZZ_CHECK(plan->tensor[TENSOR_BEGIN].bytes == plane && plan->tensor[TENSOR_END].bytes == plane);
    const wide lists = (wide)a->batch * a->kv_heads * ((a->queries - 1) / info->list_queries + 1);
    FUZZ_CHECK(info->workspace_size >= 16 * lists);
}

static void check_decode(const dmattn_plan *plan)
{
    dmattn_decode_desc c;
    dmattn_cache_layout l;
    FUZZ_CHECK(!dmattn_decode_desc_resolve(&d.decode, &c, NULL) && !dmattn_decode_get_layout(plan, &l));
    const dmattn_attention_desc *a = &c.attention;
    const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2, heads = a->kv_heads;
    const wide row = element * ((wide)a->head_dim + a->value_dim);
    const wide sequence = 48 * heads + (c.cache == DMATTN_CACHE_BOUNDED ? heads * l.slots * (16 + row) : 0);
    FUZZ_CHECK(l.sequence_size == sequence && l.state_size == sequence * a->batch);
    FUZZ_CHECK(plan->tensor[TENSOR_STATE].bytes == l.state_size);
    if (c.cache != DMATTN_CACHE_PAGED)
        return;
    const wide page = heads * c.page_size * (row + (c.no_importance ? 0 : 4));
    FUZZ_CHECK(l.page_size == page && l.pages_size == page * c.pages);
    FUZZ_CHECK(plan->tensor[TENSOR_TABLE].bytes == (wide)4 * a->batch * l.table_pages);
}

/* Checks sizes that every plan has, then those of its operator. */
static void check_sizes(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    wide in_workspace = 0;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const plan_tensor *tensor = &plan->tensor[t];
        FUZZ_CHECK(tensor->bytes <= UINT64_C(1) << 62);
        if (!tensor->in_workspace)
            continue;
        FUZZ_CHECK((wide)tensor->offset + tensor->bytes <= plan->workspace_size);
        in_workspace += tensor->bytes;
    }
    FUZZ_CHECK(plan->workspace_size >= in_workspace && plan->workspace_size <= UINT64_C(1) << 62);
    if (plan->type == &dmattn_attention_operator) {
        dmattn_attention_desc a;
        FUZZ_CHECK(!dmattn_attention_desc_resolve(&d.attention, &a, NULL));
        check_attention(plan, &a);
    } else if (plan->type == &dmattn_attention_backward_operator)
        check_backward(plan);
    else if (plan->type == &dmattn_mask_operator)
        check_mask(plan, info);
    else if (plan->type == &dmattn_dma_operator)
        check_dma(plan, info);
    else if (plan->type == &dmattn_decode_operator)
        check_decode(plan);
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static fake_vulkan vulkan;
static unsigned errors;

static void hear(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    FUZZ_CHECK(text && *text && strlen(text) < 511 && !strchr(text, '\n'));
    errors += severity == DMATTN_SEVERITY_ERROR;
}

static void change_limits(VkPhysicalDeviceProperties2 *properties)
{
    static const uint32_t counts[] = {65535, 0x7fffffff, 0xffffffffu}, invocations[] = {128, 256, 512, 1024, 1536};
    static const uint32_t shared[] = {16384, 32768, 49152, 65536, 233472}, subgroups[] = {4, 8, 16, 32, 64, 128};
    VkPhysicalDeviceLimits *limits = &properties->properties.limits;
    limits->maxComputeWorkGroupCount[0] = counts[below(COUNT(counts))];
    limits->maxComputeWorkGroupCount[1] = limits->maxComputeWorkGroupCount[2] = once_in(12) ? 1u << 30 : 65535;
    limits->maxComputeWorkGroupInvocations = limits->maxComputeWorkGroupSize[0] =
        invocations[below(COUNT(invocations))];
    limits->maxComputeSharedMemorySize = shared[below(COUNT(shared))];
    const uint32_t subgroup = subgroups[below(COUNT(subgroups))];
    const bool nvidia = flip(), fixed = flip();
    for (VkBaseOutStructure *s = properties->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES)
            ((VkPhysicalDeviceSubgroupProperties *)s)->subgroupSize = subgroup;
        else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) {
            ((VkPhysicalDeviceSubgroupSizeControlProperties *)s)->minSubgroupSize = fixed ? subgroup : 4;
            ((VkPhysicalDeviceSubgroupSizeControlProperties *)s)->maxSubgroupSize = fixed ? subgroup : 128;
        } else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES && nvidia)
            ((VkPhysicalDeviceDriverProperties *)s)->driverID = VK_DRIVER_ID_NVIDIA_PROPRIETARY;
}

/* The work by which the dispatches of a plan are cut into slices. In dynamic mask attention, this is the work without a
 * causal mask, which can be much more than info.flops. */
static double work_of(const dmattn_plan *plan, double flops)
{
    const dmattn_dma_desc *dma = plan->type == &dmattn_dma_operator            ? &d.dma
                                 : plan->type == &dmattn_dma_backward_operator ? &d.dma_backward.dma
                                                                               : NULL;
    if (!dma)
        return flops;
    dmattn_attention_desc counted = dma->attention;
    counted.causal = dma->selection.causal;
    return flops * dmattn_attention_pairs(&dma->attention) / dmattn_attention_pairs(&counted);
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

static bool any_commands(const fake_commands *c)
{
    return c->binds || c->pushes || c->barriers || c->dispatches || c->slices;
}

static dmattn_buffer buffer(uint64_t number, uint64_t bytes)
{
    return (dmattn_buffer){(VkBuffer)(uintptr_t)(number << 40), 0, bytes};
}

/* Records with buffers of the exact sizes, which must succeed; then with one buffer that is too small or missing. */
static void record(const dmattn_plan *plan)
{
    uint64_t storage[128] = {0}; /* large enough for the args of any operator */
    fake_commands commands;
    dmattn_buffer *damaged = NULL;
    const operator_type *type = plan->type;
    uint64_t count = 0;
    for (const operator_buffer *b = type->buffers; b->tensor != TENSOR_COUNT; b++) {
        const plan_tensor *t = &plan->tensor[b->tensor];
        if (!t->bytes || (t->in_workspace && flip()))
            continue;
        dmattn_buffer *at = dmattn_operator_buffer(type, storage, b->tensor);
        *at = buffer(++count, t->bytes);
        if (!damaged || once_in(4))
            damaged = at;
    }
    dmattn_buffer *workspace = (dmattn_buffer *)((char *)storage + type->workspace);
    if (plan->workspace_size) {
        *workspace = buffer(++count, plan->workspace_size);
        damaged = once_in(8) ? workspace : damaged;
    }
    VkCommandBuffer handle = fake_commands_begin(&vulkan, &commands);
    FUZZ_CHECK(!dmattn_plan_record(plan, type, handle, storage, 0) && !errors);
    if (!damaged)
        return;
    damaged->size--;
    handle = fake_commands_begin(&vulkan, &commands);
    FUZZ_CHECK(dmattn_plan_record(plan, type, handle, storage, 0) == DMATTN_ERROR_INVALID && errors == 1);
    FUZZ_CHECK(!any_commands(&commands));
}

/* The call ended well, or it was refused with one message and recorded nothing. */
static void check_call(dmattn_status status, const fake_commands *commands)
{
    FUZZ_CHECK(!status || status == DMATTN_ERROR_INVALID);
    FUZZ_CHECK(errors == (status != DMATTN_SUCCESS) && any_commands(commands) == (status == DMATTN_SUCCESS));
    errors = 0;
}

static dmattn_status fill(const dmattn_plan *plan, const dmattn_decode_fill_args *args)
{
    fake_commands commands;
    const dmattn_status status = dmattn_decode_fill_record(plan, fake_commands_begin(&vulkan, &commands), args);
    check_call(status, &commands);
    return status;
}

/* A prompt for the cache; if it is taken, also with k of just the right size, and one byte less. Then a copy of a
 * sequence. */
static void record_cache(const dmattn_plan *plan)
{
    dmattn_decode_desc c;
    FUZZ_CHECK(!dmattn_decode_desc_resolve(&d.decode, &c, NULL));
    const dmattn_attention_desc *a = &c.attention;
    const dmattn_buffer any = buffer(1, VK_WHOLE_SIZE);
    dmattn_decode_fill_args args = {.sequence = once_in(4) ? wild_32() : below(a->batch),
                                    .keys = once_in(4) ? wild_32() : small_size(),
                                    .k = any,
                                    .v = any,
                                    .importance = any,
                                    .state = any,
                                    .pages = any,
                                    .table = any};
    args.k_strides = strides(1, args.keys, a->kv_heads, a->head_dim);
    args.v_strides = strides(1, args.keys, a->kv_heads, a->value_dim);
    errors = 0;
    if (!fill(plan, &args)) {
        FUZZ_CHECK(args.sequence < a->batch && args.keys && (c.cache != DMATTN_CACHE_PAGED || args.keys <= c.max_keys));
        dmattn_strides s = args.k_strides;
        if (!s.batch && !s.sequence && !s.head)
            s = (dmattn_strides){0, (uint64_t)a->kv_heads * a->head_dim, a->head_dim};
        const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2;
        const wide bytes = element * span(&s, 1, args.keys, a->kv_heads, a->head_dim);
        FUZZ_CHECK(bytes <= UINT64_C(1) << 62);
        args.k.size = (VkDeviceSize)bytes;
        FUZZ_CHECK(!fill(plan, &args));
        args.k.size--;
        FUZZ_CHECK(fill(plan, &args) == DMATTN_ERROR_INVALID);
    }
    const uint32_t from = once_in(3) ? wild_32() : below(a->batch), to = once_in(3) ? wild_32() : below(a->batch);
    fake_commands commands;
    const dmattn_status status =
        dmattn_decode_fork_record(plan, fake_commands_begin(&vulkan, &commands), &any, from, to);
    check_call(status, &commands);
    FUZZ_CHECK(!status == (from < a->batch && to < a->batch && from != to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    input = data;
    input_left = bytes;
    random_state = bytes;
    for (size_t i = 0; i < bytes; i++)
        random_state = (random_state ^ data[i]) * UINT64_C(0x100000001b3);
    memset(&d, 0, sizeof d);
    errors = 0;
    const unsigned choice = below(10);
    kind = choice < 5 ? SIZES_SMALL : choice < 8 ? SIZES_LARGE : SIZES_WILD;
    fake_vulkan_init(&vulkan);
    vulkan.change_limits = change_limits;
    vulkan.desc.message = hear;
    const dmattn_status created = dmattn_context_create(&vulkan.desc, &context);
    FUZZ_CHECK(errors == (created != DMATTN_SUCCESS) && !context == (created != DMATTN_SUCCESS));
    dmattn_plan *plan = (dmattn_plan *)&d;
    if (context) {
        const size_t which = below(COUNT(fuzzed));
        const dmattn_status status = fuzzed[which].plan(&plan);
        FUZZ_CHECK(errors == (status != DMATTN_SUCCESS) && !plan == (status != DMATTN_SUCCESS));
        FUZZ_CHECK(!status || status == DMATTN_ERROR_INVALID || status == DMATTN_ERROR_UNSUPPORTED);
        if (plan) {
            dmattn_plan_info info;
            dmattn_plan_get_info(plan, &info);
            FUZZ_CHECK(isfinite(info.flops) && info.flops >= 0 && isfinite(info.bytes) && info.bytes >= 0);
            FUZZ_CHECK(plan->type == fuzzed[which].type && info.kernel && info.why_not_higher && info.data_alignment);
            check_sizes(plan, &info);
            if (work_of(plan, info.flops) < MOST_FLOPS)
                record(plan);
            if (plan->type == &dmattn_decode_operator)
                record_cache(plan);
        }
        dmattn_plan_destroy(plan);
        dmattn_context_destroy(context);
    }
    FUZZ_CHECK(!fake_vulkan_live(&vulkan) && !vulkan.wrong);
    return 0;
}
