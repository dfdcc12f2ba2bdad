/* SPDX-License-Identifier: MIT
 * The choice of a kernel's tile: a pure function of the device's capabilities and the problem. */
#ifndef DMATTN_ATTENTION_TILE_H
#define DMATTN_ATTENTION_TILE_H

#include "../kernel.h"

/* The form of a kernel, which is also a part of its name (kernel.h): portable, or one of attention/softmax_*.glsl. */
typedef enum tile_form {
    FORM_PORTABLE,
    FORM_SHARED,    /* scores in shared memory */
    FORM_REDUCED,   /* scores in registers, reductions of matrices */
    FORM_FRAGMENTS, /* scores in registers, known fragment layout */
} tile_form;

/* A choice of sizes; names as in shaders/lib/attention.h. */
typedef struct attention_tile {
    dmattn_level level;
    tile_form form;
    uint32_t workgroup;
    uint32_t rows, keys;
    uint32_t band;           /* the most columns of the output (backward: of a gradient) at a time; 0: all */
    uint32_t heads_per_tile; /* rows per query */
    uint32_t subgroup_size;  /* the size that the kernel will run with */
    /* portable */
    uint32_t key_lanes;
    uint32_t depth;
    uint32_t value_keys;
    bool by_unit; /* loops stay loops, and sums are computed unit by unit: for compilers with few registers */
    /* matrix levels */
    matrix_shape matrix;
    dmattn_type operands;  /* the type of its elements */
    uint32_t query_blocks; /* blocks of K of a row of q (backward, keys: of k) in registers */
    uint32_t dout_blocks;  /* backward: the same for dout (keys: v) */
    uint32_t tile_buffers; /* backward: tiles of k and v (keys: q and dout) in shared memory at a time */
    bool two_passes;       /* backward, keys: the kernel runs once for dk and once for dv */
    bool guarded;
    bool sums_shared;         /* form shared, forward: the output is in shared memory, not in registers */
    uint32_t fragment_layout; /* LAYOUT_..., for FORM_FRAGMENTS, and FORM_SHARED with sums_shared */
    uint32_t splits;          /* number of splits of the keys; 0 means 1 */
    uint32_t slice;           /* maximum number of workgroups of a dispatch; 0: it follows from their work */
} attention_tile;

/* Of `dim` columns of the output, those of the first band, and the number of bands. */
uint32_t dmattn_tile_columns(const attention_tile *tile, uint32_t dim);
uint32_t dmattn_tile_bands(const attention_tile *tile, uint32_t dim);

/* The number of queries in a tile. */
uint32_t dmattn_tile_queries(const attention_tile *tile);

/* The number of queries per tile list. If a tile has few queries, several tiles share a list, so that lists need less
 * memory. */
uint32_t dmattn_tile_list_queries(const attention_tile *tile);

/* Bytes of shared memory of the kernel. Here and below, `desc` must be resolved. */
uint32_t dmattn_tile_shared_memory(const attention_tile *tile, const dmattn_attention_desc *desc);

/* About how many 32-bit registers a lane of the portable kernel needs. */
uint32_t dmattn_tile_registers(const capabilities *caps, const attention_tile *tile, const dmattn_attention_desc *desc);

/* The same for a kernel by matrices in the form shared. */
uint32_t dmattn_tile_matrix_registers(const capabilities *caps, const attention_tile *tile,
                                      const dmattn_attention_desc *desc);

/* Whether a device can run the tile. */
bool dmattn_tile_fits(const attention_tile *tile, const capabilities *caps, const dmattn_attention_desc *desc);

/* Chooses a tile of a level that the device supports. If there is none, returns false and the reason in `why`. */
bool dmattn_tile_choose(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                        attention_tile *tile, char *why, size_t size);

/* The tiles that may be fast, the chosen one first. Returns their number, at most `max`. */
uint32_t dmattn_tile_candidates(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                                attention_tile *tiles, uint32_t max, char *why, size_t size);

/* The tiles at matrix levels that a search for the best one tries, also ones that do not fit: every number of
 * subgroups, rows, keys and so on. Returns their number, at most `max`. */
uint32_t dmattn_tile_search(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                            attention_tile *tiles, uint32_t max);

/* The name of the tile's kernel in the family `stem`, without the level. */
void dmattn_tile_kernel(const attention_tile *tile, const char *stem, char name[KERNEL_NAME]);

/* The name of the forward kernel of the tile. */
void dmattn_attention_kernel(const attention_tile *tile, const dmattn_attention_desc *desc, char name[KERNEL_NAME]);

/* Describes the kernel in words: level, form and type. */
void dmattn_tile_describe(const attention_tile *tile, dmattn_type type, char text[KERNEL_NAME]);

/* The number of heads of a group that share a tile with this number of rows. */
uint32_t dmattn_tile_heads_per_tile(const dmattn_attention_desc *desc, uint32_t rows);

/* The number of tiles of heads. */
uint32_t dmattn_tile_heads(const dmattn_attention_desc *desc, const attention_tile *tile);

/* For packed items: in how many parts the work of each tile of heads is divided at most, so that each part has about as
 * much; 0: no tile of queries has several parts. And the fewest keys of a part. */
uint32_t dmattn_tile_shares(const dmattn_attention_desc *desc, const attention_tile *tile);
uint32_t dmattn_tile_least_keys(const attention_tile *tile);

/* The number of workgroups that share the keys of a tile; 1 for packed items. */
uint32_t dmattn_tile_splits(const dmattn_attention_desc *desc, const attention_tile *tile);

/* An upper bound of the number of rows of all splits, for any number of queries up to desc->queries and of keys. */
uint64_t dmattn_tile_most_partial_rows(const dmattn_attention_desc *desc, const attention_tile *tile);

/* Whether loops stay loops, and sums are computed unit by unit. Compilers then keep few addresses from one round to the
 * next, and hold few sums twice. With more registers, it is not needed. */
#define FEW_REGISTERS 192
bool dmattn_tile_by_unit(const capabilities *caps);

/* The same as dmattn_tile_candidates(), at the level portable, for a kernel of which `need` tells how many registers a
 * lane needs. Tiles that need more than the device has come last, those that need the fewest first. */
typedef uint32_t registers_fn(const capabilities *caps, const attention_tile *tile, const dmattn_attention_desc *desc);
uint32_t dmattn_tile_portable_candidates(const capabilities *caps, const dmattn_attention_desc *desc,
                                         registers_fn *need, attention_tile *tiles, uint32_t max, char *why,
                                         size_t size);

/* ---- of all kernels by matrices: also backward_tile.c ----------------------------------------------------------- */

/* Sets what all tiles of a level have in common. If the level has no tiles, returns false and the reason in `why`. */
bool dmattn_tile_begin_matrix(const capabilities *caps, const dmattn_attention_desc *desc, dmattn_level level,
                              attention_tile *tile, char *why, size_t size);

/* The forms of a level, the best one first. */
#define LEVEL_FORMS 2
const tile_form *dmattn_level_forms(dmattn_level level);

/* Whether the device's matrices fit a tile of pairs whose `rows` are divided among subgroups. */
bool dmattn_tile_matrix_fits(const attention_tile *tile, const capabilities *caps, uint32_t rows, uint32_t columns);

#endif
