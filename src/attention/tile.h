/* SPDX-License-Identifier: MIT
 * Which tile a kernel works in: a pure function of the device's capabilities and the problem. */
#ifndef DMATTN_ATTENTION_TILE_H
#define DMATTN_ATTENTION_TILE_H

#include "../kernel.h"

/* How a kernel computes, and by which name it is found (kernel.h): the portable one, or lib/softmax_*.glsl. */
typedef enum tile_form {
    FORM_PORTABLE,
    FORM_SHARED,    /* scores in shared memory */
    FORM_REDUCED,   /* in registers, by reductions of matrices */
    FORM_FRAGMENTS, /* in registers whose layout is known */
} tile_form;

/* One way to cut the work; the names are those of shaders/lib/attention.h. */
typedef struct attention_tile {
    dmattn_level level;
    tile_form form;
    uint32_t workgroup;
    uint32_t rows, keys;
    uint32_t heads_per_tile; /* rows of a query */
    uint32_t subgroup_size;  /* the size that the kernel will run with */
    /* portable */
    uint32_t key_lanes;
    uint32_t depth;
    uint32_t value_keys;
    /* by matrices */
    matrix_shape matrix;
    dmattn_type operands;  /* the type of its elements */
    uint32_t query_blocks; /* of a row of q (backward, of keys: of k) in registers, in units of K, */
    uint32_t dout_blocks;  /* backward: and of dout (of keys: of v) */
    uint32_t tile_buffers; /* backward: tiles of k and v (of keys: of q and dout) in shared memory at a time */
    bool lazy, guarded;
    uint32_t fragment_layout; /* LAYOUT_..., of FORM_FRAGMENTS */
    uint32_t splits;          /* of the keys, whose partial results are combined; 0: 1 */
    uint32_t slice;           /* workgroups of a dispatch, at most; 0: by the work that they have */
} attention_tile;

/* Queries in a tile. */
uint32_t dmattn_tile_queries(const attention_tile *tile);

/* Queries that share a list: those of a tile, or of several where it has few, so that lists do not take too much. */
uint32_t dmattn_tile_list_queries(const attention_tile *tile);

/* Bytes of shared memory that the kernel takes. `desc` is resolved, here and below. */
uint32_t dmattn_tile_shared_memory(const attention_tile *tile, const dmattn_attention_desc *desc);

/* Whether a device can run it. */
bool dmattn_tile_fits(const attention_tile *tile, const capabilities *caps, const dmattn_attention_desc *desc);

/* Chooses a tile of a level that the device can do; if there is none, false and the reason in `why`. */
bool dmattn_tile_choose(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                        attention_tile *tile, char *why, size_t size);

/* All that may be worth a try, the chosen one first; returns their number, at most `max`. */
uint32_t dmattn_tile_candidates(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                                attention_tile *tiles, uint32_t max, char *why, size_t size);

/* Ways to cut the work by matrices, fitting or not, that a search for the best one tries: every number of subgroups, of
 * rows and keys, and so on. Returns their number, at most `max`. */
uint32_t dmattn_tile_search(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                            attention_tile *tiles, uint32_t max);

/* The name of its kernel of the family `stem`, without the level. */
void dmattn_tile_kernel(const attention_tile *tile, const char *stem, char name[KERNEL_NAME]);

/* How it computes, for people: level, form and type. */
void dmattn_tile_describe(const attention_tile *tile, dmattn_type type, char text[KERNEL_NAME]);

/* How many heads of a group share a tile of so many rows. */
uint32_t dmattn_tile_heads_per_tile(const dmattn_attention_desc *desc, uint32_t rows);

/* ---- of all kernels by matrices: also backward_tile.c ----------------------------------------------------------- */

/* What all tiles of a level have in common; false if there is none, with the reason in `why`. */
bool dmattn_tile_begin_matrix(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                              attention_tile *tile, char *why, size_t size);

/* The forms of a level, the best first. */
#define LEVEL_FORMS 2
const tile_form *dmattn_level_forms(dmattn_level level);

/* Whether the device's matrices make up a tile of pairs, whose `rows` are shared by subgroups. */
bool dmattn_tile_matrix_fits(const attention_tile *tile, const capabilities *caps, uint32_t rows, uint32_t columns);

#endif
