/* SPDX-License-Identifier: MIT
 * A plan of any operator and a buffer for each of its tensors, with guard words before and behind the tensor, so that
 * writes outside of tensors, or to an input, are noticed. With DMATTN_REQUIRE_GPU_VALIDATION=1 there are no guard
 * words: the buffers have the sizes of the tensors, and the validation layer finds all reads and writes behind them. */
#ifndef DMATTN_TESTS_ARENA_H
#define DMATTN_TESTS_ARENA_H

#include "harness.h"
#include "operators/operators.h"

typedef struct arena {
    const operator_type *type;
    dmattn_plan *plan;
    void *args;                    /* the operator's args struct; arena_create() sets its buffers */
    uint64_t size;                 /* bytes of all buffers */
    unsigned char *before, *after; /* what the buffers hold before and after a run, one buffer after the other */
    /* for each tensor and, last, the workspace */
    dmattn_buffer buffer[TENSOR_COUNT + 1]; /* its size is 0 if the plan has no such tensor */
    uint64_t at[TENSOR_COUNT + 1];          /* where the tensor begins in `before` and `after` */
    uint64_t bytes[TENSOR_COUNT + 1];
    bool result[TENSOR_COUNT + 1]; /* the run may write it; arena_create() sets it for the workspace */
} arena;

/* Makes the buffers. Tensors that a plan may have in its workspace are there, unless the operator has buffers for them.
 * `list_bytes`: size of tile lists that are an input, or 0. Owns `plan` from then on. */
void arena_create(arena *a, dmattn_plan *plan, void *args, uint64_t list_bytes);
void arena_destroy(arena *a);

/* What a tensor holds before and after a run; NULL if the plan has no such tensor. */
void *arena_input(const arena *a, tensor_id tensor);
const void *arena_output(const arena *a, tensor_id tensor);

/* Uploads, runs once, downloads, and expects that only results and the workspace were written. `reuse`: bits of
 * dmattn_mask_stage. `what` is for messages. */
void arena_run(arena *a, uint32_t reuse, const char *what);

/* The same in two parts, with other commands in between. */
VkCommandBuffer arena_begin(const arena *a);
void arena_end(arena *a, const char *what);

#endif
