/* SPDX-License-Identifier: MIT
 * A device's ceilings, and the least time that they leave a case. Pure functions, no device. */
#ifndef DMATTN_BENCH_CEILING_H
#define DMATTN_BENCH_CEILING_H

#include "capabilities.h"

typedef enum peak_id {
    PEAK_COPY,        /* of memory */
    PEAK_FMA,         /* of f32 in registers */
    PEAK_F16_MATRIX,  /* products of cooperative matrices in registers, summed up in f32 */
    PEAK_BF16_MATRIX, /* likewise */
    PEAK_COUNT
} peak_id;

/* "copy", "f32 FMA", …; static storage, as all names here. */
const char *peak_name(peak_id id);

/* What a rate is printed in, and how many units one a second is. */
const char *peak_unit(peak_id id);
double peak_scale(peak_id id);

typedef struct peak {
    double rate;        /* bytes, read and written counted each, or floating-point operations a second; 0: not known */
    double spread;      /* as of a summary, */
    double uncertainty; /* likewise, of the time that it is from */
    double calibrated;  /* seconds of the calibration around it; 0: none */
    matrix_shape shape; /* of matrices */
    char why[256];      /* why it is not known */
} peak;

typedef struct peaks {
    peak of[PEAK_COUNT];
} peaks;

/* The arithmetic that a level uses for a type. */
peak_id peak_of_level(const peaks *p, dmattn_level level, dmattn_type type);

/* The seconds that a case takes at least: its arithmetic at the peak rate, or its bytes at that of a copy, whichever is
 * more. 0 where a rate is not known. */
double peak_bound(const peaks *p, dmattn_level level, dmattn_type type, double flops, double bytes);

#endif
