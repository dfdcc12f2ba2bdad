/* SPDX-License-Identifier: MIT
 * Which tile is the fastest on the device at hand, for a person who tunes src/attention/tile.c. */
#ifndef DMATTN_BENCH_TUNE_H
#define DMATTN_BENCH_TUNE_H

#include "cases/cases.h"
#include "timing/settings.h"

#include <stdio.h>

/* Times attention alone (masks and lists are made once) with every tile that the search finds and that fits, each
 * checked first, and prints them, the fastest first, with the line that the table should hold. `filter` (may be NULL)
 * is a part that the tile's description must have. False if any was wrong or failed. */
bool tune(FILE *stream, const measure_settings *settings, const bench_case *c, const char *filter);

#endif
