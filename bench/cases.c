/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include "decode/desc.h"
#include "reference/element.h"

#include <stdio.h>
#include <string.h>

const char *pass_name(bench_pass pass)
{
    return pass == PASS_FORWARD    ? "forward"
           : pass == PASS_BACKWARD ? "backward"
           : pass == PASS_BOTH     ? "both"
                                   : "decode";
}

/* ---- the sweep ----------------------------------------------------------------------------------------------- */

static void default_sizes(size_list *list, uint32_t count, const uint32_t *values)
{
    if (list->count)
        return;
    list->count = count;
    memcpy(list->value, values, count * sizeof *values);
}

#define DEFAULT_SIZES(list, ...) \
    default_sizes(list, sizeof(uint32_t[]){__VA_ARGS__} / sizeof(uint32_t), (uint32_t[]){__VA_ARGS__})

/* What differs from other passes: long contexts, few queries, and the kinds of cache. */
static void set_decoding_defaults(sweep *s, VkPhysicalDeviceType device)
{
    if (!s->n.count && !s->keys.count) {
        if (device == VK_PHYSICAL_DEVICE_TYPE_CPU)
            DEFAULT_SIZES(&s->keys, 1024, 4096);
        DEFAULT_SIZES(&s->keys, 4096, 32768, 131072);
    }
    DEFAULT_SIZES(&s->queries, 1);
    if (!s->mask_count) {
        s->mask[s->mask_count++] = (mask_choice){0};
        s->mask[s->mask_count++] = (mask_choice){.paged = true};
        s->mask[s->mask_count++] = (mask_choice){.dynamic = true};
    }
}

void sweep_set_defaults(sweep *s, VkPhysicalDeviceType device)
{
    bool plain_heads = !s->heads.count && !s->kv_heads.count;
    if (s->pass == PASS_DECODE)
        set_decoding_defaults(s, device);
    if (device == VK_PHYSICAL_DEVICE_TYPE_CPU) {
        DEFAULT_SIZES(&s->n, 256, 512, 1024);
        DEFAULT_SIZES(&s->heads, 2);
        DEFAULT_SIZES(&s->head_dim, 64);
    } else {
        /* One run of the longest may take a small GPU longer than its driver's watchdog waits. */
        if (device == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU)
            DEFAULT_SIZES(&s->n, 1024, 4096, 16384);
        DEFAULT_SIZES(&s->n, 1024, 4096);
        DEFAULT_SIZES(&s->heads, 16);
        DEFAULT_SIZES(&s->head_dim, 64, 128);
        if (plain_heads)
            DEFAULT_SIZES(&s->kv_heads, 4);
    }
    DEFAULT_SIZES(&s->batch, 1);
    DEFAULT_SIZES(&s->kv_heads, 0);
    DEFAULT_SIZES(&s->value_dim, 0);
    if (!s->type_count)
        s->type[s->type_count++] = device == VK_PHYSICAL_DEVICE_TYPE_CPU ? DMATTN_TYPE_F32 : DMATTN_TYPE_F16;
    if (!s->level_count)
        s->level[s->level_count++] = DMATTN_LEVEL_BEST;
    if (!s->pass)
        s->pass = PASS_FORWARD;
    if (!s->mask_count) {
        s->mask[s->mask_count++] = (mask_choice){.causal = true};
        s->mask[s->mask_count++] = (mask_choice){.mask = DMATTN_MASK_DENSE, .fraction = 0.1};
        s->mask[s->mask_count++] = (mask_choice){.mask = DMATTN_MASK_INTERVALS};
        s->mask[s->mask_count++] = (mask_choice){.dynamic = true};
    }
}

bool sweep_is_empty(const sweep *s)
{
    return !s->n.count && !s->queries.count && !s->keys.count && !s->batch.count && !s->heads.count
           && !s->kv_heads.count && !s->head_dim.count && !s->value_dim.count && !s->type_count && !s->mask_count
           && !s->level_count && !s->bias && !s->pass;
}

/* Either list may stand in n's place, which then does not count. */
static uint32_t n_count(const sweep *s)
{
    return s->queries.count && s->keys.count ? 1 : s->n.count;
}

static uint32_t count_or_one(const size_list *list)
{
    return list->count ? list->count : 1;
}

