/* SPDX-License-Identifier: MIT
 * Results as they are read back from files: docs/results.md describes every field. Pure functions but for the reading.
 */
#ifndef DMATTN_BENCH_RESULTS_H
#define DMATTN_BENCH_RESULTS_H

#include "ceilings/ceiling.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* The newest schema that is read; it is also the one that is written. */
enum { RESULTS_SCHEMA = 2 };

/* One run of a program on a device. Texts are "" and numbers NAN where the file does not say. */
typedef struct result_run {
    char *file;  /* that it was read from */
    cJSON *tree; /* which all texts are in */
    const char *program, *version, *commit, *date, *suite, *device, *driver, *device_type;
    bool interrupted;
    double ceiling[PEAK_COUNT]; /* in peak_unit()s */
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
    bool disturbed;
    double median_ms, low_ms, high_ms, min_ms, spread, cold_ms, clock, tflops, gbytes_s, share_of_bound,
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
} results;

/* Reads a file of results, of several runs put together, or what ggml's test-backend-ops printed, behind those that are
 * there. If not, `why` names the file and what is wrong with it. What was read before stays. */
#define RESULTS_WHY_SIZE 1024
bool results_read(results *all, const char *path, char why[RESULTS_WHY_SIZE]);

/* Likewise from a document in memory, which is taken over whatever comes of it. */
bool results_add(results *all, cJSON *document, const char *path, char why[RESULTS_WHY_SIZE]);

void results_destroy(results *all);

/* The fields of a run and of a result, in the order of a table's columns. */
typedef enum field_kind { FIELD_TEXT, FIELD_COUNT, FIELD_NUMBER, FIELD_FLAG } field_kind;
typedef struct result_field {
    const char *name; /* in the JSON; "a.b" is b of the object a */
    field_kind kind;
    size_t offset;
    bool required;
} result_field;
extern const result_field run_fields[], result_fields[]; /* ends with a name of NULL */

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

/* The result of dense attention to set it beside: of the same sizes, device and level or, for a peer, the fastest of
 * its program. NULL: none. */
const case_result *result_dense(const results *all, const case_result *r);

/* How many times faster than dense attention, as the file says, else than that one; NAN where nothing is known. */
double result_speedup(const results *all, const case_result *r);

#endif
