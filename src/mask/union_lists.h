/* SPDX-License-Identifier: MIT
 * Tile lists of selected keys as a stage of a plan: union_lists.comp makes them from the lists of the queries. */
#ifndef DMATTN_MASK_UNION_LISTS_H
#define DMATTN_MASK_UNION_LISTS_H

#include "../kernel.h"
#include "../recorder.h"

#include "../../shaders/lib/lists.h"

typedef struct union_lists_params {
    UNION_LISTS_PARAMS
} union_lists_params;
CHECK_PUSH_CONSTANTS(union_lists_params);

#define UNION_LISTS_ID(id, name, default_value) UNION_LISTS_##name = (id),
enum union_lists_constant_id { UNION_LISTS_CONSTANTS(UNION_LISTS_ID) UNION_LISTS_CONSTANT_COUNT };
#undef UNION_LISTS_ID

/* The lists of `queries` queries in each of `batch` times `heads` planes. */
typedef struct union_lists_desc {
    uint32_t batch, heads, queries, keys;
    uint64_t batch_stride, head_stride, query_stride; /* of the queries' lists, in bytes */
    uint32_t count;                                   /* numbers of a query */
    uint32_t block;                                   /* keys for which a number stands, a power of 2 */
    bool causal;
    bool counts;           /* batch items have their own numbers, in r->tensor[TENSOR_COUNTS] */
    uint32_t list_queries; /* queries of a tile list, at most SELECTED_MAX_QUERIES */
} union_lists_desc;

typedef struct union_lists_stage {
    union_lists_desc desc;
    VkPipeline pipeline; /* NULL if the plan has no such lists */
} union_lists_stage;

dmattn_status dmattn_union_lists_plan(union_lists_stage *stage, pipeline_set *set, const union_lists_desc *desc);

/* Writes the lists to r->tensor[TENSOR_LISTS]. */
void dmattn_union_lists_record(const union_lists_stage *stage, recorder *r);

/* These functions need no device. The capacity is the maximum number of entries of a list, a multiple of 16. */
uint32_t dmattn_union_lists_capacity(const union_lists_desc *desc);
uint64_t dmattn_union_lists_bytes(const union_lists_desc *desc);
grid dmattn_union_lists_grid(const union_lists_desc *desc);
uint32_t dmattn_union_lists_workgroup(const capabilities *caps, const union_lists_desc *desc); /* its invocations */

#endif
