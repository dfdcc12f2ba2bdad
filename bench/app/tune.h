/* SPDX-License-Identifier: MIT
 * Finds the fastest tile on a device, to tune src/attention/tile.c. */
#ifndef DMATTN_BENCH_TUNE_H
#define DMATTN_BENCH_TUNE_H

#include "cases/cases.h"
#include "timing/settings.h"

#include <stdio.h>

/* Times attention alone (masks and lists are computed once) with every tile that the search finds and that fits, each
 * checked first. Prints the tiles, the fastest first, as lines for the table in src/attention/tile.c. `filter` (may be
 * NULL) is a substring that a tile's line must contain. False if any tile was wrong or failed. */
bool tune(FILE *stream, const measure_settings *settings, const bench_case *c, const char *filter);

#endif
