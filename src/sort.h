/* SPDX-License-Identifier: MIT
 * Sorts keys by a number, as a part of a stage: sort_blocks.comp, then merge_runs.comp for each level above the
 * blocks. */
#ifndef DMATTN_SORT_H
#define DMATTN_SORT_H

#include "kernel.h"
#include "recorder.h"

#include "../shaders/mask/selection.h"

typedef struct sort_params {
    SORT_PARAMS
} sort_params;
CHECK_PUSH_CONSTANTS(sort_params);

#define SELECTION_ID(id, name, default_value) SELECTION_##name = (id),
enum selection_constant_id { SELECTION_CONSTANTS(SELECTION_ID) SELECTION_CONSTANT_COUNT };
#undef SELECTION_ID

/* Two copies of the sorted keys, then the tree that the sort makes. */
typedef struct sort_layout {
    uint32_t planes, padded, levels;
    uint64_t sorted_bytes; /* of one copy */
    uint64_t tree_bytes;
} sort_layout;

typedef struct key_sort {
    sort_layout layout;
    VkPipeline blocks, runs; /* NULL if nothing is sorted */
} key_sort;

/* Returns UNSUPPORTED if there are too many planes of keys. `constants`: the constants of selection.h. */
dmattn_status dmattn_key_sort_plan(key_sort *sort, pipeline_set *set, uint64_t planes, uint32_t keys,
                                   const uint32_t constants[SELECTION_CONSTANT_COUNT]);

/* Sorts by params->importance in the memory at `scratch`. Sets tree and levels in *params. Returns where the sorted
 * keys are. */
VkDeviceAddress dmattn_key_sort_record(const key_sort *sort, recorder *r, VkDeviceAddress scratch, sort_params *params);

/* This needs no device. */
sort_layout dmattn_sort_layout(uint64_t planes, uint32_t keys);
uint64_t dmattn_sort_scratch_bytes(const sort_layout *layout);
uint32_t dmattn_sort_workgroup(const capabilities *caps, uint64_t planes, uint32_t keys);

#endif
