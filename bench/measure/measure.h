/* SPDX-License-Identifier: MIT
 * One case on a device, one or both of its passes: planned, checked against the CPU, timed and checked again. */
#ifndef DMATTN_BENCH_MEASURE_H
#define DMATTN_BENCH_MEASURE_H

#include "cases/cases.h"
#include "check/check.h"
#include "check/check_gradients.h"
#include "timing/timing.h"

/* Stages of dynamic mask attention. */
enum { STAGE_IMPORTANCE, STAGE_INTERVALS, STAGE_LISTS, STAGE_ATTENTION, STAGE_COUNT };
extern const char *const stage_names[STAGE_COUNT];

typedef enum case_status {
    CASE_OK,
    CASE_WRONG,
    CASE_UNSUPPORTED,
    CASE_SKIPPED,      /* it would take too long */
    CASE_INTERRUPTED,  /* its figures are not whole */
    CASE_FAILED,       /* for lack of memory, say: others may do better */
    CASE_DEVICE_FAILED /* others cannot do better */
} case_status;

/* "ok", "wrong", …; static storage. */
const char *case_status_string(case_status status);

/* Forward and backward. */
enum { PASS_COUNT = 2 };

/* One of them, as it is planned. */
typedef struct planned_pass {
    dmattn_level level; /* that was taken; 0: without a plan */
    char kernel[96];
    uint64_t workspace_bytes;
    double flops_of_pair; /* for each visible pair */
    double bytes;         /* dmattn_plan_info's */
} planned_pass;

typedef struct measurement {
    case_status status;
    char sentence[512];               /* why it is not CASE_OK */
    dmattn_attention_desc desc;       /* resolved */
    planned_pass planned[PASS_COUNT]; /* those that are timed */
    uint64_t visible_pairs;
    uint32_t checked_rows, checked_keys; /* keys of gradients */
    check_result check;
    uint32_t runs; /* to a sample */
    uint32_t sample_count;
    double *samples; /* seconds of a run, in the order they were taken; owned */
    summary time;
    double cold;                      /* seconds of a run whose data are in no cache; 0: not measured */
    double calibrated;                /* seconds of the calibration around it, the median; 0: none */
    double bound;                     /* measurement_bound()'s */
    double stage[STAGE_COUNT];        /* seconds of each stage by itself, medians; 0 but for dynamic masks forward */
    double tokens_per_second;         /* of decoding */
    uint64_t cache_bytes;             /* likewise, of a sequence */
    uint64_t lists_bytes, mask_bytes; /* of tile lists; of importance, intervals and what their making takes */
} measurement;

/* Samples of a case, kept in *m as well, and of cold runs, if they are asked for. t->sorted is to be freed, whatever
 * comes of it. */
dmattn_status keep_samples(const measure_settings *settings, const recording *what, const messenger *log,
                           measurement *m, timing *t);

void measure(const measure_settings *settings, const bench_case *c, measurement *m);
void measurement_destroy(measurement *m);

/* From the median; 0 where nothing was timed. */
double measurement_tflops(const measurement *m); /* of visible pairs */
double measurement_gbytes(const measurement *m); /* per second */
double measurement_share(const measurement *m);  /* the bound as a part of it */

/* The least seconds that the ceilings allow, peak_bound()'s of each pass; 0 where one is not known. */
double measurement_bound(const measurement *m, const peaks *peaks);

#endif
