/* SPDX-License-Identifier: MIT */
#include "outcome.h"

#include "calibration.h"

#include <stdlib.h>

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

bool outcome_disturbed(const outcomes *o, const outcome *x)
{
    return calibration_disturbed(outcome_clock(o, x));
}

bool outcome_sure(const outcome *x)
{
    return summary_uncertainty(&x->m.time) <= PRECISION;
}

const char *outcome_marks(const outcomes *o, const outcome *x)
{
    if (x->m.time.median <= 0)
        return "";
    const bool disturbed = outcome_disturbed(o, x), sure = outcome_sure(x);
    return disturbed ? sure ? "*" : "*~" : sure ? "" : "~";
}

/* Both resolved, but for decoding with a cache, whose desc names what it is of. */
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

double outcome_speedup(const outcomes *o, const outcome *x)
{
    if (x->m.time.median <= 0 || x->c.pass == PASS_MASK || is_dense(&x->c))
        return 0;
    for (uint32_t i = 0; i < o->count; i++) {
        const outcome *y = &o->item[i];
        if (y->m.time.median > 0 && is_dense(&y->c) && y->c.pass == x->c.pass && y->repeat == x->repeat
            && y->c.desc.level == x->c.desc.level && same_sizes(&y->m.desc, &x->m.desc))
            return y->m.time.median / x->m.time.median;
    }
    return 0;
}

uint32_t outcomes_of_case(const outcomes *o, uint32_t index, double *median, double *range)
{
    enum { MOST = 1000 };
    double sorted[MOST];
    uint32_t count = 0;
    for (uint32_t i = 0; i < o->count && count < MOST; i++)
        if (o->item[i].index == index && o->item[i].m.time.median > 0)
            insert_sorted(sorted, count++, o->item[i].m.time.median);
    *median = count ? quantile(sorted, count, 0.5) : 0;
    *range = count ? (sorted[count - 1] - sorted[0]) / *median : 0;
    return count;
}
