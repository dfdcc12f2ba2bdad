/* SPDX-License-Identifier: MIT
 * Which tile a kernel works in: a pure function of the device's facts and the problem. */
#ifndef DMATTN_ATTENTION_TILE_H
#define DMATTN_ATTENTION_TILE_H

#include "../device_facts.h"

/* One way to cut the work of the portable kernel; the names are those of shaders/attention.h. */
typedef struct attention_tile {
    uint32_t workgroup;
    uint32_t key_lanes;
    uint32_t lane_rows;
    uint32_t lane_keys;
    uint32_t depth;
    uint32_t value_keys;
    uint32_t subgroup_size; /* the size that the kernel will run with */
    uint32_t pack;
} attention_tile;

/* Rows, queries and keys in a tile: a query has `pack` rows. */
uint32_t dmattn_tile_rows(const attention_tile *tile);
uint32_t dmattn_tile_queries(const attention_tile *tile);
uint32_t dmattn_tile_keys(const attention_tile *tile);

/* Queries that share a list: those of a tile, or of several where it has few, so that lists do not take too much. */
uint32_t dmattn_tile_list_queries(const attention_tile *tile);

/* Bytes of shared memory that the kernel takes. */
uint32_t dmattn_tile_shared_memory(const attention_tile *tile, uint32_t value_dim);

/* Whether a device can run it. */
bool dmattn_tile_fits(const attention_tile *tile, const device_facts *facts, uint32_t value_dim);

/* Chooses; false if the device can run none. `desc` is resolved. */
bool dmattn_tile_choose(const device_facts *facts, const dmattn_attention_desc *desc, attention_tile *tile);

#endif
