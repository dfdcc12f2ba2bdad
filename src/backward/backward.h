/* SPDX-License-Identifier: MIT
 * The gradients of attention as a stage of a plan:
 *
 *     backward_preprocess  lse and D of each query and head
 *     backward_queries  dq, by tiles of queries
 *     key_ranges, schedule_keys  the work items of backward_keys
 *     backward_keys     dk, dv and dbias by key, by tiles of keys; with intervals in the order of their visible
 *                       ranges
 *     combine_keys      sums the partial results of tiles that several work items share
 *     backward_bias     dbias by query and key
 *     sum_partials      dbias by key, over the batch items and heads that share it
 *     sink_gradient     dsink
 */
#ifndef DMATTN_BACKWARD_H
#define DMATTN_BACKWARD_H

#include "../attention/stage.h"
#include "../sum_partials.h"
#include "key_lists.h"
#include "key_order.h"

typedef struct preprocess_params {
    PREPROCESS_PARAMS
} preprocess_params;
typedef struct backward_query_params {
    BACKWARD_QUERY_PARAMS
} backward_query_params;
typedef struct backward_key_params {
    BACKWARD_KEY_PARAMS
} backward_key_params;
typedef struct schedule_params {
    SCHEDULE_PARAMS
    uint32_t padding;
} schedule_params;
typedef struct backward_bias_params {
    BACKWARD_BIAS_PARAMS
} backward_bias_params;
typedef struct sink_gradient_params {
    SINK_GRADIENT_PARAMS
} sink_gradient_params;
CHECK_PUSH_CONSTANTS(preprocess_params);
CHECK_PUSH_CONSTANTS(backward_query_params);
CHECK_PUSH_CONSTANTS(backward_key_params);
CHECK_PUSH_CONSTANTS(schedule_params);
CHECK_PUSH_CONSTANTS(backward_bias_params);
CHECK_PUSH_CONSTANTS(sink_gradient_params);

/* The gradients that this stage can compute. */
#define ATTENTION_GRADIENTS                                                                      \
    ((uint32_t)(DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | DMATTN_GRADIENT_BIAS \
                | DMATTN_GRADIENT_SINK))

/* The tiles: for dq; for the gradients by key; and for dbias by query and key, always portable. */
typedef struct backward_tiles {
    attention_tile query, key, bias;
} backward_tiles;

/* About how many 32-bit registers a lane of the portable kernels of queries and of keys needs. */
uint32_t dmattn_backward_query_registers(const capabilities *caps, const attention_tile *tile,
                                         const dmattn_attention_desc *desc);
uint32_t dmattn_backward_key_registers(const capabilities *caps, const attention_tile *tile,
                                       const dmattn_attention_desc *desc);

/* The same for the kernels of queries and, if `keys_are_rows`, of keys by matrices in the form shared. */
uint32_t dmattn_backward_matrix_registers(const capabilities *caps, const attention_tile *tile,
                                          const dmattn_attention_desc *desc, bool keys_are_rows);

/* The kernel of queries runs once for each band of dq. If registers cannot hold the sums of both dk and dv, the kernel
 * of keys runs once for each of their bands. */
#define QUERY_BANDS ((DMATTN_MAX_HEAD_DIM + BAND - 1) / BAND)
#define KEY_PASSES  (QUERY_BANDS + (DMATTN_MAX_VALUE_DIM + BAND - 1) / BAND)

/* What the kernel of keys computes in a pass. */
typedef struct key_pass {
    uint32_t gradients; /* bits of GRADIENTS; 0: there is no such pass */
    uint32_t first;     /* column of dk or dv */
} key_pass;

/* Offsets of the stage's own memory in the workspace. */
typedef struct backward_places {
    uint64_t rows, query_tiles, key_tiles, work, dbias;
} backward_places;

typedef struct backward_stage {
    dmattn_attention_backward_desc desc; /* resolved */
    backward_tiles tile;
    bool aligned; /* rows of all tensors begin at multiples of 16 bytes if their buffers do */
    grid rows_grid, query_grid, key_grid, bias_grid, query_tiles_grid, key_tiles_grid;
    uint32_t query_slice, key_slice, bias_slice; /* maximum number of workgroups of a dispatch */
    backward_places at;
    key_order order;
    key_lists lists; /* with selected keys */
    sum_partials sum;
    /* NULL if a plan does not need them */
    VkPipeline rows, query_tiles, key_tiles, queries[QUERY_BANDS], ranges, work, keys[KEY_PASSES], combine, bias, sink;
    char name[96];
    char why_not[WHY_NOT_SIZE]; /* why there is no higher level */
} backward_stage;

/* choose() chooses tiles, or takes given ones, which must fit; `desc` is resolved. build() then makes the pipelines;
 * `at` must be filled in before. */
dmattn_status dmattn_backward_stage_choose(backward_stage *stage, const dmattn_context *ctx,
                                           const dmattn_attention_backward_desc *desc, const backward_tiles *tiles);
dmattn_status dmattn_backward_stage_build(backward_stage *stage, pipeline_set *set);

