/* SPDX-License-Identifier: MIT
 * An attention problem in host memory, and the same on a device: what dmattn-run, vkbench and the tests share. */
#ifndef DMATTN_TOOLS_PROBLEM_H
#define DMATTN_TOOLS_PROBLEM_H

#include <dmattn/runtime.h>

#include "attention/desc.h"
#include "reference/reference.h"

/* Inputs of one attention call. desc is resolved; tensor[t] holds dmattn_attention_tensor_bytes(&desc, t) bytes for
 * each input that the descriptor has, NULL for the rest (out and lse among them). Owned. */
typedef struct problem {
    dmattn_attention_desc desc;
    void *tensor[TENSOR_COUNT];
} problem;

/* Resolves `desc` and allocates its inputs, zeroed. On failure *p is empty. */
dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *messenger, problem *p);

/* Fills the inputs that the descriptor has from a fixed seed: q, k, v and bias normal(0, 1), gaps between rows NaN,
 * mask bytes 0 or 1 with probability 1/2, intervals that begin at a random query and live a random while. */
void problem_randomize(problem *p, uint64_t seed);

void problem_destroy(problem *p);

reference_inputs problem_inputs(const problem *p);

/* The same on a device: buffers with the inputs in them, and a plan. */
typedef struct device_problem {
    dmattn_device *device;
    dmattn_attention_desc desc;
    dmattn_plan *plan;
    dmattn_attention_args args;
} device_problem;

/* Plans and uploads. On failure everything is given back. */
dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp);
void device_problem_destroy(device_problem *dp);

/* Begins, records one run, submits and waits. */
dmattn_status device_problem_run(const device_problem *dp);

/* Downloads out as contiguous [B, Sq, H, Dv] and lse [B, H, Sq] (if desc.lse; lse may be NULL). */
dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse);

/* Random numbers for tests and benchmarks: splitmix64 (Steele, Lea, Flood 2014), repeatable everywhere. */
uint64_t random_bits(uint64_t *state);
double random_uniform(uint64_t *state); /* [0, 1) */
double random_normal(uint64_t *state);  /* mean 0, deviation 1 */

#endif
