/* SPDX-License-Identifier: MIT */
#include "results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields -------------------------------------------------------------------------------------------------- */

#define RUN(name, kind, member)                                 \
    {                                                           \
        name, FIELD_##kind, offsetof(result_run, member), false \
    }
const result_field run_fields[] = {
    RUN("program", TEXT, program),
    RUN("version", TEXT, version),
    RUN("commit", TEXT, commit),
    RUN("date", TEXT, date),
    RUN("suite", TEXT, suite),
    RUN("interrupted", FLAG, interrupted),
    RUN("device.name", TEXT, device),
    RUN("device.driver", TEXT, driver),
    RUN("device.type", TEXT, device_type),
    {0},
};

#define REQUIRED(kind, member)                                     \
    {                                                              \
#member, FIELD_##kind, offsetof(case_result, member), true \
    }
#define OPTIONAL(kind, member)                                      \
    {                                                               \
#member, FIELD_##kind, offsetof(case_result, member), false \
    }
#define NESTED(name, member)                                     \
    {                                                            \
        name, FIELD_NUMBER, offsetof(case_result, member), false \
    }
const result_field result_fields[] = {
    OPTIONAL(TEXT, name),
    OPTIONAL(TEXT, model),
    REQUIRED(TEXT, type),
    REQUIRED(COUNT, batch),
    REQUIRED(COUNT, heads),
    REQUIRED(COUNT, kv_heads),
    REQUIRED(COUNT, queries),
    REQUIRED(COUNT, keys),
    REQUIRED(COUNT, head_dim),
    REQUIRED(COUNT, value_dim),
    REQUIRED(TEXT, mask),
    OPTIONAL(FLAG, causal),
    OPTIONAL(FLAG, bias),
    REQUIRED(TEXT, pass),
    OPTIONAL(TEXT, requested_level),
    OPTIONAL(TEXT, peer),
    OPTIONAL(NUMBER, seed),
    OPTIONAL(FLAG, reuse_mask),
    OPTIONAL(COUNT, repeat),
    REQUIRED(TEXT, status),
    OPTIONAL(TEXT, sentence),
    OPTIONAL(TEXT, level),
    OPTIONAL(TEXT, kernel),
    OPTIONAL(TEXT, backward_level),
    OPTIONAL(TEXT, backward_kernel),
    OPTIONAL(NUMBER, median_ms),
    NESTED("confidence.low_ms", low_ms),
    NESTED("confidence.high_ms", high_ms),
    OPTIONAL(NUMBER, min_ms),
    OPTIONAL(NUMBER, spread),
    OPTIONAL(NUMBER, cold_ms),
    OPTIONAL(COUNT, runs_per_sample),
    OPTIONAL(NUMBER, clock),
    OPTIONAL(FLAG, disturbed),
    OPTIONAL(NUMBER, tflops),
    OPTIONAL(NUMBER, gbytes_s),
    OPTIONAL(NUMBER, share_of_bound),
    OPTIONAL(NUMBER, speedup_over_dense),
    OPTIONAL(NUMBER, tokens_per_second),
    OPTIONAL(NUMBER, visible_pairs),
    OPTIONAL(NUMBER, error),
    OPTIONAL(NUMBER, lse_error),
    OPTIONAL(NUMBER, tolerance),
    OPTIONAL(NUMBER, workspace_bytes),
    OPTIONAL(NUMBER, backward_workspace_bytes),
    NESTED("stages_ms.importance", importance_ms),
    NESTED("stages_ms.intervals", intervals_ms),
    NESTED("stages_ms.lists", lists_ms),
    NESTED("stages_ms.attention", attention_ms),
    OPTIONAL(NUMBER, mask_bytes),
    OPTIONAL(NUMBER, lists_bytes),
    NESTED("cache_bytes_per_sequence", cache_bytes),
    {0},
};

static const cJSON *find(const cJSON *object, const char *name)
{
    const char *dot = strchr(name, '.');
    if (!dot)
        return cJSON_GetObjectItemCaseSensitive(object, name);
    char first[32];
    snprintf(first, sizeof first, "%.*s", (int)(dot - name), name);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, first), dot + 1);
}

/* Names come to terminals, tables and pages. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

/* Returns what is wrong, NULL: nothing. */
static const char *read_field(const result_field *f, const cJSON *object, void *to)
{
    const cJSON *item = find(object, f->name);
    const bool absent = !item || cJSON_IsNull(item); /* numbers that are not finite are null */
    void *member = (char *)to + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
        *(const char **)member = absent ? "" : cJSON_GetStringValue(item);
        if (absent)
            return f->required ? "is missing" : NULL;
        if (!cJSON_IsString(item))
            return "is not a string";
        make_printable(item->valuestring);
        return NULL;
    case FIELD_FLAG:
        *(bool *)member = cJSON_IsTrue(item);
        return absent || cJSON_IsBool(item) ? NULL : "is not true or false";
    default: *(double *)member = absent ? NAN : cJSON_GetNumberValue(item);
    }
    const double value = *(double *)member;
    if (absent)
        return f->required ? "is missing" : NULL;
    if (!cJSON_IsNumber(item) || !isfinite(value))
        return "is not a number";
    return f->kind == FIELD_COUNT && (value < 0 || value > 0x1p53 || value != floor(value)) ? "is not a whole number"
                                                                                            : NULL;
}

