/* SPDX-License-Identifier: MIT */
#include "ggml_results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATION "FLASH_ATTN_EXT"

/* One timed case. Sizes are 0 where the line does not name them. */
typedef struct ggml_case {
    double d, dv, kv_heads, group, batch, keys, queries, mask;
    double microseconds, runs;
    char type[8];
} ggml_case;

/* The device of the cases that follow. */
typedef struct ggml_device {
    char name[256], backend[64];
} ggml_device;

/* ---- a case's parameters ------------------------------------------------------------------------------------- */

/* The value of `name` in "hsk=128,nr23=[4,1],…", or NULL. */
static const char *parameter(const char *text, const char *name)
{
    const size_t length = strlen(name);
    while (*text) {
        if (!strncmp(text, name, length) && text[length] == '=')
            return text + length + 1;
        text += strcspn(text, ",");
        text += *text == ',';
    }
    return NULL;
}

static double number(const char *text, const char *name)
{
    const char *value = parameter(text, name);
    return value ? strtod(value, NULL) : 0;
}

/* Reads old and new names: hs became hsk and hsv, nr became nr23, type_KV became type_K and type_V. */
static bool read_parameters(const char *text, ggml_case *c)
{
    const char *type = parameter(text, "type_K"), *groups = parameter(text, "nr23");
    *c = (ggml_case){.d = number(text, "hsk"),
                     .dv = number(text, "hsv"),
                     .kv_heads = number(text, "nh"),
                     .keys = number(text, "kv"),
                     .queries = number(text, "nb"),
                     .mask = number(text, "mask"),
                     .group = parameter(text, "nr") ? number(text, "nr") : 1,
                     .batch = 1};
    if (c->d <= 0)
        c->d = c->dv = number(text, "hs");
    if (groups && sscanf(groups, "[%lf,%lf]", &c->group, &c->batch) != 2)
        return false;
    if (!type)
        type = parameter(text, "type_KV");
    if (type)
        snprintf(c->type, sizeof c->type, "%.*s", (int)strcspn(type, ","), type);
    return c->d > 0 && c->dv > 0 && c->kv_heads > 0 && c->keys > 0 && c->queries > 0 && c->group > 0 && c->batch > 0
           && (!strcmp(c->type, "f16") || !strcmp(c->type, "bf16") || !strcmp(c->type, "f32"));
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

/* "  FLASH_ATTN_EXT(…):  8098 runs -   104.30 us/run - …" */
static bool read_console(char *line, ggml_case *c)
{
    char *begin = strstr(line, OPERATION "("), *close = begin ? strstr(begin, "):") : NULL;
    double runs, microseconds;
    if (!close || sscanf(close + 2, "%lf runs - %lf us/run", &runs, &microseconds) != 2)
        return false;
    *close = 0;
    if (!read_parameters(begin + sizeof OPERATION, c))
        return false;
    c->runs = runs;
    c->microseconds = microseconds;
    return microseconds > 0;
}

/* The value of a column in "INSERT INTO test_backend_ops (test_time, …) VALUES ('…', …);"; "" if it is missing. */
static void sql_value(const char *line, const char *name, char *value, size_t size)
{
    const char *column = strchr(line, '('), *quoted = strstr(line, " VALUES (");
    const size_t length = strlen(name);
    *value = 0;
    if (!column || !quoted || column > quoted)
        return;
    for (; column && column < quoted; column = strpbrk(column, ",)")) {
        quoted = strchr(quoted + 1, '\'');
        const char *end = quoted ? strchr(quoted + 1, '\'') : NULL;
        if (!end)
            return;
        column += 1 + strspn(column + 1, " ");
        if (!strncmp(column, name, length) && strspn(column + length, ",)")) {
            snprintf(value, size, "%.*s", (int)(end - quoted - 1), quoted + 1);
            return;
        }
        quoted = end;
    }
}

static bool read_sql(const char *line, ggml_device *device, ggml_case *c)
{
    char operation[32], parameters[512], time[32], runs[32];
    sql_value(line, "op_name", operation, sizeof operation);
    sql_value(line, "op_params", parameters, sizeof parameters);
    sql_value(line, "time_us", time, sizeof time);
    sql_value(line, "n_runs", runs, sizeof runs);
    sql_value(line, "device_description", device->name, sizeof device->name);
    sql_value(line, "backend_name", device->backend, sizeof device->backend);
    if (strcmp(operation, OPERATION) || !read_parameters(parameters, c))
        return false;
    c->microseconds = strtod(time, NULL);
    c->runs = strtod(runs, NULL);
    return c->microseconds > 0;
}

/* "Backend 1/2: CUDA0", or the line that follows it: "  Device description: NVIDIA …" */
static void read_device(const char *line, ggml_device *device)
{
    static const char description[] = "  Device description: ";
    const char *backend = strstr(line, ": ");
    if (!strncmp(line, description, sizeof description - 1))
        snprintf(device->name, sizeof device->name, "%s", line + sizeof description - 1);
    else if (!strncmp(line, "Backend ", 8) && backend) {
        snprintf(device->backend, sizeof device->backend, "%.63s", backend + 2);
        snprintf(device->name, sizeof device->name, "%.63s", backend + 2);
    }
}

bool is_ggml_output(const char *text)
{
    return strstr(text, OPERATION) && (strstr(text, " us/run") || strstr(text, "time_us"));
}

/* ---- the document -------------------------------------------------------------------------------------------- */

/* Adds a run and returns its array of results. */
static cJSON *add_run(cJSON *runs, const ggml_device *d)
{
    cJSON *run = cJSON_CreateObject(), *device = cJSON_AddObjectToObject(run, "device");
    if (device && cJSON_AddNumberToObject(run, "schema", 2) && cJSON_AddStringToObject(run, "program", "ggml")
        && cJSON_AddStringToObject(device, "name", d->name) && cJSON_AddStringToObject(device, "driver", d->backend)
        && cJSON_AddItemToArray(runs, run))
        return cJSON_AddArrayToObject(run, "results");
    cJSON_Delete(run);
    return NULL;
}

static bool add_case(cJSON *results, const ggml_case *c)
{
    /* ggml counts all pairs, including hidden ones. */
    const double heads = c->kv_heads * c->group, pairs = c->batch * heads * c->queries * c->keys;
    cJSON *r = cJSON_CreateObject();
    if (cJSON_AddStringToObject(r, "type", c->type) && cJSON_AddNumberToObject(r, "batch", c->batch)
        && cJSON_AddNumberToObject(r, "heads", heads) && cJSON_AddNumberToObject(r, "kv_heads", c->kv_heads)
        && cJSON_AddNumberToObject(r, "queries", c->queries) && cJSON_AddNumberToObject(r, "keys", c->keys)
        && cJSON_AddNumberToObject(r, "head_dim", c->d) && cJSON_AddNumberToObject(r, "value_dim", c->dv)
        && cJSON_AddStringToObject(r, "mask", "none") && cJSON_AddBoolToObject(r, "bias", c->mask != 0)
        && cJSON_AddStringToObject(r, "pass", c->queries == 1 ? "decode" : "forward")
        && cJSON_AddStringToObject(r, "peer", "flash_attn_ext") && cJSON_AddStringToObject(r, "status", "ok")
        && cJSON_AddNumberToObject(r, "visible_pairs", pairs) && cJSON_AddNumberToObject(r, "runs_per_sample", c->runs)
        && cJSON_AddNumberToObject(r, "median_ms", 1e-3 * c->microseconds)
        && cJSON_AddNumberToObject(r, "tflops", 2 * (c->d + c->dv) * pairs / c->microseconds * 1e-6)
        && cJSON_AddItemToArray(results, r))
        return true;
    cJSON_Delete(r);
    return false;
}

cJSON *ggml_results(char *text)
{
    ggml_device device = {"", ""}, timed = device;
    cJSON *document = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(document, "runs"), *results = NULL;
    bool ok = runs && cJSON_AddNumberToObject(document, "schema", 2);
    for (char *line = text, *next; ok && line; line = next) {
        ggml_case c;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        read_device(line, &device);
        if (!(strncmp(line, "INSERT ", 7) ? read_console(line, &c) : read_sql(line, &device, &c)))
            continue;
        if (!results || strcmp(device.name, timed.name) || strcmp(device.backend, timed.backend))
            results = add_run(runs, &device);
        timed = device;
        ok = results && add_case(results, &c);
    }
    if (ok)
        return document;
    cJSON_Delete(document);
    return NULL;
}
