/* SPDX-License-Identifier: MIT
 * A problem in host memory, and the same on a device: what dmattn-run, vkbench and the tests share. */
#ifndef DMATTN_TOOLS_PROBLEM_H
#define DMATTN_TOOLS_PROBLEM_H

#include <dmattn/runtime.h>

#include "attention/desc.h"
#include "attention/tile.h"
#include "operators/dma.h"
#include "operators/operators.h"
#include "reference/mask.h"
#include "reference/reference.h"

/* The gradients that a problem is to have, and where they and that of out are. */
typedef struct problem_backward {
    uint32_t gradients; /* bits of dmattn_gradient; 0: none, and so no dout */
    dmattn_strides dout_strides, dq_strides, dk_strides, dv_strides;
} problem_backward;

/* Inputs of one call of attention, or of dynamic mask attention, whose mask becomes an input of the attention in it
 * once it is made. tensor[t] holds problem_bytes(p, t) bytes for each input that there is, and for the products of the
 * mask (importance, begin, end), NULL for the rest (out, lse and gradients among them). Owned. */
typedef struct problem {
    dmattn_attention_desc desc; /* resolved; with dma that of the attention in it */
    bool dma;
    dmattn_dma_desc dma_desc;   /* with dma: as it was given, */
    dmattn_mask_desc mask_desc; /* and the mask in it, for the reference */
    problem_backward backward;  /* resolved */
    void *tensor[TENSOR_COUNT];
    const attention_tile *tile; /* to run it with, instead of the best; borrowed */
    bool least_tiles;           /* gradients in the smallest tiles there are, instead of the best */
} problem;

/* Resolves `desc` and allocates its inputs, zeroed. On failure *p is empty. */
dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *messenger, problem *p);
dmattn_status problem_create_dma(const dmattn_dma_desc *desc, const messenger *messenger, problem *p);

/* Adds gradients: dout, zeroed, becomes an input, and lse is asked for, which they are computed from. `wanted`: zeros
 * are defaults, all gradients as dmattn_*_backward_desc has it and contiguous tensors; NULL: all default. */
dmattn_status problem_add_backward(problem *p, const problem_backward *wanted, const messenger *messenger);

/* The bit of TENSOR_DQ, … */
uint32_t gradient_bit(tensor_id gradient);

/* Bytes of an input, product or result; 0 if there is none. */
uint64_t problem_bytes(const problem *p, tensor_id tensor);

/* Where the rows of a tensor lie: extents, and strides in elements, of all its dimensions but the last. */
typedef struct tensor_box {
    uint32_t extent[3];
    uint64_t stride[3];
    uint32_t row; /* elements */
} tensor_box;

/* Of q, k, v, out, dout, bias, gradients and what has the mask's shape; and the type of its elements, but for those. */
tensor_box problem_box(const problem *p, tensor_id tensor);
dmattn_type problem_type(const problem *p, tensor_id tensor);

uint64_t tensor_box_rows(const tensor_box *box);

/* Where a row begins, counted in order of the extents. */
uint64_t tensor_box_at(const tensor_box *box, uint64_t row);

/* Fills the inputs that the descriptor has from a fixed seed: q, k, v, bias and dout normal(0, 1), gaps between rows
 * NaN, mask bytes 0 or 1 with probability 1/2, intervals that begin at a random query and live a random while,
 * documents of random lengths, parameters of the importance so that it is of the order of 1. */
void problem_randomize(problem *p, uint64_t seed);

/* Only what dynamic masks have besides: parameters, documents, validity, importance. */
void problem_randomize_mask(problem *p, uint64_t seed);

void problem_destroy(problem *p);

/* With dma the mask must be there. */
reference_inputs problem_inputs(const problem *p);

/* With dma: makes the mask by the reference. INVALID: see reference_intervals(). */
dmattn_status problem_make_mask(problem *p);
mask_inputs problem_mask_inputs(const problem *p);

/* The same on a device: buffers with the inputs in them, and a plan. */
typedef struct device_problem {
    dmattn_device *device;
    const problem *problem;
    dmattn_plan *plan;
    dmattn_attention_args args; /* without dma */
    dmattn_dma_args dma_args;   /* with dma, products among its buffers */
} device_problem;

/* Plans and uploads; the problem must outlive it. On failure everything is given back. */
dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp);
void device_problem_destroy(device_problem *dp);

/* The buffer of a tensor, NULL if a call of this kind has none. */
const dmattn_buffer *device_problem_buffer(const device_problem *dp, tensor_id tensor);

/* Records one run; begins, records, submits and waits. */
dmattn_status device_problem_record(const device_problem *dp, VkCommandBuffer commands, bool reuse_mask);
dmattn_status device_problem_run(const device_problem *dp);

/* Downloads out as contiguous [B, Sq, H, Dv] and lse [B, H, Sq] (if desc.lse; lse may be NULL). */
dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse);

/* With dma: downloads the mask into the problem. */
dmattn_status device_problem_download_mask(const device_problem *dp, problem *p);

/* Random numbers for tests and benchmarks: splitmix64 (Steele, Lea, Flood 2014), repeatable everywhere. */
uint64_t random_bits(uint64_t *state);
double random_uniform(uint64_t *state); /* [0, 1) */
double random_normal(uint64_t *state);  /* mean 0, deviation 1 */

#endif
