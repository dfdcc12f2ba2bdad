/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include "case_cache.h"

#include "decode/desc.h"
#include "shape.h"

#include <string.h>

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

/* Defaults of decoding: long contexts, one query, every kind of cache. */
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
    bool plain_heads = !s->heads.count && !s->kv_heads.count && !s->model_count;
    if (s->pass == PASS_DECODE)
        set_decoding_defaults(s, device);
    if (device == VK_PHYSICAL_DEVICE_TYPE_CPU) {
        DEFAULT_SIZES(&s->n, 256, 512, 1024);
        DEFAULT_SIZES(&s->heads, 2);
        DEFAULT_SIZES(&s->head_dim, 64);
    } else {
        /* On a small GPU one run of the longest case may exceed the driver's watchdog. */
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
    if (!s->mask_count && s->pass == PASS_MASK)
        s->mask[s->mask_count++] = (mask_choice){.dynamic = true};
    if (!s->mask_count && s->pass == PASS_PREFILL) {
        s->mask[s->mask_count++] = (mask_choice){.causal = true};
        s->mask[s->mask_count++] = (mask_choice){.dynamic = true};
    }
    if (!s->mask_count && s->pass == PASS_SELECT)
        s->mask[s->mask_count++] = (mask_choice){.mask = DMATTN_MASK_SELECTED, .window = 2048};
    if (!s->mask_count && s->pass == PASS_MERGE)
        s->mask[s->mask_count++] = (mask_choice){0};
    if (!s->mask_count) {
        s->mask[s->mask_count++] = (mask_choice){.causal = true};
        s->mask[s->mask_count++] = (mask_choice){.mask = DMATTN_MASK_DENSE, .fraction = 0.1};
        s->mask[s->mask_count++] = (mask_choice){.mask = DMATTN_MASK_INTERVALS};
        s->mask[s->mask_count++] = (mask_choice){.dynamic = true};
    }
}

bool sweep_names_cases(const sweep *s)
{
    return s->n.count || s->queries.count || s->keys.count || s->batch.count || s->heads.count || s->kv_heads.count
           || s->head_dim.count || s->value_dim.count || s->mask_count || s->bias || s->sink || s->slopes || s->q_f32
           || s->k_format || s->v_format || s->page_size || s->other_keys || s->other_queries || s->packed || s->pass;
}

/* n does not count if both queries and keys replace it. */
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
    /* at most 32^12 */
    return (uint64_t)(s->model_count ? s->model_count : 1) * s->type_count * s->batch.count * s->heads.count
           * s->kv_heads.count * s->head_dim.count * s->value_dim.count * n_count(s) * count_or_one(&s->queries)
           * count_or_one(&s->keys) * s->mask_count * s->level_count;
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
    if (s->model_count) {
        const model_shape *m = s->model[digit(&index, s->model_count)];
        c->model = m->name;
        d->heads = m->heads;
        d->kv_heads = m->kv_heads;
        d->head_dim = m->head_dim;
        d->value_dim = m->value_dim;
    }

    uint32_t kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    d->sink = s->sink;
    d->slopes = s->slopes;
    d->q_f32 = d->out_f32 = s->q_f32;
    d->causal = c->mask.causal;
    d->mask = c->mask.mask;
    if (d->mask == DMATTN_MASK_DENSE)
        d->mask_shape.queries = d->queries;
    if (d->mask == DMATTN_MASK_INTERVALS)
        d->mask_shape.heads = c->mask.sliding ? 1 : kv_heads;
    if (d->mask == DMATTN_MASK_SELECTED) {
        d->mask_shape = (dmattn_score_shape){.batch = d->batch, .heads = kv_heads, .queries = d->queries};
        d->selected_count = c->mask.window;
        d->selected_block = c->mask.block;
        d->selected_queries = c->mask.random ? 1 : 0;
    }
    if (d->mask == DMATTN_MASK_ADDITIVE) {
        d->bias_type = DMATTN_TYPE_F16;
        d->bias_shape.queries = d->queries;
    }
    if ((d->mask == DMATTN_MASK_INTERVALS || c->mask.dynamic) && !c->mask.window)
        c->mask.window = d->keys >= 8 * 1024 ? 1024 : d->keys >= 8 ? d->keys / 8 : 1;
    c->decode.attention.k_format = s->k_format; /* also without a cache, for formats_name() */
    c->decode.attention.v_format = s->v_format;
    d->page_size = s->page_size;
    d->pages = s->page_size ? d->batch * dmattn_ceil_div(d->keys, s->page_size) : 0;
    c->other_keys = s->other_keys;
    c->other_queries = s->other_queries;
    c->packed = s->packed;
    if (!case_has_cache(c)) {
        d->k_format = s->k_format;
        d->v_format = s->v_format;
    }
    if (c->pass == PASS_PREFILL)
        case_set_prefill(c);
    if (case_has_cache(c))
        case_set_cache(c);
    else if (c->mask.dynamic)
        c->dma = (dmattn_dma_desc){
            .attention = *d,
            .importance_given = c->pass == PASS_PREFILL,
            .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = c->mask.window, .causal = true}};
    else if (s->bias && d->mask != DMATTN_MASK_ADDITIVE) {
        d->bias = true;
        d->bias_shape.heads = kv_heads;
    }
}

