/* SPDX-License-Identifier: MIT
 * What plans of decoding refuse on a device, and their information. */
#include "decode/desc.h"
#include "support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTENTION .batch = 2, .queries = 3, .heads = 4, .kv_heads = 2, .head_dim = 8
#define TOPW      .select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true, .window = 8

static const dmattn_decode_desc bounded = {
    .attention = {ATTENTION, .type = DMATTN_TYPE_F16, .lse = true},
    .importance = {.parameter_type = DMATTN_TYPE_BF16, .dt_bias = true},
    .selection = {TOPW},
    .rollback = 2,
};
static const dmattn_decode_desc paged = {
    .attention = {ATTENTION, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 3}},
    .importance_given = true,
    .selection = {.causal = true},
    .cache = DMATTN_CACHE_PAGED,
    .page_size = 16,
    .pages = 4,
    .max_keys = 32,
};
static const dmattn_decode_desc without_importance = {
    .attention = {ATTENTION},
    .no_importance = true,
    .selection = {.causal = true, .sliding = 9},
};

/* ---- plans --------------------------------------------------------------------------------------------------- */

DEVICE_TEST(decode_plan, what_is_refused)
{
    dmattn_plan *plan = (dmattn_plan *)&h;
    EXPECT_FAILURE(dmattn_decode_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    cr_expect_null(plan);
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &bounded, NULL), DMATTN_ERROR_INVALID, "plan");
    cr_expect_eq(dmattn_decode_plan(NULL, &bounded, &plan), DMATTN_ERROR_INVALID);

    dmattn_decode_desc d = bounded;
    d.attention.level = DMATTN_LEVEL_MATRIX;
    d.attention.type = DMATTN_TYPE_F32;
    plan = (dmattn_plan *)&h;
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "level matrix");
    cr_expect_null(plan);
    d.attention.level = DMATTN_LEVEL_MATRIX2;
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "level matrix2");
    d = bounded;
    d.rollback = 17;
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &d, &plan), DMATTN_ERROR_INVALID, "rollback");
    d = paged;
    d.page_size = 17;
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &d, &plan), DMATTN_ERROR_INVALID, "page_size");
    cr_expect_null(plan);
}

static bool is_zero(const dmattn_cache_layout *l)
{
    return !l->state_size && !l->sequence_size && !l->slots && !l->slot_words && !l->keys && !l->values
           && !l->key_scales && !l->value_scales && !l->importance && !l->page_size && !l->pages_size
           && !l->table_pages;
}

DEVICE_TEST(decode_plan, layout)
{
    dmattn_plan *plan, *attention;
    dmattn_cache_layout layout;
    ASSERT_OK(dmattn_decode_plan(h.context, &bounded, &plan));
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    cr_expect_eq(layout.slots, 16); /* 8 + 3, rounded up to a multiple of 16 */
    cr_expect_eq(layout.sequence_size, 2 * (48 + 16 * (16 + 2 * (8 + 8))));
    cr_expect_eq(layout.state_size, 2 * layout.sequence_size);
    dmattn_plan_destroy(plan);

    ASSERT_OK(dmattn_attention_plan(h.context, &(dmattn_attention_desc){ATTENTION, .keys = 3}, &attention));
    memset(&layout, 0xff, sizeof layout);
    EXPECT_FAILURE(dmattn_decode_get_layout(attention, &layout), DMATTN_ERROR_INVALID, "not for decoding");
    cr_expect(is_zero(&layout));
    memset(&layout, 0xff, sizeof layout);
    cr_expect_eq(dmattn_decode_get_layout(NULL, &layout), DMATTN_ERROR_INVALID);
    cr_expect(is_zero(&layout));
    dmattn_plan_destroy(attention);
}

