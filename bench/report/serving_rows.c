/* SPDX-License-Identifier: MIT */
#include "serving_rows.h"

#include "format.h"

#include <string.h>

enum { CELL = 32 };

static bool same_group(const bench_case *a, const bench_case *b)
{
    return a->model == b->model && a->pass == b->pass && a->desc.type == b->desc.type
           && a->desc.queries == b->desc.queries && a->mask.paged == b->mask.paged && a->mask.sliding == b->mask.sliding
           && a->mask.dynamic == b->mask.dynamic && a->mask.window == b->mask.window && !a->other_keys == !b->other_keys
           && a->packed == b->packed && a->other_queries == b->other_queries;
}

static void print_group(const row_table *t, const bench_case *c)
{
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    fputs("\n", t->stream);
    rows_print_heads(t->stream, c);
    fprintf(t->stream, ", %s%s\n", dmattn_type_string(c->desc.type), c->desc.sink ? ", sinks" : "");
    if (c->other_queries)
        fprintf(t->stream, "prefill: the last %u tokens, and %u of the others, %s", c->desc.queries, c->other_queries,
                mask);
    else if (c->pass == PASS_PREFILL)
        fprintf(t->stream, "prefill: the last %u tokens of the context, %s", c->desc.queries, mask);
    else if (c->desc.queries > 1)
        fprintf(t->stream, "decode: %u new tokens of each sequence, %s", c->desc.queries, mask);
    else
        fprintf(t->stream, "decode: a new token of each sequence, %s", mask);
    if (c->packed)
        fputs(", packed", t->stream);
    if (c->desc.page_size)
        fprintf(t->stream, ", pages of %u", c->desc.page_size);
    fprintf(t->stream, "\n%-9s %5s %10s %7s%s %4s %14s %5s %9s %7s\n", "cache", "seq.", "context", "ms",
            t->cold ? " cold ms" : "", t->repeats > 1 ? "run%" : "+-%", "rate", "roof%", "tokens/s", "B/token");
}

/* "1+60" sequences of "131072+500" tokens. */
static void print_sizes(const row_table *t, const bench_case *c)
{
    char formats[FORMATS_NAME_SIZE], sequences[CELL], context[CELL];
    formats_name(c, formats);
    snprintf(sequences, CELL, c->other_keys ? "1+%u" : "%u", c->other_keys ? c->desc.batch - 1 : c->desc.batch);
    snprintf(context, CELL, c->other_keys ? "%u+%u" : "%u", c->desc.keys, c->other_keys);
    fprintf(t->stream, "%-9s %5s %10s", formats, sequences, context);
}

static void print_parts(const row_table *t, const outcome *x, double median)
{
    const double parts = outcome_parts(t->outcomes, x);
    char text[128];
    if (parts <= 0)
        return;
    snprintf(text, sizeof text, "%.2f times its two parts, each in a %s of its own: %s ms together", median / parts,
             x->c.pass == PASS_PREFILL ? "call" : "step", number(1e3 * parts, 7).text);
    print_paragraph(t->stream, "         ", text);
}

void serving_print(row_table *t, const outcome *x)
{
    const measurement *m = &x->m;
    if (!t->has_group || !same_group(&t->group, &x->c))
        print_group(t, &x->c);
    t->has_group = true;
    t->group = x->c;
    print_sizes(t, &x->c);
    if (m->status != CASE_OK) {
        fprintf(t->stream, " %s%s\n", m->status == CASE_WRONG ? "WRONG: " : "", m->sentence);
        return;
    }
    const double median = rows_print_time(t, x), tokens = m->tokens_per_second * m->time.median / median;
    const char *marks = outcome_marks(t->outcomes, x);
    fprintf(t->stream, " %9s %7s%s%s\n", number(tokens, 9).text, number(m->cache_bytes_per_token, 7).text,
            *marks ? " " : "", marks);
    print_parts(t, x, median);
    fflush(t->stream);
}
