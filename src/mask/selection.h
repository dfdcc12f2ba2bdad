/* SPDX-License-Identifier: MIT
 * From importance to intervals as a stage of a plan: a sort where the selection needs one, and intervals.comp. */
#ifndef DMATTN_MASK_SELECTION_H
#define DMATTN_MASK_SELECTION_H

#include "../sort.h"
#include "desc.h"

typedef struct intervals_params {
    INTERVALS_PARAMS
    uint32_t padding;
} intervals_params;
CHECK_PUSH_CONSTANTS(intervals_params);

typedef struct selection_stage {
    dmattn_mask_desc desc; /* resolved */
    key_sort sort;
    uint64_t scratch_at; /* of the sort: offset in the workspace */
    grid intervals_grid;
    VkPipeline intervals; /* NULL where the stage is not there */
} selection_stage;

dmattn_status dmattn_selection_stage_plan(selection_stage *stage, const dmattn_context *ctx, VkPipelineLayout layout,
                                          const dmattn_mask_desc *desc);
void dmattn_selection_stage_destroy(selection_stage *stage, const dmattn_context *ctx);
void dmattn_selection_stage_record(const selection_stage *stage, recorder *r);

/* Without a device. */
uint64_t dmattn_selection_scratch_bytes(const dmattn_mask_desc *desc);

#endif