DEVICE_TEST(decode_plan, info)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    h.kernel[0] = 0;
    ASSERT_OK(dmattn_decode_plan(h.context, &bounded, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect(strstr(h.kernel, info.kernel), "'%s' does not contain '%s'", h.kernel, info.kernel);
    const bool matrices = harness_next_level(DMATTN_LEVEL_PORTABLE) != 0;
    cr_expect_eq(info.level, matrices ? DMATTN_LEVEL_MATRIX : DMATTN_LEVEL_PORTABLE);
    cr_expect(strstr(info.why_not_higher, "matrix2: ") == info.why_not_higher, "%s", info.why_not_higher);
    cr_expect(info.workspace_size && !info.list_queries && !info.lists_size);
    cr_expect_eq(info.data_alignment, 16);
    cr_expect_eq(info.flops, 2.0 * (8 + 8) * 8 * 2 * 4 * 3);
    cr_expect_gt(info.bytes, 0);
    dmattn_plan_destroy(plan);

    dmattn_decode_desc d = bounded; /* limits the level; then rows may begin at any element */
    d.attention.max_level = DMATTN_LEVEL_PORTABLE;
    d.attention.v_strides = (dmattn_strides){100, 33, 9};
    ASSERT_OK(dmattn_decode_plan(h.context, &d, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect_eq(info.why_not_higher[0], 0);
    cr_expect_eq(info.data_alignment, 2);
    dmattn_plan_destroy(plan);
}

/* ---- a plan with its buffers --------------------------------------------------------------------------------- */

#define BUFFERS (TENSOR_COUNT + 1) /* the last one is the workspace */

typedef struct rig {
    dmattn_plan *plan;
    dmattn_decode_args args;
    VkCommandBuffer commands;
} rig;

static dmattn_buffer *step_buffer(dmattn_decode_args *args, int t)
{
    switch (t) {
    case TENSOR_Q: return &args->q;
    case TENSOR_K: return &args->k;
    case TENSOR_V: return &args->v;
    case TENSOR_OUT: return &args->out;
    case TENSOR_LSE: return &args->lse;
    case TENSOR_DT_WEIGHT: return &args->dt_weight;
    case TENSOR_A: return &args->a;
    case TENSOR_DT_BIAS: return &args->dt_bias;
    case TENSOR_IMPORTANCE: return &args->importance;
    case TENSOR_COUNTS: return &args->counts;
    case TENSOR_KEEP: return &args->keep;
    case TENSOR_STATE: return &args->state;
    case TENSOR_PAGES: return &args->pages;
    case TENSOR_TABLE: return &args->table;
    case TENSOR_MASK: return &args->mask;
    case TENSOR_SELECTED: return &args->selected;
    case TENSOR_COUNT: return &args->workspace;
    default: return NULL;
    }
}

static dmattn_buffer *fill_buffer(dmattn_decode_fill_args *args, int t)
{
    switch (t) {
    case TENSOR_K: return &args->k;
    case TENSOR_V: return &args->v;
    case TENSOR_IMPORTANCE: return &args->importance;
    case TENSOR_STATE: return &args->state;
    case TENSOR_PAGES: return &args->pages;
    case TENSOR_TABLE: return &args->table;
    default: return NULL;
    }
}

static const char *buffer_name(int t)
{
    return t < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)t) : "workspace";
}

static void fill_bytes(const dmattn_buffer *buffer, int byte)
{
    uint8_t *bytes = malloc(buffer->size);
    cr_assert_not_null(bytes);
    memset(bytes, byte, buffer->size);
    ASSERT_OK(dmattn_upload(h.device, buffer, 0, bytes, buffer->size));
    free(bytes);
}

static dmattn_buffer buffer_of(uint64_t size, int byte)
{
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, size, &buffer));
    fill_bytes(&buffer, byte);
    return buffer;
}

static void expect_bytes(const dmattn_buffer *buffer, int byte, const char *name)
{
    uint8_t *bytes = malloc(buffer->size);
    cr_assert_not_null(bytes);
    ASSERT_OK(dmattn_download(h.device, buffer, 0, bytes, buffer->size));
    uint64_t different = 0;
    for (uint64_t i = 0; i < buffer->size; i++)
        different += bytes[i] != byte;
    cr_expect_eq(different, 0, "a recorded command wrote to %s", name);
    free(bytes);
}

/* Every byte of all buffers is `byte`. */
static rig rig_create(const dmattn_decode_desc *desc, int byte)
{
    rig r = {0};
    dmattn_decode_desc d;
    dmattn_plan_info info;
    ASSERT_OK(dmattn_decode_desc_resolve(desc, &d, NULL));
    ASSERT_OK(dmattn_decode_plan(h.context, desc, &r.plan));
    dmattn_plan_get_info(r.plan, &info);
    for (int t = 0; t < BUFFERS; t++) {
        const uint64_t size = t < TENSOR_COUNT ? dmattn_decode_tensor_bytes(&d, (tensor_id)t) : info.workspace_size;
        if (size)
            *step_buffer(&r.args, t) = buffer_of(size, byte);
    }
    ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
    return r;
}

