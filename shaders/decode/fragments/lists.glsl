// SPDX-License-Identifier: MIT
// Lists of entries for attend_formats.glsl. Each subgroup has its own ones, in its part of the arrays, so that no
// subgroup waits for the list of another one. A list has whole steps: behind its last entry, there are copies of it
// that no row sees.
#ifndef LIB_FRAGMENTS_LISTS_GLSL
#define LIB_FRAGMENTS_LISTS_GLSL

#include "../../lib/coopmat.glsl"

const uint LIST_KEYS = BLOCK_KEYS / (WORKGROUP / SUBGROUP), LIST_LANES = SUBGROUP;
const uint WHOLE_STEPS = 32; // a list is a multiple of so many keys; STEP_KEYS of attend_formats.glsl
#define LIST_LANE      gl_SubgroupInvocationID
#define LIST_AT(i)     (gl_SubgroupID * LIST_KEYS + (i))
#define LIST_SCAN      subgroup_scan
#define END_LIST(size) end_list(size)
#define PLACE_OF       key_row

#include "sums.glsl"

// The scales of number `at` of the arrays are in the subgroup's slice of sums. So a key takes 12 bytes of shared memory
// instead of 20.
void set_scales(uint at, vec2 s)
{
    const uint number = at - gl_SubgroupID * LIST_KEYS, unit = gl_SubgroupID * SLICE_UNITS + number / 2;
    const uvec2 words = floatBitsToUint(s);
    if (HAS_SCALES) {
        sums[unit][number % 2 * 2] = words.x;
        sums[unit][number % 2 * 2 + 1] = words.y;
    }
}

vec2 list_scales(uint at)
{
    const uint number = at - gl_SubgroupID * LIST_KEYS, unit = gl_SubgroupID * SLICE_UNITS + number / 2;
    if (!HAS_SCALES)
        return vec2(1);
    return uintBitsToFloat(uvec2(sums[unit][number % 2 * 2], sums[unit][number % 2 * 2 + 1]));
}

// Where the row of k of an entry is, in units of 16 bytes from the first page on. So its address takes one instruction.
uint key_row(uint entry)
{
    return page_index(entry) * (PAGE_BYTES / 16)
           + (kv_head * PAGE_SIZE + entry % PAGE_SIZE) * (KEY_BYTES / 16);
}

// What is added to the row of k to get that of v, in the same units. It is the same for all entries if their rows have
// the same size.
uint value_row_after(uint entry)
{
    const uint slot = VALUE_BYTES == KEY_BYTES ? 0 : kv_head * PAGE_SIZE + entry % PAGE_SIZE;
    return (PAGE_VALUES_AT + slot * (VALUE_BYTES - KEY_BYTES)) / 16;
}

// As exclusive_scan(), over the subgroup. The total comes from shared memory, so that compilers see that it is the same
// for all invocations.
uint subgroup_scan(uint x, out uint total)
{
    const uint lane = gl_SubgroupInvocationID;
    uint sum = x;
    [[unroll]] for (uint step = 1; step < SUBGROUP; step *= 2) {
        const uint below = subgroupShuffle(sum, lane >= step ? lane - step : lane);
        sum += lane >= step ? below : 0;
    }
    if (lane == SUBGROUP - 1)
        scan_sums[gl_SubgroupID] = sum;
    subgroup_sync();
    total = scan_sums[gl_SubgroupID];
    return sum - x;
}

// Ends a list of `size` entries. After the call, all invocations of the subgroup can read it.
void end_list(uint size)
{
    subgroup_sync();
    const uint at = size + LIST_LANE, last = LIST_AT(max(size, 1) - 1);
    if (at < (size + WHOLE_STEPS - 1) / WHOLE_STEPS * WHOLE_STEPS) {
        entries[LIST_AT(at)] = entries[last];
        places[LIST_AT(at)] = places[last];
        ranges[LIST_AT(at)] = 0;
        biases[LIST_AT(at)] = 0;
        set_scales(LIST_AT(at), vec2(0));
    }
    subgroup_sync();
}

#endif
