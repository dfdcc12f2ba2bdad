/* SPDX-License-Identifier: MIT
 * vkbench's command line. Pure functions, but for getopt's own state. */
#ifndef DMATTN_BENCH_OPTIONS_H
#define DMATTN_BENCH_OPTIONS_H

#include "cases/suite.h"

typedef enum bench_action {
    ACTION_RUN,
    ACTION_LIST,
    ACTION_LIST_CASES,
    ACTION_LIST_MODELS,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_BAD
} bench_action;

typedef struct bench_options {
    suite_id suite;                                /* SUITE_NONE: the sweep is run, */
    sweep sweep;                                   /* whose lists that no option names are empty */
    const char *models, *shapes, *filter, *device; /* NULL: not named */
    const char *json, *csv, *markdown;             /* likewise: files of results, at most one "-", stdout */
    double seconds;                                /* limit of a case; 0: by the device */
    uint32_t max_samples;                          /* of a case */
    uint32_t repeats;                              /* of all cases */
    uint64_t seed;
    bool reuse_mask;
    bool cold;
    bool tune;
    const char *tune_filter; /* NULL: none */
    bool ceilings;           /* measure the device's ceilings first, */
    bool ceilings_only;      /* as no option names cases, and no more */
} bench_options;

extern const char bench_usage[], bench_usage_others[], bench_usage_notes[]; /* the help text, in this order */

/* Reads the command line. ACTION_BAD: `why` holds a sentence. */
#define OPTIONS_WHY_SIZE 256
bench_action options_parse(int argc, char **argv, bench_options *options, char why[OPTIONS_WHY_SIZE]);

/* Finds options->models. The shapes must outlive the options. False: `why` holds a sentence. */
bool options_set_models(bench_options *options, const shape_list *shapes, char why[OPTIONS_WHY_SIZE]);

#endif
