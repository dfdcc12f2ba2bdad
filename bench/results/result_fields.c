/* SPDX-License-Identifier: MIT
 * The fields of runs and results in JSON and CSV. */
#include "result_fields.h"

#include "message.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
#define NAMED(name, kind, member)                                \
    {                                                            \
        name, FIELD_##kind, offsetof(case_result, member), false \
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
    OPTIONAL(FLAG, sink),
    OPTIONAL(FLAG, slopes),
    OPTIONAL(FLAG, q_f32),
    OPTIONAL(TEXT, kv_format),
    OPTIONAL(COUNT, page_size),
    OPTIONAL(COUNT, other_keys),
    OPTIONAL(COUNT, other_queries),
    OPTIONAL(FLAG, packed),
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
    NAMED("confidence.low_ms", NUMBER, low_ms),
    NAMED("confidence.high_ms", NUMBER, high_ms),
    OPTIONAL(NUMBER, min_ms),
    OPTIONAL(NUMBER, spread),
    OPTIONAL(NUMBER, cold_ms),
    OPTIONAL(COUNT, runs_per_sample),
    OPTIONAL(NUMBER, clock),
    NAMED("disturbed", FLAG, throttled),
    OPTIONAL(NUMBER, tflops),
    OPTIONAL(NUMBER, gbytes_s),
    NAMED("share_of_bound", NUMBER, roofline_share),
    OPTIONAL(NUMBER, speedup_over_dense),
    OPTIONAL(NUMBER, tokens_per_second),
    OPTIONAL(NUMBER, visible_pairs),
    OPTIONAL(NUMBER, error),
    OPTIONAL(NUMBER, lse_error),
    OPTIONAL(NUMBER, tolerance),
    OPTIONAL(NUMBER, workspace_bytes),
    OPTIONAL(NUMBER, backward_workspace_bytes),
    NAMED("stages_ms.importance", NUMBER, importance_ms),
    NAMED("stages_ms.intervals", NUMBER, intervals_ms),
    NAMED("stages_ms.lists", NUMBER, lists_ms),
    NAMED("stages_ms.attention", NUMBER, attention_ms),
    OPTIONAL(NUMBER, mask_bytes),
    OPTIONAL(NUMBER, lists_bytes),
    NAMED("cache_bytes_per_sequence", NUMBER, cache_bytes),
    OPTIONAL(NUMBER, cache_bytes_per_token),
    OPTIONAL(NUMBER, parts_ms),
    {0},
};

const cJSON *result_find(const cJSON *object, const char *name)
{
    const char *dot = strchr(name, '.');
    if (!dot)
        return cJSON_GetObjectItemCaseSensitive(object, name);
    char first[32];
    snprintf(first, sizeof first, "%.*s", (int)(dot - name), name);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, first), dot + 1);
}

/* Returns NULL, or what is wrong. */
static const char *read_field(const result_field *f, const cJSON *object, void *to)
{
    const cJSON *item = result_find(object, f->name);
    const bool absent = !item || cJSON_IsNull(item); /* numbers that are not finite are written as null */
    void *member = (char *)to + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
        *(const char **)member = absent ? "" : cJSON_GetStringValue(item);
        if (absent)
            return f->required ? "is missing" : NULL;
        if (!cJSON_IsString(item))
            return "is not a string";
        dmattn_make_one_line(item->valuestring); /* it is printed to terminals */
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

const char *result_read_fields(const result_field *f, const cJSON *object, void *to, const char **which)
{
    for (; f->name; f++) {
        const char *wrong = read_field(f, object, to);
        *which = f->name;
        if (wrong)
            return wrong;
    }
    return NULL;
}
