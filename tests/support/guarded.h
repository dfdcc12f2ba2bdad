/* SPDX-License-Identifier: MIT
 * A problem on a device with each tensor in the middle of a larger buffer. NaN or a pattern lies before, between and
 * after its elements, so that accesses outside of them are noticed. */
#ifndef DMATTN_TESTS_GUARDED_H
#define DMATTN_TESTS_GUARDED_H

#include "harness.h"
#include "problem.h"

typedef struct guarded_problem {
    const problem *problem;
    dmattn_plan *plan;
    dmattn_attention_args args;
    /* for each tensor and the workspace */
    dmattn_buffer whole[TENSOR_COUNT + 1]; /* the larger buffer */
    uint64_t offset[TENSOR_COUNT + 1];     /* of the tensor in it */
    uint64_t bytes[TENSOR_COUNT + 1];
} guarded_problem;

/* Makes the plan and uploads the inputs. `p` must outlive `g`. */
dmattn_status guarded_create(const problem *p, guarded_problem *g);
void guarded_destroy(guarded_problem *g);

/* Fills out and lse with the pattern, then runs. */
dmattn_status guarded_run(guarded_problem *g, bool reuse_mask_tiles);

/* Downloads out [B, Sq, H, Dv] and lse [B, H, Sq], contiguous. Returns false and a message in `why` if anything else
 * except the workspace was written. */
bool guarded_results(const guarded_problem *g, float *out, float *lse, char *why, size_t why_size);

/* A hash of all bytes of the buffers of the results. */
uint64_t guarded_hash(const guarded_problem *g);

#endif
