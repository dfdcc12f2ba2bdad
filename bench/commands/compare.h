/* SPDX-License-Identifier: MIT
 * What changed between two files of results. Pure functions but for the printing. */
#ifndef DMATTN_BENCH_COMPARE_H
#define DMATTN_BENCH_COMPARE_H

#include "results/ratio.h"
#include "results/results.h"

#include <stdio.h>

typedef enum verdict {
    VERDICT_SAME,
    VERDICT_FASTER,
    VERDICT_SLOWER,
    VERDICT_UNCLEAR,
    VERDICT_BROKEN,
    VERDICT_COUNT
} verdict;

/* A case that both files have, each perhaps several times. */
typedef struct comparison {
    const case_result *a, *b; /* of several the first one of a that is ok, and of b that is not; else the first ones */
    ratio ratio;              /* of b's time to a's; its interval spans that of every pair of repeats */
    bool throttled;           /* one of them was */
    verdict verdict;
} comparison;

/* `identity` is that of a result of both. */
comparison compare_case(const results *a, const results *b, const char *identity, double threshold);

/* The cases that `has` has and `lacks` lacks by name, or where they are many their number: a baseline has more than a
 * run that is compared with it. */
enum { MISSING_NAMED = 8 };
void compare_print_missing(FILE *stream, const char *which, const results *has, const results *lacks);

#endif
