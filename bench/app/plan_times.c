/* SPDX-License-Identifier: MIT */
#include "plan_times.h"

#include "plan_ahead.h"
#include "runtime/platform.h"
#include "timing/interrupt.h"
#include "timing/statistics.h"

#include <stdlib.h>

#define TIMES 101 /* equal plans */

typedef struct plan_times {
    double first, again, check; /* seconds; of `again` and `check` the median */
} plan_times;

/* The plan that a case needs last: the others are parts of it, or of another case. */
static bench_pass last_pass(const bench_case *c)
{
    return c->pass == PASS_BOTH ? PASS_BACKWARD : c->pass == PASS_MASK ? PASS_FORWARD : c->pass;
}

/* The case as forward passes of plans for all lengths up to `lengths` have it; 0: as it is. */
static bench_case lengthened(const bench_case *c, uint32_t lengths)
{
    bench_case longer = *c;
    if (lengths && last_pass(c) == PASS_FORWARD) {
        attention_desc_lengthen(&longer.desc, lengths);
        attention_desc_lengthen(&longer.dma.attention, lengths);
    }
    return longer;
}

static dmattn_status time_plan(dmattn_context *context, const bench_case *c, double *seconds, dmattn_plan **plan)
{
    const double begin = dmattn_clock_seconds();
    const dmattn_status status = case_plan(context, c, last_pass(c), plan);
    *seconds = dmattn_clock_seconds() - begin;
    return status;
}

static double median(double seconds[TIMES])
{
    sort_ascending(seconds, TIMES);
    return quantile(seconds, TIMES, 0.5);
}

static dmattn_status time_case(dmattn_context *context, const bench_case *c, plan_times *times)
{
    double seconds[TIMES];
    dmattn_plan *first, *again;
    TRY(time_plan(context, c, &times->first, &first));
    dmattn_status status = DMATTN_SUCCESS;
    for (int i = 0; i < TIMES && !status; i++) {
        status = time_plan(context, c, &seconds[i], &again);
        dmattn_plan_destroy(again);
    }
    dmattn_plan_destroy(first);
    if (status)
        return status;
    times->again = median(seconds);
    for (int i = 0; i < TIMES; i++) {
        dmattn_support support;
        const double begin = dmattn_clock_seconds();
        TRY(case_support(context, c, last_pass(c), &support));
        seconds[i] = dmattn_clock_seconds() - begin;
    }
    times->check = median(seconds);
    return DMATTN_SUCCESS;
}

bool print_plan_times(FILE *stream, const case_list *cases, const measure_settings *settings)
{
    bool all = true;
    fprintf(stream, "%-56s %9s %9s %9s\n", "planning", "first, ms", "again, us", "check, us");
    for (uint32_t i = 0; i < cases->count && !interrupted(); i++) {
        char name[CASE_NAME_SIZE];
        plan_times times;
        case_name(&cases->item[i], name);
        const bench_case c = lengthened(&cases->item[i], settings->lengths);
        const dmattn_status status = time_case(dmattn_device_context(settings->device), &c, &times);
        if (status) {
            fprintf(stream, "%-56s %s\n", name, error_log_sentence(settings->log, status));
            all = false;
        } else
            fprintf(stream, "%-56s %9.2f %9.1f %9.1f\n", name, 1e3 * times.first, 1e6 * times.again, 1e6 * times.check);
        fflush(stream);
    }
    return all;
}

/* ---- in threads -------------------------------------------------------------------------------------------------- */

bool print_parallel_plans(FILE *stream, const case_list *cases, const measure_settings *settings, uint32_t threads)
{
    planned_case *planned = calloc(cases->count, sizeof *planned);
    uint32_t made = 0;
    if (!planned)
        return false;
    for (uint32_t i = 0; i < cases->count; i++)
        planned[i].c = &cases->item[i];
    const double begin = dmattn_clock_seconds();
    plan_ahead(settings, planned, cases->count, threads);
    const double seconds = dmattn_clock_seconds() - begin;
    for (uint32_t i = 0; i < cases->count; i++) {
        made += planned[i].done;
        planned_case_destroy(&planned[i]);
    }
    fprintf(stream, "%u of %u cases planned in %u threads: %.2f s\n", made, cases->count, threads, seconds);
    free(planned);
    return made == cases->count;
}
