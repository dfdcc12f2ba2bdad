/* SPDX-License-Identifier: MIT
 * What vkbench prints: the devices, the table, and the progress on stderr. */
#ifndef DMATTN_BENCH_REPORT_H
#define DMATTN_BENCH_REPORT_H

#include "measure/outcome.h"

#include <stdio.h>

/* The table of all devices. */
void report_devices(FILE *stream, const dmattn_runtime *runtime);

/* Which device and which dmattn the tables are of. */
void report_title(FILE *stream, const dmattn_device_info *info);

/* The table of ceilings: a head, then each row as it is done. */
void report_ceiling_head(FILE *stream);
void report_ceiling(FILE *stream, ceiling_id id, const ceiling *p, bool throttled);

/* The table of results, likewise; with bounds, which need ceilings, and with cold runs, if they are asked for. */
void report_head(FILE *stream, bench_pass pass, bool bounds, bool cold);
void report_row(FILE *stream, const outcomes *o, const outcome *x, bool bounds, bool cold);

/* A case whose tiles are tuned. */
void report_tuned_case(FILE *stream, const bench_case *c);

/* A second line: of gradients, what was checked; of dynamic masks, the time taken apart; and beside dense attention of
 * the same sizes, if that came before. */
void report_details(FILE *stream, const outcomes *o, const outcome *x);

/* One line on stderr, rewritten where that is a terminal; elsewhere a line for each case. */
typedef struct progress {
    uint64_t index, count; /* of the case; none: something else is going on */
    double seconds_left;   /* 0: not known */
    bool terminal;
    bool shown; /* there is a line to be erased */
} progress;

/* A measure_settings.phase whose `user` is a progress. */
void progress_phase(void *user, const char *name);
void progress_erase(progress *p);

#endif
