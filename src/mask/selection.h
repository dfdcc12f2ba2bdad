/* SPDX-License-Identifier: MIT
 * From importance to intervals as a stage of a plan: sort_blocks.comp, merge_runs.comp for each level above the blocks,
 * intervals.comp. */
#ifndef DMATTN_MASK_SELECTION_H
#define DMATTN_MASK_SELECTION_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/selection.h"

typedef struct selection_params {
    SELECTION_PARAMS
} selection_params;
_Static_assert(sizeof(selection_params) <= MAX_PUSH_CONSTANTS, "Vulkan promises 128 bytes of push constants");

#define SELECTION_ID(id, name, default_value) SELECTION_##name = (id),
enum selection_constant_id { SELECTION_CONSTANTS(SELECTION_ID) SELECTION_CONSTANT_COUNT };
#undef SELECTION_ID

/* The sorted keys, twice, and the tree, one behind the other in the scratch memory. */
typedef struct selection_layout {
    uint32_t padded, levels;
    uint64_t sorted_bytes; /* of one of the two */
    uint64_t tree_bytes;
} selection_layout;

typedef struct selection_stage {
    dmattn_mask_desc desc; /* resolved */
    selection_layout layout;
    grid blocks_grid, intervals_grid;
    VkPipeline sort_blocks, merge_runs; /* NULL where nothing is sorted; */
    VkPipeline intervals;               /* where the stage is not there */
} selection_stage;

dmattn_status dmattn_selection_stage_plan(selection_stage *stage, const dmattn_context *ctx, VkPipelineLayout layout,
                                          const dmattn_mask_desc *desc);
void dmattn_selection_stage_destroy(selection_stage *stage, const dmattn_context *ctx);
void dmattn_selection_stage_record(const selection_stage *stage, recorder *r);

/* Without a device. */
selection_layout dmattn_selection_layout(const dmattn_mask_desc *desc);
uint64_t dmattn_selection_scratch_bytes(const selection_layout *layout);

#endif
