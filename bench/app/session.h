/* SPDX-License-Identifier: MIT
 * A run on one device: ceilings, cases, the page and the result files. */
#ifndef DMATTN_BENCH_SESSION_H
#define DMATTN_BENCH_SESSION_H

#include "options.h"
#include "report/report.h"
#include "results/json.h"
#include "timing/settings.h"

/* Exit statuses; another one is INTERRUPTED_STATUS. */
enum { FINE = 0, FAILED = 1, BAD_USAGE = 2 };

typedef struct session {
    const bench_options *options;
    const case_list *cases;
    const dmattn_device_info *info;
    dmattn_device *device;
    uint32_t devices;  /* number of devices in the system */
    json_report *json; /* NULL: no result files */
    error_log *log;
    progress *progress;
} session;

/* Reports errors and returns the exit status. */
int session_run(const session *s);

#endif
