/* SPDX-License-Identifier: MIT
 * A fixed tile for the portable level. */
#ifndef DMATTN_TESTS_TILE_64_H
#define DMATTN_TESTS_TILE_64_H

#include "attention/tile.h"

static const attention_tile tile_64 = {.level = DMATTN_LEVEL_PORTABLE,
                                       .form = FORM_PORTABLE,
                                       .workgroup = 128,
                                       .rows = 64,
                                       .keys = 64,
                                       .heads_per_tile = 1,
                                       .subgroup_size = 32,
                                       .key_lanes = 8,
                                       .depth = 16,
                                       .value_keys = 16};

#endif
