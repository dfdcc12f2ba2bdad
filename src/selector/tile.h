/* SPDX-License-Identifier: MIT
 * How a selector is divided into workgroups and into rounds whose scores fit the workspace. Pure functions. */
#ifndef DMATTN_SELECTOR_TILE_H
#define DMATTN_SELECTOR_TILE_H

#include "../capabilities.h"
#include "../kernel.h"

#include "../../shaders/selector/selector.h"

#define SCORES_ID(id, name, default_value) SCORES_##name = (id),
enum scores_constant_id { SCORES_CONSTANTS(SCORES_ID) SCORES_PAGED_CONSTANTS(SCORES_ID) SCORES_CONSTANT_COUNT };
#undef SCORES_ID

typedef struct selector_tile {
    dmattn_level level;
    dmattn_type operands; /* of matrices */
    uint32_t workgroup, subgroup_size;
    uint32_t queries, keys; /* scores of a workgroup */
    uint32_t query_lanes;   /* portable */
    matrix_shape matrix;
    uint32_t row_heads, steps; /* matrices: see selector.h */
    bool keys_shared;          /* matrices: rows of k are in shared memory, not in registers */
    uint64_t round_bytes;      /* the most bytes of scores of a round, unless a tile has more */
} selector_tile;

/* Chooses a tile for a level. Returns false with the reason in `why` if the device cannot run the level. */
bool dmattn_selector_tile_choose(const capabilities *caps, const dmattn_selector_desc *desc, dmattn_level level,
                                 selector_tile *tile, char *why, size_t size);

/* Bytes of shared memory of the kernel of scores. */
uint32_t dmattn_selector_tile_shared_memory(const selector_tile *tile, const dmattn_selector_desc *desc);

/* An estimate of the 32-bit registers that a lane needs at the level MATRIX; 0: there is none for this driver. */
uint32_t dmattn_selector_tile_registers(const capabilities *caps, const selector_tile *tile,
                                        const dmattn_selector_desc *desc);

/* `paged`: rows of k are in pages. */
void dmattn_selector_tile_kernel(const selector_tile *tile, bool paged, char name[KERNEL_NAME]);

/* Scores in the workspace: `rounds` times, the tiles of a round get their scores, and then their lists. */
typedef struct selector_layout {
    uint64_t tiles; /* of all planes */
    uint32_t round_tiles, rounds;
    uint32_t row_words;   /* of a row of scores */
    uint64_t round_bytes; /* the scores of a round */
    uint64_t means_bytes; /* 0 without blocks */
} selector_layout;

selector_layout dmattn_selector_layout(const dmattn_selector_desc *desc, const selector_tile *tile);

/* Puts the strides of k: those of a page, with `batch` from a page to the next, or those of the tensor. Returns `bit`
 * if the batch stride follows from the length, else 0. */
uint32_t dmattn_selector_put_k_strides(const dmattn_selector_desc *desc, uint32_t *constants, uint32_t id,
                                       uint32_t bit);

/* `desc` without blocks: one of the means. */
void dmattn_selector_constants(const dmattn_selector_desc *desc, const selector_tile *tile,
                               uint32_t constants[SCORES_CONSTANT_COUNT]);

#endif
