/* SPDX-License-Identifier: MIT
 * Lists of selected keys from block-sparse forms, as a stage of a plan. */
#ifndef DMATTN_MASK_BLOCK_LISTS_H
#define DMATTN_MASK_BLOCK_LISTS_H

#include "../kernel.h"
#include "../recorder.h"
#include "../tensor.h"

#include "../../shaders/mask/block_lists.h"

typedef struct block_lists_params {
    BLOCK_LISTS_PARAMS
} block_lists_params;
CHECK_PUSH_CONSTANTS(block_lists_params);

#define BLOCK_LISTS_ID(id, name, default_value) BLOCK_LISTS_##name = (id),
enum block_lists_constant_id { BLOCK_LISTS_CONSTANTS(BLOCK_LISTS_ID) BLOCK_LISTS_CONSTANT_COUNT };
#undef BLOCK_LISTS_ID

typedef struct block_lists_stage {
    dmattn_block_lists_desc desc; /* resolved */
    uint32_t workgroup;
    VkPipeline pipeline;
} block_lists_stage;

/* Checks a descriptor and fills in its defaults. */
dmattn_status dmattn_block_lists_desc_resolve(const dmattn_block_lists_desc *desc, dmattn_block_lists_desc *resolved,
                                              const messenger *messenger);

/* `desc` is resolved. */
dmattn_status dmattn_block_lists_stage_plan(block_lists_stage *stage, pipeline_set *set,
                                            const dmattn_block_lists_desc *desc);
void dmattn_block_lists_stage_record(const block_lists_stage *stage, recorder *r);

/* Bytes of a tensor; 0 if it does not exist. */
uint64_t dmattn_block_lists_tensor_bytes(const dmattn_block_lists_desc *desc, tensor_id tensor);

#endif
