/* SPDX-License-Identifier: MIT */
#include "decode_model_run.h"

#include "attention/desc.h"
#include "problem.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GUARD   256
#define PATTERN 0xa5

static uint64_t below(run *r, uint64_t n)
{
    return random_bits(&r->random) % n;
}

static bool once_in(run *r, unsigned n)
{
    return n && below(r, n) == 0;
}

static uint64_t size_of(const run *r)
{
    return dmattn_type_size(r->desc.attention.type);
}

/* ---- making it ------------------------------------------------------------------------------------------------- */

static bool is_of_step(tensor_id t)
{
    return t != TENSOR_STATE && t != TENSOR_PAGES && t != TENSOR_TABLE && t != TENSOR_DT_WEIGHT && t != TENSOR_A
           && t != TENSOR_DT_BIAS && t != TENSOR_SINK && t != TENSOR_SLOPES;
}

static void create_tensors(run *r)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        r->bytes[t] = (dmattn_decode_tensor_bytes(&r->desc, (tensor_id)t) + 15) / 16 * 16;
        const uint64_t all = r->bytes[t] * (is_of_step((tensor_id)t) ? STEPS : 1);
        if (!all)
            continue;
        r->image[t] = decode_model_allocate(all + GUARD);
        memset(r->image[t] + all, PATTERN, GUARD);
        ASSERT_OK(dmattn_buffer_create(h.device, all + GUARD, &r->buffer[t]));
    }
    for (int t = TENSOR_DT_WEIGHT; t <= TENSOR_DT_BIAS; t++)
        for (uint64_t i = 0; i < dmattn_decode_tensor_bytes(&r->desc, (tensor_id)t)
                                     / dmattn_type_size(r->desc.importance.parameter_type);
             i++)
            element_store(r->desc.importance.parameter_type, r->image[t], i,
                          t == TENSOR_DT_WEIGHT ? 0.3 * random_normal(&r->random) : random_uniform(&r->random));
    for (uint32_t i = 0; r->image[TENSOR_SINK] && i < r->desc.attention.heads; i++)
        ((float *)r->image[TENSOR_SINK])[i] = (float)random_normal(&r->random);
    for (uint32_t i = 0; r->image[TENSOR_SLOPES] && i < r->desc.attention.heads; i++)
        ((float *)r->image[TENSOR_SLOPES])[i] = (i % 3 == 2 ? -0.3f : 1) / (float)(1 + i);
    if (r->image[TENSOR_TABLE]) { /* pages of the pool in random order, each at most once */
        int32_t *table = (int32_t *)r->image[TENSOR_TABLE];
        const uint32_t used = r->desc.attention.batch * r->layout.table_pages;
        cr_assert_leq(used, r->desc.pages);
        for (uint32_t i = 0; i < used; i++)
            table[i] = (int32_t)(r->desc.pages - 1 - i);
        for (uint32_t i = used; i > 1; i--) {
            const uint64_t other = below(r, i);
            const int32_t page = table[i - 1];
            table[i - 1] = table[other];
            table[other] = page;
        }
    }
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (r->image[t])
            ASSERT_OK(dmattn_upload(h.device, &r->buffer[t], 0, r->image[t],
                                    r->bytes[t] * (is_of_step((tensor_id)t) ? STEPS : 1) + GUARD));
}

