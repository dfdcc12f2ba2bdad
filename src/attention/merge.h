/* SPDX-License-Identifier: MIT
 * Merging two results of attention, as a stage of a plan. */
#ifndef DMATTN_ATTENTION_MERGE_H
#define DMATTN_ATTENTION_MERGE_H

#include "../kernel.h"
#include "../recorder.h"
#include "../tensor.h"

#include "../../shaders/attention/merge_results.h"

typedef struct merge_params {
    MERGE_PARAMS
    uint32_t padding;
} merge_params;
CHECK_PUSH_CONSTANTS(merge_params);

#define MERGE_ID(id, name, default_value) MERGE_##name = (id),
enum merge_constant_id { MERGE_CONSTANTS(MERGE_ID) MERGE_CONSTANT_COUNT };
#undef MERGE_ID

typedef struct merge_stage {
    dmattn_merge_desc desc; /* resolved */
    grid grid;
    VkPipeline pipeline;
} merge_stage;

/* Checks a descriptor and fills in its strides. */
dmattn_status dmattn_merge_desc_resolve(const dmattn_merge_desc *desc, dmattn_merge_desc *resolved,
                                        const messenger *messenger);

/* `desc` is resolved. */
dmattn_status dmattn_merge_stage_plan(merge_stage *stage, pipeline_set *set, const dmattn_merge_desc *desc);
void dmattn_merge_stage_record(const merge_stage *stage, recorder *r);

/* Bytes of a tensor; 0 if it does not exist. Its alignment. */
uint64_t dmattn_merge_tensor_bytes(const dmattn_merge_desc *desc, tensor_id tensor);
uint64_t dmattn_merge_alignment(const dmattn_merge_desc *desc, tensor_id tensor);

#endif
