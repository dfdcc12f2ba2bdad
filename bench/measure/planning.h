/* SPDX-License-Identifier: MIT
 * Plans a case's passes before its data are created, which can take minutes. */
#ifndef DMATTN_BENCH_PLANNING_H
#define DMATTN_BENCH_PLANNING_H

#include "decoding/decode_data.h"
#include "measurement.h"

/* The resolved descriptor of a case without a cache; it includes the forward descriptor. */
dmattn_status case_resolve(const bench_case *c, const messenger *messenger, dmattn_attention_backward_desc *desc);

/* Operations per visible pair; backward computes all gradients. Pure function. */
double flops_of_pair(const dmattn_attention_backward_desc *desc, bench_pass pass);

/* Makes the plan of a case for one pass: forward, backward or decode. */
dmattn_status case_plan(dmattn_context *context, const bench_case *c, bench_pass pass, dmattn_plan **plan);

/* Checks the descriptor of that plan. */
dmattn_status case_support(const dmattn_context *context, const bench_case *c, bench_pass pass,
                           dmattn_support *support);

/* Makes all plans that measuring a case needs, except those for its stages alone. On failure, some may exist. The
 * caller destroys them. */
#define MOST_CASE_PLANS 2
dmattn_status case_plans(const measure_settings *settings, const bench_case *c, dmattn_plan *plans[MOST_CASE_PLANS]);

/* A chunk of a prompt reads q from the stream of its cache. */
void case_use_stream(bench_case *c, const decoding *cache);

/* Fills m->desc and m->planned. UNSUPPORTED if the device does not support a plan, or has too little memory. */
dmattn_status plan_case(const measure_settings *settings, const bench_case *c, measurement *m,
                        const messenger *messenger);

#endif
