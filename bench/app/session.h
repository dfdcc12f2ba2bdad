/* SPDX-License-Identifier: MIT
 * What vkbench does with a device: ceilings, cases, the page and the file. */
#ifndef DMATTN_BENCH_SESSION_H
#define DMATTN_BENCH_SESSION_H

#include "options.h"
#include "report/report.h"
#include "results/json.h"
#include "timing/settings.h"

/* Exit statuses; INTERRUPTED_STATUS besides. */
enum { FINE = 0, FAILED = 1, BAD_USAGE = 2 };

typedef struct session {
    const bench_options *options;
    const case_list *cases;
    const dmattn_device_info *info;
    dmattn_device *device;
    uint32_t devices;  /* that there are */
    json_report *json; /* NULL: none is wanted */
    error_log *log;
    progress *progress;
} session;

/* Complains about what goes wrong; the exit status. */
int session_run(const session *s);

#endif
