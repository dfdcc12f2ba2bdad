/* SPDX-License-Identifier: MIT */
#include "outcome.h"

#include "timing/calibration.h"

#include <stdlib.h>
#include <string.h>

bool outcomes_add(outcomes *o, const bench_case *c, measurement *m, uint32_t index, uint32_t repeat)
{
    if (o->count == o->room) {
        const uint32_t room = 2 * o->room + 16;
        outcome *item = realloc(o->item, room * sizeof *item);
        if (!item) {
            measurement_destroy(m);
            return false;
        }
        o->item = item;
        o->room = room;
    }
    o->item[o->count++] = (outcome){*c, *m, index, repeat};
    *m = (measurement){0};
    return true;
}

void outcomes_destroy(outcomes *o)
{
    for (uint32_t i = 0; i < o->count; i++)
        measurement_destroy(&o->item[i].m);
    free(o->item);
    *o = (outcomes){0};
}

double outcome_clock(const outcomes *o, const outcome *x)
{
    return calibration_clock(o->best_calibration, x->m.calibrated);
}

bool outcome_throttled(const outcomes *o, const outcome *x)
{
    return calibration_throttled(outcome_clock(o, x));
}

bool outcome_converged(const outcome *x)
{
    return summary_uncertainty(&x->m.time) <= PRECISION;
}

const char *outcome_marks(const outcomes *o, const outcome *x)
{
    if (x->m.time.median <= 0)
        return "";
    const bool throttled = outcome_throttled(o, x), converged = outcome_converged(x);
    return throttled ? converged ? "*" : "*~" : converged ? "" : "~";
}

/* Both descriptors are resolved. */
static bool same_sizes(const dmattn_attention_desc *a, const dmattn_attention_desc *b)
{
    return a->type == b->type && a->batch == b->batch && a->queries == b->queries && a->keys == b->keys
           && a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim
           && a->value_dim == b->value_dim;
}

static bool is_dense(const bench_case *c)
{
    return !c->mask.dynamic && !c->mask.paged && c->mask.mask == DMATTN_MASK_NONE
           && (c->mask.causal || c->pass == PASS_DECODE);
}

const outcome *outcome_dense(const outcomes *o, const outcome *x)
{
    if (x->m.time.median <= 0 || x->c.pass & (PASS_MASK | PASS_MERGE | PASS_PREFILL | PASS_SELECT) || x->c.other_keys
        || is_dense(&x->c))
        return NULL;
    for (uint32_t i = 0; i < o->count; i++) {
        const outcome *y = &o->item[i];
        if (y->m.time.median > 0 && is_dense(&y->c) && y->c.pass == x->c.pass && y->repeat == x->repeat
            && y->c.desc.level == x->c.desc.level && same_sizes(&y->m.desc, &x->m.desc))
            return y;
    }
    return NULL;
}

double outcome_speedup(const outcomes *o, const outcome *x)
{
    const outcome *dense = outcome_dense(o, x);
    return dense ? dense->m.time.median / x->m.time.median : 0;
}

double outcome_parts(const outcomes *o, const outcome *x)
{
    double parts[2] = {0}; /* of the first sequence, of the others */
    for (uint32_t i = 0; (x->c.other_keys || x->c.other_queries) && i < o->count; i++) {
        const outcome *y = &o->item[i];
        for (int part = 0; part < 2; part++) {
            bench_case c = x->c; /* the name of a case tells all of it */
            char wanted[CASE_NAME_SIZE], name[CASE_NAME_SIZE];
            c.desc.batch = part ? x->c.desc.batch - 1 : 1;
            c.desc.keys = case_keys(&x->c, (uint32_t)part);
            c.desc.queries = case_queries(&x->c, (uint32_t)part);
            c.other_keys = c.other_queries = 0;
            case_name(&c, wanted);
            case_name(&y->c, name);
            if (y->repeat == x->repeat && !strcmp(name, wanted))
                parts[part] = y->m.time.median;
        }
    }
    return x->m.time.median > 0 && parts[0] > 0 && parts[1] > 0 ? parts[0] + parts[1] : 0;
}

case_times outcomes_of_case(const outcomes *o, uint32_t index)
{
    enum { MOST = 1000 };
    double sorted[MOST], cold[MOST];
    uint32_t colds = 0;
    case_times t = {0};
    for (uint32_t i = 0; i < o->count && t.count < MOST; i++) {
        const measurement *m = &o->item[i].m;
        if (o->item[i].index != index || m->time.median <= 0)
            continue;
        insert_sorted(sorted, t.count++, m->time.median);
        if (m->cold > 0)
            insert_sorted(cold, colds++, m->cold);
    }
    if (t.count) {
        t.median = quantile(sorted, t.count, 0.5);
        t.range = (sorted[t.count - 1] - sorted[0]) / t.median;
    }
    t.cold = colds ? quantile(cold, colds, 0.5) : 0;
    return t;
}
