/* SPDX-License-Identifier: MIT
 * Packed items as a stage of a plan: which workgroup of attention has which part of the work
 * (shaders/lib/schedule_items.h). */
#ifndef DMATTN_ATTENTION_SCHEDULE_H
#define DMATTN_ATTENTION_SCHEDULE_H

#include "../recorder.h"
#include "tile.h"

#include "../../shaders/lib/schedule_items.h"

typedef struct schedule_items_params {
    SCHEDULE_ITEMS_PARAMS
} schedule_items_params;
CHECK_PUSH_CONSTANTS(schedule_items_params);

typedef struct item_schedule {
    schedule_items_params params; /* without addresses; no items: the plan has none */
    VkPipeline pipeline;
    uint64_t at; /* offset of the results in the workspace */
} item_schedule;

/* Without a device: the sizes of the schedule of a descriptor, which is resolved, and its bytes. */
schedule_items_params dmattn_schedule_params(const dmattn_attention_desc *desc, const attention_tile *tile);
uint64_t dmattn_schedule_bytes(const schedule_items_params *params);

/* Where the lists of entries begin, in bytes: those of items with several splits, and of all others. */
uint64_t dmattn_schedule_parts(const schedule_items_params *params);
uint64_t dmattn_schedule_tiles(const schedule_items_params *params);

/* Does nothing if queries are not packed. */
dmattn_status dmattn_schedule_plan(item_schedule *schedule, pipeline_set *set, const dmattn_attention_desc *desc,
                                   const attention_tile *tile);
void dmattn_schedule_record(const item_schedule *schedule, recorder *r);

#endif
