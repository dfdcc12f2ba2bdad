/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "new_file.h"
#include "report.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct json_report {
    cJSON *root, *results;
    uint64_t seed;
};

/* ---- contents ------------------------------------------------------------------------------------------------ */

/* Adds to an object as long as there is memory; numbers that are not finite become null. */
typedef struct writer {
    cJSON *object;
    bool ok;
} writer;

static void add_string(writer *w, const char *name, const char *text)
{
    w->ok = w->ok && cJSON_AddStringToObject(w->object, name, text);
}

static void add_number(writer *w, const char *name, double value)
{
    w->ok = w->ok && cJSON_AddNumberToObject(w->object, name, value);
}

static void add_bool(writer *w, const char *name, bool value)
{
    w->ok = w->ok && cJSON_AddBoolToObject(w->object, name, value);
}

/* Takes the item over. */
static bool append(cJSON *array, cJSON *item)
{
    if (item && cJSON_AddItemToArray(array, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static bool add_device(cJSON *root, const dmattn_device_info *info)
{
    writer w = {cJSON_AddObjectToObject(root, "device"), true};
    w.ok = w.object;
    char version[48];
    snprintf(version, sizeof version, "%u.%u.%u", VK_API_VERSION_MAJOR(info->api_version),
             VK_API_VERSION_MINOR(info->api_version), VK_API_VERSION_PATCH(info->api_version));
    add_string(&w, "name", info->name);
    add_string(&w, "driver", info->driver);
    add_string(&w, "type", device_type_string(info->type));
    add_number(&w, "vendor_id", info->vendor_id);
    add_string(&w, "api_version", version);
    add_string(&w, "level", dmattn_level_string(info->level));
    add_number(&w, "subgroup_size", info->subgroup_size);
    add_number(&w, "min_subgroup_size", info->min_subgroup_size);
    add_number(&w, "max_subgroup_size", info->max_subgroup_size);
    add_number(&w, "max_invocations", info->max_invocations);
    add_number(&w, "shared_memory", info->shared_memory);
    add_number(&w, "device_memory", (double)info->device_memory);
    add_number(&w, "max_allocation", (double)info->max_allocation);
    add_bool(&w, "timestamps", info->timestamps);
    return w.ok;
}

json_report *json_create(int argc, char **argv, uint64_t seed, const dmattn_device_info *info)
{
    json_report *json = calloc(1, sizeof *json);
    if (!json)
        return NULL;
    json->seed = seed;
    json->root = cJSON_CreateObject();
    writer w = {json->root, json->root};
    char date[32] = "";
    time_t seconds = time(NULL);
    const struct tm *utc = gmtime(&seconds);
    if (utc)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", utc);
    add_number(&w, "schema", 1);
    add_string(&w, "program", "vkbench");
    add_string(&w, "version", bench_version());
    add_string(&w, "commit", DMATTN_COMMIT);
    add_string(&w, "date", date);
    cJSON *line = w.ok ? cJSON_AddArrayToObject(json->root, "command_line") : NULL;
    w.ok = line;
    for (int i = 0; w.ok && i < argc; i++)
        w.ok = append(line, cJSON_CreateString(argv[i]));
    w.ok = w.ok && add_device(json->root, info);
    json->results = w.ok ? cJSON_AddArrayToObject(json->root, "results") : NULL;
    if (json->results)
        return json;
    json_destroy(json);
    return NULL;
}

void json_destroy(json_report *json)
{
    if (!json)
        return;
    cJSON_Delete(json->root);
    free(json);
}

static bool add_peak(cJSON *root, peak_id id, const peak *p)
{
    static const char *const names[PEAK_COUNT] = {"copy", "f32_fma", "f16_matrices", "bf16_matrices"};
    writer w = {cJSON_AddObjectToObject(root, names[id]), true};
    w.ok = w.object;
    if (p->rate <= 0) {
        add_string(&w, "missing", p->why);
        return w.ok;
    }
    add_number(&w, id == PEAK_COPY ? "gbytes_s" : "tflops", p->rate * peak_scale(id));
    add_number(&w, "spread", p->spread);
    if (p->shape.m) {
        add_number(&w, "m", p->shape.m);
        add_number(&w, "n", p->shape.n);
        add_number(&w, "k", p->shape.k);
    }
    return w.ok;
}

bool json_add_peaks(json_report *json, const peaks *p)
{
    cJSON *ceilings = cJSON_AddObjectToObject(json->root, "ceilings");
    bool ok = ceilings;
    for (int i = 0; ok && i < PEAK_COUNT; i++)
        ok = add_peak(ceilings, (peak_id)i, &p->of[i]);
    return ok;
}

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
    add_bool(w, "bias", d->bias);
    add_string(w, "pass", pass_name(c->pass));
    add_string(w, "requested_level", c->desc.level ? dmattn_level_string(c->desc.level) : "best");
}

static const char *status_string(case_status status)
{
    switch (status) {
    case CASE_OK: return "ok";
    case CASE_WRONG: return "wrong";
    case CASE_UNSUPPORTED: return "unsupported";
    default: return "failed";
    }
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

/* What is timed, one plan or two; the names of a second one's begin with "backward_". */
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
        w->ok = append(samples, cJSON_CreateNumber(1e3 * m->samples[i]));
    add_number(w, "median_ms", 1e3 * m->time.median);
    add_number(w, "min_ms", 1e3 * m->time.min);
    add_number(w, "spread", m->time.spread);
    add_number(w, "tflops", measurement_tflops(m));
    add_number(w, "gbytes_s", measurement_gbytes(m));
    if (m->bound > 0) {
        add_number(w, "lower_bound_seconds", m->bound);
        add_number(w, "share_of_bound", measurement_share(m));
    }
    if (m->tokens_per_second > 0)
        add_number(w, "tokens_per_second", m->tokens_per_second);
    if (m->cache_bytes)
        add_number(w, "cache_bytes_per_sequence", (double)m->cache_bytes);
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

/* What a case has not come to is left out. */
bool json_add(json_report *json, const bench_case *c, const measurement *m, bool reuse_mask)
{
    writer w = {cJSON_CreateObject(), true};
    w.ok = w.object;
    add_parameters(&w, c, &m->desc);
    add_number(&w, "seed", (double)json->seed);
    add_bool(&w, "reuse_mask", reuse_mask);
    add_string(&w, "status", status_string(m->status));
    if (m->status != CASE_OK)
        add_string(&w, "sentence", m->sentence);
    add_plans(&w, m);
    if (m->visible_pairs)
        add_number(&w, "visible_pairs", (double)m->visible_pairs);
    if (m->status == CASE_OK || m->status == CASE_WRONG)
        add_check(&w, m);
    if (m->status == CASE_OK)
        add_times(&w, m);
    if (w.ok)
        return append(json->results, w.object);
    cJSON_Delete(w.object);
    return false;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

bool json_can_write(const char *path, const char **why)
{
    new_file file;
    if (!new_file_open(&file, path, why))
        return false;
    new_file_close(&file, path, false, why);
    return true;
}

bool json_write(const json_report *json, const char *path, const char **why)
{
    char *text = cJSON_Print(json->root);
    new_file file = {0};
    *why = "out of memory";
    bool ok = text && new_file_open(&file, path, why);
    if (ok) {
        const bool is_whole = fprintf(file.stream, "%s\n", text) >= 0 && !fflush(file.stream);
        ok = new_file_close(&file, path, is_whole, why);
    }
    cJSON_free(text);
    return ok;
}
