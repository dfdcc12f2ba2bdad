/* SPDX-License-Identifier: MIT
 * One result as it is read from a file, and which other results it is compared with. Pure functions. */
#ifndef DMATTN_BENCH_RESULT_H
#define DMATTN_BENCH_RESULT_H

#include "ceilings/ceiling.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* One run of a program on a device. Texts are "" and numbers NAN where the file does not say. */
typedef struct result_run {
    char *file;  /* that it was read from */
    cJSON *tree; /* which all texts are in */
    const char *program, *version, *commit, *date, *suite, *device, *driver, *device_type;
    bool interrupted;
    double ceiling[CEILING_COUNT]; /* in ceiling_unit()s */
    struct result_run *next;
} result_run;

/* A case, and what came of it. */
#define RESULT_NAME_SIZE 256
typedef struct case_result {
    const result_run *run;
    char identity[RESULT_NAME_SIZE]; /* result_identity()'s */
    /* what makes it this case */
    const char *type, *mask, *pass, *requested_level, *peer;
    double batch, heads, kv_heads, queries, keys, head_dim, value_dim;
    bool causal, bias, reuse_mask;
    const char *name, *model;
    double seed, repeat;
    /* what came of it */
    const char *status, *sentence, *level, *kernel, *backward_level, *backward_kernel;
    bool throttled;
    double median_ms, low_ms, high_ms, min_ms, spread, cold_ms, clock, tflops, gbytes_s, roofline_share,
        speedup_over_dense, tokens_per_second, visible_pairs, error, lse_error, tolerance, workspace_bytes,
        backward_workspace_bytes, mask_bytes, lists_bytes, cache_bytes, runs_per_sample;
    double importance_ms, intervals_ms, lists_ms, attention_ms;
    double *samples; /* milliseconds, ascending */
    size_t sample_count;
} case_result;

typedef struct results {
    result_run *runs;   /* in order */
    case_result *items; /* of all runs, in order */
    size_t count;
    bool out_of_memory; /* why reading failed */
} results;

/* "f16 B1 H16/4 N4096 D128 topw:1024 forward": what a case is, who computed it aside. */
void result_case(const case_result *r, char name[RESULT_NAME_SIZE]);

/* The same and whatever else two results must have in common to be results of the same: the level that was asked for,
 * whether masks were reused, the peer. */
void result_identity(const case_result *r, char name[RESULT_NAME_SIZE]);

/* "dmattn matrix2", "pytorch cudnn": who computed it. */
void result_who(const case_result *r, char name[RESULT_NAME_SIZE]);

/* Whether two runs are of one file and one build of one program. */
bool result_same_source(const result_run *a, const result_run *b);

/* Everything alike but the mask and who computed it. */
bool result_same_sizes(const case_result *a, const case_result *b);

bool result_is_ok(const case_result *r);

/* One that the mask does not bring along: importance is one. */
bool result_has_bias(const case_result *r);

/* Pairs of a query and a key, and those of dense attention: with a causal mask, in decoding all. */
double result_all_pairs(const case_result *r);
double result_dense_pairs(const case_result *r);

#endif
