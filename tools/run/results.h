/* SPDX-License-Identifier: MIT
 * The results of a case in host memory, and as tensors of a file. */
#ifndef DMATTN_RUN_RESULTS_H
#define DMATTN_RUN_RESULTS_H

#include "gradients.h"
#include "safetensors.h"

/* Owned. The mask of dynamic mask attention is in the problem. */
typedef struct case_results {
    uint64_t out_count, lse_count;
    float *out, *lse;    /* contiguous [B, Sq, H, Dv] and [B, H, Sq] */
    gradients gradients; /* empty without dout */
} case_results;

/* False if out of memory. The caller destroys *r in any case. */
bool results_create(const problem *p, case_results *r);
void results_destroy(case_results *r);

/* A view of the results as they are in a file. */
typedef struct result_tensors {
    safetensors_tensor tensors[TENSOR_COUNT];
    tensor_id id[TENSOR_COUNT];
    size_t count;
} result_tensors;

/* `bias_rank`: the number of dimensions of the bias in the case's file, which its gradient also has; 0 without bias. */
result_tensors results_view(const problem *p, const case_results *r, uint32_t bias_rank);

#endif
