/* SPDX-License-Identifier: MIT
 * vkbench's command line. Pure functions, except for getopt's global state. */
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
    suite_id suite;                                /* SUITE_NONE: run the sweep */
    sweep sweep;                                   /* lists that no option names are empty */
    const char *models, *shapes, *filter, *device; /* NULL: not given */
    const char *json, *csv, *markdown;             /* result files; NULL: not given; one may be "-", stdout */
    double seconds;                                /* time limit of a case; 0: depends on the device */
    uint32_t max_samples;                          /* per case */
    uint32_t repeats;                              /* runs of the whole list of cases */
    uint64_t seed;
    bool reuse_mask;
    uint32_t lengths; /* --lengths; 0: not given */
    bool cold;
    bool plans;            /* time planning instead of runs */
    uint32_t ahead;        /* threads that plan the cases to come; 0: one for each processor; 1: none */
    uint32_t plan_threads; /* how long all plans take in so many threads; 0: how long each takes */
    bool tune;
    const char *tune_filter; /* NULL: none */
    bool ceilings;           /* measure the device's ceilings first */
    bool ceilings_only;      /* --ceilings without any case: measure nothing else */
} bench_options;

extern const char bench_usage[], bench_usage_options[], bench_usage_others[],
    bench_usage_notes[]; /* the help text, in this order */

/* Parses the command line. On ACTION_BAD, `why` says what is wrong. */
#define OPTIONS_WHY_SIZE 256
bench_action options_parse(int argc, char **argv, bench_options *options, char why[OPTIONS_WHY_SIZE]);

/* Looks up the models that --model names. The shapes must outlive the options. On false, `why` says what is wrong. */
bool options_set_models(bench_options *options, const shape_list *shapes, char why[OPTIONS_WHY_SIZE]);

#endif
