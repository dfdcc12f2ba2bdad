/* SPDX-License-Identifier: MIT
 * The gradients through the importance, from the gradient of the importance, as a stage of a plan:
 *
 *     importance_terms     dz and the terms of da, by key
 *     importance_weights   ddt_weight, for each chunk of keys
 *     sum_keys             ddt_bias and da, for each chunk of keys
 *     importance_values    its part of dv, added to dv
 *     sum_partials         the sums over the chunks
 */
#ifndef DMATTN_MASK_IMPORTANCE_BACKWARD_H
#define DMATTN_MASK_IMPORTANCE_BACKWARD_H

#include "../sum_partials.h"
#include "importance.h"

#include "../../shaders/mask/importance_backward.h"

typedef struct importance_terms_params {
    IMPORTANCE_TERMS_PARAMS
    uint32_t padding;
} importance_terms_params;
CHECK_PUSH_CONSTANTS(importance_terms_params);

typedef struct importance_backward_params {
    IMPORTANCE_BACKWARD_PARAMS
} importance_backward_params;
CHECK_PUSH_CONSTANTS(importance_backward_params);

#define IMPORTANCE_BACKWARD_ID(id, name, default_value) IMPORTANCE_BACKWARD_##name = (id),
enum importance_backward_constant_id {
    IMPORTANCE_BACKWARD_CONSTANTS(IMPORTANCE_BACKWARD_ID) IMPORTANCE_BACKWARD_CONSTANT_COUNT
};
#undef IMPORTANCE_BACKWARD_ID

/* The gradients of this stage. It adds its part to the gradient of v. */
#define IMPORTANCE_GRADIENTS \
    ((uint32_t)(DMATTN_GRADIENT_V | DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A | DMATTN_GRADIENT_DT_BIAS))

/* The keys of all batch items are divided into tiles, and tiles into chunks. */
typedef struct key_chunks {
    uint32_t tiles, item_tiles, chunk_tiles;
    uint32_t count;
} key_chunks;

/* Offsets in the scratch memory, in bytes. */
typedef struct importance_backward_layout {
    key_chunks weights, sums; /* of importance_weights, and of sum_keys */
    uint64_t dz, da_terms;
    uint64_t ddt_weight, ddt_bias, da; /* for each chunk; empty if there is only one chunk */
    uint64_t bytes;
} importance_backward_layout;

typedef struct importance_backward_stage {
    uint32_t gradients; /* of IMPORTANCE_GRADIENTS */
    uint32_t keys, kv_heads, value_dim;
    importance_backward_layout layout;
    uint64_t scratch_at; /* offset in the workspace */
    grid terms_grid, weights_grid, sums_grid, values_grid;
    uint32_t weights_slice, values_slice; /* maximum number of workgroups of a dispatch */
    sum_partials sum;
    VkPipeline terms, weights, sums, values; /* NULL if a plan does not need them */
} importance_backward_stage;

/* `desc` and `dv_strides` are resolved. Bits of `gradients` that are not this stage's are ignored; without any of its
 * bits, the stage stays empty. */
dmattn_status dmattn_importance_backward_stage_plan(importance_backward_stage *stage, pipeline_set *set,
                                                    const dmattn_mask_desc *desc, uint32_t gradients,
                                                    const dmattn_strides *dv_strides);

/* Reads v, dt_weight, a, dt_bias and dimportance. The scratch memory, dmattn_importance_backward_scratch_bytes(), is in
 * the workspace at stage->scratch_at. */
void dmattn_importance_backward_stage_record(const importance_backward_stage *stage, recorder *r);
uint64_t dmattn_importance_backward_scratch_bytes(const importance_backward_stage *stage);

/* These functions need no device. */

/* `rows`: the strides of v or dv, depending on the kernel. */
void dmattn_importance_backward_constants(const dmattn_mask_desc *desc, const dmattn_strides *rows,
                                          uint32_t constants[IMPORTANCE_BACKWARD_CONSTANT_COUNT]);
bool dmattn_importance_backward_is_aligned(const dmattn_mask_desc *desc, const dmattn_strides *rows);

/* Chooses the number of chunks: enough to keep a large device busy, if each chunk has this number of workgroups, but
 * not so many that the final sum costs more than they save. */
key_chunks dmattn_key_chunks(uint32_t batch, uint32_t keys, uint32_t tile_keys, uint64_t chunk_workgroups);

importance_backward_layout dmattn_importance_backward_layout(const dmattn_mask_desc *desc, uint32_t gradients);
grid dmattn_importance_weights_grid(const dmattn_mask_desc *desc, const key_chunks *chunks);
grid dmattn_importance_values_grid(const dmattn_mask_desc *desc);

#endif
