/* SPDX-License-Identifier: MIT
 * The JSON object of a result. */
#include "json_writer.h"

static void add_parameters(writer *w, const bench_case *c, const dmattn_attention_desc *d)
{
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    add_string(w, "type", dmattn_type_string(d->type));
    add_number(w, "batch", d->batch);
    add_number(w, "heads", d->heads);
    add_number(w, "kv_heads", d->kv_heads);
    add_number(w, "queries", d->queries);
    add_number(w, "keys", d->keys);
    add_number(w, "head_dim", d->head_dim);
    add_number(w, "value_dim", d->value_dim);
    add_string(w, "mask", mask);
    add_bool(w, "causal", d->causal);
    add_bool(w, "bias", d->bias && d->mask != DMATTN_MASK_ADDITIVE);
    add_bool(w, "sink", d->sink);
    add_bool(w, "slopes", d->slopes);
    add_bool(w, "q_f32", d->q_f32);
    char formats[FORMATS_NAME_SIZE];
    if (formats_name(c, formats))
        add_string(w, "kv_format", formats);
    if (c->desc.page_size)
        add_number(w, "page_size", c->desc.page_size);
    if (c->other_keys)
        add_number(w, "other_keys", c->other_keys);
    if (c->other_queries)
        add_number(w, "other_queries", c->other_queries);
    if (c->packed)
        add_bool(w, "packed", true);
    add_string(w, "pass", pass_name(c->pass));
    add_string(w, "requested_level", c->desc.level ? dmattn_level_string(c->desc.level) : "best");
}

static void add_check(writer *w, const measurement *m)
{
    add_number(w, "error", m->check.error);
    add_number(w, "lse_error", m->check.lse_error);
    add_number(w, "not_finite", (double)m->check.not_finite);
    add_number(w, "tolerance", tolerance(m->desc.type));
    add_number(w, "checked_rows", m->checked_rows);
    if (!m->checked_keys)
        return;
    add_number(w, "checked_keys", m->checked_keys);
    writer errors = {w->ok ? cJSON_AddObjectToObject(w->object, "gradient_errors") : NULL, true};
    errors.ok = errors.object;
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        if (m->check.checked_gradients & gradient_bit((tensor_id)t))
            add_number(&errors, dmattn_tensor_name((tensor_id)t), m->check.gradient_error[t]);
    w->ok = errors.ok;
}

/* The timed plans. If there are two, the fields of the second one start with "backward_". */
static void add_plans(writer *w, const measurement *m)
{
    static const char *const names[][3] = {{"kernel", "level", "workspace_bytes"},
                                           {"backward_kernel", "backward_level", "backward_workspace_bytes"}};
    int written = 0;
    for (int i = 0; i < PASS_COUNT; i++) {
        const planned_pass *pass = &m->planned[i];
        if (!pass->level)
            continue;
        add_string(w, names[written][0], pass->kernel);
        add_string(w, names[written][1], dmattn_level_string(pass->level));
        add_number(w, names[written][2], (double)pass->workspace_bytes);
        written++;
    }
}

static void add_times(writer *w, const measurement *m)
{
    add_number(w, "runs_per_sample", m->runs);
    cJSON *samples = w->ok ? cJSON_AddArrayToObject(w->object, "samples_ms") : NULL;
    w->ok = samples;
    for (uint32_t i = 0; w->ok && i < m->sample_count; i++)
        w->ok = json_append(samples, cJSON_CreateNumber(1e3 * m->samples[i]));
    add_number(w, "median_ms", 1e3 * m->time.median);
    add_number(w, "min_ms", 1e3 * m->time.min);
    if (m->cold > 0)
        add_number(w, "cold_ms", 1e3 * m->cold);
    add_number(w, "spread", m->time.spread);
    add_number(w, "tflops", measurement_tflops(m));
    add_number(w, "gbytes_s", measurement_gbytes(m));
    if (m->roofline_seconds > 0) {
        add_number(w, "lower_bound_seconds", m->roofline_seconds);
        add_number(w, "share_of_bound", measurement_roofline_share(m));
    }
    if (m->tokens_per_second > 0)
        add_number(w, "tokens_per_second", m->tokens_per_second);
    if (m->cache_bytes)
        add_number(w, "cache_bytes_per_sequence", (double)m->cache_bytes);
    if (m->cache_bytes_per_token > 0)
        add_number(w, "cache_bytes_per_token", m->cache_bytes_per_token);
    if (m->stage[STAGE_ATTENTION] <= 0)
        return;
    writer stages = {w->ok ? cJSON_AddObjectToObject(w->object, "stages_ms") : NULL, true};
    stages.ok = stages.object;
    for (int i = 0; i < STAGE_COUNT; i++)
        add_number(&stages, stage_names[i], 1e3 * m->stage[i]);
    w->ok = stages.ok;
    add_number(w, "mask_bytes", (double)m->mask_bytes);
    add_number(w, "lists_bytes", (double)m->lists_bytes);
}

static void add_confidence(writer *w, const summary *time)
{
    if (time->high <= 0)
        return;
    writer confidence = {w->ok ? cJSON_AddObjectToObject(w->object, "confidence") : NULL, true};
    confidence.ok = confidence.object;
    add_number(&confidence, "level", CONFIDENCE_LEVEL);
    add_number(&confidence, "low_ms", 1e3 * time->low);
    add_number(&confidence, "high_ms", 1e3 * time->high);
    w->ok = confidence.ok;
}

/* The confidence interval, the device's speed, and the speedup. */
static void add_relations(writer *w, const outcomes *o, const outcome *x)
{
    const double clock = outcome_clock(o, x), speedup = outcome_speedup(o, x);
    add_confidence(w, &x->m.time);
    if (clock > 0) {
        add_number(w, "clock", clock);
        add_bool(w, "disturbed", outcome_throttled(o, x));
    }
    if (speedup > 0)
        add_number(w, "speedup_over_dense", speedup);
    const double parts = outcome_parts(o, x);
    if (parts > 0)
        add_number(w, "parts_ms", 1e3 * parts);
}

cJSON *json_outcome(const outcomes *o, const outcome *x, uint64_t seed, bool reuse_mask)
{
    const measurement *m = &x->m;
    char name[CASE_NAME_SIZE];
    writer w = {cJSON_CreateObject(), true};
    w.ok = w.object;
    case_name(&x->c, name);
    add_string(&w, "name", name);
    if (x->c.model)
        add_string(&w, "model", x->c.model);
    add_parameters(&w, &x->c, &m->desc);
    add_number(&w, "seed", (double)seed);
    add_number(&w, "repeat", x->repeat);
    add_bool(&w, "reuse_mask", reuse_mask);
    add_string(&w, "status", case_status_string(m->status));
    if (m->status != CASE_OK)
        add_string(&w, "sentence", m->sentence);
    add_plans(&w, m);
    if (m->visible_pairs)
        add_number(&w, "visible_pairs", (double)m->visible_pairs);
    if (m->status == CASE_OK || m->status == CASE_WRONG)
        add_check(&w, m);
    if (m->status == CASE_OK) {
        add_times(&w, m);
        add_relations(&w, o, x);
    }
    if (w.ok)
        return w.object;
    cJSON_Delete(w.object);
    return NULL;
}
