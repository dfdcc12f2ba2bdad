/* SPDX-License-Identifier: MIT
 * Tile lists as a stage of a plan: lists.comp makes union lists for nodes of many queries, then of fewer, and at the
 * end the tile lists. */
#ifndef DMATTN_MASK_LISTS_H
#define DMATTN_MASK_LISTS_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/lib/lists.h"

typedef struct lists_params {
    LISTS_PARAMS
    uint32_t padding;
} lists_params;
CHECK_PUSH_CONSTANTS(lists_params);

#define LISTS_ID(id, name, default_value) LISTS_##name = (id),
enum lists_constant_id { LISTS_CONSTANTS(LISTS_ID) LISTS_CONSTANT_COUNT };
#undef LISTS_ID

/* Intervals of `batch` times `heads` planes, and the tile lists to make from them. */
typedef struct lists_desc {
    uint32_t batch, heads, queries, keys;
    uint64_t batch_stride, head_stride; /* of begin and end, in bytes */
    bool causal;                        /* visible ranges are also causal */
    keys_bound bound;
    uint32_t list_queries, capacity; /* of the tile lists */
    bool lengths;                    /* `queries` and `keys` are the largest of all runs */
} lists_desc;

#define LISTS_MAX_LEVELS 8

/* The headers and lists of a level, one after the other in one block of memory. */
typedef struct lists_level {
    uint32_t node_queries, nodes, capacity;
    uint32_t fanout; /* of the level above */
    uint64_t bytes;
} lists_level;

typedef struct lists_layout {
    uint32_t level_count;
    lists_level level[LISTS_MAX_LEVELS]; /* the topmost one first; the last one has the tile lists */
    uint64_t scratch_bytes;              /* of all levels except the last one */
} lists_layout;

typedef struct lists_stage {
    lists_desc desc;
    lists_layout layout;
    uint64_t scratch_at;           /* offset in the workspace */
    VkPipeline top, middle, final; /* NULL if the plan does not need them */
    VkPipeline only;               /* final without levels above it, for shorter runs; else NULL */
} lists_stage;

dmattn_status dmattn_lists_stage_plan(lists_stage *stage, pipeline_set *set, const lists_desc *desc);

/* Makes a copy of the stage of a plan with `lengths` one for a shorter run. Its lists need no more memory, because each
 * level has fewer nodes, and no list more keys. */
void dmattn_lists_stage_shorten(lists_stage *stage, const lists_desc *run);

void dmattn_lists_stage_record(const lists_stage *stage, recorder *r);

/* These functions need no device. */
uint32_t dmattn_lists_workgroup(const capabilities *caps, bool top);
lists_layout dmattn_lists_layout(const lists_desc *desc);
uint64_t dmattn_lists_bytes(const lists_layout *layout); /* of the tile lists */
grid dmattn_lists_grid(const lists_desc *desc, const lists_level *level);

#endif
