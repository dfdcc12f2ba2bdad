/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "json_writer.h"
#include "new_file.h"
#include "provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- contents ------------------------------------------------------------------------------------------------ */

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
    add_number(&w, "schema", 2);
    add_string(&w, "program", "vkbench");
    add_string(&w, "version", bench_version());
    add_string(&w, "commit", bench_commit());
    add_string(&w, "date", date);
    cJSON *line = w.ok ? cJSON_AddArrayToObject(json->root, "command_line") : NULL;
    w.ok = line;
    for (int i = 0; w.ok && i < argc; i++)
        w.ok = json_append(line, cJSON_CreateString(argv[i]));
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

static bool add_ceiling(cJSON *root, ceiling_id id, const ceiling *p)
{
    static const char *const names[CEILING_COUNT] = {"copy", "f32_fma", "f16_matrices", "bf16_matrices"};
    writer w = {cJSON_AddObjectToObject(root, names[id]), true};
    w.ok = w.object;
    if (p->rate <= 0) {
        add_string(&w, "missing", p->why);
        return w.ok;
    }
    add_number(&w, id == CEILING_COPY ? "gbytes_s" : "tflops", p->rate * ceiling_scale(id));
    add_number(&w, "spread", p->spread);
    if (p->shape.m) {
        add_number(&w, "m", p->shape.m);
        add_number(&w, "n", p->shape.n);
        add_number(&w, "k", p->shape.k);
    }
    return w.ok;
}

bool json_add_ceilings(json_report *json, const ceilings *p)
{
    cJSON *all = cJSON_AddObjectToObject(json->root, "ceilings");
    bool ok = all;
    for (int i = 0; ok && i < CEILING_COUNT; i++)
        ok = add_ceiling(all, (ceiling_id)i, &p->of[i]);
    return ok;
}

static bool add_calibration(cJSON *root, const outcomes *o)
{
    writer w = {cJSON_AddObjectToObject(root, "calibration"), true};
    w.ok = w.object;
    add_number(&w, "best_ms", 1e3 * o->best_calibration);
    add_number(&w, "worst_ms", 1e3 * o->worst_calibration);
    return w.ok;
}

bool json_add_outcomes(json_report *json, const outcomes *o, bool reuse_mask)
{
    bool ok = o->best_calibration <= 0 || add_calibration(json->root, o);
    for (uint32_t i = 0; ok && i < o->count; i++)
        ok = json_append(json->results, json_outcome(o, &o->item[i], json->seed, reuse_mask));
    return ok;
}

bool json_add_suite(json_report *json, const char *name)
{
    return cJSON_AddStringToObject(json->root, "suite", name);
}

bool json_add_interrupted(json_report *json)
{
    return cJSON_AddBoolToObject(json->root, "interrupted", true);
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

bool json_can_write(const char *path, const char **why)
{
    new_file file;
    if (!new_file_open(&file, path, true, why))
        return false;
    new_file_close(&file, false, why);
    return true;
}

bool json_read_back(const json_report *json, results *all, char why[RESULTS_WHY_SIZE])
{
    return results_add(all, cJSON_Duplicate(json->root, true), "this run", why);
}

bool json_write(const json_report *json, const char *path)
{
    return !json_write_tree(path, json->root, true);
}
