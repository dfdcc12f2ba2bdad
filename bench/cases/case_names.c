/* SPDX-License-Identifier: MIT
 * The names of cases and of their parts. */
#include "cases.h"

#include "descriptors/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pass_name(bench_pass pass)
{
    static const char *const names[] = {
        [PASS_FORWARD] = "forward", [PASS_BACKWARD] = "backward", [PASS_BOTH] = "both",       [PASS_DECODE] = "decode",
        [PASS_MASK] = "mask",       [PASS_MERGE] = "merge",       [PASS_PREFILL] = "prefill", [PASS_SELECT] = "select"};
    return names[pass];
}

void mask_name(const mask_choice *mask, char name[MASK_NAME_SIZE])
{
    const char *causal = mask->causal ? "causal+" : "";
    if (mask->dynamic)
        snprintf(name, MASK_NAME_SIZE, "topw:%u", mask->window);
    else if (mask->paged && mask->fraction > 0)
        snprintf(name, MASK_NAME_SIZE, "paged:%g", mask->fraction);
    else if (mask->paged && mask->plain)
        snprintf(name, MASK_NAME_SIZE, "paged:plain");
    else if (mask->paged)
        snprintf(name, MASK_NAME_SIZE, "paged");
    else if (mask->mask == DMATTN_MASK_ADDITIVE)
        snprintf(name, MASK_NAME_SIZE, "additive");
    else if (mask->mask == DMATTN_MASK_DENSE)
        snprintf(name, MASK_NAME_SIZE, "%sdense:%g", causal, mask->fraction);
    else if (mask->mask == DMATTN_MASK_SELECTED && mask->block)
        snprintf(name, MASK_NAME_SIZE, "blocks:%u:%u%s", mask->block, mask->window, mask->random ? ":random" : "");
    else if (mask->mask == DMATTN_MASK_SELECTED)
        snprintf(name, MASK_NAME_SIZE, "tokens:%u%s", mask->window, mask->random ? ":random" : "");
    else if (mask->sliding)
        snprintf(name, MASK_NAME_SIZE, "sliding:%u", mask->window);
    else if (mask->mask == DMATTN_MASK_INTERVALS && mask->window)
        snprintf(name, MASK_NAME_SIZE, "%sinterval:%u", causal, mask->window);
    else if (mask->mask == DMATTN_MASK_INTERVALS)
        snprintf(name, MASK_NAME_SIZE, "%sinterval", causal);
    else
        snprintf(name, MASK_NAME_SIZE, "%s", mask->causal ? "causal" : "none");
}

bool formats_name(const bench_case *c, char name[FORMATS_NAME_SIZE])
{
    const dmattn_attention_desc *a = &c->decode.attention;
    const char *k = dmattn_format_string(dmattn_format_of(a->k_format, c->desc.type));
    const char *v = dmattn_format_string(dmattn_format_of(a->v_format, c->desc.type));
    snprintf(name, FORMATS_NAME_SIZE, strcmp(k, v) ? "%s+%s" : "%s", k, v);
    return a->k_format || a->v_format;
}

/* Appends to a name of CASE_NAME_SIZE. */
static void add_part(char *name, const char *format, ...) DMATTN_PRINTF(2, 3);
static void add_part(char *name, const char *format, ...)
{
    const size_t length = strlen(name);
    va_list list;
    va_start(list, format);
    vsnprintf(name + length, CASE_NAME_SIZE - length, format, list);
    va_end(list);
}

void case_name(const bench_case *c, char name[CASE_NAME_SIZE])
{
    const dmattn_attention_desc *d = &c->desc;
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    *name = 0;
    if (c->model)
        add_part(name, "%s/", c->model);
    else {
        add_part(name, "h%u.k%u.d%u", d->heads, d->kv_heads ? d->kv_heads : d->heads, d->head_dim);
        if (d->value_dim && d->value_dim != d->head_dim)
            add_part(name, ".v%u", d->value_dim);
        add_part(name, "/");
    }
    const bool unequal = c->other_keys || c->other_queries;
    if (d->batch > 1 && !unequal)
        add_part(name, "b%u.", d->batch);
    if (d->queries == d->keys)
        add_part(name, "n%u", d->keys);
    else
        add_part(name, "q%u.n%u", d->queries, d->keys);
    if (unequal)
        add_part(name, "+b%u", d->batch - 1);
    if (c->other_queries)
        add_part(name, ".q%u", c->other_queries);
    if (unequal)
        add_part(name, ".n%u", case_keys(c, 1));
    add_part(name, "/");
    add_part(name, "%s/%s/%s", pass_name(c->pass), mask, dmattn_type_string(d->type));
    if (d->bias && d->mask != DMATTN_MASK_ADDITIVE)
        add_part(name, "/bias");
    if (d->sink)
        add_part(name, "/sink");
    if (d->slopes)
        add_part(name, "/slopes");
    if (d->q_f32)
        add_part(name, "/q-f32");
    char formats[FORMATS_NAME_SIZE];
    if (formats_name(c, formats))
        add_part(name, "/kv-%s", formats);
    if (d->page_size)
        add_part(name, "/pages-%u", d->page_size);
    if (c->packed)
        add_part(name, "/packed");
    if (d->level)
        add_part(name, "/%s", dmattn_level_string(d->level));
}
