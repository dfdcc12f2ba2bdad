// SPDX-License-Identifier: MIT
// The numbers of the `count` best scores of a query, in ascending order.
//
// The count-th best score is found by histograms: each step divides the range in which it is into bins, one of which is
// the next range (radix select). Of the numbers with exactly this score, the first ones are listed. The row of
// scores is read up to four times.
//
// Workgroup (x, y): row x of tile y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define WIDE_PRODUCTS
#include "selector.h"
#include "../lib/order.glsl"

SELECT_NUMBERS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    SELECT_NUMBERS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#include "seen.glsl"
#include "../lib/scan.glsl"

const uint ALWAYS = 0xffffffff; // above the order of every score
const uint NO_BIN = 0xffffffff;
#define BIN_BITS 11
const uint BINS = 1 << BIN_BITS, LANE_BINS = BINS / WORKGROUP;

shared uint histogram[BINS];
shared uint bin_, left_, equals_;

// Orders from `base` on, 2^bits of them, in bins of 2^shift.
struct order_range {
    uint base, bits, shift;
};

uint invocation, seen;
uint own; // the query's own number, if it has one
bool has_own;
uvec2 row;

// Four scores from number `first` on, a multiple of 4; the last ones instead of those behind.
uvec4 load_scores(uint first)
{
    return Quads(row).q[min(first, seen - 1) / 4];
}

// Their orders. Those that the query does not see have NEVER_SEEN.
uvec4 orders_of(uvec4 scores, uint first)
{
    uvec4 orders;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint number = first + i;
        const bool stays = number < p.first || has_own && number <= own && own - number < p.recent;
        orders[i] = number >= seen ? NEVER_SEEN : stays ? ALWAYS : order_of(uintBitsToFloat(scores[i]));
    }
    return orders;
}

uint bin_of(uint order, order_range range)
{
    if (order == NEVER_SEEN)
        return NO_BIN;
    const uint above = order - range.base;
    return range.bits < 32 && above >> range.bits != 0 ? NO_BIN : above >> range.shift;
}

void count_orders(order_range range)
{
    for (uint i = invocation; i < BINS; i += WORKGROUP)
        histogram[i] = 0;
    barrier();
    for (uint first = 4 * invocation; first < seen; first += 4 * WORKGROUP * LOADS) {
        uvec4 scores[LOADS];
        [[unroll]] for (uint n = 0; n < LOADS; n++)
            scores[n] = load_scores(first + 4 * WORKGROUP * n);
        [[unroll]] for (uint n = 0; n < LOADS; n++) {
            const uvec4 orders = orders_of(scores[n], first + 4 * WORKGROUP * n);
            [[unroll]] for (uint i = 0; i < 4; i++) {
                const uint bin = bin_of(orders[i], range);
                if (bin != NO_BIN)
                    atomicAdd(histogram[bin], 1);
            }
        }
    }
    barrier();
}

// Finds the bin of the left-th largest order. Sets bin_, equals_ (how many orders it has), and left_ (how many of these
// are listed).
void find_bin(uint left)
{
    const uint top = BINS - 1 - invocation * LANE_BINS;
    uint mine = 0, total;
    for (uint i = 0; i < LANE_BINS; i++)
        mine += histogram[top - i];
    uint before = exclusive_scan(mine, total);
    if (before < left && left <= before + mine)
        for (uint i = 0; i < LANE_BINS; i++) {
            const uint here = histogram[top - i];
            if (before < left && left <= before + here) {
                bin_ = top - i;
                equals_ = here;
                left_ = left - before;
            }
            before += here;
        }
    barrier();
}

// Orders above `least` are listed, and the first `left` of those equal to it.
void find_least(out uint least, out uint left)
{
    order_range range = order_range(0, 32, 32 - BIN_BITS);
    left = p.count;
    [[dont_unroll]] do {
        count_orders(range);
        find_bin(left);
        range.base += bin_ << range.shift;
        range.bits = range.shift;
        range.shift = max(range.bits, BIN_BITS) - BIN_BITS;
        left = left_;
        if (equals_ == left) { // all of this bin are listed
            least = range.base - 1;
            left = 0;
            return;
        }
    } while (range.bits > 0);
    least = range.base;
}

void main()
{
    invocation = ordered_invocation();
    const uint tiles = (p.queries - 1) / TILE_QUERIES + 1, tile = p.first_tile + WORKGROUP_ID.y;
    const uint plane = tile / tiles, query = tile % tiles * TILE_QUERIES + WORKGROUP_ID.x;
    if (query >= p.queries)
        return;
    const item_lengths l = lengths_of(plane / LISTS);
    const int position = position_of(l, query);
    seen = seen_numbers(l, query);
    has_own = position >= 0;
    own = uint(max(position, 0)) >> p.shift;
    row = advance(p.scores, WORKGROUP_ID.y * TILE_QUERIES + WORKGROUP_ID.x, wide_product(p.row_words, 4));
    const uvec2 of_plane = advance(p.selected, plane, wide_product(p.queries, 4 * p.count));
    const uvec2 list = advance(of_plane, query, uvec2(4 * p.count, 0));

    uint least = NEVER_SEEN, left = 0;
    if (seen > p.count)
        find_least(least, left);
    uint above = 0, equals = 0;
    for (uint first = 0; first < seen; first += 4 * WORKGROUP * LOADS) {
        const uint number = first + 4 * LOADS * invocation;
        uvec4 orders[LOADS];
        uint mine = 0, total; // lower half: orders above the least; upper half: equal ones
        [[unroll]] for (uint n = 0; n < LOADS; n++)
            orders[n] = load_scores(number + 4 * n);
        [[unroll]] for (uint n = 0; n < LOADS; n++) {
            orders[n] = orders_of(orders[n], number + 4 * n);
            [[unroll]] for (uint i = 0; i < 4; i++)
                mine += orders[n][i] > least ? 1 : orders[n][i] == least && left > 0 ? 0x10000u : 0;
        }
        const uint before = exclusive_scan(mine, total);
        uint a = above + (before & 0xffffu), e = equals + (before >> 16);
        [[unroll]] for (uint n = 0; n < LOADS; n++)
            [[unroll]] for (uint i = 0; i < 4; i++)
                if (orders[n][i] > least)
                    Words(list).w[a++ + min(e, left)] = number + 4 * n + i;
                else if (orders[n][i] == least && left > 0) {
                    if (e < left)
                        Words(list).w[a + e] = number + 4 * n + i;
                    e++;
                }
        above += total & 0xffffu;
        equals += total >> 16;
        if (above + min(equals, left) >= p.count)
            break;
    }
    for (uint i = above + min(equals, left) + invocation; i < p.count; i += WORKGROUP)
        Words(list).w[i] = 0xffffffffu;
}
