/* SPDX-License-Identifier: MIT
 * The result of measuring one case. Pure functions. */
#ifndef DMATTN_BENCH_MEASUREMENT_H
#define DMATTN_BENCH_MEASUREMENT_H

#include "cases/cases.h"
#include "ceilings/ceiling.h"
#include "check/check.h"
#include "timing/statistics.h"

/* Stages of dynamic mask attention. */
enum { STAGE_IMPORTANCE, STAGE_INTERVALS, STAGE_LISTS, STAGE_ATTENTION, STAGE_COUNT };
extern const char *const stage_names[STAGE_COUNT];

typedef enum case_status {
    CASE_OK,
    CASE_WRONG,
    CASE_UNSUPPORTED,
    CASE_SKIPPED,      /* it would take too long */
    CASE_INTERRUPTED,  /* its measurement is incomplete */
    CASE_FAILED,       /* for example out of memory; other cases may succeed */
    CASE_DEVICE_FAILED /* the device is lost; all further cases would fail */
} case_status;

/* "ok", "wrong", …; static storage. */
const char *case_status_string(case_status status);

/* Forward and backward. */
enum { PASS_COUNT = 2 };

/* The plan of one pass. */
typedef struct planned_pass {
    dmattn_level level; /* the level chosen; 0: no plan */
    char kernel[96];
    char why_not_higher[448]; /* dmattn_plan_info.why_not_higher */
    uint64_t workspace_bytes;
    double flops_of_pair; /* operations per visible pair */
    double bytes;         /* dmattn_plan_info.bytes */
} planned_pass;

typedef struct measurement {
    case_status status;
    char sentence[512];               /* why the status is not CASE_OK */
    dmattn_attention_desc desc;       /* resolved */
    planned_pass planned[PASS_COUNT]; /* of the timed passes */
    uint64_t visible_pairs;
    uint32_t checked_rows, checked_keys; /* checked_keys: of the gradients */
    check_result check;
    uint32_t runs; /* per sample */
    uint32_t sample_count;
    double *samples; /* seconds of one run, in the order they were taken; owned */
    summary time;
    double cold;                      /* median seconds of a run with cold caches; 0: not measured */
    double calibrated;                /* median seconds of the calibration kernel around the samples; 0: none */
    double roofline_seconds;          /* measurement_roofline_seconds() */
    double stage[STAGE_COUNT];        /* median seconds of each stage alone; 0 except for dynamic masks, forward */
    double tokens_per_second;         /* decoding and prefill only */
    uint64_t cache_bytes;             /* the same: the cache of one sequence; with different lengths, on average */
    double cache_bytes_per_token;     /* of that, for each of its tokens */
    uint64_t lists_bytes, mask_bytes; /* tile lists; importance, intervals and the workspace that computes them */
} measurement;

void measurement_destroy(measurement *m);

/* Rates at the median time; 0 if nothing was timed. */
double measurement_tflops(const measurement *m); /* of visible pairs */
double measurement_gbytes(const measurement *m); /* per second */

/* The fraction of the roofline limit that was reached: m->roofline_seconds / median; 0 if nothing was timed. */
double measurement_roofline_share(const measurement *m);

/* The roofline limit: the sum of roofline_seconds() over the passes; 0 if a ceiling is unknown. */
double measurement_roofline_seconds(const measurement *m, const ceilings *ceilings);

#endif
