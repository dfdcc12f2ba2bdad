// SPDX-License-Identifier: MIT
// Shared memory of the subgroups' results. Each subgroup has a slice, which it uses alone until its results are in it:
// first for the check of the fragment layout, then, with SUBGROUP_LISTS, for the scales of its list.
#ifndef LIB_FRAGMENTS_SUMS_GLSL
#define LIB_FRAGMENTS_SUMS_GLSL

#ifdef FORMATS
#define FRAGMENT_ROWS 8 // of q, which are multiplied together
#else
#define FRAGMENT_ROWS 16
#endif

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint STORED_ROWS = TOKENS * GROUP < FRAGMENT_ROWS ? TOKENS * GROUP : FRAGMENT_ROWS;
const uint OUT_PITCH = VALUE_DIM / 4 + 1; // in units of 16 bytes; one is unused, so that rows start in different banks
const uint CHECK_PITCH = 5, CHECK_UNITS = 16 * CHECK_PITCH;
#ifdef SUBGROUP_LISTS
const uint LIST_UNITS = HAS_SCALES ? (LIST_KEYS + 1) / 2 : 0; // two pairs of scales in each
#else
const uint LIST_UNITS = 0;
#endif
const uint OTHER_UNITS = CHECK_UNITS > LIST_UNITS ? CHECK_UNITS : LIST_UNITS;
const uint SLICE_UNITS = STORED_ROWS * OUT_PITCH > OTHER_UNITS ? STORED_ROWS * OUT_PITCH : OTHER_UNITS;

shared uvec4 sums[SUBGROUPS * SLICE_UNITS];

// Where a row of a subgroup's results begins.
uint sums_row(uint subgroup, uint row)
{
    return subgroup * SLICE_UNITS + row * OUT_PITCH;
}

#endif
