/* SPDX-License-Identifier: MIT
 * A case's passes, planned before minutes are spent on their data. */
#ifndef DMATTN_BENCH_PLANNING_H
#define DMATTN_BENCH_PLANNING_H

#include "measurement.h"
#include "timing/settings.h"

/* The case's tensors and sizes, with all defaults; forward is in it. */
dmattn_status case_resolve(const bench_case *c, const messenger *messenger, dmattn_attention_backward_desc *desc);

/* For each visible pair, all gradients being computed. No device. */
double flops_of_pair(const dmattn_attention_backward_desc *desc, bench_pass pass);

/* Fills m->desc and m->planned. UNSUPPORTED: a plan fails with it, or the device's memory does not hold the case. */
dmattn_status plan_case(const measure_settings *settings, const bench_case *c, measurement *m,
                        const messenger *messenger);

#endif
