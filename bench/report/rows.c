/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include "format.h"
#include "message.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { CELL = 32 };

/* Batch items times keys, or keys alone. */
static void size_text(const bench_case *c, char text[CELL])
{
    const dmattn_attention_desc *d = &c->desc;
    if (c->other_keys || c->other_queries)
        snprintf(text, CELL, "%u+%ux%u", d->keys, d->batch - 1, case_keys(c, 1));
    else if (d->batch > 1)
        snprintf(text, CELL, "%ux%u", d->batch, d->keys);
    else
        snprintf(text, CELL, "%u", d->keys);
}

static int larger(int a, size_t b)
{
    return a > (int)b ? a : (int)b;
}

void rows_fit(row_table *t, const case_list *cases)
{
    t->mask_width = t->size_width = 4; /* of the heads */
    for (uint32_t i = 0; i < cases->count; i++) {
        char mask[MASK_NAME_SIZE], size[CELL];
        mask_name(&cases->item[i].mask, mask);
        size_text(&cases->item[i], size);
        t->mask_width = larger(t->mask_width, strlen(mask));
        t->size_width = larger(t->size_width, strlen(size));
    }
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

/* The number of queries, if it is not the one that a row implies: as many as keys, or 1 in decoding; else 0. */
static uint32_t other_queries(const bench_case *c)
{
    const uint32_t expected = c->pass == PASS_DECODE ? 1 : c->desc.keys;
    return c->desc.queries == expected ? 0 : c->desc.queries;
}

static bool same_group(const bench_case *a, const bench_case *b)
{
    return a->model == b->model && a->desc.type == b->desc.type && a->desc.heads == b->desc.heads
           && a->desc.kv_heads == b->desc.kv_heads && a->desc.head_dim == b->desc.head_dim
           && a->desc.value_dim == b->desc.value_dim && other_queries(a) == other_queries(b);
}

void rows_print_heads(FILE *stream, const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    fprintf(stream, "%s%s%u heads, %u kv, D %u", c->model ? c->model : "", c->model ? ": " : "", d->heads,
            d->kv_heads ? d->kv_heads : d->heads, d->head_dim);
    if (d->value_dim && d->value_dim != d->head_dim)
        fprintf(stream, ", Dv %u", d->value_dim);
}

static void print_group(const row_table *t, const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    fputs("\n", t->stream);
    rows_print_heads(t->stream, c);
    if (other_queries(c))
        fprintf(t->stream, ", queries %u", d->queries);
    const bool bias = d->bias && d->mask != DMATTN_MASK_ADDITIVE;
    char formats[FORMATS_NAME_SIZE];
    const bool has_formats = formats_name(c, formats);
    fprintf(t->stream, ", %s%s%s%s%s%s%s", dmattn_type_string(d->type), bias ? ", bias" : "", d->sink ? ", sinks" : "",
            d->slopes ? ", slopes" : "", d->q_f32 ? ", q and out f32" : "", has_formats ? ", k and v in " : "",
            has_formats ? formats : "");
    if (d->page_size)
        fprintf(t->stream, ", pages of %u", d->page_size);
    fputc('\n', t->stream);
    fprintf(t->stream, "%-8s %-*s %*s %7s%s %4s %14s %5s %6s\n", "pass", t->mask_width, "mask", t->size_width, "size",
            "ms", t->cold ? " cold ms" : "", t->repeats > 1 ? "run%" : "+-%", "rate", "roof%", "dense");
}

/* ---- cells --------------------------------------------------------------------------------------------------- */

/* Prints the rate of arithmetic, or of memory for passes that are bound by memory. */
static void print_rate(FILE *stream, const bench_case *c, const measurement *m, double median)
{
    const double tflops = measurement_tflops(m) * m->time.median / median;
    const double gbytes = measurement_gbytes(m) * m->time.median / median;
    if (c->pass & (PASS_DECODE | PASS_MASK | PASS_MERGE))
        fprintf(stream, " %6s %-7s", number(gbytes, 6).text, "GB/s");
    else
        fprintf(stream, " %6s %-7s", number(tflops, 6).text, "TFLOP/s");
}

double rows_print_time(const row_table *t, const outcome *x)
{
    const measurement *m = &x->m;
    case_times times = {1, m->time.median, 0, m->cold};
    double percent = 100 * summary_uncertainty(&m->time);
    if (t->repeats)
        times = outcomes_of_case(t->outcomes, x->index);
    if (t->repeats > 1)
        percent = times.count > 1 ? 50 * times.range : INFINITY;
    fprintf(t->stream, " %7s", number(1e3 * times.median, 7).text);
    if (t->cold)
        fprintf(t->stream, " %7s", times.cold > 0 ? number(1e3 * times.cold, 7).text : "-");
    if (isfinite(percent))
        fprintf(t->stream, " %4.*f", percent < 99.95, percent);
    else
        fprintf(t->stream, " %4s", "-");
    print_rate(t->stream, &x->c, m, times.median);
    if (m->roofline_seconds > 0)
        fprintf(t->stream, " %4.0f%%", 100 * m->roofline_seconds / times.median);
    else
        fprintf(t->stream, " %5s", "-");
    return times.median;
}

static void print_times(const row_table *t, const outcome *x)
{
    const outcome *dense = outcome_dense(t->outcomes, x);
    double dense_median = dense ? dense->m.time.median : 0;
    if (dense && t->repeats)
        dense_median = outcomes_of_case(t->outcomes, dense->index).median;
    const double median = rows_print_time(t, x);
    if (dense)
        fprintf(t->stream, " %6s", speedup_text(dense_median / median).text);
    else
        fprintf(t->stream, " %6s", "-");
    const char *marks = outcome_marks(t->outcomes, x);
    fprintf(t->stream, "%s%s\n", *marks ? " " : "", marks);
}

/* ---- details ------------------------------------------------------------------------------------------------- */

typedef struct details {
    char text[1024];
} details;

static void add(details *d, const char *format, ...) DMATTN_PRINTF(2, 3);
static void add(details *d, const char *format, ...)
{
    const size_t length = strlen(d->text);
    va_list list;
    va_start(list, format);
    vsnprintf(d->text + length, sizeof d->text - length, format, list);
    va_end(list);
}

static void add_stages(details *d, const outcomes *o, const outcome *x)
{
    const measurement *m = &x->m;
    const double keys = (double)m->desc.batch * m->desc.kv_heads * m->desc.keys, speedup = outcome_speedup(o, x);
    for (int i = 0; i < STAGE_COUNT; i++)
        add(d, "%s %s %s ms", i ? "," : ";", stage_names[i], number(1e3 * m->stage[i], 8).text);
    if (speedup > 0)
        add(d, " (%s dense)", speedup_text(speedup * m->time.median / m->stage[STAGE_ATTENTION]).text);
    add(d, "; bytes per key and kv head: mask %.1f, lists %.1f", (double)m->mask_bytes / keys,
        (double)m->lists_bytes / keys);
}

static void add_checked_gradients(details *d, const measurement *m)
{
    add(d, "; checked dq of %u rows", m->checked_rows);
    for (int t = TENSOR_DK; t < TENSOR_COUNT; t++)
        if (m->check.checked_gradients & gradient_bit((tensor_id)t))
            add(d, ", %s", dmattn_tensor_name((tensor_id)t));
    add(d, " of %s%u keys", m->checked_keys == m->desc.keys ? "all " : "", m->checked_keys);
}

static void print_details(const row_table *t, const outcome *x)
{
    const measurement *m = &x->m;
    const dmattn_attention_desc *desc = &m->desc;
    const double pairs = (double)desc->batch * desc->heads * desc->queries * desc->keys;
    const char *first = m->planned[0].kernel, *second = m->planned[1].kernel;
    details d = {""};
    add(&d, "%s%s%s; %.2f %% visible", first, *first && *second ? ", " : "", second,
        100 * (double)m->visible_pairs / pairs);
    if (m->tokens_per_second > 0)
        add(&d, "; %s tokens/s", number(m->tokens_per_second, 9).text);
    if (m->cache_bytes)
        add(&d, "; cache %s MiB per sequence", number((double)m->cache_bytes / 0x1p20, 7).text);
    const double parts = outcome_parts(t->outcomes, x);
    if (parts > 0)
        add(&d, "; %s ms for its two parts alone", number(1e3 * parts, 7).text);
    if (m->stage[STAGE_ATTENTION] > 0)
        add_stages(&d, t->outcomes, x);
    if (m->checked_keys)
        add_checked_gradients(&d, m);
    print_paragraph(t->stream, "         ", d.text);
}

void rows_print(row_table *t, const outcome *x)
{
    char mask[MASK_NAME_SIZE], size[CELL], what[640];
    if (!t->has_group || !same_group(&t->group, &x->c))
        print_group(t, &x->c);
    t->has_group = true;
    t->group = x->c;
    mask_name(&x->c.mask, mask);
    size_text(&x->c, size);
    fprintf(t->stream, "%-8s %-*s %*s", pass_name(x->c.pass), t->mask_width, mask, t->size_width, size);
    if (x->m.status == CASE_OK) {
        print_times(t, x);
        if (t->details)
            print_details(t, x);
    } else {
        fputs("\n", t->stream);
        snprintf(what, sizeof what, "%s: %s", x->m.status == CASE_WRONG ? "WRONG" : case_status_string(x->m.status),
                 x->m.sentence);
        print_paragraph(t->stream, "         ", what);
    }
    fflush(t->stream);
}
