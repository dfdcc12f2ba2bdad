/* SPDX-License-Identifier: MIT
 * Contents that differ from tile to tile of keys, so that an online softmax must treat each tile in another way. */
#ifndef DMATTN_TESTS_TILE_CONTENTS_H
#define DMATTN_TESTS_TILE_CONTENTS_H

#include "problem.h"

typedef struct tile_contents {
    const char *name;
    double (*score)(uint32_t tile);              /* the scores of a tile of keys, if not NULL */
    void (*set)(problem *p, uint32_t tile_keys); /* sets the mask or the biases, if not NULL */
    uint32_t least_tiles;                        /* the lowest number of tiles that is of interest */
    bool for_mask, for_bias;                     /* only for problems with a mask, or a bias */
} tile_contents;

/* The first contents are the random ones: they change nothing. */
#define MANY_TILES_CONTENTS 8
extern const tile_contents many_tiles_contents[MANY_TILES_CONTENTS];

/* Whether contents are for problems of this kind. */
bool tile_contents_fit(const tile_contents *c, const dmattn_attention_desc *d);

/* Changes a problem with random inputs, a scale of 1 or -1, and tiles of `tile_keys` keys. */
void tile_contents_set(const tile_contents *c, problem *p, uint32_t tile_keys);

#endif
