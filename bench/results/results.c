/* SPDX-License-Identifier: MIT */
#include "results.h"

#include "result_fields.h"
#include "timing/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a result ------------------------------------------------------------------------------------------------- */

static const char no_memory[] = "does not fit in memory";

bool results_no_memory(results *all, const char *path, char why[RESULTS_WHY_SIZE])
{
    all->out_of_memory = true;
    snprintf(why, RESULTS_WHY_SIZE, "%s %s", path, no_memory);
    return false;
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
        return no_memory;
    cJSON_ArrayForEach(item, array)
    {
        const double value = cJSON_GetNumberValue(item);
        if (!isfinite(value) || value <= 0)
            return "has an element that is not a positive number";
        r->samples[r->sample_count++] = value;
    }
    sort_ascending(r->samples, r->sample_count);
    return NULL;
}

/* Computes the confidence interval if the file lacks it. */
static void find_confidence(case_result *r)
{
    const size_t rank = isnan(r->low_ms) || isnan(r->high_ms) ? confidence_rank((uint32_t)r->sample_count) : 0;
    if (!rank)
        return;
    r->low_ms = r->samples[rank - 1];
    r->high_ms = r->samples[r->sample_count - rank];
}

static const char *read_result(const cJSON *object, case_result *r, const char **which)
{
    const char *wrong = result_read_fields(result_fields, object, r, which);
    if (!wrong)
        wrong = read_samples(object, r, which);
    if (!wrong)
        find_confidence(r);
    if (!wrong && result_is_ok(r) && !(r->median_ms > 0)) {
        *which = "median_ms";
        wrong = isnan(r->median_ms) ? "is missing" : "is not positive";
    }
    return wrong;
}

/* ---- documents ----------------------------------------------------------------------------------------------- */

static void read_ceilings(const cJSON *tree, result_run *run)
{
    static const char *const names[CEILING_COUNT] = {"ceilings.copy", "ceilings.f32_fma", "ceilings.f16_matrices",
                                                     "ceilings.bf16_matrices"};
    for (int i = 0; i < CEILING_COUNT; i++)
        run->ceiling[i] = cJSON_GetNumberValue(
            cJSON_GetObjectItemCaseSensitive(result_find(tree, names[i]), i == CEILING_COPY ? "gbytes_s" : "tflops"));
}

static bool check_schema(const cJSON *document, const char *path, char why[RESULTS_WHY_SIZE])
{
    const double schema = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(document, "schema"));
    if (isnan(schema))
        snprintf(why, RESULTS_WHY_SIZE, "%s is JSON but no result file: it has no number \"schema\"", path);
    else if (schema > RESULTS_SCHEMA)
        snprintf(why, RESULTS_WHY_SIZE, "%s has schema %g, but this vkbench only reads 1 to %d; use a newer one", path,
                 schema, RESULTS_SCHEMA);
    else if (schema != 1 && schema != RESULTS_SCHEMA)
        snprintf(why, RESULTS_WHY_SIZE, "%s has schema %g, which does not exist", path, schema);
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

/* Takes ownership of the tree. */
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
        if (run)
            free(run->file);
        free(run);
        cJSON_Delete(tree);
        return results_no_memory(all, path, why);
    }
    while (*last)
        last = &(*last)->next;
    *last = run; /* from here on results_destroy() destroys it */
    run->tree = tree;
    if (!check_schema(tree, path, why))
        return false;
    if (!cJSON_IsArray(array) || (wrong = result_read_fields(run_fields, tree, run, &which))) {
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
            all->out_of_memory = wrong == no_memory;
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
    if (!document)
        return results_no_memory(all, path, why);
    if (!cJSON_IsArray(runs))
        return add_run(all, document, path, why);
    bool ok = check_schema(document, path, why);
    if (ok && !runs->child) {
        snprintf(why, RESULTS_WHY_SIZE, "%s has no results", path);
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
