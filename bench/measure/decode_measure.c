/* SPDX-License-Identifier: MIT */
#include "decode_measure.h"

#include "decode_check.h"
#include "decoding/decode_data.h"

#include <math.h>
#include <stdio.h>

/* A chunk of each sequence, one after another, because they share the workspace. Each run adds to the tokens of the
 * runs before. */
static dmattn_status record_chunks(const decoding *d, VkCommandBuffer commands, uint64_t q, uint64_t kv)
{
    const uint64_t between = SEQUENCE_STEP * TOKEN_STEP, batch = d->desc.attention.batch;
    for (uint32_t b = 0; b < batch; b++) {
        const dmattn_decode_chunk_args args = {
            .sequence = b,
            .first = (1u << 30) - 1 - d->queries, /* all that it has */
            .keys = d->queries,
            .q = buffer_behind(&d->buffer[STREAM_Q], q + decoding_q_element(d) * between * b),
            .k = buffer_behind(&d->buffer[STREAM_K], kv + decoding_element(d) * between * b),
            .v = buffer_behind(&d->buffer[STREAM_V], kv + decoding_element(d) * between * b),
            .out = buffer_behind(&d->out, d->out_bytes / batch * b),
            .lse = buffer_behind(&d->lse, d->lse_bytes / batch * b),
            .dt_weight = d->parameters[0],
            .a = d->parameters[1],
            .dt_bias = d->parameters[2],
            .sink = d->parameters[3],
            .state = d->state,
            .workspace = d->workspace,
        };
        if (b)
            dmattn_commands_barrier(d->settings->device);
        TRY(dmattn_decode_chunk_record(d->plan, commands, &args));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status record_step(const void *user, VkCommandBuffer commands)
{
    decoding *d = (decoding *)(uintptr_t)user; /* d->steps counts on */
    const uint64_t step = d->steps++ % NEW_TOKENS, offset = decoding_element(d) * TOKEN_STEP * (d->context + step);
    if (d->desc.chunk_tokens)
        return record_chunks(d, commands, decoding_q_element(d) * TOKEN_STEP * step, offset);
    const dmattn_decode_args args = {
        .q = buffer_behind(&d->buffer[STREAM_Q], decoding_q_element(d) * TOKEN_STEP * step),
        .k = buffer_behind(&d->buffer[STREAM_K], offset),
        .v = buffer_behind(&d->buffer[STREAM_V], offset),
        .out = d->out,
        .lse = d->lse,
        .dt_weight = d->parameters[0],
        .a = d->parameters[1],
        .dt_bias = d->parameters[2],
        .sink = d->parameters[3],
        .slopes = d->parameters[4],
        .importance =
            buffer_behind(&d->buffer[STREAM_IMPORTANCE], 0), /* of new tokens of a paged cache; the same in each step */
        .keep = d->keep,
        .state = d->state,
        .pages = d->pages,
        .table = d->table,
        .selected = d->selected,
        .workspace = d->workspace,
    };
    return dmattn_decode_record(d->plan, commands, &args);
}

/* ---- the measurement ----------------------------------------------------------------------------------------- */

/* The average number of keys that a query sees. */
static double seen_keys(const decoding *d, const bench_case *c)
{
    const double context = case_average_keys(c) - (d->queries - 1) / 2.0; /* average over the queries */
    if (d->desc.cache == DMATTN_CACHE_PAGED && !d->lists)
        return c->mask.fraction > 0 ? c->mask.fraction * context : context;
    return fmin(context, (double)dmattn_decode_most_keys(&d->desc));
}

double decoding_step_bytes(const dmattn_decode_desc *d, double keys, double looked_at)
{
    const dmattn_attention_desc *a = &d->attention;
    const double row = (double)dmattn_type_size(a->type) * ((double)a->head_dim + a->value_dim); /* of a new token */
    const double cached = dmattn_decode_row_bytes(d);
    const double of_queries = a->queries * (row * ((double)a->heads + a->kv_heads) + cached * a->kv_heads);
    return a->batch * (a->kv_heads * (cached * keys + looked_at) + of_queries);
}

static double step_bytes(const decoding *d, const bench_case *c, double keys)
{
    const bool paged = d->desc.cache == DMATTN_CACHE_PAGED;
    const double importance = d->desc.no_importance ? 0 : 4 * (case_average_keys(c) - d->desc.attention.queries);
    const double lists = 4.0 * d->desc.attention.selected_count * d->desc.attention.queries;
    dmattn_decode_desc of_run = d->desc;
    of_run.attention.queries = d->queries;
    if (d->desc.chunk_tokens) /* all keys of the cache are copied */
        keys = fmin(d->context, d->layout.slots);
    return decoding_step_bytes(&of_run, keys, paged ? importance + lists : 16.0 * d->layout.slots);
}

static dmattn_status run(decoding *d, const bench_case *c, measurement *m, bool *planned)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const recording what = {d->settings->device, record_step, d};
    tell_phase(d->settings, "data");
    decoding_describe(d, c);
    const dmattn_status status = decoding_create(d);
    *planned = d->plan;
    m->desc = *a;
    m->desc.queries = c->desc.queries;
    m->desc.keys = c->desc.keys;
    m->desc.kv_heads = a->kv_heads ? a->kv_heads : a->heads;
    m->desc.value_dim = a->value_dim ? a->value_dim : a->head_dim;
    TRY(status);
    const double keys = seen_keys(d, c);
    m->visible_pairs = (uint64_t)(keys * a->batch * a->heads * d->queries);
    m->planned[0] = (planned_pass){.level = d->info.level,
                                   .workspace_bytes = d->info.workspace_size,
                                   .flops_of_pair = 2.0 * (a->head_dim + a->value_dim),
                                   .bytes = step_bytes(d, c, keys)};
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", d->info.kernel);
    snprintf(m->planned[0].why_not_higher, sizeof m->planned[0].why_not_higher, "%s", d->info.why_not_higher);
    m->cache_bytes = decoding_cache_bytes(d);
    return check_and_time(d, &what, &d->desc, m);
}

dmattn_status measure_decoding(const measure_settings *s, const bench_case *c, const decode_tile *tile,
                               const messenger *log, measurement *m, bool *planned)
{
    decoding d = {.settings = s, .log = log, .tile = tile};
    const dmattn_status status = run(&d, c, m, planned);
    decoding_destroy(&d);
    return status;
}
