/* SPDX-License-Identifier: MIT
 * A problem in host memory and on a device, for dmattn-run, vkbench and the tests. */
#ifndef DMATTN_TOOLS_PROBLEM_H
#define DMATTN_TOOLS_PROBLEM_H

#include <dmattn/runtime.h>

#include "attention/desc.h"
#include "attention/tile.h"
#include "operators/dma.h"
#include "operators/operators.h"
#include "reference/mask.h"
#include "reference/reference.h"

/* The gradients to compute, and the strides of dout and of the gradients. */
typedef struct problem_backward {
    uint32_t gradients; /* bits of dmattn_gradient; 0: none, and no dout */
    bool dlse;          /* lse has a gradient */
    dmattn_strides dout_strides, dq_strides, dk_strides, dv_strides;
} problem_backward;

/* Keys and values as a device gets them, if they have a format of their own or are in pages. */
typedef struct problem_stored {
    dmattn_format k_format, v_format;    /* DMATTN_FORMAT_TYPE: elements are as in `tensor` of the problem */
    dmattn_strides k_strides, v_strides; /* without pages */
    uint32_t page_size, pages;
    uint64_t page_bytes;
    void *tensor[TENSOR_COUNT]; /* k, v and their scales, or the pool and the block table, owned; NULL: as in the
                                   problem */
} problem_stored;

/* The inputs of one call of attention or of dynamic mask attention. tensor[t], owned, holds problem_bytes(p, t) bytes
 * for each input, and for the importance, begin and end of a dynamic mask; it is NULL for other tensors, such as out,
 * lse and the gradients. */
typedef struct problem {
    dmattn_attention_desc desc; /* resolved; for dma, of the attention in it. Without formats: k and v in `tensor` have
                                   the type, and the values of `stored` */
    problem_stored stored;
    bool dma;
    dmattn_dma_desc dma_desc;   /* for dma: as passed to problem_create_dma() */
    dmattn_mask_desc mask_desc; /* for dma: of the mask in it, for the reference */
    problem_backward backward;  /* resolved */
    void *tensor[TENSOR_COUNT];
    uint32_t longest; /* the plan on a device is for all lengths up to this, and tensors are contiguous; 0: it is for
                         those of `desc` */
    const attention_tile *tile;           /* the tile to use, not owned; NULL selects the default tile */
    const backward_tiles *gradient_tiles; /* the same for the gradients */
    bool least_tiles;                     /* compute the gradients in the smallest tiles instead of the default ones */
} problem;

/* Resolves `desc` and allocates the inputs, zeroed. On failure *p is empty. */
dmattn_status problem_create(const dmattn_attention_desc *desc, const messenger *messenger, problem *p);
dmattn_status problem_create_dma(const dmattn_dma_desc *desc, const messenger *messenger, problem *p);

/* Selects gradients. dout becomes an input, zeroed, and lse is requested, because the gradients are computed from it.
 * In `wanted`, 0 selects the default: all gradients of dmattn_*_backward_desc, contiguous tensors. NULL selects all
 * defaults. */
dmattn_status problem_add_backward(problem *p, const problem_backward *wanted, const messenger *messenger);

/* Stores k and v in their formats or pages, and replaces them by what the stored rows are. To be called when they have
 * been filled in; problem_randomize() does. Nothing changes without formats. */
void problem_store(problem *p);

/* Replaces k and v by what the stored rows are. */
void problem_read_stored(problem *p);

/* Whether k or v have a format of their own or are in pages. */
bool problem_is_stored(const problem *p);

/* The attention as a device computes it: with formats and pages. */
dmattn_attention_desc problem_device_desc(const problem *p);

/* Makes a descriptor one of a plan for all lengths up to its own and up to `longest`, with contiguous tensors. */
void attention_desc_lengthen(dmattn_attention_desc *desc, uint32_t longest);

