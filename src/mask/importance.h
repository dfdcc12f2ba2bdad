/* SPDX-License-Identifier: MIT
 * The importance of keys as a stage of a plan. */
#ifndef DMATTN_MASK_IMPORTANCE_H
#define DMATTN_MASK_IMPORTANCE_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/mask/importance.h"

typedef struct importance_params {
    IMPORTANCE_PARAMS
    uint32_t padding;
} importance_params;
CHECK_PUSH_CONSTANTS(importance_params);

#define IMPORTANCE_ID(id, name, default_value) IMPORTANCE_##name = (id),
enum importance_constant_id { IMPORTANCE_CONSTANTS(IMPORTANCE_ID) IMPORTANCE_CONSTANT_COUNT };
#undef IMPORTANCE_ID

typedef struct importance_stage {
    uint32_t keys;
    grid grid;
    VkPipeline pipeline; /* NULL if the plan does not have the stage */
} importance_stage;

/* `desc` is resolved and has the stage. */
/* `given_strides`: v_strides do not follow from the length of a run. */
dmattn_status dmattn_importance_stage_plan(importance_stage *stage, pipeline_set *set, const dmattn_mask_desc *desc,
                                           bool given_strides);

/* Makes a copy of the stage one for a shorter run. */
void dmattn_importance_stage_shorten(importance_stage *stage, const capabilities *caps, const dmattn_mask_desc *run);

void dmattn_importance_stage_record(const importance_stage *stage, recorder *r);

/* The specialization constants and the grid. No device is needed. */
void dmattn_importance_constants(const capabilities *caps, const dmattn_mask_desc *desc,
                                 uint32_t constants[IMPORTANCE_CONSTANT_COUNT]);
grid dmattn_importance_grid(const dmattn_mask_desc *desc, const uint32_t constants[IMPORTANCE_CONSTANT_COUNT]);
bool dmattn_importance_is_aligned(const dmattn_mask_desc *desc);

#endif
