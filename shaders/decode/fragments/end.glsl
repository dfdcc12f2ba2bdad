// SPDX-License-Identifier: MIT
// What attend_rows.glsl and attend_formats.glsl end with: the loop over the workgroup's keys, and
// combining the results of its subgroups.
#ifndef LIB_FRAGMENTS_ATTEND_GLSL
#define LIB_FRAGMENTS_ATTEND_GLSL

// Loads the first rows, and the first keys if they are known.
void fetch_first(inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    lane_row = gl_SubgroupInvocationID / 4;
    lane_column = gl_SubgroupInvocationID % 4;
    fetch_queries(row_block * BLOCK_ROWS, q);
#ifndef PAGED
    const uvec2 range = split_entries(TOKENS);
    fetch_keys(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, k);
    fetch_values(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, v);
#endif
}

// Combines the results of the subgroups, in order.
void store_partial(uint first_row)
{
    for (uint i = invocation; i < STORED_ROWS * VALUE_DIM / 4; i += WORKGROUP) {
        const uint r = i / (VALUE_DIM / 4), column = i % (VALUE_DIM / 4), row = first_row + r;
        float largest = LOWEST, l = 0;
        vec4 sum = vec4(0);
        [[unroll]] for (uint n = 0; n < SUBGROUPS; n++)
            largest = max(largest, softmax[n * STORED_ROWS + r].x);
        [[unroll]] for (uint n = 0; n < SUBGROUPS; n++) {
            const float weight = exp2((softmax[n * STORED_ROWS + r].x - largest) * LOG2_E);
            l += weight * softmax[n * STORED_ROWS + r].y;
            sum += weight * uintBitsToFloat(sums[(n * STORED_ROWS + r) * OUT_PITCH + column]);
        }
        if (row_exists(row)) {
            SharedQuads(partial_row(split, row)).q[column] = floatBitsToUint(sum);
            if (column == 0)
                SharedPairs(partial_softmax(split, row)).p[0] = floatBitsToUint(vec2(largest, l));
        }
    }
}

// Attends to the workgroup's keys of a block, which the subgroups share. `k` and `v` hold the first keys of each
// subgroup.
void attend_block(uint first_row, uint block, uint listed, FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v),
                  inout vec2 row_max, inout vec2 row_sum, inout OUTPUTS)
{
    const uint step = SUBGROUPS * STEP_KEYS;
    for (uint first = gl_SubgroupID * STEP_KEYS; first < listed; first += step) {
        PROBABILITIES(probabilities);
        bool seen[SEEN_KEYS];
#ifdef FORMATS
        replace_new_keys(block, first, listed, k);
#endif
        attend_keys(first_row, block, first, listed, q, k, row_max, row_sum, probabilities, seen, o);
#ifndef FORMATS // where attend_keys() does it
        fetch_keys(block, first + step, listed, k); // loaded while these values are added
#else
        replace_new_values(block, first, listed, v);
#endif
        add_values(probabilities, v, seen, o);
        fetch_values(block, first + step, listed, v);
    }
}

// `q`, `k` and `v` are from fetch_first().
void attend(uint first_row, inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    OUTPUTS;
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        o[i] = MATRIX_C(0.0);
    vec2 row_max = vec2(LOWEST), row_sum = vec2(0);
#ifdef FORMATS
    begin_weights();
#endif
    layout_seen = layout_seen || layout_is_right();
    score_scale = layout_seen ? uintBitsToFloat(SCALE) : NOT_A_NUMBER;
    const bool is_first = first_row == row_block * BLOCK_ROWS;
    if (!is_first)
        fetch_queries(first_row, q);
    const uvec2 range = split_entries(count);
#ifdef PAGED
    for (uint block = range.x; block < range.y; block += BLOCK_KEYS) {
        barrier(); // the previous list has been read
        const uint listed = list_entries(block, min(block + BLOCK_KEYS, range.y));
        if (listed == 0)
            continue;
        fetch_keys(block, gl_SubgroupID * STEP_KEYS, listed, k);
        fetch_values(block, gl_SubgroupID * STEP_KEYS, listed, v);
        attend_block(first_row, block, listed, q, k, v, row_max, row_sum, o);
    }
#else
    if (!is_first && range.x < range.y) {
        fetch_keys(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, k);
        fetch_values(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, v);
    }
    attend_block(first_row, range.x, range.y - range.x, q, k, v, row_max, row_sum, o);
#endif
    barrier(); // the previous content of shared memory has been read
    store_subgroup(row_max, row_sum, o);
    barrier();
    store_partial(first_row);
}

#endif
