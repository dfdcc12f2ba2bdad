/* SPDX-License-Identifier: MIT
 * A packed batch: which part of the work each workgroup of attention has, for C and for GLSL.
 *
 * The rows of q of all items follow each other, and each tile of queries has queries of one item. schedule_items.comp
 * reads the numbers of queries and keys of all items, and writes
 *
 *     items     uvec4 [items]          first row of q, queries, first row of k, keys
 *     parts     2 uvec4 [most_parts]   the splits of the tiles of items whose keys are divided
 *     tiles     2 uvec4 [most_tiles]   the tiles of all other items
 *
 * An entry of parts or tiles is the item as above, but with a row of k that exists, and then: the number of the item,
 * the tile, the split, the number of splits. Entries that are not used have no splits, and come last.
 *
 * Balance: a unit of work is a tile of queries and unit_keys keys. If the tiles of all items have `total` units, a
 * split has at least most >= total / shares of them, so an item of n units for each tile has floor(n / most) splits. A
 * long item gets many, and items that are not longer than others get one. There are at most `shares` parts:
 * sum tiles(i) * floor(n(i) / most) <= total / most. */
#ifndef DMATTN_SCHEDULE_ITEMS_H
#define DMATTN_SCHEDULE_ITEMS_H

#include "shared.h"

#define ITEM_BYTES  16
#define ENTRY_BYTES 32

#ifdef GL_core_profile
#define SCHEDULE_FUNCTION
#else
#define SCHEDULE_FUNCTION static inline
#endif

SCHEDULE_FUNCTION DMATTN_UINT parts_of(DMATTN_UINT whole, DMATTN_UINT part)
{
    return whole / part + (whole % part != 0 ? 1 : 0);
}

/* The fewest units of a split. `least`: as many are worth a workgroup. */
SCHEDULE_FUNCTION DMATTN_UINT units_of_split(DMATTN_UINT total, DMATTN_UINT shares, DMATTN_UINT least)
{
    const DMATTN_UINT share = parts_of(total, shares < 1 ? 1 : shares);
    return share < least ? least : share;
}

/* The number of splits of each tile of an item. */
SCHEDULE_FUNCTION DMATTN_UINT splits_of_item(DMATTN_UINT units, DMATTN_UINT most)
{
    const DMATTN_UINT splits = units / most;
    return splits < 1 ? 1 : splits;
}

/* Specialization constants, X(id, name, default). */
#define SCHEDULE_ITEMS_CONSTANTS(X) X(0, WORKGROUP, 128)

/* Push constants. */
#define SCHEDULE_ITEMS_PARAMS                                                         \
    DMATTN_ADDRESS counts; /* i32 [items, 2] */                                       \
    DMATTN_ADDRESS results;                                                           \
    DMATTN_UINT items;                                                                \
    DMATTN_UINT queries; /* the most of an item, as keys */                           \
    DMATTN_UINT keys;                                                                 \
    DMATTN_UINT rows;     /* of q; those of items beyond do not exist */              \
    DMATTN_UINT key_rows; /* the same of k, if they follow each other; or 0 */        \
    DMATTN_UINT tile_queries;                                                         \
    DMATTN_UINT unit_keys;                                                            \
    DMATTN_UINT least_units;                                                          \
    DMATTN_UINT most_parts; /* the number of shares; 0: no item has several splits */ \
    DMATTN_UINT most_tiles;

#endif