static void create(run *r, const dmattn_decode_desc *desc)
{
    const messenger m = {harness_message, &h};
    ASSERT_OK(dmattn_decode_desc_resolve(desc, &r->desc, &m));
    ASSERT_OK(harness_decode_plan(desc, &r->plan));
    ASSERT_OK(dmattn_decode_get_layout(r->plan, &r->layout));
    dmattn_plan_get_info(r->plan, &r->info);
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t rows = (uint64_t)STEPS * a->batch * a->queries * a->heads;
    create_tensors(r);
    r->out = decode_model_allocate(rows * a->value_dim * sizeof *r->out);
    r->lse = decode_model_allocate(rows * sizeof *r->lse);
    r->wanted = decode_model_allocate(rows * sizeof *r->wanted);
    r->written = decode_model_allocate((uint64_t)a->batch * r->layout.table_pages);
    r->sequences = decode_model_allocate(a->batch * sizeof *r->sequences);
    for (uint32_t b = 0; b <= a->batch; b++)
        *(b < a->batch ? &r->sequences[b] : &r->path) =
            (history){.k = decode_model_allocate(size_of(r) * MOST_LOG * a->kv_heads * a->head_dim),
                      .v = decode_model_allocate(size_of(r) * MOST_LOG * a->kv_heads * a->value_dim),
                      .importance = decode_model_allocate(sizeof(float) * MOST_LOG * a->kv_heads)};
    ASSERT_OK(dmattn_buffer_create(h.device, r->info.workspace_size, &r->workspace));
    ASSERT_OK(dmattn_buffer_create(h.device, size_of(r) * MOST_LOG * a->kv_heads * a->head_dim, &r->prompt_k));
    ASSERT_OK(dmattn_buffer_create(h.device, size_of(r) * MOST_LOG * a->kv_heads * a->value_dim, &r->prompt_v));
    ASSERT_OK(dmattn_buffer_create(h.device, sizeof(float) * MOST_LOG * a->kv_heads, &r->prompt_importance));
    if (!r->desc.importance_given && !r->desc.no_importance) {
        /* computes the importance of all tokens of a submission together; decoding must compute the same bits */
        const dmattn_mask_desc mask = {.stages = DMATTN_STAGE_IMPORTANCE,
                                       .batch = 1,
                                       .keys = STEPS * a->batch * a->queries,
                                       .kv_heads = a->kv_heads,
                                       .type = a->type,
                                       .value_dim = a->value_dim,
                                       .importance = r->desc.importance};
        ASSERT_OK(dmattn_mask_plan(h.context, &mask, &r->importance_plan));
        ASSERT_OK(dmattn_buffer_create(h.device, sizeof(float) * mask.keys * a->kv_heads, &r->computed));
    }
}

static void destroy(run *r)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        free(r->image[t]);
        dmattn_buffer_destroy(h.device, &r->buffer[t]);
    }
    dmattn_buffer *const others[] = {&r->workspace, &r->prompt_k, &r->prompt_v, &r->prompt_importance, &r->computed};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        dmattn_buffer_destroy(h.device, others[i]);
    for (uint32_t b = 0; b <= r->desc.attention.batch; b++) {
        const history *s = b < r->desc.attention.batch ? &r->sequences[b] : &r->path;
        free(s->k);
        free(s->v);
        free(s->importance);
    }
    free(r->sequences);
    free(r->written);
    free(r->out);
    free(r->lse);
    free(r->wanted);
    dmattn_plan_destroy(r->plan);
    dmattn_plan_destroy(r->importance_plan);
}

/* ---- at random --------------------------------------------------------------------------------------------------- */

static float random_importance(run *r)
{
    static const float odd[] = {NAN, -INFINITY, INFINITY, -0.0f, 0, 1e-42f};
    if (once_in(r, r->habits->odd_numbers))
        return odd[below(r, sizeof odd / sizeof *odd)];
    return r->habits->levels ? (float)below(r, r->habits->levels) : (float)random_normal(&r->random);
}

static void random_rows(run *r, tensor_id t, const dmattn_strides *s, uint32_t heads, uint32_t dim)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    for (uint32_t step = 0; step < STEPS; step++)
        for (uint32_t b = 0; b < a->batch; b++)
            for (uint32_t i = 0; i < a->queries; i++)
                for (uint32_t head = 0; head < heads; head++) {
                    const bool odd = t == TENSOR_Q && once_in(r, r->habits->odd_numbers);
                    for (uint32_t c = 0; c < dim; c++)
                        element_store(dmattn_attention_type(a, t), r->image[t] + step * r->bytes[t],
                                      b * s->batch + i * s->sequence + head * s->head + c,
                                      odd && c == 0 ? (double)NAN : random_normal(&r->random));
                }
}

