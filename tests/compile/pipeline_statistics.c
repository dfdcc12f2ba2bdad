/* SPDX-License-Identifier: MIT
 * What a compiler says of the kernels: registers, spills, instructions and the time to compile each pipeline of a table
 * of plans, and the plans that fail, as JSON. tests/compile/compilers.py reads it.
 *
 *     tools/shim DEVICE dmattn_pipeline_statistics [--few]
 *     tools/shim DEVICE dmattn_pipeline_statistics --sweep forward|backward|decoding|selector [PART]
 *
 * --sweep: many more plans of a pass, at the level that the library chooses. With PART, only those whose names contain
 * it. */
#include "complain.h"
#include "context.h"
#include "null_device.h"
#include "plans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PIPELINES 4096
#define MAX_FAILED    256

typedef struct survey {
    error_log log;
    char plan[PLAN_NAME_SIZE]; /* the current one */
    struct {
        const kernel *kernel;
        uint64_t constants;
    } seen[MAX_PIPELINES];
    unsigned pipelines;
    char failed[MAX_FAILED][PLAN_NAME_SIZE]; /* plans that could not be made */
    unsigned failures;
} survey;

static const char *const columns[STATISTIC_COUNT] = {
    [STATISTIC_REGISTERS] = "registers", [STATISTIC_SPILLS] = "spills", [STATISTIC_FILLS] = "fills",
    [STATISTIC_SCRATCH] = "scratch",     [STATISTIC_SHARED] = "shared", [STATISTIC_INSTRUCTIONS] = "instructions",
    [STATISTIC_CODE] = "code",           [STATISTIC_CYCLES] = "cycles", [STATISTIC_RESIDENT] = "resident",
};

/* Prints a pipeline as a row, at once, because the next one may take minutes. Plans share pipelines; each is one row,
 * with the first plan that needs it. */
static void print_pipeline(void *user, const pipeline_statistics *p)
{
    survey *s = user;
    for (unsigned i = 0; i < s->pipelines; i++)
        if (s->seen[i].kernel == p->kernel && s->seen[i].constants == p->constants)
            return;
    if (s->pipelines == MAX_PIPELINES)
        exit(complain(1, "more than %d pipelines; increase MAX_PIPELINES", MAX_PIPELINES));
    s->seen[s->pipelines].kernel = p->kernel;
    s->seen[s->pipelines].constants = p->constants;
    printf("%s\n[\"%s\", \"%s\", \"%s\", %u, %.2f", s->pipelines++ ? "," : "", p->kernel->name,
           dmattn_level_string(p->kernel->level), s->plan, p->subgroup_size, p->seconds);
    for (int i = 0; i < STATISTIC_COUNT; i++)
        if (p->known[i])
            printf(", %llu", (unsigned long long)p->value[i]);
        else
            printf(", null");
    printf("]");
    fflush(stdout);
}

static void begin(void *user, const char *plan)
{
    survey *s = user;
    snprintf(s->plan, sizeof s->plan, "%s", plan);
}

static void end(void *user, dmattn_status status)
{
    survey *s = user;
    if (!status)
        return;
    complain(1, "%s: %s", s->plan, error_log_sentence(&s->log, status));
    if (s->failures < MAX_FAILED)
        memcpy(s->failed[s->failures++], s->plan, sizeof s->plan);
}

static void print_matrices(const char *type, const matrix_shape *shape)
{
    if (shape->m)
        printf("  \"%s\": \"%ux%ux%u\",\n", type, shape->m, shape->n, shape->k);
    else
        printf("  \"%s\": null,\n", type);
}

static void print_device(const null_device *device)
{
    const dmattn_device_info *info = &device->info;
    printf("{\n  \"name\": \"%s\",\n  \"driver\": \"%s\",\n  \"level\": \"%s\",\n", info->name, info->driver,
           dmattn_level_string(info->level));
    print_matrices("f16", &device->context->caps.matrix[DMATTN_TYPE_F16]);
    print_matrices("bf16", &device->context->caps.matrix[DMATTN_TYPE_BF16]);
    printf("  \"columns\": [\"kernel\", \"level\", \"plan\", \"subgroup\", \"seconds\"");
    for (int i = 0; i < STATISTIC_COUNT; i++)
        printf(", \"%s\"", columns[i]);
    printf("],\n  \"rows\": [");
}

/* The number of pipelines of the few plans is printed, too. */
static void make_table(survey *s, const null_device *device, bool few, const plan_listener *listener)
{
    make_plans(device->context, device->info.level, true, listener);
    const unsigned pipelines_of_few = s->pipelines;
    if (!few)
        make_plans(device->context, device->info.level, false, listener);
    printf("\n  ],\n  \"few\": %u,\n  \"failed\": [", pipelines_of_few);
}

int main(int argc, char **argv)
{
    static survey s;
    const plan_listener listener = {begin, end, &s};
    const bool few = argc == 2 && !strcmp(argv[1], "--few");
    const bool sweep = (argc == 3 || argc == 4) && !strcmp(argv[1], "--sweep");
    null_device device;
    complain_as("dmattn_pipeline_statistics");
    if (argc > 1 && !few && !sweep)
        return complain(
            2, "usage: dmattn_pipeline_statistics [--few | --sweep forward|backward|decoding|selector [PART]]");
    const dmattn_status status = null_device_open(&device, print_pipeline, &s, error_log_keep, &s.log);
    if (status)
        return complain(1, "%s", error_log_sentence(&s.log, status));
    print_device(&device);
    if (!sweep)
        make_table(&s, &device, few, &listener);
    else if (make_sweep(device.context, argv[2], argc == 4 ? argv[3] : "", &listener))
        printf("\n  ],\n  \"failed\": [");
    else
        return complain(2, "there is no sweep of '%s'", argv[2]);
    for (unsigned i = 0; i < s.failures; i++)
        printf("%s\"%s\"", i ? ", " : "", s.failed[i]);
    printf("]\n}\n");
    null_device_close(&device);
    return 0;
}
