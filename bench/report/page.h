/* SPDX-License-Identifier: MIT
 * The page that a suite prints at its end. */
#ifndef DMATTN_BENCH_PAGE_H
#define DMATTN_BENCH_PAGE_H

#include "cases/case_list.h"
#include "measure/outcome.h"

#include <stdio.h>

typedef struct page {
    const char *suite;
    const dmattn_device_info *info;
    const ceilings *ceilings;
    const case_list *cases;
    const outcomes *outcomes;
    uint32_t repeats;
    bool cold;
    bool serving; /* with the columns of the suite `serving` */
} page;

/* Prints the device, the ceilings, a row for each case, the legend and the notes. */
void page_print(FILE *stream, const page *p);

/* Prints what the marks '*' (throttled) and '~' (not converged) mean and how often they occur, how much repeats differ,
 * and how many cases did not run. */
void print_notes(FILE *stream, const outcomes *o, const case_list *cases, uint32_t repeats);

#endif
