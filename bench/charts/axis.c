/* SPDX-License-Identifier: MIT */
#include "axis.h"

#include <math.h>
#include <stdio.h>

bool axis_takes(double value)
{
    return value >= 1e-30 && value <= 1e30;
}

void axis_set_ends(axis *a, double least, double most)
{
    const double room = pow(most / least, 0.06), narrow = 1.25;
    a->least = least / (room > narrow ? room : narrow);
    a->most = most * (room > narrow ? room : narrow);
}

double axis_place(const axis *a, double value)
{
    return a->from + (a->to - a->from) * log(value / a->least) / log(a->most / a->least);
}

/* Every stride-th power of `base` times each factor. */
static size_t take_ticks(const axis *a, double base, int stride, const double *factors, size_t factor_count,
                         double ticks[AXIS_TICKS])
{
    const double e = 1e-9;
    size_t count = 0;
    int power = (int)floor(log(a->least) / log(base) + e);
    power -= ((power % stride) + stride) % stride;
    for (; pow(base, power) <= a->most * (1 + e); power += stride)
        for (size_t i = 0; i < factor_count; i++) {
            const double value = factors[i] * pow(base, power);
            if (value < a->least * (1 - e) || value > a->most * (1 + e))
                continue;
            if (count == AXIS_TICKS)
                return AXIS_TICKS + 1;
            ticks[count++] = value;
        }
    return count;
}

size_t axis_ticks(const axis *a, size_t most, double ticks[AXIS_TICKS])
{
    static const struct {
        size_t count;
        double factor[9];
    } sets[] = {{9, {1, 1.5, 2, 3, 4, 5, 6, 7, 8}}, {6, {1, 1.5, 2, 3, 5, 7}}, {3, {1, 2, 5}}, {2, {1, 3}}};
    if (most > AXIS_TICKS)
        most = AXIS_TICKS;
    for (size_t i = 0; a->kind != AXIS_SIZE && i < sizeof sets / sizeof *sets; i++) {
        const size_t count = take_ticks(a, 10, 1, sets[i].factor, sets[i].count, ticks);
        if (count <= most)
            return count;
    }
    for (int stride = 1;; stride++) {
        const size_t count = take_ticks(a, a->kind == AXIS_SIZE ? 2 : 10, stride, sets[0].factor, 1, ticks);
        if (count <= most)
            return count;
    }
}

void axis_text(const axis *a, double value, char text[AXIS_TEXT_SIZE])
{
    const double kilo = 1024;
    if (a->kind == AXIS_PERCENT)
        snprintf(text, AXIS_TEXT_SIZE, "%.3g %%", 100 * value);
    else if (a->kind == AXIS_SIZE && value >= kilo * kilo)
        snprintf(text, AXIS_TEXT_SIZE, "%.4gM", value / (kilo * kilo));
    else if (a->kind == AXIS_SIZE && value >= kilo)
        snprintf(text, AXIS_TEXT_SIZE, "%.4gK", value / kilo);
    else if (value >= 1e6 || value < 1e-6)
        snprintf(text, AXIS_TEXT_SIZE, "%.2g", value);
    else if (value < 1e-3) { /* without an exponent and without trailing zeros */
        int length = snprintf(text, AXIS_TEXT_SIZE, "%.8f", value);
        while (text[length - 1] == '0')
            text[--length] = 0;
    } else
        snprintf(text, AXIS_TEXT_SIZE, "%.7g", value);
}

double fit_exponent(const point *points, size_t count)
{
    double x = 0, y = 0, xx = 0, xy = 0;
    for (size_t i = 0; i < count; i++) {
        x += log(points[i].x) / (double)count;
        y += log(points[i].y) / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        const double dx = log(points[i].x) - x;
        xx += dx * dx;
        xy += dx * (log(points[i].y) - y);
    }
    return xx > 1e-12 ? xy / xx : NAN;
}

void spread_places(double *places, size_t count, double apart, double top, double bottom)
{
    /* First pass: move down from the top. Second pass: move back up from the bottom. */
    for (size_t i = 0; i < count; i++) {
        const double least = i ? places[i - 1] + apart : top;
        places[i] = places[i] > least ? places[i] : least;
    }
    for (size_t i = count; i-- > 0;) {
        const double most = i + 1 < count ? places[i + 1] - apart : bottom;
        places[i] = places[i] < most ? places[i] : most;
    }
}
