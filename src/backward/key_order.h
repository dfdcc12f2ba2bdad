/* SPDX-License-Identifier: MIT
 * Sorts keys by their visible ranges, for the stage of gradients: range_codes.comp, then a sort. */
#ifndef DMATTN_BACKWARD_KEY_ORDER_H
#define DMATTN_BACKWARD_KEY_ORDER_H

#include "../sort.h"

#include "../../shaders/backward/range_codes.h"

typedef struct range_codes_params {
    RANGE_CODES_PARAMS
} range_codes_params;
CHECK_PUSH_CONSTANTS(range_codes_params);

#define RANGE_CODES_ID(id, name, default_value) RANGE_CODES_##name = (id),
enum range_codes_constant_id { RANGE_CODES_CONSTANTS(RANGE_CODES_ID) RANGE_CODES_CONSTANT_COUNT };
#undef RANGE_CODES_ID

/* Intervals of `batch` times `heads` planes. */
typedef struct key_order_desc {
    uint32_t batch, heads, queries, keys;
    uint64_t batch_stride, head_stride; /* of begin and end, in bytes */
    bool causal;                        /* visible ranges are also causal */
} key_order_desc;

typedef struct key_order {
    key_order_desc desc;
    grid grid;
    uint64_t scratch_at; /* offset in the workspace */
    uint64_t codes_bytes;
    key_sort sort;
    VkPipeline codes; /* NULL if the stage does not exist */
} key_order;

dmattn_status dmattn_key_order_plan(key_order *order, pipeline_set *set, const key_order_desc *desc);
uint64_t dmattn_key_order_scratch_bytes(const key_order *order);

/* Returns the offset of the sorted keys in the workspace. They are pairs whose second number is the key, in planes of a
 * multiple of KEY_ORDER_BLOCK pairs (shaders/lib/attention.h). */
uint64_t dmattn_key_order_record(const key_order *order, recorder *r);

#endif