uint64_t sweep_count(const sweep *s)
{
    /* at most 32^11 */
    return (uint64_t)s->type_count * s->batch.count * s->heads.count * s->kv_heads.count * s->head_dim.count
           * s->value_dim.count * n_count(s) * count_or_one(&s->queries) * count_or_one(&s->keys) * s->mask_count
           * s->level_count;
}

/* Takes the lowest digit of a mixed-radix number. */
static uint32_t digit(uint64_t *index, uint32_t count)
{
    uint32_t value = (uint32_t)(*index % count);
    *index /= count;
    return value;
}

static uint32_t pick(uint64_t *index, const size_list *list)
{
    return list->value[digit(index, list->count)];
}

bool case_has_cache(const bench_case *c)
{
    return c->pass == PASS_DECODE && (c->mask.dynamic || c->mask.paged);
}

/* The importance of keys that no F of them are above; case_fill_importance() makes them uniform from 0 to 1. */
static void set_cache(bench_case *c)
{
    dmattn_attention_desc a = c->desc;
    a.keys = 0;
    c->decode = (dmattn_decode_desc){.attention = a, .selection = {.causal = true}, .rollback = c->mask.paged ? 0 : 1};
    if (c->mask.paged) {
        const uint32_t page = 64, most = c->desc.keys;
        c->decode.cache = DMATTN_CACHE_PAGED;
        c->decode.page_size = page;
        c->decode.max_keys = most;
        c->decode.pages = a.batch * ((most + page - 1) / page);
        c->decode.importance_given = true;
        if (c->mask.fraction > 0) {
            c->decode.selection.select = DMATTN_SELECT_THRESHOLD;
            c->decode.selection.threshold = (float)(1 - c->mask.fraction);
        }
    } else {
        c->decode.selection.select = DMATTN_SELECT_TOPW_CAUSAL;
        c->decode.selection.window = c->mask.window;
    }
}

void sweep_case(const sweep *s, uint64_t index, bench_case *c)
{
    *c = (bench_case){.desc = {.lse = true}, .pass = s->pass};
    dmattn_attention_desc *d = &c->desc;
    d->level = s->level[digit(&index, s->level_count)];
    c->mask = s->mask[digit(&index, s->mask_count)];
    uint32_t n = s->n.value[digit(&index, n_count(s))];
    d->keys = s->keys.count ? pick(&index, &s->keys) : n;
    d->queries = s->queries.count ? pick(&index, &s->queries) : n;
    d->value_dim = pick(&index, &s->value_dim);
    d->head_dim = pick(&index, &s->head_dim);
    d->kv_heads = pick(&index, &s->kv_heads);
    d->heads = pick(&index, &s->heads);
    d->batch = pick(&index, &s->batch);
    d->type = s->type[digit(&index, s->type_count)];

    uint32_t kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    d->causal = c->mask.causal;
    d->mask = c->mask.mask;
    if (d->mask == DMATTN_MASK_DENSE)
        d->mask_shape.queries = d->queries;
    if (d->mask == DMATTN_MASK_INTERVALS)
        d->mask_shape.heads = kv_heads;
    if ((d->mask == DMATTN_MASK_INTERVALS || c->mask.dynamic) && !c->mask.window)
        c->mask.window = d->keys >= 8 * 1024 ? 1024 : d->keys >= 8 ? d->keys / 8 : 1;
    if (case_has_cache(c))
        set_cache(c);
    else if (c->mask.dynamic)
        c->dma = (dmattn_dma_desc){
            .attention = *d,
            .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = c->mask.window, .causal = true}};
    else if (s->bias) {
        d->bias = true;
        d->bias_shape.heads = kv_heads;
    }
}

/* Whether a mask and a pass go together. */
static bool check_mask_of(const bench_case *c, const messenger *m)
{
    const mask_choice *mask = &c->mask;
    if (c->pass != PASS_DECODE && mask->paged)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--mask paged is of --pass decode");
    else if (c->pass == PASS_DECODE && (mask->causal || mask->mask))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass decode takes the masks none, topw and paged");
    else if (case_has_cache(c) && c->desc.keys <= c->desc.queries)
        dmattn_fail(m, DMATTN_ERROR_INVALID,
                    "keys is %u, but a step of decoding has %u new ones and needs some before them", c->desc.keys,
                    c->desc.queries);
    else
        return true;
    return false;
}