static const char *read_fields(const result_field *f, const cJSON *object, void *to, const char **which)
{
    for (; f->name; f++) {
        const char *wrong = read_field(f, object, to);
        *which = f->name;
        if (wrong)
            return wrong;
    }
    return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char *read_samples(const cJSON *object, case_result *r, const char **which)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, "samples_ms"), *item;
    const int count = array ? cJSON_GetArraySize(array) : 0;
    *which = "samples_ms";
    if (array && !cJSON_IsArray(array))
        return "is not an array";
    if (!count)
        return NULL;
    r->samples = malloc((size_t)count * sizeof *r->samples);
    if (!r->samples)
        return "does not fit in memory";
    cJSON_ArrayForEach(item, array)
    {
        const double value = cJSON_GetNumberValue(item);
        if (!isfinite(value) || value <= 0)
            return "has something in it that is not a number above 0";
        r->samples[r->sample_count++] = value;
    }
    qsort(r->samples, r->sample_count, sizeof *r->samples, compare_doubles);
    return NULL;
}

static const char *read_result(const cJSON *object, case_result *r, const char **which)
{
    const char *wrong = read_fields(result_fields, object, r, which);
    if (!wrong)
        wrong = read_samples(object, r, which);
    if (!wrong && result_is_ok(r) && !(r->median_ms > 0)) {
        *which = "median_ms";
        wrong = isnan(r->median_ms) ? "is missing" : "is not above 0";
    }
    return wrong;
}

/* ---- documents ----------------------------------------------------------------------------------------------- */

static void read_ceilings(const cJSON *tree, result_run *run)
{
    static const char *const names[PEAK_COUNT] = {"ceilings.copy", "ceilings.f32_fma", "ceilings.f16_matrices",
                                                  "ceilings.bf16_matrices"};
    for (int i = 0; i < PEAK_COUNT; i++)
        run->ceiling[i] = cJSON_GetNumberValue(
            cJSON_GetObjectItemCaseSensitive(find(tree, names[i]), i == PEAK_COPY ? "gbytes_s" : "tflops"));
}

static bool check_schema(const cJSON *document, const char *path, char why[RESULTS_WHY_SIZE])
{
    const double schema = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(document, "schema"));
    if (isnan(schema))
        snprintf(why, RESULTS_WHY_SIZE, "%s is JSON, but not of vkbench's results: it has no number \"schema\"", path);
    else if (schema > RESULTS_SCHEMA)
        snprintf(why, RESULTS_WHY_SIZE, "%s has schema %g, but this vkbench reads 1 to %d: a newer one reads it", path,
                 schema, RESULTS_SCHEMA);
    else if (schema != 1 && schema != RESULTS_SCHEMA)
        snprintf(why, RESULTS_WHY_SIZE, "%s has schema %g, which there never was", path, schema);
    else
        return true;
    return false;
}

static void destroy_run(result_run *run)
{
    cJSON_Delete(run->tree);
    free(run->file);
    free(run);
}

/* Takes the tree over. */
static bool add_run(results *all, cJSON *tree, const char *path, char why[RESULTS_WHY_SIZE])
{
    const char *which = "", *wrong = NULL;
    result_run *run = calloc(1, sizeof *run), **last = &all->runs;
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(tree, "results"), *object;
    const size_t count = (size_t)cJSON_GetArraySize(array);
    case_result *items = run && count ? realloc(all->items, (all->count + count) * sizeof *items) : all->items;
    if (items)
        all->items = items;
    if (run && (run->file = malloc(strlen(path) + 1)))
        strcpy(run->file, path);
    if (!run || !run->file || (count && !items)) {
        snprintf(why, RESULTS_WHY_SIZE, "%s does not fit in memory", path);
        if (run)
            free(run->file);
        free(run);
        cJSON_Delete(tree);
        return false;
    }
    while (*last)
        last = &(*last)->next;
    *last = run; /* from here on it is destroyed with the others */
    run->tree = tree;
    if (!check_schema(tree, path, why))
        return false;
    if (!cJSON_IsArray(array) || (wrong = read_fields(run_fields, tree, run, &which))) {
        snprintf(why, RESULTS_WHY_SIZE, "%s: \"%s\" %s", path, wrong ? which : "results", wrong ? wrong : "is missing");
        return false;
    }
    read_ceilings(tree, run);
    int index = 0;
    cJSON_ArrayForEach(object, array)
    {
        case_result *r = &all->items[all->count++];
        *r = (case_result){.run = run};
        if ((wrong = read_result(object, r, &which))) {
            snprintf(why, RESULTS_WHY_SIZE, "%s, result %d: \"%s\" %s", path, index, which, wrong);
            return false;
        }
        result_identity(r, r->identity);
        index++;
    }
    return true;
}

bool results_add(results *all, cJSON *document, const char *path, char why[RESULTS_WHY_SIZE])
{
    cJSON *runs = cJSON_GetObjectItemCaseSensitive(document, "runs");
    if (!document) {
        snprintf(why, RESULTS_WHY_SIZE, "%s does not fit in memory", path);
        return false;
    }
    if (!cJSON_IsArray(runs))
        return add_run(all, document, path, why);
    bool ok = check_schema(document, path, why);
    if (ok && !runs->child) {
        snprintf(why, RESULTS_WHY_SIZE, "%s holds no results", path);
        ok = false;
    }
    while (ok && runs->child)
        ok = add_run(all, cJSON_DetachItemFromArray(runs, 0), path, why);
    cJSON_Delete(document);
    return ok;
}

void results_destroy(results *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->items[i].samples);
    for (result_run *run = all->runs, *next; run; run = next) {
        next = run->next;
        destroy_run(run);
    }
    free(all->items);
    *all = (results){0};
}