/* A number of a list: mostly of a key or block that a sequence may have. */
static int32_t random_number(run *r)
{
    static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX};
    const uint32_t most = once_in(r, 4) ? r->desc.max_keys : r->habits->most_tokens;
    return once_in(r, 12) ? odd[below(r, sizeof odd / sizeof *odd)]
                          : (int32_t)below(r, most / r->desc.attention.selected_block + 2);
}

static void upload(run *r, tensor_id t)
{
    if (r->image[t])
        ASSERT_OK(dmattn_upload(h.device, &r->buffer[t], 0, r->image[t], r->bytes[t] * STEPS));
}

/* Makes the importance of all new tokens, at random or as the device does. Returns where it is in the image. */
static void make_importance(run *r, float **importance, uint64_t *stride)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t tokens = (uint64_t)STEPS * a->batch * a->queries;
    *stride = tokens;
    *importance = decode_model_allocate(sizeof(float) * tokens * a->kv_heads);
    if (r->importance_plan) {
        VkCommandBuffer commands;
        const dmattn_mask_args args = {.v = r->buffer[TENSOR_V],
                                       .dt_weight = r->buffer[TENSOR_DT_WEIGHT],
                                       .a = r->buffer[TENSOR_A],
                                       .dt_bias = r->buffer[TENSOR_DT_BIAS],
                                       .importance = r->computed};
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_mask_record(r->importance_plan, commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_download(h.device, &r->computed, 0, *importance, sizeof(float) * tokens * a->kv_heads));
        return;
    }
    for (uint64_t i = 0; i < tokens; i++)
        for (uint32_t head = 0; head < a->kv_heads; head++)
            (*importance)[head * tokens + i] = random_importance(r);
    if (!r->desc.importance_given)
        return;
    for (uint64_t i = 0; i < tokens; i++) /* in the order [step, B, Hk, T] */
        for (uint32_t head = 0; head < a->kv_heads; head++) {
            const uint64_t step_and_sequence = i / a->queries, step = step_and_sequence / a->batch;
            float *of_step = (float *)(r->image[TENSOR_IMPORTANCE] + step * r->bytes[TENSOR_IMPORTANCE]);
            of_step[(step_and_sequence % a->batch * a->kv_heads + head) * a->queries + i % a->queries] =
                (*importance)[head * tokens + i];
        }
    upload(r, TENSOR_IMPORTANCE);
}

static void copy_history(const run *r, history *to, const history *from)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    memcpy(to->k, from->k, size_of(r) * MOST_LOG * a->kv_heads * a->head_dim);
    memcpy(to->v, from->v, size_of(r) * MOST_LOG * a->kv_heads * a->value_dim);
    memcpy(to->importance, from->importance, sizeof(float) * MOST_LOG * a->kv_heads);
    to->length = from->length;
    to->floor = from->floor;
    to->broken = from->broken;
}

/* ---- pages that sequences share ----------------------------------------------------------------------------------
 */

/* Notes that a submission writes pages of a sequence. */
static void write_pages(run *r, uint32_t sequence, uint32_t keep, uint32_t tokens)
{
    const dmattn_page_range range = dmattn_decode_written_pages(&r->desc, keep, tokens);
    for (uint32_t i = range.first; i < range.end; i++)
        r->written[sequence * r->layout.table_pages + i] = true;
}

static uint32_t count_uses(const run *r, int32_t page)
{
    const int32_t *table = (const int32_t *)r->image[TENSOR_TABLE];
    uint32_t uses = 0;
    for (uint32_t i = 0; i < r->desc.attention.batch * r->layout.table_pages; i++)
        uses += table[i] == page;
    return uses;
}

/* Copies pages that are written and shared to pages of their own. There are as many pages as entries of the table. */
static void own_pages(run *r)
{
    int32_t *table = (int32_t *)r->image[TENSOR_TABLE];
    const uint64_t size = r->layout.page_size;
    char *page = decode_model_allocate(size);
    for (uint32_t i = 0; table && i < r->desc.attention.batch * r->layout.table_pages; i++) {
        const bool is_copied = r->written[i] && count_uses(r, table[i]) > 1;
        r->written[i] = false;
        if (!is_copied)
            continue;
        int32_t own = 0;
        while (count_uses(r, own))
            own++;
        cr_assert_lt(own, (int32_t)r->desc.pages);
        ASSERT_OK(dmattn_download(h.device, &r->buffer[TENSOR_PAGES], size * (uint64_t)table[i], page, size));
        ASSERT_OK(dmattn_upload(h.device, &r->buffer[TENSOR_PAGES], size * (uint64_t)own, page, size));
        table[i] = own;
    }
    free(page);
    if (table)
        ASSERT_OK(dmattn_upload(h.device, &r->buffer[TENSOR_TABLE], 0, table, r->bytes[TENSOR_TABLE]));
}

