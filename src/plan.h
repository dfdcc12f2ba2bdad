/* SPDX-License-Identifier: MIT
 * A plan: which stages an operator consists of, and where its tensors are. All operators but decoding, which is a stage
 * of its own, are made of the same stages, in this order; each takes what the ones before it make. */
#ifndef DMATTN_PLAN_H
#define DMATTN_PLAN_H

#include "attention/backward.h"
#include "attention/stage.h"
#include "decode/stage.h"
#include "mask/desc.h"
#include "mask/importance.h"
#include "mask/importance_backward.h"
#include "mask/lists.h"
#include "mask/selection.h"

typedef enum plan_kind {
    PLAN_ATTENTION,
    PLAN_MASK,
    PLAN_DMA,
    PLAN_ATTENTION_BACKWARD,
    PLAN_DMA_BACKWARD,
    PLAN_DECODE
} plan_kind;

/* What a call must bring. */
typedef struct plan_tensor {
    uint64_t bytes; /* 0: nothing */
    uint64_t alignment;
    bool optional;
    bool in_workspace; /* what is not brought is there, */
    uint64_t offset;   /* here */
} plan_tensor;

struct dmattn_plan {
    const dmattn_context *ctx;
    plan_kind kind;
    VkPipelineLayout layout;
    /* A stage that is not there has no pipelines. */
    importance_stage importance;
    selection_stage selection;
    lists_stage lists;
    attention_stage attention;
    backward_stage backward;
    importance_backward_stage importance_backward;
    decode_stage decode;

    plan_tensor tensor[TENSOR_COUNT];
    uint64_t tiles_offset, parts_offset, scratch_offset, importance_backward_offset, workspace_size;
    char name[128];
    double flops, bytes;
};

/* Checks the arguments that all dmattn_*_plan() have, and sets *out to NULL. */
dmattn_status dmattn_plan_begin(const dmattn_context *ctx, dmattn_plan **out);

/* Destroys a plan that could not be filled; hands out one that was, and says what it runs as. */
dmattn_status dmattn_plan_finish(dmattn_plan *plan, dmattn_status status, const char *what, dmattn_plan **out);

/* Makes a plan without stages. */
dmattn_status dmattn_plan_create(dmattn_context *ctx, plan_kind kind, dmattn_plan **plan);

/* dmattn_attention_plan() and so on with tiles that fit; NULL: those that are best as far as is known. */
dmattn_status dmattn_attention_plan_tile(dmattn_context *ctx, const dmattn_attention_desc *desc,
                                         const attention_tile *tile, dmattn_plan **plan);
dmattn_status dmattn_dma_plan_tile(dmattn_context *ctx, const dmattn_dma_desc *desc, const attention_tile *tile,
                                   dmattn_plan **plan);

dmattn_status dmattn_attention_backward_plan_tiles(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                                   const backward_tiles *tiles, dmattn_plan **plan);
dmattn_status dmattn_dma_backward_plan_tiles(dmattn_context *ctx, const dmattn_dma_backward_desc *desc,
                                             const backward_tiles *tiles, dmattn_plan **plan);

/* Puts a piece of `bytes` into the workspace and returns where. */
uint64_t dmattn_plan_reserve(dmattn_plan *plan, uint64_t bytes);

/* Adds the stages of a mask, from a resolved descriptor, with their tensors and scratch memory. */
dmattn_status dmattn_plan_add_mask(dmattn_plan *plan, const dmattn_mask_desc *desc);

/* Adds tile lists, and the memory that they take. */
dmattn_status dmattn_plan_add_lists(dmattn_plan *plan, const lists_desc *desc);

/* The same in the workspace, of an app's own intervals, or of those of a dynamic mask that is an input. */
dmattn_status dmattn_plan_add_interval_lists(dmattn_plan *plan, const dmattn_attention_desc *desc,
                                             uint32_t list_queries, keys_bound bound);

/* Adds the stage of gradients, with its tensors and memory. `desc` is resolved; `bound`: what is known of how many keys
 * a query sees. */
dmattn_status dmattn_plan_add_backward(dmattn_plan *plan, const dmattn_attention_backward_desc *desc, keys_bound bound,
                                       const backward_tiles *tiles);

/* INVALID unless it is of that kind. */
dmattn_status dmattn_plan_check_kind(const dmattn_plan *plan, plan_kind kind);

/* Checks what all dmattn_*_record() have. */
dmattn_status dmattn_plan_begin_record(const dmattn_plan *plan, plan_kind kind, VkCommandBuffer commands);

/* Checks a buffer and gives its address. */
dmattn_status dmattn_plan_resolve_buffer(const dmattn_plan *plan, const char *name, const dmattn_buffer *buffer,
                                         uint64_t needed, uint64_t alignment, VkDeviceAddress *address);

/* Writes the commands. `buffers`: NULL or without a VkBuffer where there is none. `reuse`: bits of dmattn_mask_stage
 * that are left out, that of lists standing for a dense mask's bitmap, too. */
dmattn_status dmattn_plan_record(const dmattn_plan *plan, plan_kind kind, VkCommandBuffer commands,
                                 const dmattn_buffer *const buffers[TENSOR_COUNT], const dmattn_buffer *workspace,
                                 uint32_t reuse);

#endif
