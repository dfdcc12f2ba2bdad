/* SPDX-License-Identifier: MIT
 * Chooses a few cases of a table that together have all option values of the whole table. Pure functions. */
#ifndef DMATTN_TESTS_COVER_H
#define DMATTN_TESTS_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COVER_TRAITS 40

/* The traits of a case: the value of each option, as a small number. */
typedef struct cover_traits {
    uint8_t value[COVER_TRAITS];
    unsigned count;
    unsigned paired; /* of the first `paired` traits, each pair of values counts, too */
    uint64_t kernel; /* cases with the same number use the same kernels, which are compiled once */
} cover_traits;

/* Adds an option's value; it must be below 256. */
void cover_add(cover_traits *t, unsigned value);

/* Combines a value with the number of the kernel. Cases with different values then use different kernels. */
void cover_add_kernel(cover_traits *t, uint64_t value);

/* Chooses cases until the chosen ones have each value of each trait, and each pair of values of paired traits, that the
 * table has. Also chooses all cases that use the same kernels as a chosen one. All cases have the same number of
 * traits. */
void cover_choose(const cover_traits *cases, size_t count, bool *chosen);

/* The number of values and pairs of the whole table that no chosen case has. */
size_t cover_missing(const cover_traits *cases, size_t count, const bool *chosen);

#endif