/* A copy of a sequence has the same pages. */
static void share_pages(run *r, uint32_t from, uint32_t to)
{
    const uint64_t row = r->layout.table_pages * sizeof(int32_t);
    if (r->image[TENSOR_TABLE])
        memcpy(r->image[TENSOR_TABLE] + to * row, r->image[TENSOR_TABLE] + from * row, row);
}

/* Chooses how many tokens of a sequence to keep. */
static int32_t choose_keep(run *r, history *s)
{
    if (once_in(r, r->habits->restart) || s->length + DMATTN_DECODE_MAX_TOKENS > r->habits->most_tokens) {
        r->results->restarts++;
        return 0;
    }
    if (once_in(r, r->habits->too_far) && s->floor > 1) {
        r->results->broken++;
        return (int32_t)s->floor - 1;
    }
    const uint32_t most = s->length - (s->floor < s->length ? s->floor : s->length);
    /* with pages, also past whole chunks, but not always: then sequences would stay short */
    const bool far = r->desc.cache == DMATTN_CACHE_PAGED && once_in(r, 4);
    const uint32_t back = far || most < DMATTN_DECODE_MAX_TOKENS ? most : DMATTN_DECODE_MAX_TOKENS;
    if (back && once_in(r, r->habits->rollback)) {
        r->results->rollbacks++;
        return (int32_t)(s->length - 1 - (uint32_t)below(r, back));
    }
    return -1 - (int32_t)below(r, 2) * 1000;
}

/* Perhaps a sequence becomes a copy of another one. Otherwise, *from and *to stay as they are. */
static void choose_fork(run *r, uint32_t *from, uint32_t *to)
{
    const uint32_t batch = r->desc.attention.batch;
    if (batch < 2 || !once_in(r, r->habits->fork))
        return;
    *from = (uint32_t)below(r, batch);
    *to = (*from + 1 + (uint32_t)below(r, batch - 1)) % batch;
    copy_history(r, &r->sequences[*to], &r->sequences[*from]);
    share_pages(r, *from, *to);
    r->results->forks++;
}

/* Keeps `keep` tokens of a sequence; negative: all. */
static void keep_tokens(history *s, int32_t keep)
{
    if (keep < 0 || (uint32_t)keep > s->length)
        return;
    s->broken = keep && (s->broken || (uint32_t)keep < s->floor);
    s->floor = keep ? s->floor : 0;
    s->length = (uint32_t)keep;
}

/* New tokens have come. */
static void set_length(const run *r, history *s, uint32_t length)
{
    const uint32_t back = r->desc.rollback;
    if (r->desc.cache == DMATTN_CACHE_BOUNDED && length > back && length - back > s->floor)
        s->floor = length - back;
    s->length = length;
}

/* Uploads the importance of the last `keys` tokens of a sequence: alone, or at the end of that of all its tokens.
 * Returns the elements from a kv head to the next one, and where the importance begins. */
static uint32_t upload_importance(run *r, const history *s, uint32_t keys, uint32_t *at)
{
    const uint32_t heads = r->desc.attention.kv_heads, stride = below(r, 2) ? keys : s->length;
    float *importance = decode_model_allocate(sizeof(float) * stride * heads);
    for (uint32_t head = 0; head < heads; head++)
        for (uint32_t j = 0; j < stride; j++)
            importance[head * stride + j] = s->importance[head * MOST_LOG + s->length - stride + j];
    ASSERT_OK(dmattn_upload(h.device, &r->prompt_importance, 0, importance, sizeof(float) * stride * heads));
    free(importance);
    *at = stride - keys;
    return stride;
}

