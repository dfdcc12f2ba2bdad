/* SPDX-License-Identifier: MIT
 * A selector as a stage of a plan: means of blocks, then scores and lists, round by round. */
#ifndef DMATTN_SELECTOR_STAGE_H
#define DMATTN_SELECTOR_STAGE_H

#include "../recorder.h"
#include "tile.h"

typedef struct pool_params {
    POOL_PARAMS
    uint32_t padding;
    POOL_PAGED_PARAMS
} pool_params;
CHECK_PUSH_CONSTANTS(pool_params);

typedef struct scores_params {
    SCORES_PARAMS
    SCORES_PAGED_PARAMS
} scores_params;
CHECK_PUSH_CONSTANTS(scores_params);

typedef struct select_numbers_params {
    SELECT_NUMBERS_PARAMS
} select_numbers_params;
CHECK_PUSH_CONSTANTS(select_numbers_params);

#define POOL_ID(id, name, default_value) POOL_##name = (id),
enum pool_constant_id { POOL_CONSTANTS(POOL_ID) POOL_PAGED_CONSTANTS(POOL_ID) POOL_CONSTANT_COUNT };
#undef POOL_ID
#define SELECT_NUMBERS_ID(id, name, default_value) SELECT_NUMBERS_##name = (id),
enum select_numbers_constant_id { SELECT_NUMBERS_CONSTANTS(SELECT_NUMBERS_ID) SELECT_NUMBERS_CONSTANT_COUNT };
#undef SELECT_NUMBERS_ID

typedef struct selector_stage {
    dmattn_selector_desc desc; /* resolved */
    selector_tile tile;
    selector_layout layout;
    bool keeps_q, keeps_k; /* the app gave strides of q or k, which are the same for all lengths */
    struct {
        uint64_t scores[2], means; /* offsets in the workspace; rounds take turns with two places for scores */
    } at;
    VkPipeline pool, scores, select; /* pool: NULL without blocks */
    char why_not[WHY_NOT_SIZE];
    char name[KERNEL_NAME];
} selector_stage;

/* Chooses the level and the tile. `desc` is resolved. `tile`: NULL, or one that fits. */
dmattn_status dmattn_selector_stage_choose(selector_stage *stage, const dmattn_context *ctx,
                                           const dmattn_selector_desc *desc, const selector_tile *tile);

/* Makes a copy of the stage of a plan with `lengths` one for a run, whose descriptor is resolved. */
void dmattn_selector_stage_shorten(selector_stage *stage, const dmattn_selector_desc *run);

/* Call it after `at`, keeps_q and keeps_k were set. */
dmattn_status dmattn_selector_stage_build(selector_stage *stage, pipeline_set *set);
void dmattn_selector_stage_record(const selector_stage *stage, recorder *r);

#endif
