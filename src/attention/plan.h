/* SPDX-License-Identifier: MIT */
#ifndef DMATTN_ATTENTION_PLAN_H
#define DMATTN_ATTENTION_PLAN_H

#include "../kernel.h"
#include "desc.h"
#include "tile.h"

#include "../../shaders/attention.h"

/* The kernels' push constants and specialization constants, from the header that they share with the shaders. */
typedef struct attention_params {
    ATTENTION_PARAMS
} attention_params;
_Static_assert(sizeof(attention_params) <= 128, "Vulkan promises 128 bytes of push constants");

#define CONSTANT_ID(id, name, default_value) CONSTANT_##name = (id),
enum attention_constant_id { ATTENTION_CONSTANTS(CONSTANT_ID) ATTENTION_CONSTANT_COUNT };
#undef CONSTANT_ID

/* Workgroups of a dispatch. */
typedef struct grid {
    uint32_t x, y, z;
} grid;

struct dmattn_plan {
    const dmattn_context *ctx;
    dmattn_attention_desc desc; /* resolved */
    attention_tile tile;
    bool aligned; /* rows of q, k, v and out lie at multiples of 16 bytes if their buffers do */
    VkPipelineLayout layout;
    VkPipeline mask_tiles; /* NULL without a mask */
    VkPipeline attention;
    grid mask_grid, attention_grid;
    uint64_t tensor_bytes[TENSOR_COUNT];
    uint64_t workspace_size;
    char name[64];
};

/* Where a tensor is aligned to, in bytes. */
uint64_t dmattn_plan_alignment(const dmattn_plan *plan, attention_tensor tensor);

/* What follows from a descriptor and a tile, without a device: the values of the specialization constants, the grids,
 * the size of the bitmap. */
void dmattn_attention_constants(const dmattn_attention_desc *desc, const attention_tile *tile, bool aligned,
                                uint32_t constants[ATTENTION_CONSTANT_COUNT]);
bool dmattn_attention_is_aligned(const dmattn_attention_desc *desc);
grid dmattn_attention_grid(const dmattn_attention_desc *desc, const attention_tile *tile);
grid dmattn_mask_grid(const dmattn_attention_desc *desc, const attention_tile *tile);
uint64_t dmattn_mask_tiles_bytes(const dmattn_attention_desc *desc, const attention_tile *tile);

#endif