/* Fills a sequence with a prompt, or with a chunk that follows the tokens that it keeps. Returns NULL, or a chunk that
 * attends to the cache, too. */
static chunk *fill(run *r, VkCommandBuffer commands, uint32_t sequence)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    history *s = &r->sequences[sequence];
    const bool is_chunk = s->length && below(r, 8);
    const uint32_t before = s->length;
    keep_tokens(s, is_chunk ? choose_keep(r, s) : 0);
    const uint32_t first = s->length, most = r->habits->most_tokens - first;
    const uint32_t keys = 1 + (uint32_t)below(r, below(r, 2) && most > 20 ? 20 : most);
    const uint32_t too_many = r->desc.cache == DMATTN_CACHE_PAGED ? r->desc.max_keys - first - keys : 1000;
    const uint64_t k_row = (uint64_t)a->kv_heads * a->head_dim, v_row = (uint64_t)a->kv_heads * a->value_dim;
    for (uint64_t i = first * k_row; i < (first + keys) * k_row; i++)
        element_store(a->type, s->k, i, random_normal(&r->random));
    for (uint64_t i = first * v_row; i < (first + keys) * v_row; i++)
        element_store(a->type, s->v, i, random_normal(&r->random));
    for (uint32_t head = 0; head < a->kv_heads; head++)
        for (uint32_t j = first; j < first + keys; j++)
            s->importance[head * MOST_LOG + j] = random_importance(r);
    set_length(r, s, first + keys);
    write_pages(r, sequence, first, keys);
    own_pages(r);
    uint32_t at;
    const uint32_t stride = upload_importance(r, s, keys, &at);
    ASSERT_OK(dmattn_upload(h.device, &r->prompt_k, 0, s->k, size_of(r) * s->length * k_row));
    ASSERT_OK(dmattn_upload(h.device, &r->prompt_v, 0, s->v, size_of(r) * s->length * v_row));
    /* more tokens than it has: all are kept */
    const uint32_t asked = first == before && once_in(r, 3) ? first + (uint32_t)below(r, 1 + too_many) : first;
    r->results->fills++;
    r->results->chunks += first > 0;
    if (decode_model_can_chunk(r, first, keys) && below(r, 4))
        return decode_model_record_chunk(r, commands, sequence, first, keys, asked);
    const dmattn_decode_fill_args args = {
        .sequence = sequence,
        .first = asked,
        .keys = keys,
        .k = {r->prompt_k.buffer, size_of(r) * first * k_row, size_of(r) * keys * k_row},
        .v = {r->prompt_v.buffer, size_of(r) * first * v_row, size_of(r) * keys * v_row},
        .importance = {r->prompt_importance.buffer, 4 * (uint64_t)at,
                       4 * ((a->kv_heads - 1) * (uint64_t)stride + keys)},
        .importance_stride = stride == keys ? 0 : stride,
        .state = r->buffer[TENSOR_STATE],
        .pages = r->buffer[TENSOR_PAGES],
        .table = r->buffer[TENSOR_TABLE]};
    ASSERT_OK(dmattn_decode_fill_record(r->plan, commands, &args));
    dmattn_commands_barrier(h.device);
    return NULL;
}

static void copy_token(const run *r, history *to, uint32_t to_position, const history *from, uint32_t position)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t k_row = size_of(r) * a->kv_heads * a->head_dim, v_row = size_of(r) * a->kv_heads * a->value_dim;
    memcpy(to->k + k_row * to_position, from->k + k_row * position, k_row);
    memcpy(to->v + v_row * to_position, from->v + v_row * position, v_row);
    for (uint32_t head = 0; head < a->kv_heads; head++)
        to->importance[head * MOST_LOG + to_position] = from->importance[head * MOST_LOG + position];
}

/* Puts the new tokens that token t of a step sees in a bounded cache after the old ones of r->path. Returns the
 * position of token t there. */
