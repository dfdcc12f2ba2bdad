/* SPDX-License-Identifier: MIT
 * A device's ceilings and the roofline limit that follows from them. Pure functions, no device. */
#ifndef DMATTN_BENCH_CEILING_H
#define DMATTN_BENCH_CEILING_H

#include "capabilities.h"

typedef enum ceiling_id {
    CEILING_COPY,        /* memory bandwidth of a copy */
    CEILING_FMA,         /* f32 multiply-adds in registers */
    CEILING_F16_MATRIX,  /* cooperative matrix products of f16 in registers, accumulated in f32 */
    CEILING_BF16_MATRIX, /* the same with bf16 */
    CEILING_COUNT
} ceiling_id;

/* "copy", "f32 FMA", …; static storage, like all names here. */
const char *ceiling_name(ceiling_id id);

/* The unit in which a rate is printed, and the factor from rate to that unit. */
const char *ceiling_unit(ceiling_id id);
double ceiling_scale(ceiling_id id);

typedef struct ceiling {
    double rate;        /* bytes (read plus written) or floating-point operations per second; 0: unknown */
    double spread;      /* of the time, as in summary */
    double uncertainty; /* of the time, as from summary_uncertainty() */
    double calibrated;  /* seconds of the calibration kernel around it; 0: none */
    matrix_shape shape; /* of matrix ceilings */
    char why[256];      /* why the rate is unknown */
} ceiling;

typedef struct ceilings {
    ceiling of[CEILING_COUNT];
} ceilings;

/* The arithmetic ceiling for a level and element type. */
ceiling_id ceiling_of_level(const ceilings *p, dmattn_level level, dmattn_type type);

/* The roofline limit in seconds: `flops` at the ceiling of the level's arithmetic or `bytes` at the copy ceiling,
 * whichever takes longer. 0 if a ceiling is unknown. */
double roofline_seconds(const ceilings *p, dmattn_level level, dmattn_type type, double flops, double bytes);

#endif
