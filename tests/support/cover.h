/* SPDX-License-Identifier: MIT
 * Chooses few cases of a table that together have everything that the whole table has. Pure functions. */
#ifndef DMATTN_TESTS_COVER_H
#define DMATTN_TESTS_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COVER_TRAITS 28

/* What a case is about: the value of each option, as a small number. */
typedef struct cover_traits {
    uint8_t value[COVER_TRAITS];
    unsigned count;
    unsigned paired; /* of the first ones each pair of values counts, too */
    uint64_t kernel; /* cases with the same number run the same kernels, which are compiled once */
} cover_traits;

/* Adds an option's value; it must be below 256. */
void cover_add(cover_traits *t, unsigned value);

/* Adds to the number of the kernel. */
void cover_add_kernel(cover_traits *t, uint64_t value);

/* Chooses cases until each value of each trait, and each pair of values of the paired ones, that some case has is in a
 * chosen one; and the cases that run the kernels of a chosen one. All cases have the same number of traits. */
void cover_choose(const cover_traits *cases, size_t count, bool *chosen);

/* How many values and pairs of the whole table no chosen case has. */
size_t cover_missing(const cover_traits *cases, size_t count, const bool *chosen);

#endif