static uint32_t find_path(run *r, const history *s, uint32_t step, uint32_t b, uint32_t t)
{
    const dmattn_score_shape *m = &r->desc.attention.mask_shape;
    const char *mask = r->image[TENSOR_MASK] + step * r->bytes[TENSOR_MASK] + (m->batch > 1 ? b : 0) * m->batch_stride
                       + (m->queries > 1 ? t : 0) * m->query_stride;
    uint32_t position = s->length;
    for (uint32_t x = 0; x < t; x++)
        if (mask[x])
            copy_token(r, &r->path, position++, s, s->length + x);
    copy_token(r, &r->path, position, s, s->length + t);
    return position;
}

/* Adds the new tokens of a sequence in a step, and computes the right results for their queries. */
static void advance_sequence(run *r, uint32_t step, uint32_t b, const float *importance, uint64_t stride)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    history *s = &r->sequences[b];
    const int32_t keep = choose_keep(r, s);
    const uint32_t count = once_in(r, r->habits->pause) ? 0 : 1 + (uint32_t)below(r, a->queries);
    ((int32_t *)(r->image[TENSOR_KEEP] + step * r->bytes[TENSOR_KEEP]))[b] = keep;
    ((int32_t *)(r->image[TENSOR_COUNTS] + step * r->bytes[TENSOR_COUNTS]))[b] = (int32_t)count;
    keep_tokens(s, keep);
    write_pages(r, b, s->length, count);
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t head = 0; head < a->kv_heads; head++) {
            const uint64_t to = ((uint64_t)s->length + t) * a->kv_heads + head;
            const char *k = r->image[TENSOR_K] + step * r->bytes[TENSOR_K],
                       *v = r->image[TENSOR_V] + step * r->bytes[TENSOR_V];
            const dmattn_strides *ks = &a->k_strides, *vs = &a->v_strides;
            memcpy(s->k + size_of(r) * to * a->head_dim,
                   k + size_of(r) * (b * ks->batch + t * ks->sequence + head * ks->head), size_of(r) * a->head_dim);
            memcpy(s->v + size_of(r) * to * a->value_dim,
                   v + size_of(r) * (b * vs->batch + t * vs->sequence + head * vs->head), size_of(r) * a->value_dim);
            s->importance[head * MOST_LOG + s->length + t] =
                importance[head * stride + ((uint64_t)step * a->batch + b) * a->queries + t];
        }
    const bool tree = dmattn_decode_has_tree(&r->desc);
    const history *seen = tree ? &r->path : s;
    const reference_sequence sequence = {
        .k = seen->k,
        .v = seen->v,
        .k_strides = {.sequence = (uint64_t)a->kv_heads * a->head_dim, .head = a->head_dim},
        .v_strides = {.sequence = (uint64_t)a->kv_heads * a->value_dim, .head = a->value_dim},
        .importance = seen->importance,
        .importance_stride = MOST_LOG,
        .sink = (const float *)r->image[TENSOR_SINK],
        .slopes = (const float *)r->image[TENSOR_SLOPES],
    };
    if (tree)
        copy_history(r, &r->path, s);
    for (uint32_t t = 0; t < count; t++) {
        const uint32_t position = tree ? find_path(r, s, step, b, t) : s->length + t;
        for (uint32_t head = 0; head < a->heads; head++) {
            const uint64_t row = (((uint64_t)step * a->batch + b) * a->queries + t) * a->heads + head;
            const dmattn_strides *qs = &a->q_strides;
            const char *q = r->image[TENSOR_Q] + step * r->bytes[TENSOR_Q]
                            + dmattn_type_size(dmattn_attention_type(a, TENSOR_Q))
                                  * (b * qs->batch + t * qs->sequence + head * qs->head);
            const dmattn_score_shape *m = &a->mask_shape;
            const tensor_id of_mask = a->mask == DMATTN_MASK_SELECTED ? TENSOR_SELECTED : TENSOR_MASK;
            const uint64_t mask_at = (m->batch > 1 ? b : 0) * m->batch_stride
                                     + dmattn_score_head(m, head, a->heads, a->kv_heads) * m->head_stride
                                     + (m->queries > 1 ? t : 0) * m->query_stride;
            const char *mask = !a->mask || tree ? NULL
                                                : r->image[of_mask] + step * r->bytes[of_mask]
                                                      + mask_at * (of_mask == TENSOR_SELECTED ? sizeof(int32_t) : 1);
            const dmattn_score_shape *bs = &a->bias_shape;
            const char *bias = !a->bias
                                   ? NULL
                                   : r->image[TENSOR_BIAS] + step * r->bytes[TENSOR_BIAS]
                                         + dmattn_type_size(a->bias_type)
                                               * ((bs->batch > 1 ? b : 0) * bs->batch_stride
                                                  + dmattn_score_head(bs, head, a->heads, a->kv_heads) * bs->head_stride
                                                  + (bs->queries > 1 ? t : 0) * bs->query_stride);
            r->wanted[row] = true;
            if (s->broken) {
                r->lse[row] = NAN;
                continue;
            }
            ASSERT_OK(reference_decode_row(&r->desc, &sequence, q, head, position, mask, bias,
                                           r->out + row * a->value_dim, &r->lse[row]));
        }
    }
    set_length(r, s, s->length + count);
    r->results->steps++;
}

