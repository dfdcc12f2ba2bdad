/* SPDX-License-Identifier: MIT
 * Decoding as a stage of a plan: the step, and the kernels that fill and copy states. */
#ifndef DMATTN_DECODE_STAGE_H
#define DMATTN_DECODE_STAGE_H

#include "../attention/tile.h"
#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/decode/balance.h"
#include "../../shaders/decode/decode.h"

typedef struct decode_params {
    DECODE_PARAMS
} decode_params;
CHECK_PUSH_CONSTANTS(decode_params);

/* A step has fewer free bytes, with a mask of new tokens 12, with a paged cache only 4; docs/architecture.md has the
 * reason. */
typedef struct bounded_decode_params {
    decode_params step;
    BOUNDED_PARAMS
} bounded_decode_params;
typedef struct paged_decode_params {
    decode_params step;
    PAGED_PARAMS
} paged_decode_params;
typedef struct tree_decode_params {
    bounded_decode_params step;
    TREE_PARAMS
} tree_decode_params;
_Static_assert(sizeof(paged_decode_params) <= MAX_PUSH_CONSTANTS - 4,
               "paged_decode_params leaves too few push constants free");

typedef struct fill_params {
    FILL_PARAMS
    uint32_t padding;
} fill_params;
CHECK_PUSH_CONSTANTS(fill_params);

typedef struct chunk_params {
    CHUNK_PARAMS
} chunk_params;
CHECK_PUSH_CONSTANTS(chunk_params);

typedef struct chunk_broken_params {
    CHUNK_BROKEN_PARAMS
} chunk_broken_params;

typedef struct copy_params {
    COPY_PARAMS
    uint32_t padding;
} copy_params;

#define DECODE_ID(id, name, default_value) DECODE_##name = (id),
enum decode_constant_id { BALANCE_CONSTANTS(DECODE_ID) DECODE_CONSTANTS(DECODE_ID) DECODE_CONSTANT_COUNT };
#undef DECODE_ID

/* How the step's work is divided; names as in shaders/decode/decode.h. */
typedef struct decode_tile {
    dmattn_level level;
    tile_form form; /* decode/decode_attend.glsl, _matrix.glsl (FORM_SHARED) or fragments/ */
    uint32_t workgroup, subgroup_size;
    uint32_t key_lanes, block_rows, block_keys;
    uint32_t splits, row_blocks;
    uint32_t shares, least_keys; /* with balance, as in shaders/decode/balance.h; otherwise 0 */
    uint32_t loads_ahead;        /* 8; fewer if a lane has few registers; 1 on a CPU */
    bool two_loops;              /* fragments with formats: lists without new tokens have a loop of their own */
    matrix_shape matrix;         /* matrix */
    dmattn_type operands;        /* matrix: the type of its elements */
} decode_tile;

typedef struct decode_stage {
    dmattn_decode_desc desc; /* resolved */
    dmattn_cache_layout layout;
    decode_tile tile;
    bool aligned; /* rows of q, k, v and out begin at multiples of 16 bytes if their buffers do */
    grid grid;
    uint64_t partials_at; /* offset in the workspace */
    VkPipeline step, begin_fill, copy, copy_state;
    VkPipeline chunk_keys, chunk_broken; /* NULL without chunks */
    char name[104];
    char why_not[WHY_NOT_SIZE]; /* why there is no higher level */
} decode_stage;

/* Chooses a tile, or takes a given one, which must fit; `desc` is resolved. */
dmattn_status dmattn_decode_stage_plan(decode_stage *stage, pipeline_set *set, const dmattn_decode_desc *desc,
                                       const decode_tile *tile);

/* Records a step. Its partial results, dmattn_decode_partial_bytes(), are in the workspace at stage->partials_at.
 * TENSOR_COUNTS and TENSOR_KEEP may be 0. With selected keys, TENSOR_LISTS has a list of all queries of each sequence.
 */
void dmattn_decode_stage_record(const decode_stage *stage, recorder *r);

/* Records the filling of a sequence's cache. *params has everything except state, pages, table and sequence. */
void dmattn_decode_stage_record_fill(const decode_stage *stage, recorder *r, fill_params *params);

/* Records the kernels of a chunk before and after its attention: the keys of the cache and of the chunk, and NaN in the
 * results of a sequence whose keys are lost; the latter is after the filling. *params has everything. */
void dmattn_decode_stage_record_chunk_keys(const decode_stage *stage, recorder *r, const chunk_params *params);
void dmattn_decode_stage_record_chunk_broken(const decode_stage *stage, recorder *r, const chunk_broken_params *params);

/* Records the copying of a sequence's state. */
void dmattn_decode_stage_record_fork(const decode_stage *stage, recorder *r, uint32_t from, uint32_t to);

/* These functions need no device. */
/* The tiles of a level that may be fast, the best one first. At the level portable, a formula gives the only one.
 * Returns their number, at most `max`; if there are none, the reason is in `why`. */
uint32_t dmattn_decode_tile_candidates(const capabilities *caps, const dmattn_decode_desc *desc, dmattn_level level,
                                       decode_tile *tiles, uint32_t max, char *why, size_t size);
/* Chooses the first candidate. If there is none, returns false and the reason in `why`. */
bool dmattn_decode_tile_choose(const capabilities *caps, const dmattn_decode_desc *desc, dmattn_level level,
                               decode_tile *tile, char *why, size_t size);
/* Whether a device can run a tile of the matrix level. */
bool dmattn_decode_tile_fits(const decode_tile *tile, const capabilities *caps, const dmattn_decode_desc *desc);
/* The name of the tile's kernel, without the level. */
void dmattn_decode_tile_kernel(const decode_tile *tile, const dmattn_decode_desc *desc, char name[KERNEL_NAME]);
/* About how many 32-bit registers a lane of the portable kernel needs. */
uint32_t dmattn_decode_tile_registers(const capabilities *caps, const decode_tile *tile,
                                      const dmattn_decode_desc *desc);
uint32_t dmattn_decode_tile_shared_memory(const decode_tile *tile, const dmattn_decode_desc *desc);
void dmattn_decode_constants(const dmattn_decode_desc *desc, const decode_tile *tile, bool aligned,
                             uint32_t constants[DECODE_CONSTANT_COUNT]);
/* The splits of a kv head and row block, of all sequences. With balance, there may be fewer. */
uint64_t dmattn_decode_all_splits(const dmattn_decode_desc *desc, const decode_tile *tile);
uint64_t dmattn_decode_partial_bytes(const decode_stage *stage);
uint64_t dmattn_decode_alignment(const decode_stage *stage, tensor_id tensor);
double dmattn_decode_flops(const dmattn_decode_desc *desc);
double dmattn_decode_bytes(const dmattn_decode_desc *desc);

#endif