/* Submits the commands and expects that no buffer has changed. */
static void rig_expect_nothing(rig *r, int byte)
{
    ASSERT_OK(dmattn_commands_submit(h.device));
    for (int t = 0; t < BUFFERS; t++) {
        const dmattn_buffer *buffer = step_buffer(&r->args, t);
        if (buffer && buffer->buffer)
            expect_bytes(buffer, byte, buffer_name(t));
    }
}

static void rig_destroy(rig *r)
{
    for (int t = 0; t < BUFFERS; t++)
        if (step_buffer(&r->args, t))
            dmattn_buffer_destroy(h.device, step_buffer(&r->args, t));
    dmattn_plan_destroy(r->plan);
}

/* The number of tokens in the header of the sequence's first kv head. */
static uint32_t length_of(const rig *r, uint32_t sequence)
{
    dmattn_cache_layout layout;
    uint32_t length = UINT32_MAX;
    ASSERT_OK(dmattn_decode_get_layout(r->plan, &layout));
    ASSERT_OK(dmattn_download(h.device, &r->args.state, sequence * layout.sequence_size, &length, sizeof length));
    return length;
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

/* Tries each buffer as missing, too small, and at an offset that is not aligned. Then nothing is recorded. */
static void try_step_buffers(const dmattn_decode_desc *desc, unsigned buffers)
{
    rig r = rig_create(desc, 0xff);
    unsigned tried = 0;
    for (int t = 0; t < BUFFERS; t++) {
        dmattn_buffer *buffer = step_buffer(&r.args, t);
        if (!buffer || !buffer->buffer)
            continue;
        char part[64];
        snprintf(part, sizeof part, "buffer %s ", buffer_name(t));
        const dmattn_buffer whole = *buffer;
        buffer->size--;
        EXPECT_FAILURE(dmattn_decode_record(r.plan, r.commands, &r.args), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        if (t != TENSOR_MASK) { /* a mask may begin at any byte */
            buffer->offset = 1;
            EXPECT_FAILURE(dmattn_decode_record(r.plan, r.commands, &r.args), DMATTN_ERROR_INVALID, part);
        }
        *buffer = (dmattn_buffer){0};
        if (t != TENSOR_COUNTS && t != TENSOR_KEEP) /* these are optional */
            EXPECT_FAILURE(dmattn_decode_record(r.plan, r.commands, &r.args), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        tried++;
    }
    cr_expect_eq(tried, buffers, "%u buffers", tried);
    static const int sixteen[] = {TENSOR_DT_WEIGHT, TENSOR_STATE, TENSOR_PAGES, TENSOR_COUNT};
    for (size_t i = 0; i < sizeof sixteen / sizeof *sixteen; i++) {
        dmattn_buffer *buffer = step_buffer(&r.args, sixteen[i]);
        if (!buffer->buffer)
            continue;
        buffer->offset = 8;
        EXPECT_FAILURE(dmattn_decode_record(r.plan, r.commands, &r.args), DMATTN_ERROR_INVALID, "aligned to 16");
        buffer->offset = 0;
    }
    EXPECT_FAILURE(dmattn_decode_record(r.plan, r.commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_decode_record(r.plan, NULL, &r.args), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_decode_record(NULL, r.commands, &r.args), DMATTN_ERROR_INVALID);
    rig_expect_nothing(&r, 0xff);
    rig_destroy(&r);
}

DEVICE_TEST(decode_record, bounded_buffers)
{
    try_step_buffers(&bounded, 12);
}

DEVICE_TEST(decode_record, buffers_with_a_mask_of_new_tokens)
{
    dmattn_decode_desc desc = bounded;
    desc.attention.mask = DMATTN_MASK_DENSE;
    desc.attention.mask_shape.queries = 3;
    try_step_buffers(&desc, 13);
}

DEVICE_TEST(decode_record, paged_buffers)
{
    try_step_buffers(&paged, 12);
}

/* First without counts and keep, then with both: one sequence pauses, the other starts again. */
DEVICE_TEST(decode_record, optional_buffers)
{
    static const dmattn_decode_desc *const descs[] = {&bounded, &paged};
    for (int i = 0; i < 2; i++) {
        rig r = rig_create(descs[i], 0);
        dmattn_decode_args args = r.args;
        args.counts = args.keep = (dmattn_buffer){0};
        ASSERT_OK(dmattn_decode_record(r.plan, r.commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        cr_expect(length_of(&r, 0) == 3 && length_of(&r, 1) == 3);

        const int32_t counts[] = {0, 2}, keep[] = {-1, 0};
        ASSERT_OK(dmattn_upload(h.device, &r.args.counts, 0, counts, sizeof counts));
        ASSERT_OK(dmattn_upload(h.device, &r.args.keep, 0, keep, sizeof keep));
        ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
        ASSERT_OK(dmattn_decode_record(r.plan, r.commands, &r.args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        cr_expect(length_of(&r, 0) == 3 && length_of(&r, 1) == 2);
        rig_destroy(&r);
    }
}

/* Buffers that a plan does not use are not checked. */
DEVICE_TEST(decode_record, unused_buffers)
{
    rig r = rig_create(&without_importance, 0);
    const dmattn_buffer tiny = {r.args.q.buffer, 1, 1};
    dmattn_decode_args args = r.args;
    args.counts = args.keep = (dmattn_buffer){0};
    args.lse = args.dt_weight = args.a = args.dt_bias = args.importance = tiny;
    args.pages = args.table = args.mask = tiny;
    ASSERT_OK(dmattn_decode_record(r.plan, r.commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    cr_expect(length_of(&r, 0) == 3 && length_of(&r, 1) == 3);
    rig_destroy(&r);
}

/* Each kind of plan can be recorded only by its own functions. */
DEVICE_TEST(decode_record, other_plans)
{
    dmattn_plan *decode, *attention;
    const dmattn_buffer state = {0};
    ASSERT_OK(dmattn_decode_plan(h.context, &bounded, &decode));
    ASSERT_OK(dmattn_attention_plan(h.context, &(dmattn_attention_desc){ATTENTION, .keys = 3}, &attention));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_decode_record(attention, commands, &(dmattn_decode_args){0}), DMATTN_ERROR_INVALID,
                   "not for decoding");
    EXPECT_FAILURE(dmattn_decode_fill_record(attention, commands, &(dmattn_decode_fill_args){0}), DMATTN_ERROR_INVALID,
                   "not for decoding");
    EXPECT_FAILURE(dmattn_decode_fork_record(attention, commands, &state, 0, 1), DMATTN_ERROR_INVALID,
                   "not for decoding");
    EXPECT_FAILURE(dmattn_decode_chunk_record(attention, commands, &(dmattn_decode_chunk_args){0}),
                   DMATTN_ERROR_INVALID, "not for decoding");
    EXPECT_FAILURE(dmattn_attention_record(decode, commands, &(dmattn_attention_args){0}), DMATTN_ERROR_INVALID,
                   "not for attention");
    EXPECT_FAILURE(dmattn_mask_record(decode, commands, &(dmattn_mask_args){0}), DMATTN_ERROR_INVALID,
                   "not for a mask");
    EXPECT_FAILURE(dmattn_dma_record(decode, commands, &(dmattn_dma_args){0}), DMATTN_ERROR_INVALID,
                   "not for dynamic mask attention");
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(decode);
    dmattn_plan_destroy(attention);
}

/* ---- prompts ------------------------------------------------------------------------------------------------- */

#define PROMPT 5

/* Arguments for a prompt of sequence 1, with its own k, v and importance. */
static dmattn_decode_fill_args fill_args_of(const rig *r, const dmattn_decode_desc *d)
{
    const uint64_t size = PROMPT * d->attention.kv_heads;
    return (dmattn_decode_fill_args){
        .sequence = 1,
        .keys = PROMPT,
        .k = buffer_of(dmattn_type_size(d->attention.type) * d->attention.head_dim * size, 0),
        .v = buffer_of(dmattn_type_size(d->attention.type) * d->attention.head_dim * size, 0),
        .importance = buffer_of(4 * size, 0),
        .state = r->args.state,
        .pages = r->args.pages,
        .table = r->args.table,
    };
}

static void fill_args_destroy(dmattn_decode_fill_args *args)
{
    dmattn_buffer_destroy(h.device, &args->k);
    dmattn_buffer_destroy(h.device, &args->v);
    dmattn_buffer_destroy(h.device, &args->importance);
}

/* Each buffer of `args` that exists, of which there are `buffers`, must be refused if it is too small, misaligned or
 * absent. The caller has `r`, `args`, `buffers`, and `good`: the same arguments without a fault. */
#define EXPECT_BAD_BUFFERS(buffer_of, record)                                          \
    unsigned tried = 0;                                                                \
    for (int t = 0; t < BUFFERS; t++) {                                                \
        dmattn_buffer *buffer = buffer_of(&args, t);                                   \
        if (!buffer || !buffer->buffer)                                                \
            continue;                                                                  \
        char part[64];                                                                 \
        snprintf(part, sizeof part, "buffer %s ", buffer_name(t));                     \
        buffer->size--;                                                                \
        EXPECT_FAILURE(record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, part); \
        args = good;                                                                   \
        buffer->offset = 1;                                                            \
        EXPECT_FAILURE(record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, part); \
        *buffer = (dmattn_buffer){0};                                                  \
        EXPECT_FAILURE(record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, part); \
        args = good;                                                                   \
        tried++;                                                                       \
    }                                                                                  \
    cr_expect_eq(tried, buffers, "%u buffers", tried)

static void try_fill(const dmattn_decode_desc *desc, unsigned buffers)
{
    rig r = rig_create(desc, 0xff);
    const dmattn_decode_fill_args good = fill_args_of(&r, desc);
    dmattn_decode_fill_args args = good;
    EXPECT_BAD_BUFFERS(fill_buffer, dmattn_decode_fill_record);

    args.sequence = 2;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "sequence is 2");
    args.sequence = UINT32_MAX;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "sequence");
    args = good;
    args.keys = 0;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "keys is 0");
    args.keys = 1u << 30;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "keys");
    args.keys = 33; /* more keys than a paged sequence may have, and than k has */
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID,
                   desc->max_keys ? "max_keys" : "buffer k ");
    args = good;
    args.first = UINT32_MAX;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID,
                   desc->max_keys ? "max_keys" : "below 2^30");
    args.first = desc->max_keys ? desc->max_keys - PROMPT + 1 : (1u << 30) - PROMPT;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "first (");
    args = good;
    args.importance_stride = PROMPT - 1;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "importance_stride is");
    args.importance_stride = 1u << 30;
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "importance_stride is");
    args.importance_stride = PROMPT + 1; /* the last row needs no gap after it */
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "buffer importance ");
    args = good;
    args.k_strides = (dmattn_strides){0, UINT64_MAX / 2, 8};
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "k spans");
    args.k_strides = (dmattn_strides){0, 17, 8}; /* a gap of one element */
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "buffer k ");
    args = good;
    args.v_strides = (dmattn_strides){0, 16, 9};
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "buffer v ");
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, r.commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_decode_fill_record(r.plan, NULL, &good), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_decode_fill_record(NULL, r.commands, &good), DMATTN_ERROR_INVALID);
    rig_expect_nothing(&r, 0xff);

    /* `good` itself is valid */
    fill_bytes(&r.args.state, 0);
    if (r.args.table.buffer)
        fill_bytes(&r.args.table, 0);
    ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
    ASSERT_OK(dmattn_decode_fill_record(r.plan, r.commands, &good));
    ASSERT_OK(dmattn_commands_submit(h.device));
    cr_expect(length_of(&r, 0) == 0 && length_of(&r, 1) == PROMPT);

    /* with the greatest `first`, it keeps the tokens that it has */
    args = good;
    args.first = (desc->max_keys ? desc->max_keys : (1u << 30) - 1) - PROMPT;
    ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
    ASSERT_OK(dmattn_decode_fill_record(r.plan, r.commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    cr_expect(length_of(&r, 0) == 0 && length_of(&r, 1) == 2 * PROMPT);
    args = good;
    fill_args_destroy(&args);
    rig_destroy(&r);
}

DEVICE_TEST(decode_fill, bounded)
{
    try_fill(&bounded, 4);
}

DEVICE_TEST(decode_fill, paged)
{
    try_fill(&paged, 6);
}

DEVICE_TEST(decode_fill, without_importance)
{
    rig r = rig_create(&without_importance, 0);
    dmattn_decode_fill_args all = fill_args_of(&r, &without_importance), args = all;
    args.importance = (dmattn_buffer){0};
    ASSERT_OK(dmattn_decode_fill_record(r.plan, r.commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    cr_expect(length_of(&r, 0) == 0 && length_of(&r, 1) == PROMPT);
    fill_args_destroy(&all);
    rig_destroy(&r);
}

/* ---- chunks --------------------------------------------------------------------------------------------------- */

static dmattn_buffer *chunk_buffer(dmattn_decode_chunk_args *args, int t)
{
    switch (t) {
    case TENSOR_Q: return &args->q;
    case TENSOR_K: return &args->k;
    case TENSOR_V: return &args->v;
    case TENSOR_OUT: return &args->out;
    case TENSOR_LSE: return &args->lse;
    case TENSOR_DT_WEIGHT: return &args->dt_weight;
    case TENSOR_A: return &args->a;
    case TENSOR_DT_BIAS: return &args->dt_bias;
    case TENSOR_IMPORTANCE: return &args->importance;
    case TENSOR_SINK: return &args->sink;
    case TENSOR_STATE: return &args->state;
    case TENSOR_COUNT: return &args->workspace;
    default: return NULL;
    }
}

/* A chunk of PROMPT tokens of sequence 1. The buffers of a step are those of its tensors, but of more tokens. */
static dmattn_decode_chunk_args chunk_args_of(rig *r, const dmattn_decode_desc *d, int byte)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint64_t size = dmattn_type_size(a->type), rows = PROMPT * a->head_dim * size;
    dmattn_decode_chunk_args args = {.sequence = 1,
                                     .keys = PROMPT,
                                     .dt_weight = r->args.dt_weight,
                                     .a = r->args.a,
                                     .dt_bias = r->args.dt_bias,
                                     .sink = r->args.sink,
                                     .state = r->args.state,
                                     .workspace = r->args.workspace};
    args.q = buffer_of(rows * a->heads, byte);
    args.k = buffer_of(rows * a->kv_heads, byte);
    args.v = buffer_of(rows * a->kv_heads, byte);
    args.out = buffer_of(rows * a->heads, byte);
    args.lse = a->lse ? buffer_of(4 * PROMPT * (uint64_t)a->heads, byte) : (dmattn_buffer){0};
    args.importance = d->importance_given ? buffer_of(4 * PROMPT * (uint64_t)a->kv_heads, byte) : (dmattn_buffer){0};
    return args;
}

static void chunk_args_destroy(dmattn_decode_chunk_args *args)
{
    dmattn_buffer *const own[] = {&args->q, &args->k, &args->v, &args->out, &args->lse, &args->importance};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i]->buffer)
            dmattn_buffer_destroy(h.device, own[i]);
}

