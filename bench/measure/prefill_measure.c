/* SPDX-License-Identifier: MIT */
#include "prefill_measure.h"

#include "decode_check.h"
#include "planning.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct prefill {
    decoding cache;
    bench_case c;
    dmattn_plan *plan;        /* of the attention */
    dmattn_buffer begin, end; /* of a sliding window */
    dmattn_buffer counts;     /* if the sequences differ, or are packed */
} prefill;

/* ---- recording --------------------------------------------------------------------------------------------------- */

static dmattn_status record_chunk(const void *user, VkCommandBuffer commands)
{
    const prefill *p = user;
    const decoding *d = &p->cache;
    if (p->c.mask.dynamic)
        return dmattn_dma_record(p->plan, commands,
                                 &(dmattn_dma_args){.q = d->buffer[STREAM_Q],
                                                    .out = d->out,
                                                    .lse = d->lse,
                                                    .sink = d->parameters[3],
                                                    .pages = d->pages,
                                                    .table = d->table,
                                                    .workspace = d->workspace});
    return dmattn_attention_record(p->plan, commands,
                                   &(dmattn_attention_args){.q = d->buffer[STREAM_Q],
                                                            .out = d->out,
                                                            .lse = d->lse,
                                                            .begin = p->begin,
                                                            .end = p->end,
                                                            .sink = d->parameters[3],
                                                            .pages = d->pages,
                                                            .table = d->table,
                                                            .counts = p->counts,
                                                            .workspace = d->workspace});
}

/* ---- data ----------------------------------------------------------------------------------------------------------
 */

/* The queries that see each key, the same in all heads. */
static dmattn_status make_window(prefill *p)
{
    const decoding *d = &p->cache;
    const uint32_t keys = p->c.desc.keys, queries = p->c.desc.queries, window = p->c.mask.window;
    const uint64_t bytes = sizeof(int32_t) * (uint64_t)keys;
    int32_t *begin = malloc(bytes), *end = malloc(bytes);
    dmattn_status status = begin && end
                               ? DMATTN_SUCCESS
                               : dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a sliding window");
    for (uint32_t j = 0; !status && j < keys; j++) {
        const int64_t first = (int64_t)j + queries - keys, last = first + window;
        begin[j] = (int32_t)(first < 0 ? 0 : first);
        end[j] = (int32_t)(last < 0 ? 0 : last > queries ? queries : last);
    }
    dmattn_buffer *const buffers[] = {&p->begin, &p->end};
    const int32_t *const data[] = {begin, end};
    for (int i = 0; i < 2 && !status; i++) {
        status = dmattn_buffer_create(d->settings->device, bytes, buffers[i]);
        if (!status)
            status = dmattn_upload(d->settings->device, buffers[i], 0, data[i], bytes);
    }
    free(begin);
    free(end);
    return status;
}

