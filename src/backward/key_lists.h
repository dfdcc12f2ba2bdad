/* SPDX-License-Identifier: MIT
 * The queries that see each tile of keys, with selected keys: key_lists.comp makes these lists from the tile lists of
 * queries. */
#ifndef DMATTN_BACKWARD_KEY_LISTS_H
#define DMATTN_BACKWARD_KEY_LISTS_H

#include "../kernel.h"
#include "../recorder.h"

#include "../../shaders/backward/key_lists.h"

typedef struct key_lists_params {
    KEY_LISTS_PARAMS
} key_lists_params;
CHECK_PUSH_CONSTANTS(key_lists_params);

#define KEY_LISTS_ID(id, name, default_value) KEY_LISTS_##name = (id),
enum key_lists_constant_id { KEY_LISTS_CONSTANTS(KEY_LISTS_ID) KEY_LISTS_CONSTANT_COUNT };
#undef KEY_LISTS_ID

typedef struct key_lists_desc {
    uint32_t planes, queries, keys;
    uint32_t count, block; /* of the lists of a query: their length, and the keys of a number */
    uint32_t list_queries; /* of a tile list */
    uint32_t tile_keys;    /* at most KEY_LISTS_MAX_KEYS */
    bool causal;
} key_lists_desc;

typedef struct key_lists {
    key_lists_desc desc;
    uint64_t at;             /* offset in the workspace */
    VkPipeline count, store; /* NULL if a plan does not need them */
} key_lists;

dmattn_status dmattn_key_lists_plan(key_lists *lists, pipeline_set *set, const key_lists_desc *desc);

/* From the tile lists in r->tensor[TENSOR_LISTS]. */
void dmattn_key_lists_record(const key_lists *lists, recorder *r);

/* These functions need no device: the maximum number of entries, and the bytes of the lists. */
uint64_t dmattn_key_lists_entries(const key_lists_desc *desc);
uint64_t dmattn_key_lists_bytes(const key_lists_desc *desc);

#endif