/* The name of a tile's kernel of queries, or of keys, without the level. */
void dmattn_backward_kernel(const attention_tile *tile, const dmattn_attention_desc *desc, bool of_keys,
                            char name[KERNEL_NAME]);

/* Writes dbias to r->tensor[TENSOR_DBIAS]. */
void dmattn_backward_stage_record(const backward_stage *stage, recorder *r);

/* Bytes of the stage's own memory, without the memory of the key order. */
uint64_t dmattn_backward_rows_bytes(const backward_stage *stage);
uint64_t dmattn_backward_work_bytes(const backward_stage *stage);
uint64_t dmattn_backward_partial_bytes(const backward_stage *stage);

/* Queries per tile list for the kernel of queries. */
uint32_t dmattn_backward_list_queries(const backward_stage *stage);

/* With selected keys, the lists of the kernel of keys. */
bool dmattn_backward_has_key_lists(const backward_stage *stage);
key_lists_desc dmattn_backward_key_lists(const backward_stage *stage);

/* ---- without a device: the descriptor (backward_desc.c), tiles (backward_tile.c), constants and grids
 * (backward_constants.c) */

/* Checks `desc` and fills in all defaults, also in desc->attention. */
dmattn_status dmattn_attention_backward_desc_resolve(const dmattn_attention_backward_desc *desc,
                                                     dmattn_attention_backward_desc *resolved,
                                                     const messenger *messenger);

/* Bytes of a tensor that is read or written; 0 if it does not exist. */
uint64_t dmattn_attention_backward_tensor_bytes(const dmattn_attention_backward_desc *desc, tensor_id tensor);
uint64_t dmattn_attention_backward_alignment(const backward_stage *stage, tensor_id tensor);
double dmattn_backward_flops(const dmattn_attention_backward_desc *desc);
double dmattn_backward_bytes(const dmattn_attention_backward_desc *desc); /* bytes read and written */
bool dmattn_backward_is_aligned(const dmattn_attention_backward_desc *desc);

/* Whether a workgroup of keys sums dbias over the heads of a kv head. If false, it sums for each head separately. */
bool dmattn_backward_sums_group(const dmattn_attention_backward_desc *desc);

/* The tiles of a level that may be fast, the best one first: of queries, or of keys. Returns their number, at most
 * `max`; if there are none, the reason is in `why`. */
#define BACKWARD_CANDIDATES 32
uint32_t dmattn_backward_candidates(const capabilities *caps, const dmattn_attention_backward_desc *desc,
                                    dmattn_level level, bool of_keys, attention_tile *tiles, uint32_t max, char *why,
                                    size_t size);

/* Chooses tiles of a level that the device supports: the first candidates. If there are none, returns false and the
 * reason in `why`. */
bool dmattn_backward_tiles_choose(const capabilities *caps, const dmattn_attention_backward_desc *desc,
                                  dmattn_level level, backward_tiles *tiles, char *why, size_t size);

/* Chooses the smallest valid tiles, which compile fastest. */
bool dmattn_backward_tiles_least(const capabilities *caps, const dmattn_attention_backward_desc *desc,
                                 dmattn_level level, backward_tiles *tiles);
uint32_t dmattn_backward_query_shared_memory(const attention_tile *tile, const dmattn_attention_desc *desc);
uint32_t dmattn_backward_key_shared_memory(const attention_tile *tile, const dmattn_attention_desc *desc);

void dmattn_backward_query_constants(const dmattn_attention_backward_desc *desc, const attention_tile *tile,
                                     bool aligned, uint32_t constants[ATTENTION_CONSTANT_COUNT]);
void dmattn_backward_key_constants(const dmattn_attention_backward_desc *desc, const attention_tile *tile, bool aligned,
                                   uint32_t constants[ATTENTION_CONSTANT_COUNT]);

key_pass dmattn_backward_key_pass(const dmattn_attention_backward_desc *desc, const attention_tile *tile,
                                  uint32_t pass);
void dmattn_backward_rows_constants(const dmattn_attention_backward_desc *desc, const capabilities *caps, bool aligned,
                                    uint32_t constants[ATTENTION_CONSTANT_COUNT]);
grid dmattn_backward_rows_grid(const dmattn_attention_backward_desc *desc, const capabilities *caps);

/* For backward_keys*.comp, which has a workgroup for each work item: its grid, the bytes of the schedule, and the grids
 * of the kernels that make the schedule and combine the results (backward/key_schedule.glsl). */
grid dmattn_backward_key_grid(const dmattn_attention_backward_desc *desc, const attention_tile *tile);
uint64_t dmattn_backward_schedule_bytes(const dmattn_attention_backward_desc *desc, const attention_tile *tile);
grid dmattn_backward_ranges_grid(const dmattn_attention_backward_desc *desc, const attention_tile *tile);
grid dmattn_backward_combine_grid(const dmattn_attention_backward_desc *desc, const attention_tile *tile);
grid dmattn_backward_bias_grid(const dmattn_attention_backward_desc *desc, const attention_tile *tile);

#endif
