/* SPDX-License-Identifier: MIT */
#include "estimate.h"

#include "check/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The average number of keys that a query sees. */
static double seen_keys(const bench_case *c)
{
    const double queries = c->desc.queries, keys = case_average_keys(c), window = c->mask.window;
    const double causal = keys - (queries - 1) / 2;
    const bool is_causal = c->mask.causal || c->mask.mask == DMATTN_MASK_ADDITIVE;
    double seen = is_causal && causal > 0 ? causal : keys;
    if (c->mask.dynamic)
        seen = c->pass == PASS_DECODE ? fmin(window, keys)
               : window >= keys       ? causal
                                      : window - window * window / (2 * keys);
    else if (c->mask.mask == DMATTN_MASK_DENSE || c->mask.fraction > 0)
        seen *= c->mask.fraction;
    else if (c->mask.mask == DMATTN_MASK_SELECTED && c->pass == PASS_SELECT)
        seen = fmax(causal, keys / 2) / fmax(c->mask.block, 1);
    else if (c->mask.mask == DMATTN_MASK_SELECTED)
        seen = fmin(seen, window * fmax(c->mask.block, 1));
    else if (c->mask.mask == DMATTN_MASK_INTERVALS)
        seen = fmin(seen, window);
    return seen;
}

/* The rate that kernels reach: a fraction of the f32 or matrix ceiling, whichever the level can use. On a CPU the
 * fraction is small because it has few registers. */
static double arithmetic_rate(const bench_case *c, const ceilings *p, bool cpu)
{
    double rate = p->of[CEILING_FMA].rate;
    if (c->desc.type != DMATTN_TYPE_F32 && c->desc.level != DMATTN_LEVEL_PORTABLE && !cpu)
        rate = fmax(rate, p->of[CEILING_F16_MATRIX].rate);
    return rate * (cpu ? 0.04 : 0.3);
}

/* Streams of tokens, the rows that the reference computes, and filling the caches twice. */
static double host_of_cache(const bench_case *c, double bytes, bool cpu)
{
    const dmattn_attention_desc *d = &c->desc;
    const double dims = d->head_dim + (d->value_dim ? d->value_dim : d->head_dim);
    const double kv_heads = d->kv_heads ? d->kv_heads : d->heads, group = 1.5e-8 * dims * d->keys;
    const double tokens = 3.0 * d->keys + 3.0 * d->batch * (2 * kv_heads + d->heads);
    return 4e-7 * tokens + fmin(8 * group, fmax(0.1, group)) + bytes * (cpu ? 5e-9 : 1e-11);
}

estimate estimate_case(const bench_case *c, const ceilings *p, bool cpu)
{
    const dmattn_attention_desc *d = &c->desc;
    const double dims = d->head_dim + (d->value_dim ? d->value_dim : d->head_dim);
    const double kv_heads = d->kv_heads ? d->kv_heads : d->heads, seen = seen_keys(c);
    const double rows = (double)d->batch * d->heads * d->queries, size = dmattn_type_size(d->type);
    const double bytes = size * dims * (rows + d->batch * kv_heads * case_average_keys(c));
    const bool backward = c->pass & PASS_BACKWARD, decoding = c->pass == PASS_DECODE;
    const double flops = dims * rows * seen
                         * (c->pass & (PASS_MASK | PASS_MERGE) ? 0
                            : c->pass == PASS_BOTH             ? 7
                            : backward                         ? 5
                                                               : 2);
    const double row_check = seen * dims * 1e-8 + d->keys * 1e-9 * (1 + 0.3 * d->selected_count);
    estimate e = {.limits = c->mask.dynamic && c->pass == PASS_FORWARD ? 2 : 1};
    if (p && p->of[CEILING_FMA].rate > 0 && p->of[CEILING_COPY].rate > 0)
        e.run = flops / arithmetic_rate(c, p, cpu) + bytes / (0.3 * p->of[CEILING_COPY].rate);
    const bool cache = case_has_cache(c) || c->pass == PASS_PREFILL;
    e.plan = cpu ? (backward ? 6 : cache ? 1.5 : 2) : backward ? 0.5 : cache ? 1 : 0.2;
    e.host = bytes * (backward ? 6e-9 : 3e-9)                                         /* data */
             + row_check * fmin(fmax(CHECK_SECONDS / row_check, 8), CHECK_ROWS)       /* rows */
             + (backward ? fmin(CHECK_SECONDS, rows * seen * dims * 2e-8) : 0)        /* gradients */
             + (c->mask.dynamic && !decoding ? 2 * fmin(1, 32 * d->keys * 1e-7) : 0); /* masks */
    if (cache)
        e.host = host_of_cache(c, bytes, cpu);
    e.host += e.plan;
    return e;
}

void estimate_share_plan(estimate *e, uint32_t threads)
{
    e->host -= e->plan * (1 - 1.0 / threads);
    e->plan /= threads;
}

double estimate_take_plan(estimate *e)
{
    const double plan = e->plan;
    e->host -= plan;
    e->plan = 0;
    return plan;
}

double estimate_seconds(const estimate *e, double limit)
{
    return e->host + e->limits * fmax(0.7 * limit, 5 * e->run);
}

double estimate_limit(const estimate *e, uint32_t count, double factor, double seconds, double most)
{
    double host = 0, limits = 0;
    for (uint32_t i = 0; i < count; i++) {
        host += factor * e[i].host;
        limits += e[i].limits;
    }
    const double limit = limits > 0 ? (seconds - host) / limits : most;
    return fmin(fmax(limit, most / 10), most);
}

void duration_text(double seconds, char text[DURATION_SIZE])
{
    const double step = seconds < 10 ? 1 : seconds < 60 ? 5 : seconds < 600 ? 10 : seconds < 3600 ? 60 : 600;
    const double most = 3.6e9; /* a million hours; avoids an overflow */
    const unsigned whole = (unsigned)fmin(step * fmax(ceil(seconds / step), 1), most);
    const unsigned hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
    const char *between = "";
    *text = 0;
    const struct {
        unsigned value;
        const char *unit;
    } parts[] = {{hours, "h"}, {minutes, "min"}, {rest, "s"}};
    for (int i = 0; i < 3; i++)
        if (parts[i].value) {
            const size_t length = strlen(text);
            snprintf(text + length, DURATION_SIZE - length, "%s%u %s", between, parts[i].value, parts[i].unit);
            between = " ";
        }
}
