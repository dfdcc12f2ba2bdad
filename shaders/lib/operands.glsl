// SPDX-License-Identifier: MIT
// Loads rows of tensors into cooperative matrices, multiplies them, and stores sums as rows. The includer defines
// `staged`, shared memory in which each subgroup has a slice of SLICE_UNITS units. These functions use it while nothing
// else is there.
#ifndef LIB_OPERANDS_GLSL
#define LIB_OPERANDS_GLSL

#include "matrix.glsl"

// The includer may forbid compilers to unroll this loop.
#ifndef ROWS_LOOP
#define ROWS_LOOP
#endif

// Some compilers do not unroll a large loop, even if it says [[unroll]]. If its counter is an index of an array of
// matrices, they keep the array in memory, and each use of it becomes a load. So below, these indices are counters of
// small loops only, and the larger loops around only choose among them.

// load_name(x) loads a subgroup's rows of the tile as operands. A row has `blocks` blocks of MATRIX_K elements. The
// first `held` blocks are kept in registers. The others, of all rows of the tile, are kept in shared memory and can be
// read after the next barrier. unit_of(row, column) returns 8 elements of a row.
#define DEFINE_LOAD_ROWS(name, blocks, held, unit_of)                                                               \
    const uint name##_PITCH = ((blocks) - (held)) * MATRIX_K / 8 + 1;                                               \
    shared uvec4 name##_rows[(blocks) > (held) ? PAIR_ROWS * name##_PITCH : 1];                                     \
                                                                                                                    \
    void load_##name(out MATRIX_A x[ROW_BLOCKS][held])                                                              \
    {                                                                                                               \
        /* At a time, as many blocks are loaded as fit in the subgroup's slice. */                                  \
        const uint block = MATRIX_K / 8, most = (SLICE_UNITS / MATRIX_M - 1) / block;                               \
        const uint at_once = most < (held) ? most : (held), pitch = at_once * block + 1;                            \
        const uint slice = gl_SubgroupID * SLICE_UNITS;                                                             \
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                            \
            [[unroll]] for (uint first = 0; first < (held); first += at_once) {                                     \
                /* unrolled, so that all loads are issued together */                                               \
                [[unroll]] for (uint step = 0; step < MATRIX_M * at_once * block; step += SUBGROUP) {               \
                    const uint i = step + gl_SubgroupInvocationID, r = i / (at_once * block);                       \
                    const uint c = i % (at_once * block);                                                           \
                    const uvec4 unit = unit_of(tile_row_of(m, r), first * block + c);                               \
                    if (r < MATRIX_M)                                                                               \
                        staged[slice + r * pitch + c] = unit;                                                       \
                }                                                                                                   \
                subgroup_sync();                                                                                    \
                [[unroll]] for (uint to = 0; to < ROW_BLOCKS * (held); to++)                                        \
                    if (to / (held) == m && to % (held) >= first && to % (held) < first + at_once)                  \
                        coopMatLoad(x[to / (held)][to % (held)], staged,                                            \
                                    slice + (to % (held) - first) * block, pitch, BY_ROWS);                         \
                subgroup_sync();                                                                                    \
            }                                                                                                       \
        if ((blocks) > (held))                                                                                      \
            ROWS_LOOP for (uint i = invocation; i < PAIR_ROWS * ((blocks) - (held)) * block; i += WORKGROUP) {      \
                const uint row = i / (((blocks) - (held)) * block), c = i % (((blocks) - (held)) * block);          \
                name##_rows[row * name##_PITCH + c] = unit_of(row, (held) * block + c);                             \
            }                                                                                                       \
    }

