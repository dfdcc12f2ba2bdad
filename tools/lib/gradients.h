/* SPDX-License-Identifier: MIT
 * The gradients of a problem, on the CPU and on a device. problem_add_backward() selects them. */
#ifndef DMATTN_TOOLS_GRADIENTS_H
#define DMATTN_TOOLS_GRADIENTS_H

#include "problem.h"

/* In host memory, owned: contiguous f32 for each selected gradient of TENSOR_DQ to TENSOR_DSINK, NULL for the
 * others. */
typedef struct gradients {
    float *tensor[TENSOR_COUNT];
} gradients;

/* The number of elements of a gradient; 0 if it is not selected. */
uint64_t gradient_count(const problem *p, tensor_id gradient);

/* Allocates the selected gradients, zeroed. Errors: OUT_OF_MEMORY; then *g is empty. */
dmattn_status gradients_create(const problem *p, gradients *g);
void gradients_destroy(gradients *g);

/* Computes them by the reference. For dynamic mask attention the mask must have been made. Errors: OUT_OF_MEMORY. */
dmattn_status gradients_on_cpu(const problem *p, gradients *g);

/* On a device: a plan, and buffers for dout and the gradients, which contain NaN until they are computed. */
typedef struct device_gradients {
    const device_problem *forward; /* its inputs and results are the inputs here */
    dmattn_plan *plan;
    dmattn_attention_backward_args args; /* for attention */
    dmattn_dma_backward_args dma_args;   /* for dynamic mask attention */
} device_gradients;

/* Makes the plan and the buffers. `forward` must outlive `dg`, and must run before it. On failure *dg is empty. */
dmattn_status device_gradients_create(const device_problem *forward, device_gradients *dg);
void device_gradients_destroy(device_gradients *dg);

/* The buffer of a tensor; NULL if the operator does not use it. */
dmattn_buffer *device_gradients_buffer(device_gradients *dg, tensor_id tensor);

/* The first records one run; the second begins, records, submits and waits. */
dmattn_status device_gradients_record(const device_gradients *dg, VkCommandBuffer commands);
dmattn_status device_gradients_run(const device_gradients *dg);

dmattn_status device_gradients_download(const device_gradients *dg, gradients *g);

#endif
