// SPDX-License-Identifier: MIT
// Loads a subgroup's queries as operands, with scores and probabilities in registers. All loads are issued at once
// (fetch_q), so that other loads can be issued before these arrive. They then pass through the subgroup's slice of
// shared memory (place_q), as many blocks at a time as fit. Included by attention_matrix.comp.
//
// The first QUERY_BLOCKS blocks of a row are kept in registers, the others, of all rows of the tile, in shared memory.

const uint Q_UNITS = MATRIX_K / 8; // of a row of a block
const uint Q_SHARED_UNITS = (HEAD_BLOCKS - QUERY_BLOCKS) * Q_UNITS;
const uint q_PITCH = Q_SHARED_UNITS + 1;
shared uvec4 q_rows[HEAD_BLOCKS > QUERY_BLOCKS ? PAIR_ROWS * q_PITCH : 1];

const uint MOST_Q_BLOCKS = (SLICE_UNITS / MATRIX_M - 1) / Q_UNITS;
const uint Q_BLOCKS = MOST_Q_BLOCKS < QUERY_BLOCKS ? MOST_Q_BLOCKS : QUERY_BLOCKS; // at a time
const uint Q_COLUMNS = Q_BLOCKS * Q_UNITS, Q_SLICE_PITCH = Q_COLUMNS + 1;
const uint Q_TURNS = (QUERY_BLOCKS + Q_BLOCKS - 1) / Q_BLOCKS;
const uint Q_STEPS = (MATRIX_M * Q_COLUMNS + SUBGROUP - 1) / SUBGROUP;
const uint Q_LOADS = ROW_BLOCKS * Q_TURNS * Q_STEPS;
#define COMING_QUERIES uvec4 coming_queries[Q_LOADS]

void fetch_q(out COMING_QUERIES)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint turn = 0; turn < Q_TURNS; turn++)
            [[unroll]] for (uint step = 0; step < Q_STEPS; step++) {
                const uint i = step * SUBGROUP + gl_SubgroupInvocationID;
                coming_queries[(m * Q_TURNS + turn) * Q_STEPS + step] =
                    q_unit(tile_row_of(m, i / Q_COLUMNS), turn * Q_COLUMNS + i % Q_COLUMNS);
            }
}

// The blocks in shared memory can be read after the next barrier.
void place_q(COMING_QUERIES, out QUERIES)
{
    const uint slice = gl_SubgroupID * SLICE_UNITS;
    if (HEAD_BLOCKS > QUERY_BLOCKS)
        [[unroll]] for (uint step = 0; step < PAIR_ROWS * Q_SHARED_UNITS; step += WORKGROUP) {
            const uint i = step + invocation, row = i / Q_SHARED_UNITS, column = i % Q_SHARED_UNITS;
            if (PAIR_ROWS * Q_SHARED_UNITS % WORKGROUP == 0 || row < PAIR_ROWS)
                q_rows[row * q_PITCH + column] = q_unit(row, QUERY_BLOCKS * Q_UNITS + column);
        }
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint turn = 0; turn < Q_TURNS; turn++) {
            [[unroll]] for (uint step = 0; step < Q_STEPS; step++) {
                const uint i = step * SUBGROUP + gl_SubgroupInvocationID, row = i / Q_COLUMNS;
                if (row < MATRIX_M)
                    staged[slice + row * Q_SLICE_PITCH + i % Q_COLUMNS] =
                        coming_queries[(m * Q_TURNS + turn) * Q_STEPS + step];
            }
            subgroup_sync();
            [[unroll]] for (uint b = 0; b < Q_BLOCKS; b++)
                if (turn * Q_BLOCKS + b < QUERY_BLOCKS)
                    coopMatLoad(q[m][turn * Q_BLOCKS + b], staged, slice + b * Q_UNITS, Q_SLICE_PITCH, BY_ROWS);
            subgroup_sync();
        }
}
