/* SPDX-License-Identifier: MIT
 * Named sets of cases, sized for the kind of device. Pure functions. */
#ifndef DMATTN_BENCH_SUITE_H
#define DMATTN_BENCH_SUITE_H

#include "case_list.h"

typedef enum suite_id {
    SUITE_NONE,
    SUITE_QUICK,    /* a few models, every pass, in a minute or two */
    SUITE_MODELS,   /* the same for all models */
    SUITE_SCALING,  /* lengths */
    SUITE_SPARSITY, /* from few keys to all of them */
    SUITE_DECODE,   /* contexts, batches and caches */
    SUITE_FULL,     /* all of these */
    SUITE_COUNT
} suite_id;

/* "quick", …; static storage. */
const char *suite_name(suite_id id);
bool parse_suite(const char *text, suite_id *id);

/* The seconds that a suite may take on a device of this type; 0: as many as it needs. */
double suite_budget(suite_id id, VkPhysicalDeviceType device);

/* Adds its cases whose name has `filter` in it (NULL: all). `wanted`: types, levels and models that stand in for the
 * suite's own, where they are named; of shapes that lack the suite's own, the first ones do. False without memory. */
bool suite_add_cases(suite_id id, VkPhysicalDeviceType device, const shape_list *shapes, const sweep *wanted,
                     const char *filter, case_list *cases);

#endif