/* Numbers of queries and keys. */
static dmattn_status make_counts(prefill *p)
{
    const uint32_t batch = p->c.desc.batch;
    int32_t *counts = malloc(2 * batch * sizeof *counts);
    if (!counts)
        return dmattn_fail(p->cache.log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for numbers of queries");
    for (uint32_t b = 0; b < batch; b++) {
        counts[2 * b] = (int32_t)case_queries(&p->c, b);
        counts[2 * b + 1] = (int32_t)case_keys(&p->c, b);
    }
    dmattn_device *device = p->cache.settings->device;
    dmattn_status status = dmattn_buffer_create(device, 2 * batch * sizeof *counts, &p->counts);
    if (!status)
        status = dmattn_upload(device, &p->counts, 0, counts, 2 * batch * sizeof *counts);
    free(counts);
    return status;
}

/* The cache, with what tells the reference which keys a query sees. */
static dmattn_decode_desc visible_keys(const prefill *p)
{
    dmattn_decode_desc d = p->cache.desc;
    if (p->c.mask.sliding)
        d.selection.sliding = p->c.mask.window;
    if (p->c.mask.dynamic)
        d.selection = p->c.dma.selection;
    return d;
}

/* Of a head of one sequence. */
static uint64_t sequence_pairs(const bench_case *c, uint32_t sequence)
{
    const uint32_t most = c->mask.sliding || c->mask.dynamic ? c->mask.window : UINT32_MAX;
    const uint32_t queries = case_queries(c, sequence), keys = case_keys(c, sequence);
    uint64_t pairs = 0;
    for (uint32_t t = 0; t < queries; t++) {
        const uint32_t before = keys - queries + t + 1;
        pairs += before < most ? before : most;
    }
    return pairs;
}

uint64_t prefill_pairs(const bench_case *c)
{
    return (sequence_pairs(c, 0) + (c->desc.batch - UINT64_C(1)) * sequence_pairs(c, 1)) * c->desc.heads;
}

/* Bytes of the queries and keys that there are. */
static double prefill_bytes(const bench_case *c, const dmattn_attention_desc *resolved, double of_plan)
{
    dmattn_attention_desc d = *resolved;
    if (!d.counts)
        return of_plan;
    d.total_queries = d.queries + (d.batch - 1) * case_queries(c, 1);
    d.total_keys = d.keys + (d.batch - 1) * case_keys(c, 1);
    return dmattn_attention_bytes(&d);
}

/* ---- the measurement -----------------------------------------------------------------------------------------------
 */

static dmattn_status plan(prefill *p, const measure_settings *s, measurement *m)
{
    dmattn_attention_backward_desc desc;
    dmattn_plan_info info;
    decoding_describe(&p->cache, &p->c);
    case_use_stream(&p->c, &p->cache);
    m->desc = p->c.desc;
    TRY(case_resolve(&p->c, p->cache.log, &desc));
    m->desc = desc.attention;
    TRY(case_plan(dmattn_device_context(s->device), &p->c, PASS_PREFILL, &p->plan));
    dmattn_plan_get_info(p->plan, &info);
    p->cache.out_bytes = dmattn_attention_tensor_bytes(&desc.attention, TENSOR_OUT);
    p->cache.lse_bytes = dmattn_attention_tensor_bytes(&desc.attention, TENSOR_LSE);
    p->cache.workspace_bytes = info.workspace_size;
    m->visible_pairs = prefill_pairs(&p->c);
    m->planned[0] = (planned_pass){.level = info.level,
                                   .workspace_bytes = info.workspace_size,
                                   .flops_of_pair = 2.0 * (desc.attention.head_dim + desc.attention.value_dim),
                                   .bytes = prefill_bytes(&p->c, &desc.attention, info.bytes)};
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", info.kernel);
    snprintf(m->planned[0].why_not_higher, sizeof m->planned[0].why_not_higher, "%s", info.why_not_higher);
    return DMATTN_SUCCESS;
}

static dmattn_status run(prefill *p, const measure_settings *s, measurement *m, bool *planned)
{
    const recording what = {s->device, record_chunk, p};
    tell_phase(s, "plan");
    TRY(plan(p, s, m));
    *planned = true;
    tell_phase(s, "data");
    TRY(decoding_create(&p->cache));
    if (p->c.mask.sliding)
        TRY(make_window(p));
    if (p->c.desc.counts)
        TRY(make_counts(p));
    m->cache_bytes = decoding_cache_bytes(&p->cache);
    const dmattn_decode_desc visible = visible_keys(p);
    return check_and_time(&p->cache, &what, &visible, m);
}

dmattn_status measure_prefill(const measure_settings *s, const bench_case *c, const messenger *log, measurement *m,
                              bool *planned)
{
    prefill p = {.cache = {.settings = s, .log = log}, .c = *c};
    const dmattn_status status = run(&p, s, m, planned);
    dmattn_buffer_destroy(s->device, &p.begin);
    dmattn_buffer_destroy(s->device, &p.end);
    dmattn_buffer_destroy(s->device, &p.counts);
    dmattn_plan_destroy(p.plan);
    decoding_destroy(&p.cache);
    return status;
}
