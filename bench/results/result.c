/* SPDX-License-Identifier: MIT
 * The case of a result, and which other results it is compared with. */
#include "result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool result_is_ok(const case_result *r)
{
    return !strcmp(r->status, "ok");
}

void two_sizes(double a, double b, char text[SIZES_TEXT_SIZE])
{
    snprintf(text, SIZES_TEXT_SIZE, a == b ? "%.0f" : "%.0f/%.0f", a, b);
}

bool result_has_bias(const case_result *r)
{
    return r->bias && strncmp(r->mask, "topw", 4);
}

void result_options(const case_result *r, char text[RESULT_OPTIONS_SIZE])
{
    char pages[16] = "", others[24] = "", queries[32] = "";
    if (r->page_size > 0)
        snprintf(pages, sizeof pages, "+pages-%.0f", r->page_size);
    if (r->other_keys > 0)
        snprintf(others, sizeof others, "+others-%.0f", r->other_keys);
    if (r->other_queries > 0)
        snprintf(queries, sizeof queries, "+other-queries-%.0f", r->other_queries);
    snprintf(text, RESULT_OPTIONS_SIZE, "%s%s%s%s%s%.16s%s%s%s%s", result_has_bias(r) ? "+bias" : "",
             r->sink ? "+sink" : "", r->slopes ? "+slopes" : "", r->q_f32 ? "+q-f32" : "", *r->kv_format ? "+kv-" : "",
             r->kv_format, pages, others, queries, r->packed ? "+packed" : "");
}

void result_case(const case_result *r, char name[RESULT_NAME_SIZE])
{
    char heads[SIZES_TEXT_SIZE], n[SIZES_TEXT_SIZE], dims[SIZES_TEXT_SIZE];
    two_sizes(r->heads, r->kv_heads, heads);
    two_sizes(r->queries, r->keys, n);
    two_sizes(r->head_dim, r->value_dim, dims);
    char options[RESULT_OPTIONS_SIZE];
    result_options(r, options);
    snprintf(name, RESULT_NAME_SIZE, "%.8s B%.0f H%s N%s D%s %.32s%s %.16s", r->type, r->batch, heads, n, dims, r->mask,
             options, r->pass);
}

void result_identity(const case_result *r, char name[RESULT_NAME_SIZE])
{
    result_case(r, name);
    const size_t length = strlen(name);
    const bool asked = *r->requested_level && strcmp(r->requested_level, "best");
    snprintf(name + length, RESULT_NAME_SIZE - length, "%s%.16s%s%s%.32s", asked ? " " : "",
             asked ? r->requested_level : "", r->reuse_mask ? " mask reused" : "", *r->peer ? " " : "", r->peer);
}

void result_who(const case_result *r, char name[RESULT_NAME_SIZE])
{
    const char *program = strcmp(r->run->program, "vkbench") ? r->run->program : "dmattn";
    const int length = (int)strcspn(program, " "); /* without its version */
    if (*r->peer)
        snprintf(name, RESULT_NAME_SIZE, "%.*s %.32s", length < 32 ? length : 32, program, r->peer);
    else if (*r->backward_level && strcmp(r->backward_level, r->level))
        snprintf(name, RESULT_NAME_SIZE, "%.*s %.16s, %.16s", length < 32 ? length : 32, program, r->level,
                 r->backward_level);
    else
        snprintf(name, RESULT_NAME_SIZE, "%.*s %.16s", length < 32 ? length : 32, program, r->level);
}

bool result_same_source(const result_run *a, const result_run *b)
{
    return !strcmp(a->file, b->file) && !strcmp(a->program, b->program) && !strcmp(a->version, b->version)
           && !strcmp(a->commit, b->commit);
}

bool result_same_sizes(const case_result *a, const case_result *b)
{
    return !strcmp(a->type, b->type) && !strcmp(a->pass, b->pass) && a->batch == b->batch && a->heads == b->heads
           && a->kv_heads == b->kv_heads && a->queries == b->queries && a->keys == b->keys && a->head_dim == b->head_dim
           && a->value_dim == b->value_dim;
}

double result_all_pairs(const case_result *r)
{
    return r->batch * r->heads * r->queries * r->keys;
}

static bool is_decoding(const case_result *r)
{
    return !strcmp(r->pass, "decode");
}

double result_dense_pairs(const case_result *r)
{
    if (is_decoding(r))
        return result_all_pairs(r);
    /* Query t sees the keys up to t + keys - queries. */
    const double seeing = fmin(r->queries, r->keys), fewest = fmax(r->keys - r->queries, 0);
    return r->batch * r->heads * seeing * (fewest + 1 + fewest + seeing) / 2;
}