/* ---- on the device -------------------------------------------------------------------------------------------------
 */

static dmattn_buffer of_step(const run *r, tensor_id t, uint32_t step)
{
    return (dmattn_buffer){r->buffer[t].buffer, step * r->bytes[t], r->bytes[t]};
}

static void record_step(run *r, VkCommandBuffer commands, uint32_t step)
{
    const dmattn_decode_args args = {
        .q = of_step(r, TENSOR_Q, step),
        .k = of_step(r, TENSOR_K, step),
        .v = of_step(r, TENSOR_V, step),
        .out = of_step(r, TENSOR_OUT, step),
        .lse = of_step(r, TENSOR_LSE, step),
        .dt_weight = r->buffer[TENSOR_DT_WEIGHT],
        .a = r->buffer[TENSOR_A],
        .dt_bias = r->buffer[TENSOR_DT_BIAS],
        .importance = of_step(r, TENSOR_IMPORTANCE, step),
        .counts = of_step(r, TENSOR_COUNTS, step),
        .keep = of_step(r, TENSOR_KEEP, step),
        .state = r->buffer[TENSOR_STATE],
        .pages = r->buffer[TENSOR_PAGES],
        .table = r->buffer[TENSOR_TABLE],
        .mask = of_step(r, TENSOR_MASK, step),
        .selected = of_step(r, TENSOR_SELECTED, step),
        .sink = r->buffer[TENSOR_SINK],
        .bias = of_step(r, TENSOR_BIAS, step),
        .slopes = r->buffer[TENSOR_SLOPES],
        .workspace = r->workspace,
    };
    ASSERT_OK(dmattn_decode_record(r->plan, commands, &args));
    dmattn_commands_barrier(h.device);
}

static void record_fork(const run *r, VkCommandBuffer commands, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    ASSERT_OK(dmattn_decode_fork_record(r->plan, commands, &r->buffer[TENSOR_STATE], from, to));
    dmattn_commands_barrier(h.device);
}

/* Perhaps a fork, and then perhaps a prompt or a chunk: a submission of its own, because there is one buffer for k and
 * v. `certain`: there is a prompt. */
static void submit_prompt(run *r, bool certain)
{
    uint32_t from = 0, to = 0;
    if (!r->habits->fill || !(certain || once_in(r, r->habits->fill)))
        return;
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    choose_fork(r, &from, &to);
    record_fork(r, commands, from, to);
    chunk *c = fill(r, commands, once_in(r, 2) ? to : (uint32_t)below(r, r->desc.attention.batch));
    ASSERT_OK(dmattn_commands_submit(h.device));
    if (c)
        decode_model_compare_chunk(r, c);
}