static dmattn_status check_case(bench_case *c, const messenger *m)
{
    dma_parts parts;
    if (!check_mask_of(c, m))
        return DMATTN_ERROR_INVALID;
    return case_has_cache(c) ? dmattn_decode_desc_resolve(&c->decode, &c->decode, m)
           : c->mask.dynamic ? dmattn_dma_desc_resolve(&c->dma, &parts, m)
                             : dmattn_attention_desc_resolve(&c->desc, &c->desc, m);
}

bool sweep_check(const sweep *s, const messenger *m)
{
    const uint64_t count = sweep_count(s), most = 100000;
    if (count > most) {
        dmattn_fail(m, DMATTN_ERROR_INVALID, "the lists make %llu cases, but %llu are the most",
                    (unsigned long long)count, (unsigned long long)most);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        bench_case c;
        sweep_case(s, i, &c);
        if (check_case(&c, m))
            return false;
    }
    return true;
}

void mask_name(const mask_choice *mask, char name[MASK_NAME_SIZE])
{
    const char *causal = mask->causal ? "causal+" : "";
    if (mask->dynamic)
        snprintf(name, MASK_NAME_SIZE, "topw:%u", mask->window);
    else if (mask->paged && mask->fraction > 0)
        snprintf(name, MASK_NAME_SIZE, "paged:%g", mask->fraction);
    else if (mask->paged)
        snprintf(name, MASK_NAME_SIZE, "paged");
    else if (mask->mask == DMATTN_MASK_DENSE)
        snprintf(name, MASK_NAME_SIZE, "%sdense:%g", causal, mask->fraction);
    else if (mask->mask == DMATTN_MASK_INTERVALS && mask->window)
        snprintf(name, MASK_NAME_SIZE, "%sinterval:%u", causal, mask->window);
    else if (mask->mask == DMATTN_MASK_INTERVALS)
        snprintf(name, MASK_NAME_SIZE, "%sinterval", causal);
    else
        snprintf(name, MASK_NAME_SIZE, "%s", mask->causal ? "causal" : "none");
}

/* ---- data ---------------------------------------------------------------------------------------------------- */

/* Random numbers at first, then pieces of them from random places: hundreds of millions must not take minutes. */
static void fill_normal(dmattn_type type, void *data, uint64_t bytes, uint64_t *state)
{
    const uint64_t block = 65536, piece = 4096, size = dmattn_type_size(type), count = bytes / size;
    for (uint64_t i = 0; i < count && i < block; i++)
        element_store(type, data, i, random_normal(state));
    for (uint64_t at = block; at < count; at += piece) {
        uint64_t length = count - at < piece ? count - at : piece;
        uint64_t from = random_bits(state) % (block - length + 1);
        memcpy((char *)data + at * size, (const char *)data + from * size, length * size);
    }
}

/* The position of a query among the keys. */
static int64_t position(const dmattn_attention_desc *d, int64_t query)
{
    return query + d->keys - d->queries;
}

#define MASK_TILE 64

/* Tiles are on at random, but those of the queries' own positions always: no row is dead that `causal` leaves alive. */
static void fill_dense(const dmattn_attention_desc *d, uint8_t *mask, double fraction, uint64_t *state)
{
    for (uint32_t first = 0; first < d->queries; first += MASK_TILE) {
        uint8_t *row = mask + (uint64_t)first * d->keys;
        uint32_t end = d->queries - first < MASK_TILE ? d->queries : first + MASK_TILE;
        int64_t low = position(d, first), high = position(d, end - 1);
        low = low < 0 ? 0 : low;
        high = high < 0 ? 0 : high;
        for (uint32_t key = 0; key < d->keys; key += MASK_TILE) {
            uint32_t width = d->keys - key < MASK_TILE ? d->keys - key : MASK_TILE;
            bool on = random_uniform(state) < fraction; /* always drawn: one tile does not shift the others' luck */
            on = on || (low < (int64_t)key + width && high >= key);
            memset(row + key, on, width);
        }
        for (uint32_t t = first + 1; t < end; t++)
            memcpy(mask + (uint64_t)t * d->keys, row, d->keys);
    }
}