static bool is_causal_chunk(const bench_case *c)
{
    return c->pass == PASS_PREFILL && c->mask.causal && !c->mask.sliding && !c->mask.dynamic;
}

/* Whether the case's mask and pass can be combined. */
static bool check_mask_of(const bench_case *c, const messenger *m)
{
    const mask_choice *mask = &c->mask;
    if (c->pass != PASS_DECODE && mask->paged)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--mask paged needs --pass decode");
    else if (c->pass == PASS_DECODE && mask->mask != DMATTN_MASK_SELECTED
             && (mask->causal || (mask->mask && !mask->sliding)))
        dmattn_fail(m, DMATTN_ERROR_INVALID,
                    "--pass decode takes the masks none, topw, sliding, paged, tokens and blocks");
    else if (c->pass == PASS_PREFILL && (mask->mask || !mask->causal) && !mask->sliding && !mask->dynamic)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass prefill takes the masks causal, sliding and topw");
    else if (c->pass == PASS_PREFILL && c->desc.queries > c->desc.keys)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "a chunk of %u queries needs as many keys, but there are %u",
                    c->desc.queries, c->desc.keys);
    else if (c->pass == PASS_PREFILL && (c->desc.bias || c->desc.slopes || c->desc.q_f32))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass prefill has no bias, no slopes, and q of the type");
    else if (c->other_keys && !(case_has_cache(c) || is_causal_chunk(c)))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--other-keys needs --pass decode with a cache, or prefill and causal");
    else if ((c->other_queries || c->packed) && !is_causal_chunk(c))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "%s needs --pass prefill and --mask causal",
                    c->packed ? "--packed" : "--other-queries");
    else if ((c->other_keys || c->other_queries) && c->desc.batch < 2)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--other-keys and --other-queries need two or more sequences");
    else if (c->other_keys > c->desc.keys)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--other-keys needs at least as many --keys");
    else if (c->other_queries > c->desc.queries || (c->pass == PASS_PREFILL && case_queries(c, 1) > case_keys(c, 1)))
        dmattn_fail(m, DMATTN_ERROR_INVALID,
                    "--other-queries is above --queries, or above the keys of these sequences");
    else if (c->pass & PASS_BACKWARD && c->desc.q_f32)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--q-f32 cannot be combined with gradients");
    else if (c->pass != PASS_FORWARD && c->pass != PASS_DECODE && c->pass != PASS_PREFILL
             && (c->decode.attention.k_format || c->decode.attention.v_format))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--kv-format needs --pass forward, prefill or decode");
    else if (c->pass != PASS_FORWARD && c->pass != PASS_PREFILL && !c->decode.page_size && c->desc.page_size)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--page-size needs --pass forward or prefill, or pages in decoding");
    else if (c->pass == PASS_MASK && !mask->dynamic)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass mask needs --mask topw");
    else if (c->pass == PASS_MERGE
             && (mask->causal || mask->mask || mask->dynamic || c->desc.bias || c->desc.sink || c->desc.slopes))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass merge merges results; it takes only --mask none, and no options");
    else if (c->pass == PASS_SELECT && mask->mask != DMATTN_MASK_SELECTED)
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass select takes the masks tokens and blocks");
    else if (c->pass == PASS_SELECT && (c->desc.bias || c->desc.sink || c->desc.slopes || c->desc.q_f32))
        dmattn_fail(m, DMATTN_ERROR_INVALID, "--pass select has no bias, sink or slopes, and q of the type");
    else if (case_has_cache(c) && case_keys(c, 1) <= c->desc.queries)
        dmattn_fail(m, DMATTN_ERROR_INVALID,
                    "keys is %u, but a decoding step adds %u new keys and needs some before them", case_keys(c, 1),
                    c->desc.queries);
    else if (c->decode.page_size && case_pages(c) >= 1u << 30)
        dmattn_fail(m, DMATTN_ERROR_INVALID,
                    "%u sequences of %u keys need %llu pages of %u; the limit is 2^30 - 1 pages", c->desc.batch,
                    c->desc.keys, (unsigned long long)case_pages(c), case_page_tokens(c));
    else
        return true;
    return false;
}

dmattn_status case_check(bench_case *c, const messenger *m)
{
    dma_descs descs;
    if (!check_mask_of(c, m))
        return DMATTN_ERROR_INVALID;
    if (c->pass == PASS_PREFILL)
        TRY(dmattn_decode_desc_resolve(&c->decode, &c->decode, m));
    return case_has_cache(c) ? dmattn_decode_desc_resolve(&c->decode, &c->decode, m)
           : c->mask.dynamic ? dmattn_dma_desc_resolve(&c->dma, &descs, m)
                             : dmattn_attention_desc_resolve(&c->desc, &c->desc, m);
}

bool sweep_check(const sweep *s, const messenger *m)
{
    const uint64_t count = sweep_count(s), most = MOST_CASES;
    if (count > most) {
        dmattn_fail(m, DMATTN_ERROR_INVALID, "the lists give %llu cases; the limit is %llu", (unsigned long long)count,
                    (unsigned long long)most);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        bench_case c;
        sweep_case(s, i, &c);
        if (case_check(&c, m))
            return false;
    }
    return true;
}