static void run_round(run *r, unsigned round)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    float *importance;
    uint64_t stride;
    random_rows(r, TENSOR_Q, &a->q_strides, a->heads, a->head_dim);
    random_rows(r, TENSOR_K, &a->k_strides, a->kv_heads, a->head_dim);
    random_rows(r, TENSOR_V, &a->v_strides, a->kv_heads, a->value_dim);
    for (uint64_t i = 0; i < STEPS * r->bytes[TENSOR_MASK]; i++)
        r->image[TENSOR_MASK][i] = (char)(below(r, 3) == 0);
    for (uint64_t i = 0; i < STEPS * r->bytes[TENSOR_SELECTED] / sizeof(int32_t); i++)
        ((int32_t *)r->image[TENSOR_SELECTED])[i] = random_number(r);
    for (uint64_t i = 0; i < STEPS * r->bytes[TENSOR_BIAS] / dmattn_type_size(a->bias_type); i++) {
        static const double odd[] = {-INFINITY, NAN, 0};
        element_store(a->bias_type, r->image[TENSOR_BIAS], i,
                      below(r, 4) ? random_normal(&r->random) : odd[below(r, sizeof odd / sizeof *odd)]);
    }
    for (int t = TENSOR_Q; t <= TENSOR_BIAS; t++)
        if (t != TENSOR_OUT && t != TENSOR_LSE)
            upload(r, (tensor_id)t);
    make_importance(r, &importance, &stride);
    memset(r->wanted, 0, (uint64_t)STEPS * a->batch * a->queries * a->heads);

    /* Records commands while the histories advance. All inputs are uploaded before the commands are submitted. */
    for (unsigned i = 0; i < 2 + a->batch / 4; i++)
        submit_prompt(r, round == 0 && i == 0);
    VkCommandBuffer commands;
    uint32_t from[STEPS], to[STEPS];
    for (uint32_t step = 0; step < STEPS; step++) {
        from[step] = to[step] = 0;
        /* the block table is the same for all steps, so sequences with pages are copied only before the first one */
        if (!step || !r->layout.table_pages)
            choose_fork(r, &from[step], &to[step]);
        for (uint32_t b = 0; b < a->batch; b++)
            advance_sequence(r, step, b, importance, stride);
    }
    free(importance);
    own_pages(r);
    upload(r, TENSOR_KEEP);
    upload(r, TENSOR_COUNTS);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (uint32_t step = 0; step < STEPS; step++) {
        record_fork(r, commands, from[step], to[step]);
        record_step(r, commands, step);
    }
    ASSERT_OK(dmattn_commands_submit(h.device));
    decode_model_compare(r, round);
}

static void expect_guards(const run *r)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        if (!r->image[t])
            continue;
        unsigned char guard[GUARD];
        ASSERT_OK(dmattn_download(h.device, &r->buffer[t], r->bytes[t] * (is_of_step((tensor_id)t) ? STEPS : 1), guard,
                                  GUARD));
        for (int i = 0; i < GUARD; i++)
            cr_assert_eq(guard[i], PATTERN, "%s: byte %d after %s was written", r->name, i,
                         dmattn_tensor_name((tensor_id)t));
    }
}

void decode_run(const char *name, const dmattn_decode_desc *desc, const decode_habits *habits, unsigned rounds,
                bool strides, uint64_t seed, decode_results *results)
{
    run r = {.name = name, .habits = habits, .results = results, .random = seed};
    dmattn_decode_desc d = *desc;
    cr_assert_lt(habits->most_tokens, MOST_LOG);
    if (strides) { /* a gap of one 16-bit element between rows: rows are not aligned to words */
        dmattn_attention_desc *a = &d.attention;
        const uint32_t kv_heads = a->kv_heads ? a->kv_heads : a->heads,
                       value_dim = a->value_dim ? a->value_dim : a->head_dim;
        const uint64_t q = a->head_dim + 1, v = value_dim + 3;
        a->q_strides = (dmattn_strides){a->queries * (a->heads * q + 5), a->heads * q + 5, q};
        a->k_strides = (dmattn_strides){a->queries * (kv_heads * q + 1), kv_heads * q + 1, q};
        a->v_strides = (dmattn_strides){a->queries * (kv_heads * v + 1), kv_heads * v + 1, v};
        a->out_strides = (dmattn_strides){a->queries * (a->heads * v + 7), a->heads * v + 7, v};
    }
    create(&r, &d);
    for (unsigned round = 0; round < rounds; round++)
        run_round(&r, round);
    expect_guards(&r);
    destroy(&r);
}
