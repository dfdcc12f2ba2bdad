/* SPDX-License-Identifier: MIT
 * The time of recorded commands on a device. */
#ifndef DMATTN_BENCH_TIMER_H
#define DMATTN_BENCH_TIMER_H

#include <dmattn/runtime.h>

/* Commands that can be recorded any number of times. */
typedef struct recording {
    dmattn_device *device;
    dmattn_status (*record)(const void *user, VkCommandBuffer commands);
    const void *user;
} recording;

/* Records `what` `runs` times into one submission, with a barrier between runs. *seconds: the time of one run. */
dmattn_status time_runs(const recording *what, uint32_t runs, double *seconds);

#endif
