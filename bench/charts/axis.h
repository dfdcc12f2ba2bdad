/* SPDX-License-Identifier: MIT
 * Logarithmic axes: their ends, ticks and numbers, and lines fitted through points. Pure functions. */
#ifndef DMATTN_BENCH_AXIS_H
#define DMATTN_BENCH_AXIS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum axis_kind { AXIS_DECIMAL, AXIS_PERCENT, AXIS_SIZE } axis_kind; /* 0.5, 2, 10; 10 %; 512, 1K, 64K */

typedef struct axis {
    axis_kind kind;
    double least, most; /* its ends, above 0 */
    double from, to;    /* where they are drawn */
} axis;

/* Whether a value is one that an axis may have: above 0, and of a size that something may be. */
bool axis_takes(double value);

/* Ends that leave some room round the values, and are apart. */
void axis_set_ends(axis *a, double least, double most);

double axis_place(const axis *a, double value);

/* Round numbers between the ends, ascending, `most` at the most. */
enum { AXIS_TICKS = 16 };
size_t axis_ticks(const axis *a, size_t most, double ticks[AXIS_TICKS]);

enum { AXIS_TEXT_SIZE = 32 };
void axis_text(const axis *a, double value, char text[AXIS_TEXT_SIZE]);

typedef struct point {
    double x, y;
} point;

/* The exponent k of the y = a x^k that fits best; NAN where all x are the same. */
double fit_exponent(const point *points, size_t count);

/* Moves places so that each is at least `apart` below the one before, as near to where they were as can be, and none
 * outside from `top` to `bottom` if they fit. Ascending, and stay so. */
void spread_places(double *places, size_t count, double apart, double top, double bottom);

#endif