/* The bytes and the data of a tensor as a device gets it. */
uint64_t problem_device_bytes(const problem *p, tensor_id tensor);
const void *problem_device_data(const problem *p, tensor_id tensor);

/* The bit of dmattn_gradient for TENSOR_DQ, ... */
uint32_t gradient_bit(tensor_id gradient);

/* The size of a tensor in host memory in bytes; 0 if the problem does not have it. */
uint64_t problem_bytes(const problem *p, tensor_id tensor);

/* The layout of the rows of a tensor: extents, and strides in elements, of all dimensions but the last. */
typedef struct tensor_box {
    uint32_t extent[3];
    uint64_t stride[3];
    uint32_t row; /* elements */
} tensor_box;

/* The layout of q, k, v, out, dout, dlse, bias, sink, a gradient, or a tensor with the shape of the mask.
 * problem_type() is defined for all of these except the last. */
tensor_box problem_box(const problem *p, tensor_id tensor);
dmattn_type problem_type(const problem *p, tensor_id tensor);

uint64_t tensor_box_rows(const tensor_box *box);

/* The offset of a row in elements; rows are counted in the order of the extents. */
uint64_t tensor_box_at(const tensor_box *box, uint64_t row);

/* Finds the batch item, the key and the head of a row of k or v. False if these are packed and no item has the row. */
bool problem_find_key(const problem *p, uint64_t row, uint32_t *item, uint32_t *key, uint32_t *head);

/* Fills the inputs with random numbers from a seed: normal(0, 1) for q, k, v, bias, sink, dout and dlse, NaN between
 * rows, 0 or 1 with probability 1/2 for the mask, intervals with random begins and lengths, selected
 * keys of which one in eight is no key, documents of random
 * lengths, and parameters that give an importance of the order of 1. */
void problem_randomize(problem *p, uint64_t seed);

/* Fills the block table, if there are pages: a random order, and numbers of no page instead of the last page. Items
 * share pages only if there are not enough. */
void problem_randomize_table(problem *p, uint64_t seed);

/* Does the same for the inputs of dynamic masks only: parameters, documents, key_valid, importance. */
void problem_randomize_mask(problem *p, uint64_t seed);

void problem_destroy(problem *p);

/* The inputs of the reference. For dma the mask must have been made. */
reference_inputs problem_inputs(const problem *p);

/* For dma: makes the mask by the reference. Errors: as reference_intervals(). */
dmattn_status problem_make_mask(problem *p);
mask_inputs problem_mask_inputs(const problem *p);

/* A problem on a device: a plan, and buffers with the inputs. */
typedef struct device_problem {
    dmattn_device *device;
    const problem *problem;
    dmattn_plan *plan;
    dmattn_attention_args args; /* for attention */
    dmattn_dma_args dma_args;   /* for dma; includes the buffers of the mask */
} device_problem;

/* Makes the plan and uploads the inputs. `p` must outlive `dp`. On failure *dp is empty. */
dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp);
void device_problem_destroy(device_problem *dp);

/* The buffer of a tensor; NULL if the operator does not use it. */
const dmattn_buffer *device_problem_buffer(const device_problem *dp, tensor_id tensor);

/* The first records one run; the second begins, records, submits and waits. */
dmattn_status device_problem_record(const device_problem *dp, VkCommandBuffer commands, bool reuse_mask);
dmattn_status device_problem_run(const device_problem *dp);

/* Downloads out as contiguous [B, Sq, H, Dv] and lse [B, H, Sq] (if desc.lse; lse may be NULL). */
dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse);

/* For dma: downloads importance, begin and end into the problem. */
dmattn_status device_problem_download_mask(const device_problem *dp, problem *p);

/* Random numbers for tests and benchmarks: splitmix64 (Steele, Lea, Flood 2014), the same on all systems. */
uint64_t random_bits(uint64_t *state);
double random_uniform(uint64_t *state); /* [0, 1) */
double random_normal(uint64_t *state);  /* mean 0, standard deviation 1 */

#endif
