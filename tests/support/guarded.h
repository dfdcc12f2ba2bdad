/* SPDX-License-Identifier: MIT
 * A problem on a device, each tensor in the middle of a larger buffer: NaN or a pattern lies before, between and after
 * its elements, so that what is read or written outside of them shows. */
#ifndef DMATTN_TESTS_GUARDED_H
#define DMATTN_TESTS_GUARDED_H

#include "harness.h"
#include "problem.h"

typedef struct guarded_problem {
    const problem *problem;
    dmattn_plan *plan;
    dmattn_attention_args args;
    /* of each tensor and of the workspace, */
    dmattn_buffer whole[TENSOR_COUNT + 1]; /* the buffer, */
    uint64_t offset[TENSOR_COUNT + 1];     /* and where in it */
    uint64_t bytes[TENSOR_COUNT + 1];
} guarded_problem;

/* Plans and uploads. The problem must outlive it. */
dmattn_status guarded_create(const problem *p, guarded_problem *g);
void guarded_destroy(guarded_problem *g);

/* Fills out and lse with the pattern, then runs. */
dmattn_status guarded_run(guarded_problem *g, bool reuse_mask_tiles);

/* out [B, Sq, H, Dv] and lse [B, H, Sq], contiguous. False, with a sentence, if anything was written that is neither an
 * element of them nor workspace. */
bool guarded_results(const guarded_problem *g, float *out, float *lse, char *why, size_t why_size);

/* Of every byte of the results' buffers. */
uint64_t guarded_hash(const guarded_problem *g);

#endif
