/* SPDX-License-Identifier: MIT
 * Logarithmic axes: ends, ticks and labels; power laws fitted through points. Pure functions. */
#ifndef DMATTN_BENCH_AXIS_H
#define DMATTN_BENCH_AXIS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum axis_kind { AXIS_DECIMAL, AXIS_PERCENT, AXIS_SIZE } axis_kind; /* 0.5, 2, 10; 10 %; 512, 1K, 64K */

typedef struct axis {
    axis_kind kind;
    double least, most; /* values at the ends, positive */
    double from, to;    /* positions of the ends in the drawing */
} axis;

/* Whether an axis can show the value: it is positive and of a plausible size. */
bool axis_takes(double value);

/* Sets ends that leave a margin around the values and are not equal. */
void axis_set_ends(axis *a, double least, double most);

double axis_place(const axis *a, double value);

/* At most `most` round numbers between the ends, ascending. Returns their count. */
enum { AXIS_TICKS = 16 };
size_t axis_ticks(const axis *a, size_t most, double ticks[AXIS_TICKS]);

enum { AXIS_TEXT_SIZE = 32 };
void axis_text(const axis *a, double value, char text[AXIS_TEXT_SIZE]);

typedef struct point {
    double x, y;
} point;

/* The exponent k of the best fit y = a x^k; NAN if all x are equal. */
double fit_exponent(const point *points, size_t count);

/* Moves ascending positions as little as possible so that neighbours are at least `apart` from each other and all are
 * within `top` and `bottom`, if they fit. */
void spread_places(double *places, size_t count, double apart, double top, double bottom);

#endif
