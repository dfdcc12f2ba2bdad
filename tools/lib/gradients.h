/* SPDX-License-Identifier: MIT
 * The gradients of a problem that problem_add_backward() was called for: on the CPU and on a device. */
#ifndef DMATTN_TOOLS_GRADIENTS_H
#define DMATTN_TOOLS_GRADIENTS_H

#include "problem.h"

/* In host memory: contiguous f32 for each of TENSOR_DQ to TENSOR_DDT_BIAS that the problem wants, NULL for the rest.
 * Owned. */
typedef struct gradients {
    float *tensor[TENSOR_COUNT];
} gradients;

/* Elements of a gradient; 0 if the problem does not want it. */
uint64_t gradient_count(const problem *p, tensor_id gradient);

/* Allocates them, zeroed. OUT_OF_MEMORY; then *g is empty. */
dmattn_status gradients_create(const problem *p, gradients *g);
void gradients_destroy(gradients *g);

/* By the reference; with dma the mask must be there. OUT_OF_MEMORY. */
dmattn_status gradients_on_cpu(const problem *p, gradients *g);

/* On a device: a plan, and buffers for dout and the gradients, which hold NaN until they are computed. */
typedef struct device_gradients {
    const device_problem *forward; /* whose inputs and results are inputs here */
    dmattn_plan *plan;
    dmattn_attention_backward_args args; /* without dma */
    dmattn_dma_backward_args dma_args;   /* with dma */
} device_gradients;

/* Plans and uploads; `forward` must outlive it, and have run before this does. On failure everything is given back. */
dmattn_status device_gradients_create(const device_problem *forward, device_gradients *dg);
void device_gradients_destroy(device_gradients *dg);

/* The buffer of a tensor, NULL if a call of this kind has none. */
dmattn_buffer *device_gradients_buffer(device_gradients *dg, tensor_id tensor);

/* Records one run; begins, records, submits and waits. */
dmattn_status device_gradients_record(const device_gradients *dg, VkCommandBuffer commands);
dmattn_status device_gradients_run(const device_gradients *dg);

dmattn_status device_gradients_download(const device_gradients *dg, gradients *g);

#endif