/* `buffers`: how many a chunk needs. */
static void try_chunk(const dmattn_decode_desc *desc, unsigned buffers)
{
    dmattn_decode_desc d = *desc;
    d.chunk_tokens = 2 * PROMPT;
    rig r = rig_create(&d, 0xff);
    dmattn_decode_chunk_args good = chunk_args_of(&r, &d, 0xff), args = good;
    EXPECT_BAD_BUFFERS(chunk_buffer, dmattn_decode_chunk_record);
    args.sequence = 2;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "sequence is 2");
    args = good;
    args.keys = 0;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "keys is 0");
    args.keys = 2 * PROMPT + 1;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "chunk_tokens (10)");
    args.keys = 2 * PROMPT;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "buffer q ");
    args = good;
    args.first = (1u << 30) - PROMPT;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "below 2^30");
    args.first = UINT32_MAX;
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, &args), DMATTN_ERROR_INVALID, "first (");
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, r.commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_decode_chunk_record(r.plan, NULL, &good), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_decode_chunk_record(NULL, r.commands, &good), DMATTN_ERROR_INVALID);
    rig_expect_nothing(&r, 0xff);
    expect_bytes(&good.out, 0xff, "out");

    /* `good` itself is valid, also with the greatest `first`, which keeps the tokens that the sequence has */
    const dmattn_buffer zeros[] = {r.args.state, good.q, good.k, good.v, good.dt_weight, good.a, good.importance};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
        if (zeros[i].buffer)
            fill_bytes(&zeros[i], 0);
    for (uint32_t i = 1; i <= 2; i++) {
        ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
        ASSERT_OK(dmattn_decode_chunk_record(r.plan, r.commands, &good));
        ASSERT_OK(dmattn_commands_submit(h.device));
        cr_expect(length_of(&r, 0) == 0 && length_of(&r, 1) == i * PROMPT);
        good.first = (1u << 30) - 1 - PROMPT;
    }
    expect_bytes(&good.out, 0, "out, with anything but the zeros of v");
    chunk_args_destroy(&good);
    rig_destroy(&r);
}

