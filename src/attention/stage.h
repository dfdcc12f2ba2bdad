/* SPDX-License-Identifier: MIT
 * Attention as a stage of a plan. */
#ifndef DMATTN_ATTENTION_STAGE_H
#define DMATTN_ATTENTION_STAGE_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"
#include "schedule.h"
#include "variants.h"

#include "../../shaders/lib/attention.h"

/* The kernels' push constants and specialization constants, from the header that they share with the shaders. */
typedef struct pair_params {
    PAIR_MEMBERS
} pair_params;
typedef struct mask_tiles_params {
    MASK_TILES_PARAMS
} mask_tiles_params;
typedef struct attention_params {
    ATTENTION_PARAMS
} attention_params;
typedef struct combine_params {
    COMBINE_PARAMS
} combine_params;
typedef struct combine_packed_params {
    COMBINE_PACKED_PARAMS
} combine_packed_params;
_Static_assert(sizeof(pair_params) % 8 == 0, "an address follows without padding, as in GLSL");
CHECK_PUSH_CONSTANTS(mask_tiles_params);
CHECK_PUSH_CONSTANTS(attention_params);
CHECK_PUSH_CONSTANTS(combine_params);
CHECK_PUSH_CONSTANTS(combine_packed_params);

#define CONSTANT_ID(id, name, default_value) CONSTANT_##name = (id),
enum attention_constant_id { ATTENTION_CONSTANTS(CONSTANT_ID) ATTENTION_CONSTANT_COUNT };
#undef CONSTANT_ID

/* Offsets in the workspace. */
typedef struct attention_places {
    uint64_t mask_tiles, partials;
} attention_places;

typedef struct attention_stage {
    dmattn_attention_desc desc; /* resolved */
    attention_tile tile;
    attention_variants variants;
    uint32_t variant;       /* of `tile` */
    uint32_t given_strides; /* with lengths: those that the app gives: dmattn_attention_given_strides() */
    bool aligned;           /* rows of q, k, v and out begin at multiples of 16 bytes if their buffers do */
    grid mask_grid, attention_grid;
    uint32_t slice; /* maximum number of workgroups of a dispatch */
    attention_places at;
    item_schedule schedule;         /* of packed items */
    VkPipeline combine[MOST_BANDS]; /* for each band; NULL unless keys are split */
    char name[96];
    char why_not[WHY_NOT_SIZE]; /* why there is no higher level */
} attention_stage;

/* choose() chooses the tile, or takes a given one, which must fit; `desc` is resolved. build() then adds the
 * pipelines to a set. */
dmattn_status dmattn_attention_stage_choose(attention_stage *stage, const dmattn_context *ctx,
                                            const dmattn_attention_desc *desc, const attention_tile *tile);
dmattn_status dmattn_attention_stage_build(attention_stage *stage, pipeline_set *set);

/* Makes the stage of a plan with `lengths` one for a shorter run, whose descriptor is resolved. It must be a copy,
 * which uses the pipelines of the plan. */
void dmattn_attention_stage_shorten(attention_stage *stage, const capabilities *caps, const dmattn_attention_desc *run);

/* Bytes of the partial results of split keys, of any run. Their offset is stage->at.partials. */
uint64_t dmattn_attention_partial_bytes(const attention_stage *stage);

/* Bytes of the bitmap of a dense mask, of any run. Its offset is stage->at.mask_tiles. */
uint64_t dmattn_attention_mask_tiles_bytes(const attention_stage *stage);

/* With an interval mask, the kernel reads the tile lists in r->tensor[TENSOR_LISTS]. With packed items, it reads the
 * schedule, which the operator plans and records. */
void dmattn_attention_stage_record(const attention_stage *stage, recorder *r, bool reuse_mask_tiles);

/* Fills in level, why_not_higher and list_queries. */
void dmattn_attention_stage_describe(const attention_stage *stage, dmattn_plan_info *info);

/* The alignment of q, k, v, out, mask or bias, in bytes. */
uint64_t dmattn_attention_alignment(const attention_stage *stage, tensor_id tensor);

double dmattn_attention_flops(const dmattn_attention_desc *desc);
double dmattn_attention_bytes(const dmattn_attention_desc *desc); /* bytes read and written */

/* Values that follow from a descriptor and a tile, without a device: the specialization constants, the grids, the size
 * of a dense mask's bitmap. */
void dmattn_attention_constants(const dmattn_attention_desc *desc, const attention_tile *tile, bool aligned,
                                uint32_t constants[ATTENTION_CONSTANT_COUNT]);

/* For plans with `lengths`: the tensors whose strides the app's descriptor gives, as bits of DERIVED_STRIDES; and the
 * constants of a plan so that these strides do not follow from the length of a run. */
uint32_t dmattn_attention_given_strides(const dmattn_attention_desc *given);
void dmattn_attention_keep_strides(const dmattn_attention_desc *desc, uint32_t given,
                                   uint32_t constants[ATTENTION_CONSTANT_COUNT]);

/* The constants of shaders/lib/score.h, which decoding also has. */
void dmattn_score_constants(const dmattn_attention_desc *desc, uint32_t *constants);

/* The push constants that all kernels of pairs have. */
pair_params dmattn_pair_params(const dmattn_attention_desc *desc, const VkDeviceAddress tensor[TENSOR_COUNT]);

bool dmattn_attention_is_aligned(const dmattn_attention_desc *desc);
grid dmattn_attention_grid(const dmattn_attention_desc *desc, const attention_tile *tile);

/* Packed items: the grids of attention and of combining for the tiles with several splits; empty if there are none. */
grid dmattn_attention_parts_grid(const dmattn_attention_desc *desc, const attention_tile *tile);
grid dmattn_combine_parts_grid(const dmattn_attention_desc *desc, const attention_tile *tile);

/* For split keys: the constants that differ for the kernel that makes partial results, which are contiguous; the number
 * of rows of all partial results, each of value_dim + 2 f32, or 0 if keys are not split; and the grid that combines
 * them, in workgroups of COMBINE_WORKGROUP. */
#define COMBINE_WORKGROUP 64
void dmattn_attention_split_constants(const dmattn_attention_desc *desc, const attention_tile *tile,
                                      uint32_t constants[ATTENTION_CONSTANT_COUNT]);
uint64_t dmattn_attention_partial_rows(const dmattn_attention_desc *desc, const attention_tile *tile);
grid dmattn_combine_grid(const dmattn_attention_desc *desc);

/* The grid of mask_tiles.comp; x is 0 if the mask has no bitmap. */
grid dmattn_mask_tiles_grid(const dmattn_attention_desc *desc, const attention_tile *tile);

/* The number of its invocations, and its pipeline, for the constants of the kernel that reads the bitmap. */
uint32_t dmattn_mask_tiles_workgroup(const capabilities *caps, const attention_tile *tile);
dmattn_status dmattn_mask_tiles_build(pipeline_set *set, const char *kernel_name, const attention_tile *tile,
                                      const uint32_t constants[ATTENTION_CONSTANT_COUNT], VkPipeline *pipeline);
uint64_t dmattn_mask_tiles_bytes(const dmattn_attention_desc *desc, const attention_tile *tile);

#endif
