/* SPDX-License-Identifier: MIT
 * Attention of any lengths up to a maximum, from one plan: the tiles that a plan has, which is for which lengths, and
 * what of a plan depends on them. */
#ifndef DMATTN_ATTENTION_VARIANTS_H
#define DMATTN_ATTENTION_VARIANTS_H

#include "tile.h"

/* The output has at most so many bands. */
#define MOST_BANDS (DMATTN_MAX_VALUE_DIM / (BAND / 2))

/* A tile, for runs whose keys are split and for others. */
typedef struct attention_variant {
    attention_tile tile;                            /* `splits` is 1 */
    bool splits;                                    /* some lengths split the keys */
    VkPipeline mask_tiles;                          /* NULL without a dense mask */
    VkPipeline whole[MOST_BANDS], part[MOST_BANDS]; /* for each band of the output; NULL if the plan does not need it:
                                                       the kernel for whole keys, and for a part of them */
    VkPipeline hiding_whole[MOST_BANDS], hiding_part[MOST_BANDS]; /* additive masks: for rows that only hide */
} attention_variant;

#define MOST_VARIANTS 8
typedef struct attention_variants {
    uint32_t count;
    attention_variant of[MOST_VARIANTS];
} attention_variants;

/* These functions need no device. */

/* The tiles that runs of `desc` use: the lengths of `desc`, which must be resolved, and with desc->lengths also shorter
 * ones. `tile`: for the lengths of `desc`; `given`: all runs use it. With interval masks, this tile is the only one,
 * because lists are made for it. */
attention_variants dmattn_attention_variants(const capabilities *caps, const dmattn_attention_desc *desc,
                                             const attention_tile *tile, bool given);

/* The variant for a run, and its tile with the number of splits. If no variant has the tile that these lengths would
 * have in a plan of their own, it is the first one. */
const attention_variant *dmattn_attention_variant_for(const attention_variants *variants, const capabilities *caps,
                                                      const dmattn_attention_desc *run, attention_tile *tile);

#endif