static int32_t clip(int64_t value, uint32_t high)
{
    return (int32_t)(value < 0 ? 0 : value > high ? high : value);
}

/* Each key is seen from its own position on. */
static void fill_intervals(const dmattn_attention_desc *d, int32_t *begin, int32_t *end, uint32_t window,
                           uint64_t *state)
{
    for (uint32_t h = 0; h < d->mask_shape.heads; h++)
        for (uint32_t j = 0; j < d->keys; j++) {
            int64_t first = (int64_t)j + d->queries - d->keys;
            int64_t life = 1 + (int64_t)(random_bits(state) % (2 * (uint64_t)window));
            *begin++ = clip(first, d->queries);
            *end++ = clip(first + life, d->queries);
        }
}

dmattn_status case_create(const bench_case *c, const messenger *m, problem *p)
{
    TRY(c->mask.dynamic ? problem_create_dma(&c->dma, m, p) : problem_create(&c->desc, m, p));
    const dmattn_status status = c->pass & PASS_BACKWARD ? problem_add_backward(p, NULL, m) : DMATTN_SUCCESS;
    if (status)
        problem_destroy(p);
    return status;
}

void case_fill(problem *p, const mask_choice *mask, uint64_t seed)
{
    const dmattn_attention_desc *d = &p->desc;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const bool others = t >= TENSOR_DT_WEIGHT && t != TENSOR_DOUT; /* what problem_randomize_mask() fills */
        if (!p->tensor[t] || others || t == TENSOR_END || (p->dma && t == TENSOR_BEGIN))
            continue;
        const tensor_id tensor = (tensor_id)t;
        uint64_t state = seed + (uint64_t)t * UINT64_C(0xd1342543de82ef95); /* a sequence for each tensor */
        if (t == TENSOR_MASK)
            fill_dense(d, p->tensor[t], mask->fraction, &state);
        else if (t == TENSOR_BEGIN)
            fill_intervals(d, p->tensor[t], p->tensor[TENSOR_END], mask->window, &state);
        else
            fill_normal(t == TENSOR_BIAS ? d->bias_type : d->type, p->tensor[t], problem_bytes(p, tensor), &state);
    }
    problem_randomize_mask(p, seed);
}

/* ---- visible pairs ------------------------------------------------------------------------------------------- */

static uint64_t dense_row_pairs(const dmattn_attention_desc *d, const uint8_t *row, uint32_t query)
{
    int64_t keys = d->causal ? position(d, query) + 1 : d->keys;
    uint64_t count = 0;
    for (int64_t j = 0; j < keys; j++)
        count += row[j] != 0;
    return count;
}

static uint64_t interval_pairs(const dmattn_attention_desc *d, int64_t begin, int64_t end, uint32_t key)
{
    int64_t first = d->causal ? (int64_t)key + d->queries - d->keys : 0;
    first = first < 0 ? 0 : first;
    first = begin > first ? begin : first;
    end = end < d->queries ? end : d->queries;
    return end > first ? (uint64_t)(end - first) : 0;
}

uint64_t count_visible_pairs(const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    const uint64_t planes = (uint64_t)d->batch * d->heads;
    if (d->mask == DMATTN_MASK_NONE)
        return (uint64_t)dmattn_attention_pairs(d) * planes;

    uint64_t count = 0;
    for (uint32_t b = 0; b < s->batch; b++)
        for (uint32_t h = 0; h < s->heads; h++) {
            uint64_t at = b * s->batch_stride + h * s->head_stride;
            if (d->mask == DMATTN_MASK_INTERVALS) {
                const int32_t *begin = p->tensor[TENSOR_BEGIN], *end = p->tensor[TENSOR_END];
                for (uint32_t j = 0; j < d->keys; j++)
                    count += interval_pairs(d, begin[at + j], end[at + j], j);
            } else {
                const uint8_t *mask = p->tensor[TENSOR_MASK];
                for (uint32_t t = 0; t < d->queries; t++)
                    count += dense_row_pairs(d, mask + at + (s->queries == 1 ? 0 : t * s->query_stride), t);
            }
        }
    return count * (planes / ((uint64_t)s->batch * s->heads));
}
