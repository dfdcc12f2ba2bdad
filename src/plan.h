/* SPDX-License-Identifier: MIT
 * What the plans of all operators share: the buffers of a call, the workspace, and recording. An operator (operators/)
 * adds its stages and describes itself in an operator_type. */
#ifndef DMATTN_PLAN_H
#define DMATTN_PLAN_H

#include "kernel.h"
#include "recorder.h"

#include <stddef.h>

/* The offset of a tensor in an operator's args struct. */
typedef struct operator_buffer {
    tensor_id tensor;
    size_t offset; /* of the dmattn_buffer in the struct */
    bool optional; /* the kernels also work without it */
} operator_buffer;

#define BUFFER(args, id, member)                                \
    {                                                           \
        .tensor = TENSOR_##id, .offset = offsetof(args, member) \
    }
#define OPTIONAL_BUFFER(args, id, member)                                         \
    {                                                                             \
        .tensor = TENSOR_##id, .offset = offsetof(args, member), .optional = true \
    }
#define END_OF_BUFFERS         \
    {                          \
        .tensor = TENSOR_COUNT \
    }

/* An operator. Its plan is a struct of `size` bytes that begins with a struct dmattn_plan. */
typedef struct operator_type {
    const char *name; /* "the plan is for …" */
    size_t size;
    const operator_buffer *buffers; /* ends with END_OF_BUFFERS */
    size_t workspace;               /* offset of the workspace in the args struct */

    /* Checks the operator's descriptor, and fills in its stages, tensors, workspace, name and costs. The type, context
     * and set of pipelines of *plan are set; everything else is zero. `tiles`: as in dmattn_plan_create(). */
    dmattn_status (*fill)(dmattn_plan *plan, const void *desc, const void *tiles);

    /* Writes the commands; the addresses of all buffers are in *r. `reuse`: bits of dmattn_mask_stage whose results
     * are kept from an earlier call. The bit of lists also stands for the bitmap of a dense mask. */
    void (*record)(const dmattn_plan *plan, recorder *r, uint32_t reuse);

    /* Fills in the members that stages know: level, why_not_higher, list_queries, lists_size. */
    void (*describe)(const dmattn_plan *plan, dmattn_plan_info *info);
} operator_type;

/* The buffer of a tensor in an args struct; NULL if the operator has no such tensor. */
dmattn_buffer *dmattn_operator_buffer(const operator_type *type, const void *args, tensor_id tensor);

/* A tensor that a plan reads or writes. */
typedef struct plan_tensor {
    uint64_t bytes; /* 0: the plan has no such tensor */
    uint64_t alignment;
    bool in_workspace; /* if the call has no buffer for it, it is in the workspace at `offset` */
    uint64_t offset;
} plan_tensor;

struct dmattn_plan {
    const operator_type *type;
    const dmattn_context *ctx;
    pipeline_set pipelines;
    plan_tensor tensor[TENSOR_COUNT];
    uint64_t workspace_size;
    char name[128];
    double flops, bytes;
};

/* ---- planning ---------------------------------------------------------------------------------------------------- */

/* All dmattn_*_plan(): makes a plan for a descriptor of the operator, and reports its kernel. `tiles`: NULL, or tiles
 * that fit. */
dmattn_status dmattn_plan_create(dmattn_context *ctx, const operator_type *type, const void *desc, const void *tiles,
                                 dmattn_plan **out);

/* All dmattn_*_check(): the same without pipelines, and with a description instead of the plan. */
dmattn_status dmattn_plan_check(const dmattn_context *ctx, const operator_type *type, const void *desc,
                                dmattn_support *support);

/* Reserves `bytes` of the workspace and returns their offset. */
uint64_t dmattn_plan_reserve(dmattn_plan *plan, uint64_t bytes);

/* Reserves memory in the workspace for a tensor for which the call may have no buffer. */
void dmattn_plan_reserve_tensor(dmattn_plan *plan, tensor_id tensor);

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* Returns INVALID if the plan is not for this operator. */
dmattn_status dmattn_plan_check_type(const dmattn_plan *plan, const operator_type *type);

/* Checks the arguments that all dmattn_*_record() have, and begins a recorder. */
dmattn_status dmattn_plan_begin_record(const dmattn_plan *plan, const operator_type *type, VkCommandBuffer commands,
                                       recorder *r);

/* Checks a buffer and returns its address. */
dmattn_status dmattn_plan_resolve_buffer(const dmattn_plan *plan, const char *name, const dmattn_buffer *buffer,
                                         uint64_t needed, uint64_t alignment, VkDeviceAddress *address);

/* Finds the address of a tensor: in `buffer`, or in the workspace if it may be there and `buffer` is NULL or empty.
 * Does nothing if the plan has no such tensor. */
dmattn_status dmattn_plan_resolve_tensor(const dmattn_plan *plan, recorder *r, tensor_id tensor,
                                         const dmattn_buffer *buffer);

/* Checks the arguments of a call and records it. Any argument may be NULL. `args`: the operator's args struct. */
dmattn_status dmattn_plan_record(const dmattn_plan *plan, const operator_type *type, VkCommandBuffer commands,
                                 const void *args, uint32_t reuse);

#endif
