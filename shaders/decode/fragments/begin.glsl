// SPDX-License-Identifier: MIT
// What attend_rows.glsl and attend_formats.glsl begin with: shared memory and the fragment layout
// (LAYOUT_QUAD_ROWS of fragment_layout.h). The includer defines KEY_TILES, the matrices of 16 keys.
#ifndef LIB_FRAGMENTS_GLSL
#define LIB_FRAGMENTS_GLSL

#include "../../lib/coopmat.glsl"
#include "sums.glsl"

const uint STEP_KEYS = 16 * KEY_TILES; // keys of a subgroup at a time

// The steps of a subgroup in a list: all of them if the list is its own, or those that no other subgroup takes. Behind
// the last one, NEXT_STEP is a step whose keys can be loaded.
#ifdef SUBGROUP_LISTS
#define FIRST_STEP               0
#define STEP_BY                  STEP_KEYS
#define NEXT_STEP(first, listed) (first + STEP_KEYS < listed ? first + STEP_KEYS : first)
#else
#define FIRST_STEP               gl_SubgroupID * STEP_KEYS
#define STEP_BY                  SUBGROUPS * STEP_KEYS
#define NEXT_STEP(first, listed) first + STEP_BY
#endif

shared vec2 softmax[SUBGROUPS * STORED_ROWS]; // maximum and sum

float score_scale; // NaN if the layout is not the known one
#define SCORE_SCALE score_scale
#include "../../lib/score.glsl"
#ifndef QUERY_BITS
#include "../../lib/visible.glsl"
#endif

uint lane_row, lane_column; // an invocation has rows lane_row + {0, 8}, columns 2 lane_column + {0, 1, 8, 9}

// ---- the fragment layout --------------------------------------------------------------------------------------------

// The index of the element in row lane_row + 8 r and column element_column(n), n from 0 to 3, of a matrix (of b^T, for
// use B). A matrix of 8 columns has only r = 0 of b^T, and only n = 0 and 1 of the sums.
#define ELEMENT(r, n) (4 * (r) + (n))
#define SUM_ELEMENT(r, n) (FRAGMENT_ROWS / 4 * (r) + (n))

uint element_column(uint n)
{
    return 2 * lane_column + (n & 1) + 8 * (n >> 1);
}

// Whether matrices have this layout. Loads matrices whose elements are their own positions and compares. If the layout
// is another one, the scale and all results become NaN. The check takes a tenth of a step's time, so it runs once for
// each sequence.
bool layout_is_right()
{
    const uint slice = gl_SubgroupID * SLICE_UNITS;
    for (uint i = gl_SubgroupInvocationID; i < 64; i += SUBGROUP)
        sums[slice + i / 4 * CHECK_PITCH + i % 4] = floatBitsToUint(vec4(4 * i) + vec4(0, 1, 2, 3));
    subgroup_sync();
    MATRIX_C c;
    coopMatLoad(c, sums, slice, CHECK_PITCH, BY_ROWS);
    subgroup_sync();
    const uint row = gl_SubgroupInvocationID / 2, column = gl_SubgroupInvocationID % 2 * 8;
    uvec4 numbers;
    [[unroll]] for (uint i = 0; i < 4; i++) // up to 255, which is exact in any type
        numbers[i] = pack_operands(vec2(row * 16 + column + 2 * i) + vec2(0, 1));
    sums[slice + row * CHECK_PITCH + column / 8] = numbers;
    subgroup_sync();
    MATRIX_A a;
    MATRIX_B b;
    coopMatLoad(a, sums, slice, CHECK_PITCH, BY_ROWS);
    coopMatLoad(b, sums, slice, CHECK_PITCH, BY_COLUMNS);
    bool known = true;
    [[unroll]] for (uint r = 0; r < 2; r++)
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const float number = float((lane_row + 8 * r) * 16 + element_column(n));
#ifdef FORMATS
            const float of_b = float(lane_row * 16 + element_column(n));
            const float of_c = float((lane_row + 8 * r) * 16 + element_column(n % 2));
            known = known && float(a[ELEMENT(r, n)]) == number && float(b[n]) == of_b
                    && c[SUM_ELEMENT(r, n % 2)] == of_c;
#else
            known = known && c[ELEMENT(r, n)] == number && float(a[ELEMENT(r, n)]) == number
                    && float(b[ELEMENT(r, n)]) == number;
#endif
        }
    return subgroupAll(known);
}

#endif
