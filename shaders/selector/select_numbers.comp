// SPDX-License-Identifier: MIT
// The numbers of the `count` best scores of a query, in ascending order.
//
// The count-th best score is found digit by digit, from the top: each step makes a histogram of the scores that have
// the digits found so far (radix select). Of the numbers with exactly this score, the first ones are listed. The row of
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
const uint NO_DIGIT = 0xffffffff;
#define DIGIT_BITS 11
const uint BINS = 1 << DIGIT_BITS, LANE_BINS = BINS / WORKGROUP;

shared uint histogram[BINS];
shared uint digit_, left_, equals_;

uint invocation, seen;
uint own; // the query's own number, if it has one
bool has_own;
uvec2 row;

// The orders of numbers `first` to `first` + 3. Those that the query does not see have NEVER_SEEN.
uvec4 load_orders(uint first)
{
    const uvec4 words = Quads(row).q[first / 4];
    uvec4 orders;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint number = first + i;
        const bool stays = number < p.first || has_own && number <= own && own - number < p.recent;
        orders[i] = number >= seen ? NEVER_SEEN : stays ? ALWAYS : order_of(uintBitsToFloat(words[i]));
    }
    return orders;
}

// Counts the digits at `shift` of the orders whose higher digits are those of `prefix`.
void count_digits(uint shift, uint bits, uint prefix)
{
    for (uint i = invocation; i < BINS; i += WORKGROUP)
        histogram[i] = 0;
    barrier();
    for (uint first = 4 * invocation; first < seen; first += 4 * WORKGROUP) {
        const uvec4 orders = load_orders(first);
        uint run = NO_DIGIT, length = 0; // equal neighbours are counted together
        [[unroll]] for (uint i = 0; i < 4; i++) {
            const bool counts = orders[i] != NEVER_SEEN
                                && (shift + bits == 32 || orders[i] >> shift + bits == prefix >> shift + bits);
            const uint digit = counts ? bitfieldExtract(orders[i], int(shift), int(bits)) : NO_DIGIT;
            if (digit != run && length > 0)
                atomicAdd(histogram[run], length);
            length = digit == NO_DIGIT ? 0 : digit == run ? length + 1 : 1;
            run = digit;
        }
        if (length > 0)
            atomicAdd(histogram[run], length);
    }
    barrier();
}

// Finds the digit of the left-th largest order. Sets digit_, equals_ (how many orders have it), and left_ (how many of
// these are listed).
void find_digit(uint left)
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
                digit_ = top - i;
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
    least = 0;
    left = p.count;
    [[dont_unroll]] for (uint shift = 32 - DIGIT_BITS;;) {
        const uint bits = shift == 0 ? 32 - 2 * DIGIT_BITS : DIGIT_BITS;
        count_digits(shift, bits, least);
        find_digit(left);
        least |= digit_ << shift;
        left = left_;
        if (equals_ == left) { // all with these digits are listed
            least--;
            left = 0;
            break;
        }
        if (shift == 0)
            break;
        shift = shift < DIGIT_BITS ? 0 : shift - DIGIT_BITS;
    }
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
    for (uint first = 0; first < seen; first += 4 * WORKGROUP) {
        const uint number = first + 4 * invocation;
        uvec4 orders = uvec4(NEVER_SEEN);
        if (number < seen)
            orders = load_orders(number);
        uint mine = 0, total; // lower half: orders above the least; upper half: equal ones
        [[unroll]] for (uint i = 0; i < 4; i++)
            mine += orders[i] > least ? 1 : orders[i] == least && left > 0 ? 0x10000u : 0;
        const uint before = exclusive_scan(mine, total);
        uint a = above + (before & 0xffffu), e = equals + (before >> 16);
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (orders[i] > least)
                Words(list).w[a++ + min(e, left)] = number + i;
            else if (orders[i] == least && left > 0) {
                if (e < left)
                    Words(list).w[a + e] = number + i;
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
