/* SPDX-License-Identifier: MIT
 * The page that a suite ends with. */
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
} page;

/* All that came of the cases, with notes. */
void page_print(FILE *stream, const page *p);

/* Sentences about outcomes that are marked: '*' throttled, '~' not sure; and about what is missing. */
void print_notes(FILE *stream, const outcomes *o, const case_list *cases, uint32_t repeats);

#endif
