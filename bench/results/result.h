/* SPDX-License-Identifier: MIT
 * One result as it is read from a file, and which other results it is compared with. Pure functions. */
#ifndef DMATTN_BENCH_RESULT_H
#define DMATTN_BENCH_RESULT_H

#include "ceilings/ceiling.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* One run of a program on a device. Missing texts are "" and missing numbers NAN. */
typedef struct result_run {
    char *file;  /* path of the file */
    cJSON *tree; /* owns all texts */
    const char *program, *version, *commit, *date, *suite, *device, *driver, *device_type;
    bool interrupted;
    double ceiling[CEILING_COUNT]; /* in ceiling_unit() */
    struct result_run *next;
} result_run;

/* A case and its result. docs/results.md describes the fields. */
#define RESULT_NAME_SIZE 288
typedef struct case_result {
    const result_run *run;
    char identity[RESULT_NAME_SIZE]; /* from result_identity() */
    /* the case */
    const char *type, *mask, *pass, *requested_level, *peer, *kv_format;
    double batch, heads, kv_heads, queries, keys, head_dim, value_dim, page_size, other_keys, other_queries;
    bool causal, bias, sink, slopes, q_f32, reuse_mask, packed;
    const char *name, *model;
    double seed, repeat;
    /* the result */
    const char *status, *sentence, *level, *kernel, *backward_level, *backward_kernel;
    bool throttled;
    double median_ms, low_ms, high_ms, min_ms, spread, cold_ms, clock, tflops, gbytes_s, roofline_share,
        speedup_over_dense, tokens_per_second, visible_pairs, error, lse_error, tolerance, workspace_bytes,
        backward_workspace_bytes, mask_bytes, lists_bytes, cache_bytes, cache_bytes_per_token, parts_ms,
        runs_per_sample;
    double importance_ms, intervals_ms, lists_ms, attention_ms;
    double *samples; /* milliseconds, ascending */
    size_t sample_count;
} case_result;

typedef struct results {
    result_run *runs;   /* in order */
    case_result *items; /* of all runs, in the order of the files */
    size_t count;
    bool out_of_memory; /* why reading failed */
} results;

/* "16/4", or "16" if both are the same. */
#define SIZES_TEXT_SIZE 48
void two_sizes(double a, double b, char text[SIZES_TEXT_SIZE]);

/* "f16 B1 H16/4 N4096 D128 topw:1024 forward": the case, independent of the program. */
void result_case(const case_result *r, char name[RESULT_NAME_SIZE]);

/* result_case() plus everything else that must agree for two results to be compared: the requested level, whether masks
 * were reused, and the peer. */
void result_identity(const case_result *r, char name[RESULT_NAME_SIZE]);

/* "dmattn matrix2" or "pytorch cudnn": the program with its level or peer. */
void result_who(const case_result *r, char name[RESULT_NAME_SIZE]);

/* Whether two runs are from the same file and the same build of the same program. */
bool result_same_source(const result_run *a, const result_run *b);

/* Whether the cases agree in everything but the mask and the program. */
bool result_same_sizes(const case_result *a, const case_result *b);

bool result_is_ok(const case_result *r);

/* Whether there is a bias other than the importance of a dynamic mask. */
bool result_has_bias(const case_result *r);

/* The options of a case that are not in its other fields, such as "+bias+sink". */
#define RESULT_OPTIONS_SIZE 64
void result_options(const case_result *r, char text[RESULT_OPTIONS_SIZE]);

/* All pairs of query and key; those that dense attention sees (causal, in decoding all). */
double result_all_pairs(const case_result *r);
double result_dense_pairs(const case_result *r);

#endif
