/* SPDX-License-Identifier: MIT
 * Suites: named sets of cases, sized for the type of device. Pure functions. */
#ifndef DMATTN_BENCH_SUITE_H
#define DMATTN_BENCH_SUITE_H

#include "case_list.h"

typedef enum suite_id {
    SUITE_NONE,
    SUITE_QUICK,    /* a few models, every pass, within a minute or two */
    SUITE_MODELS,   /* the same for all models */
    SUITE_SCALING,  /* lengths */
    SUITE_SPARSITY, /* from few visible keys to all */
    SUITE_DECODE,   /* contexts, batches and caches */
    SUITE_SERVING,  /* many sequences, formats, chunks of prompts, within a minute or two */
    SUITE_FULL,     /* all of these, except serving */
    SUITE_COUNT
} suite_id;

/* "quick", …; static storage. */
const char *suite_name(suite_id id);
bool parse_suite(const char *text, suite_id *id);

/* The time limit of a suite on a device of this type, in seconds; 0: none. */
double suite_budget(suite_id id, VkPhysicalDeviceType device);

/* Adds the suite's cases whose name contains `filter` (NULL: all). Types, levels and models in `wanted` replace the
 * suite's own. If `shapes` lacks a model of the suite, another of its models is used. False if out of memory. */
bool suite_add_cases(suite_id id, VkPhysicalDeviceType device, const shape_list *shapes, const sweep *wanted,
                     const char *filter, case_list *cases);

#endif
