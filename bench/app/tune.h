/* SPDX-License-Identifier: MIT
 * Times the tiles of a case on a device, to find rows for the tables of src/. */
#ifndef DMATTN_BENCH_TUNE_H
#define DMATTN_BENCH_TUNE_H

#include "cases/cases.h"
#include "timing/settings.h"

#include <stdio.h>

/* Times the kernel of each tile that a plan may choose: attention alone (masks and lists are computed once), the
 * gradients of queries, those of keys, or a step of decoding. Each result is checked. Prints the tiles as rows of the
 * library's tables, the fastest first. `filter` (may be NULL) is a substring that the name of a tile's table and its
 * row must contain. False if any tile was wrong or failed, or if there is none. */
bool tune(FILE *stream, const measure_settings *settings, const bench_case *c, const char *filter);

#endif
