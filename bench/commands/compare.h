/* SPDX-License-Identifier: MIT
 * vkbench compare: what changed between two result files. Pure functions, except for the printing. */
#ifndef DMATTN_BENCH_COMPARE_H
#define DMATTN_BENCH_COMPARE_H

#include "results/case_index.h"
#include "results/ratio.h"

#include <stdio.h>

typedef enum verdict {
    VERDICT_SAME,
    VERDICT_FASTER,
    VERDICT_SLOWER,
    VERDICT_UNCLEAR,
    VERDICT_BROKEN,
    VERDICT_COUNT
} verdict;

/* A case that both files have, possibly with several repeats. */
typedef struct comparison {
    const case_result *a, *b; /* of several repeats: a's first that is ok, b's first that is not ok; else the first */
    ratio ratio;              /* b's time over a's: the estimate from all samples, the interval covers those of all
                                 pairs of repeats */
    bool throttled;           /* during any of the repeats */
    verdict verdict;
} comparison;

/* Compares one case, which both sides must have. False without memory. */
bool compare_case(case_group a, case_group b, double threshold, comparison *c);

/* Prints the cases that are in `has` but not in `lacks`: up to MISSING_NAMED by name, more only as a number, because a
 * baseline often has many more cases than the run it is compared with. */
enum { MISSING_NAMED = 8 };
void compare_print_missing(FILE *stream, const char *which, const case_index *has, const case_index *lacks);

#endif