// add_name(x, at, y) adds x c^T to y. x is from load_name(). c are the tile's columns, rows of 8 * (pitch - 1) elements
// from staged[at] on.
// The same product in two texts. With scores in registers, the result of NVIDIA's compiler depends on the text, and
// this one was timed. The other one can keep a loop, for devices with few registers.
#ifdef REGISTERS
#define DEFINE_PRODUCT(name, blocks, held, pitch)                                                                   \
    void add_##name(const MATRIX_A x[ROW_BLOCKS][held], uint at, inout MATRIX_C y[ROW_BLOCKS][COLUMN_BLOCKS])       \
    {                                                                                                               \
        [[unroll]] for (uint d = 0; d < (blocks); d++) {                                                            \
            MATRIX_A a[ROW_BLOCKS];                                                                                 \
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                        \
                if (d < (held))                                                                                     \
                    a[m] = x[m][d];                                                                                 \
                else                                                                                                \
                    coopMatLoad(a[m], name##_rows, tile_row_of(m, 0) * name##_PITCH + (d - (held)) * MATRIX_K / 8,  \
                                name##_PITCH, BY_ROWS);                                                             \
            [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {                                                   \
                MATRIX_B b;                                                                                         \
                coopMatLoad(b, staged, at + n * MATRIX_N * (pitch) + d * MATRIX_K / 8, pitch, BY_COLUMNS);          \
                [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                    \
                    y[m][n] = coopMatMulAdd(a[m], b, y[m][n]);                                                      \
            }                                                                                                       \
        }                                                                                                           \
    }
#else
#define DEFINE_PRODUCT(name, blocks, held, pitch)                                                                   \
    void add_##name##_block(uint d, MATRIX_A a[ROW_BLOCKS], uint at,                                                \
                            inout MATRIX_C y[ROW_BLOCKS][COLUMN_BLOCKS])                                            \
    {                                                                                                               \
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {                                                       \
            MATRIX_B b;                                                                                             \
            coopMatLoad(b, staged, at + n * MATRIX_N * (pitch) + d * MATRIX_K / 8, pitch, BY_COLUMNS);              \
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                        \
                y[m][n] = coopMatMulAdd(a[m], b, y[m][n]);                                                          \
        }                                                                                                           \
    }                                                                                                               \
                                                                                                                    \
    void add_##name##_row_block(uint d, uint at, inout MATRIX_C y[ROW_BLOCKS][COLUMN_BLOCKS])                       \
    {                                                                                                               \
        MATRIX_A a[ROW_BLOCKS];                                                                                     \
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                            \
            coopMatLoad(a[m], name##_rows, tile_row_of(m, 0) * name##_PITCH + (d - (held)) * MATRIX_K / 8,          \
                        name##_PITCH, BY_ROWS);                                                                     \
        add_##name##_block(d, a, at, y);                                                                            \
    }                                                                                                               \
                                                                                                                    \
    void add_##name(const MATRIX_A x[ROW_BLOCKS][held], uint at, inout MATRIX_C y[ROW_BLOCKS][COLUMN_BLOCKS])       \
    {                                                                                                               \
        [[unroll]] for (uint d = 0; d < (held) && d < (blocks); d++) {                                              \
            MATRIX_A a[ROW_BLOCKS];                                                                                 \
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                        \
                a[m] = x[m][d];                                                                                     \
            add_##name##_block(d, a, at, y);                                                                        \
        }                                                                                                           \
        if (SUMS_SHARED != 0)                                                                                       \
            [[dont_unroll]] for (uint d = (held); d < (blocks); d++)                                                \
                add_##name##_row_block(d, at, y);                                                                   \
        else                                                                                                        \
            [[unroll]] for (uint d = (held); d < (blocks); d++)                                                     \
                add_##name##_row_block(d, at, y);                                                                   \
    }
#endif

// name(w, at, sum) adds w c to sum. WEIGHT(w, m, k), which the includer defines, is an operand of the weights w.
#define DEFINE_SUM(name, blocks, pitch)                                                                             \
    void name(WEIGHTS(w), uint at, inout MATRIX_C sum[ROW_BLOCKS][blocks])                                          \
    {                                                                                                               \
        [[unroll]] for (uint k = 0; k < SUMMED_BLOCKS; k++)                                                         \
            [[unroll]] for (uint d = 0; d < (blocks); d++) {                                                        \
                MATRIX_B b;                                                                                         \
                coopMatLoad(b, staged, at + k * MATRIX_K * (pitch) + d * MATRIX_N / 8, pitch, BY_ROWS);             \
                [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                    \
                    sum[m][d] = coopMatMulAdd(WEIGHT(w, m, k), b, sum[m][d]);                                       \
            }                                                                                                       \
    }

// store_name(sum) calls put(row, column, x, y) for every 8 sums of each row of the tile. The row or column may be
// outside the tensor.
#define DEFINE_STORE_ROWS(name, blocks, put)                                                                        \
    void store_##name(const MATRIX_C sum[ROW_BLOCKS][blocks])                                                       \
    {                                                                                                               \
        const uint block = MATRIX_N / 4, most = (SLICE_UNITS / MATRIX_M - 1) / block;                               \
        const uint at_once = most < (blocks) ? most : (blocks), pitch = at_once * block + 1;                        \
        const uint slice = gl_SubgroupID * SLICE_UNITS, columns = at_once * MATRIX_N / 8;                           \
        barrier(); /* from here on, shared memory holds slices */                                                   \
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)                                                            \
            [[unroll]] for (uint first = 0; first < (blocks); first += at_once) {                                   \
                [[unroll]] for (uint of = 0; of < ROW_BLOCKS * (blocks); of++)                                      \
                    if (of / (blocks) == m && of % (blocks) >= first && of % (blocks) < first + at_once)            \
                        coopMatStore(sum[of / (blocks)][of % (blocks)], staged,                                     \
                                     slice + (of % (blocks) - first) * block, pitch, BY_ROWS);                      \
                subgroup_sync();                                                                                    \
                for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * columns; i += SUBGROUP) {                     \
                    const uint r = i / columns, c = i % columns;                                                    \
                    const vec4 x = uintBitsToFloat(staged[slice + r * pitch + 2 * c]);                              \
                    const vec4 y = uintBitsToFloat(staged[slice + r * pitch + 2 * c + 1]);                          \
                    put(tile_row_of(m, r), first * MATRIX_N / 8 + c, x, y);                                         \
                }                                                                                                   \
                subgroup_sync();                                                                                    \
            }                                                                                                       \
    }

// Packs two elements as `type`. Hardware with f16 matrices converts to f16 rounding to nearest even.
uint pack_hardware(uint type, vec2 x)
{
    return type == TYPE_F16 ? packFloat2x16(f16vec2(x)) : pack_halves(type, x);
}

// Stores 8 elements of a row.
void store_8(uint type, bool aligned, uvec2 row, uint column, vec4 x, vec4 y)
{
    if (type != TYPE_F32 && aligned)
        Quads(advance(row, column, uvec2(16, 0))).q[0] = uvec4(pack_hardware(type, x.xy), pack_hardware(type, x.zw),
                                                               pack_hardware(type, y.xy), pack_hardware(type, y.zw));
    else {
        store_4(type, aligned, row, 2 * column, x);
        store_4(type, aligned, row, 2 * column + 1, y);
    }
}

#endif
