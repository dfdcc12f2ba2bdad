/* SPDX-License-Identifier: MIT
 * vkbench's command line. Pure functions, but for getopt's own state. */
#ifndef DMATTN_BENCH_OPTIONS_H
#define DMATTN_BENCH_OPTIONS_H

#include "cases.h"

typedef enum bench_action { ACTION_RUN, ACTION_LIST, ACTION_HELP, ACTION_VERSION, ACTION_BAD } bench_action;

typedef struct bench_options {
    sweep sweep; /* lists that no option names are empty */
    const char *device, *json;
    double seconds;       /* limit of a case; 0: by the device */
    uint32_t max_samples; /* of a case */
    uint64_t seed;
    bool reuse_mask;
    bool tune;
    const char *tune_filter; /* NULL: none */
    bool peak;               /* measure the device's ceilings first, */
    bool peak_alone;         /* as no option names cases, and no more */
} bench_options;

extern const char bench_usage[], bench_usage_notes[]; /* one behind the other */

/* Reads the command line. ACTION_BAD: `why` holds a sentence. */
#define OPTIONS_WHY_SIZE 256
bench_action options_parse(int argc, char **argv, bench_options *options, char why[OPTIONS_WHY_SIZE]);

/* Items of the comma lists. */
bool parse_size(const char *text, uint32_t *size); /* 1 to 2^30 - 1; "16K" is 16384 */
bool parse_type(const char *text, dmattn_type *type);
bool parse_mask(const char *text, mask_choice *mask);
bool parse_level(const char *text, dmattn_level *level);

bool parse_pass(const char *text, bench_pass *pass);

#endif
