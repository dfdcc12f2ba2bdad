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
    fetch_keys(range.x, FIRST_STEP, range.y - range.x, k);
    fetch_values(range.x, FIRST_STEP, range.y - range.x, v);
#endif
}

// Combines the results of the subgroups, in order. If IS_ALONE, this is the output.
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
            sum += weight * uintBitsToFloat(sums[sums_row(n, r) + column]);
        }
        if (row_exists(row) && IS_ALONE)
            store_output(row, column, sum, vec2(largest, l));
        else if (row_exists(row)) {
            SharedQuads(partial_row(split, row)).q[column] = floatBitsToUint(sum);
            if (column == 0)
                SharedPairs(partial_softmax(split, row)).p[0] = floatBitsToUint(vec2(largest, l));
        }
    }
}

// Attends to the subgroup's keys of a list. `k` and `v` hold the first ones. `new_tokens`: there may be new tokens.
void attend_block(uint first_row, uint block, uint listed, const bool new_tokens, FIRST_QUERIES(q), inout KEYS(k),
                  inout VALUES(v), inout vec2 row_max, inout vec2 row_sum, inout OUTPUTS)
{
    for (uint first = FIRST_STEP; first < listed; first += STEP_BY) {
        PROBABILITIES(probabilities);
        bool seen[SEEN_KEYS];
#ifdef FORMATS
        if (new_tokens)
            replace_new_keys(block, first, listed, k);
#endif
        attend_keys(first_row, block, first, listed, q, k, row_max, row_sum, probabilities, seen, o);
        // Loaded while these values are added. With blocks, attend_keys() loads the keys, which is faster there.
#if !defined(FORMATS) || defined(SUBGROUP_LISTS)
        fetch_keys(block, NEXT_STEP(first, listed), listed, k);
#endif
#ifdef FORMATS
        if (new_tokens)
            replace_new_values(block, first, listed, v);
#endif
        add_values(probabilities, v, seen, o);
        fetch_values(block, NEXT_STEP(first, listed), listed, v);
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
#ifdef SUBGROUP_LISTS
    const uint steps = ((range.y - range.x + SUBGROUPS - 1) / SUBGROUPS + STEP_KEYS - 1) / STEP_KEYS; // of a subgroup
    if (!is_first)
        barrier(); // the sums of all subgroups have been read
    const uint size = min(steps * STEP_KEYS, LIST_KEYS), first_block = range.x + gl_SubgroupID * size;
    const uint next_block = SUBGROUPS * size;
#else
    const uint size = BLOCK_KEYS, first_block = range.x, next_block = BLOCK_KEYS;
#endif
    for (uint block = first_block; block < range.y; block += next_block) {
#ifdef SUBGROUP_LISTS
        subgroup_sync(); // the previous list has been read
#else
        barrier(); // the previous list has been read
#endif
        const uint listed = list_entries(block, min(block + size, range.y));
        if (listed == 0)
            continue;
        fetch_keys(block, FIRST_STEP, listed, k);
        fetch_values(block, FIRST_STEP, listed, v);
#ifdef FORMATS
        // Only the last lists of a sequence have new tokens. Without the branches for them, loads begin earlier.
        if (TWO_LOOPS != 0 && !has_new_tokens(block, listed))
            attend_block(first_row, block, listed, false, q, k, v, row_max, row_sum, o);
        else
#endif
            attend_block(first_row, block, listed, true, q, k, v, row_max, row_sum, o);
    }
#else
    if (!is_first && range.x < range.y) {
        fetch_keys(range.x, FIRST_STEP, range.y - range.x, k);
        fetch_values(range.x, FIRST_STEP, range.y - range.x, v);
    }
    attend_block(first_row, range.x, range.y - range.x, true, q, k, v, row_max, row_sum, o);
#endif
    barrier(); // the previous content of shared memory has been read
    store_subgroup(row_max, row_sum, o);
    barrier();
    store_partial(first_row);
}

#endif
