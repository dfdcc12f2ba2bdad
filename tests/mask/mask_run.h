/* SPDX-License-Identifier: MIT
 * A mask plan on the harness's device, with its buffers. */
#ifndef DMATTN_TESTS_MASK_RUN_H
#define DMATTN_TESTS_MASK_RUN_H

#include "mask/desc.h"
#include "support/harness.h"

typedef struct mask_run {
    dmattn_mask_desc desc; /* resolved */
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_buffer whole[TENSOR_COUNT + 1]; /* each with a guard after it; the last is the workspace */
    dmattn_mask_args args;
} mask_run;

/* Makes the plan and uploads the inputs: tensors that the mask needs and `inputs` has. All other memory holds a
 * pattern. */
void mask_run_create(mask_run *r, const dmattn_mask_desc *desc, const void *const inputs[TENSOR_COUNT]);
void mask_run_destroy(mask_run *r);

/* Runs once. */
void mask_run_go(mask_run *r);

uint64_t mask_run_bytes(const mask_run *r, tensor_id tensor);

/* Downloads a tensor, which the caller frees, and expects that its guard was not written. Returns NULL if the tensor
 * does not exist. */
void *mask_run_get(const mask_run *r, tensor_id tensor);

#endif
