// SPDX-License-Identifier: MIT
// The keys of a tile in the backward kernels of keys. They are neighbouring keys, or, with intervals, neighbours in the
// order of range_codes.comp.
#ifndef LIB_TILE_KEYS_GLSL
#define LIB_TILE_KEYS_GLSL

shared uint tile_keys[TILE_KEYS]; // numbers from p.keys on mean: no key
shared ivec2 tile_ranges[TILE_KEYS];

uint key_tile;

// Whether the keys have an order of their own (range_codes.comp).
#ifdef SELECTED_KEYS
const bool IN_ORDER = false;
#else
#define IN_ORDER LISTED
#endif

// Finds the keys of tile `tile` of the current batch item and kv head.
void find_keys(uint tile)
{
    key_tile = tile;
    for (uint i = invocation; i < TILE_KEYS; i += WORKGROUP) {
        const uint slot = tile * TILE_KEYS + i;
        uint key = slot;
        if (IN_ORDER) {
            const uint padded = (p.keys + KEY_ORDER_BLOCK - 1) & ~(KEY_ORDER_BLOCK - 1);
            const uint plane = MASK_BATCHES * batch * (MASK_HEADS == SCORE_HEADS_ONE ? 1 : HEADS / GROUP)
                               + (MASK_HEADS == SCORE_HEADS_ONE ? 0 : kv_head);
            Pairs order = Pairs(advance(WALK, plane, uvec2(8 * padded, padded >> 29)));
            key = slot < padded ? order.p[slot].y : p.keys;
        }
        tile_keys[i] = key;
    }
    barrier();
}

#endif
