/* SPDX-License-Identifier: MIT
 * What vkbench prints besides results: devices, titles, ceilings, and its progress on stderr. */
#ifndef DMATTN_BENCH_REPORT_H
#define DMATTN_BENCH_REPORT_H

#include "cases/cases.h"
#include "ceilings/ceiling.h"

#include <dmattn/runtime.h>
#include <stdio.h>

/* The table of all devices. */
void report_devices(FILE *stream, const dmattn_runtime *runtime);

/* Whether the device has higher levels than the kernels of this build, whose highest level is `built`. Then `text` says
 * so and what to do. */
bool report_missing_level(const dmattn_device_info *info, dmattn_level built, char *text, size_t size);

/* The device and the version of dmattn that the results belong to. */
void report_title(FILE *stream, const dmattn_device_info *info);

/* The table of ceilings: the head, then one row at a time. */
void report_ceiling_head(FILE *stream);
void report_ceiling(FILE *stream, ceiling_id id, const ceiling *p, bool throttled);

/* The title of a case whose tiles are tuned. */
void report_tuned_case(FILE *stream, const bench_case *c);

/* The progress on stderr. In a terminal, one line is rewritten; elsewhere, each case gets a line. */
typedef struct progress {
    uint64_t index, count; /* of the case; count 0: no case is running */
    double seconds_left;   /* 0: unknown */
    bool terminal;
    bool shown; /* a line is shown and must be erased first */
} progress;

/* A measure_settings.phase callback; `user` is a progress. */
void progress_phase(void *user, const char *name);
void progress_erase(progress *p);

#endif
