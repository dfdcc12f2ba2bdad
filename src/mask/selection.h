/* SPDX-License-Identifier: MIT
 * Intervals from importance, as a stage of a plan: a sort if the selection needs one, then intervals.comp. */
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
    uint64_t scratch_at; /* offset of the sort's memory in the workspace */
    uint32_t workgroup;
    grid intervals_grid;
    VkPipeline intervals; /* NULL if the plan does not have the stage */
} selection_stage;

/* `cached`: the first keys are those of a bounded cache, so begin and end hold places and positions of all keys before
 * (chunk/chunk_keys.comp). */
dmattn_status dmattn_selection_stage_plan(selection_stage *stage, pipeline_set *set, const dmattn_mask_desc *desc,
                                          bool cached);

/* Makes a copy of the stage one for a shorter run, which has the same selection. */
void dmattn_selection_stage_shorten(selection_stage *stage, const dmattn_mask_desc *run);

void dmattn_selection_stage_record(const selection_stage *stage, recorder *r);

/* This needs no device. */
uint64_t dmattn_selection_scratch_bytes(const dmattn_mask_desc *desc);

#endif