DEVICE_TEST(decode_chunk, computed_importance)
{
    try_chunk(&bounded, 10);
}

DEVICE_TEST(decode_chunk, given_importance)
{
    dmattn_decode_desc desc = bounded;
    desc.importance_given = true;
    try_chunk(&desc, 8);
}

DEVICE_TEST(decode_chunk, without_importance)
{
    try_chunk(&without_importance, 6);
}

DEVICE_TEST(decode_chunk, plans_without_chunks)
{
    static const dmattn_decode_desc *const descs[] = {&bounded, &paged};
    for (int i = 0; i < 2; i++) {
        dmattn_plan *plan;
        VkCommandBuffer commands;
        ASSERT_OK(dmattn_decode_plan(h.context, descs[i], &plan));
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        EXPECT_FAILURE(dmattn_decode_chunk_record(plan, commands, &(dmattn_decode_chunk_args){.keys = 1}),
                       DMATTN_ERROR_INVALID, "chunk_tokens is 0");
        dmattn_commands_cancel(h.device);
        dmattn_plan_destroy(plan);
    }
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static void try_fork(const dmattn_decode_desc *desc)
{
    rig r = rig_create(desc, 0xff);
    const dmattn_buffer *state = &r.args.state;
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, 1, 1), DMATTN_ERROR_INVALID, "from and to");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, 2, 0), DMATTN_ERROR_INVALID, "from is 2");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, 0, 2), DMATTN_ERROR_INVALID, "to is 2");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, UINT32_MAX, UINT32_MAX), DMATTN_ERROR_INVALID,
                   "from is");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, NULL, 0, 1), DMATTN_ERROR_INVALID, "buffer state ");
    dmattn_buffer wrong = {0};
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, &wrong, 0, 1), DMATTN_ERROR_INVALID, "buffer state ");
    wrong = *state;
    wrong.size--;
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, &wrong, 0, 1), DMATTN_ERROR_INVALID, "buffer state ");
    wrong = *state;
    wrong.offset = 8;
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, &wrong, 0, 1), DMATTN_ERROR_INVALID, "aligned to 16");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, NULL, state, 0, 1), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_decode_fork_record(NULL, r.commands, state, 0, 1), DMATTN_ERROR_INVALID);

    /* the states must differ, otherwise a copy would not be noticed */
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_cache_layout layout;
    ASSERT_OK(dmattn_decode_get_layout(r.plan, &layout));
    const dmattn_buffer first = {state->buffer, state->offset, layout.sequence_size};
    const dmattn_buffer second = {state->buffer, state->offset + layout.sequence_size, layout.sequence_size};
    fill_bytes(&second, 0x11);
    ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, &wrong, 0, 1), DMATTN_ERROR_INVALID, "state");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, 0, 2), DMATTN_ERROR_INVALID, "to");
    EXPECT_FAILURE(dmattn_decode_fork_record(r.plan, r.commands, state, 0, 0), DMATTN_ERROR_INVALID, "from and to");
    ASSERT_OK(dmattn_commands_submit(h.device));
    expect_bytes(&first, 0xff, "state");
    expect_bytes(&second, 0x11, "state");
    ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
    ASSERT_OK(dmattn_decode_fork_record(r.plan, r.commands, state, 1, 0));
    ASSERT_OK(dmattn_commands_submit(h.device));
    expect_bytes(state, 0x11, "sequence 0, which is not the state of sequence 1");
    rig_destroy(&r);
}

DEVICE_TEST(decode_fork, bounded)
{
    try_fork(&bounded);
}

DEVICE_TEST(decode_fork, paged)
{
    try_fork(&paged);
}
