// SPDX-License-Identifier: MIT
// Products of a tile of PAIR_ROWS x PAIR_COLUMNS pairs with FMA, portable level. All sums are f32.
//
// Invocation (row_lane, column_lane) computes the pairs in rows row_lane + i * ROW_LANES and columns column_lane + n *
// KEY_LANES. In sums over columns, it computes the units (4 elements) column_lane + c * KEY_LANES of its rows.
//
// Loads are unconditional, with clamped indices, and elements outside are set to 0 afterwards: with a branch around
// each load, each would wait for the one before.
#ifndef LIB_PRODUCTS_GLSL
#define LIB_PRODUCTS_GLSL

// The includer may define the type of the rows of products; that of columns is TYPE.
#ifndef ROW_TYPE
#define ROW_TYPE TYPE
#endif

// The includer may define whether invocations load rows only or columns only in a step of a product, if they can. Then
// there is no branch between the loads.
#ifndef ROWS_APART
#define ROWS_APART false
#endif

// The includer may define what each part of a product or sum begins with.
#ifndef BEGIN_PART
#define BEGIN_PART
#endif

const uint ROW_LANES = WORKGROUP / KEY_LANES;
const uint LANE_ROWS = PAIR_ROWS / ROW_LANES;
const uint LANE_COLUMNS = PAIR_COLUMNS / KEY_LANES;

// The columns of sums: those of the band from FIRST_COLUMN on. If there are none, because the band is one of the other
// gradient, any number except 0 will do.
const uint HEAD_COLUMNS = HEAD_DIM - FIRST_COLUMN - 1 < BAND ? HEAD_DIM - FIRST_COLUMN : BAND;
const uint VALUE_COLUMNS = VALUE_DIM - FIRST_COLUMN - 1 < BAND ? VALUE_DIM - FIRST_COLUMN : BAND;

// In units of 4 elements.
const uint DEPTH_4 = DEPTH / 4;
const uint HEAD_UNITS = (HEAD_COLUMNS / 4 + KEY_LANES - 1) / KEY_LANES; // units of a row in a lane
const uint VALUE_UNITS = (VALUE_COLUMNS / 4 + KEY_LANES - 1) / KEY_LANES;

// There is an unused unit after each row, so that rows start in different banks.
const uint STAGE_PITCH = DEPTH_4 + 1;
const uint WEIGHT_PITCH = PAIR_COLUMNS / 4 + 1;

const uint STAGED_FACTORS = (PAIR_ROWS + PAIR_COLUMNS) * STAGE_PITCH;
const uint STAGED_SUMMANDS = VALUE_KEYS * KEY_LANES * SUMMAND_UNITS;

shared vec4 staged[STAGED_FACTORS > STAGED_SUMMANDS ? STAGED_FACTORS : STAGED_SUMMANDS];
shared vec4 weights[PAIR_ROWS * WEIGHT_PITCH];

uint invocation, row_lane, column_lane;

// What an invocation holds. These are local arrays of main(), because some drivers keep large global arrays in memory.
#define PAIRS(x) float x[LANE_ROWS][LANE_COLUMNS]
#define SUMS(x, units) vec4 x[LANE_ROWS][units]
#define EACH_ROW(i) [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
#define EACH_COLUMN(n) [[unroll]] for (uint n = 0; n < LANE_COLUMNS; n++)

// Lanes that share a row must be neighbours in a subgroup. The local index does not guarantee this. If they are the
// whole subgroup, compilers that know so (ANV) read an element of their row once for all of them, into one register.
void begin_lanes()
{
    invocation = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
    row_lane = BY_UNIT != 0 && KEY_LANES == gl_SubgroupSize ? gl_SubgroupID : invocation / KEY_LANES;
    column_lane = invocation % KEY_LANES;
}

// The maximum over the lanes of a row, and the sum.
float max_over_row(float x)
{
    [[unroll]] for (uint lane = 1; lane < KEY_LANES; lane *= 2)
        x = max(x, subgroupShuffleXor(x, lane));
    return x;
}

float sum_over_row(float x)
{
    [[unroll]] for (uint lane = 1; lane < KEY_LANES; lane *= 2)
        x += subgroupShuffleXor(x, lane);
    return x;
}

// Calls part(first, x) for every `step` of `count`. With BY_UNIT, this stays a loop: if it is unrolled, some compilers
// (ANV) keep addresses in registers from one part to the next.
#define IN_PARTS(part, count, step, x)                                                                                 \
    if (BY_UNIT != 0)                                                                                                  \
        [[dont_unroll]] for (uint first = 0; first < (count); first += (step))                                         \
            part(first, x);                                                                                            \
    else                                                                                                               \
        for (uint first = 0; first < (count); first += (step))                                                         \
            part(first, x);

void multiply_staged(inout PAIRS(x))
{
    [[unroll]] for (uint d = 0; d < DEPTH_4; d++) {
        vec4 a[LANE_ROWS];
        EACH_ROW(i)
            a[i] = staged[(row_lane + i * ROW_LANES) * STAGE_PITCH + d];
        EACH_COLUMN(n) {
            const vec4 b = staged[(PAIR_ROWS + column_lane + n * KEY_LANES) * STAGE_PITCH + d];
            EACH_ROW(i) {
                float s = fma(a[i].x, b.x, x[i][n]);
                s = fma(a[i].y, b.y, s);
                s = fma(a[i].z, b.z, s);
                x[i][n] = fma(a[i].w, b.w, s);
            }
        }
    }
}

// Stages DEPTH elements, from `first` on, of `lines` rows of a type, behind `after` others.
#define STAGE_LINES(type, lines, after, dim, address, there)                                                           \
    [[unroll]] for (uint step = 0; step < (lines) * units; step += WORKGROUP) {                                        \
        const uint line = min((step + invocation) / units, (lines) - 1), unit = (step + invocation) % units;           \
        vec4 a, b;                                                                                                     \
        load_8(type, ALIGNED != 0, address(line), min(first / 8 + unit, dim / 8 - 1), a, b);                           \
        const bool is_there = there(line) && first / 8 + unit < dim / 8;                                               \
        if (step + WORKGROUP <= (lines) * units || step + invocation < (lines) * units) {                              \
            staged[((after) + line) * STAGE_PITCH + 2 * unit] = is_there ? a : vec4(0);                                \
            staged[((after) + line) * STAGE_PITCH + 2 * unit + 1] = is_there ? b : vec4(0);                            \
        }                                                                                                              \
    }

// The includer may define what multiplies a staged part.
#ifndef MULTIPLY
#define MULTIPLY multiply_staged
#endif

// void name(out x): x = A B^T. Rows of A and of B have `dim` elements and are at row_address() and column_address(). A
// row counts as 0 if row_there() or column_there() is false. DEPTH elements of each row are staged at a time.
#define DEFINE_PRODUCT(name, dim, row_address, row_there, column_address, column_there)                                \
    void name##_part(uint first, inout PAIRS(x))                                                                       \
    {                                                                                                                  \
        const uint units = DEPTH / 8, total = (PAIR_ROWS + PAIR_COLUMNS) * units;                                      \
        BEGIN_PART                                                                                                     \
        barrier();                                                                                                     \
        if (ROW_TYPE != TYPE || ROWS_APART && PAIR_ROWS * units % WORKGROUP == 0) {                                    \
            STAGE_LINES(ROW_TYPE, PAIR_ROWS, 0, dim, row_address, row_there)                                           \
            STAGE_LINES(TYPE, PAIR_COLUMNS, PAIR_ROWS, dim, column_address, column_there)                              \
        } else                                                                                                         \
            [[unroll]] for (uint step = 0; step < total; step += WORKGROUP) {                                          \
                const uint line = (step + invocation) / units, unit = (step + invocation) % units;                     \
                const uint column = min(line - PAIR_ROWS, PAIR_COLUMNS - 1);                                           \
                const bool is_row = line < PAIR_ROWS;                                                                  \
                const uvec2 address = is_row ? row_address(line) : column_address(column);                             \
                vec4 a, b;                                                                                             \
                load_8(TYPE, ALIGNED != 0, address, min(first / 8 + unit, dim / 8 - 1), a, b);                         \
                const bool there = (is_row ? row_there(line) : column_there(column)) && first / 8 + unit < dim / 8;    \
                if (step + invocation < total) {                                                                       \
                    staged[line * STAGE_PITCH + 2 * unit] = there ? a : vec4(0);                                       \
                    staged[line * STAGE_PITCH + 2 * unit + 1] = there ? b : vec4(0);                                   \
                }                                                                                                      \
            }                                                                                                          \
        barrier();                                                                                                     \
        MULTIPLY(x);                                                                                                   \
    }                                                                                                                  \
                                                                                                                       \
    void name(out PAIRS(x))                                                                                            \
    {                                                                                                                  \
        EACH_ROW(i) EACH_COLUMN(n) x[i][n] = 0;                                                                        \
        IN_PARTS(name##_part, dim, DEPTH, x)                                                                           \
    }

// Stores the pairs as factors of the next sum. They are read after its first barrier. Reads of the previous factors
// must be done.
void store_weights(PAIRS(x))
{
    EACH_ROW(i) EACH_COLUMN(n)
        weights[(row_lane + i * ROW_LANES) * WEIGHT_PITCH + column_lane / 4 + n * (KEY_LANES / 4)][column_lane % 4] =
            x[i][n];
}

// void name(inout sum): sum += W B. W is the weights. B has a row for each column of W, at column_address(); of it, the
// `dim` elements from FIRST_COLUMN on count. A row counts as 0 if column_hidden(), even if it holds NaN. VALUE_KEYS
// rows are staged at a time. With BY_UNIT, the four products of an element follow each other. Some compilers (ANV) keep
// a sum's old value in a register until its new one is final, and this is soon then. The result has the same bits.
// If a lane has one unit, a round of the loop has several such steps, so that it waits for its reads less often, unless
// other loads need the registers.
#define SUM_ROUND(lane_units) min(lane_units > 1 ? 1 : LOADS_BY_PAIR ? 1 : 4, VALUE_KEYS / 4)
#define DEFINE_SUM(name, dim, lane_units, column_address, column_hidden)                                               \
    /* adds the products of four columns, unit by unit */                                                              \
    void name##_of_4(uint first, uint j, inout SUMS(sum, lane_units))                                                  \
    {                                                                                                                  \
        const uint pitch = lane_units * KEY_LANES;                                                                     \
        vec4 weight[LANE_ROWS];                                                                                        \
        EACH_ROW(i)                                                                                                    \
            weight[i] = weights[(row_lane + i * ROW_LANES) * WEIGHT_PITCH + first / 4 + j];                            \
        [[unroll]] for (uint c = 0; c < lane_units; c++) {                                                             \
            vec4 b[4];                                                                                                 \
            [[unroll]] for (uint jj = 0; jj < 4; jj++)                                                                 \
                b[jj] = staged[(4 * j + jj) * pitch + column_lane + c * KEY_LANES];                                    \
            EACH_ROW(i)                                                                                                \
                [[unroll]] for (uint e = 0; e < 4; e++) {                                                              \
                    float s = fma(weight[i].x, b[0][e], sum[i][c][e]);                                                 \
                    s = fma(weight[i].y, b[1][e], s);                                                                  \
                    s = fma(weight[i].z, b[2][e], s);                                                                  \
                    sum[i][c][e] = fma(weight[i].w, b[3][e], s);                                                       \
                }                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    void name##_part(uint first, inout SUMS(sum, lane_units))                                                          \
    {                                                                                                                  \
        const uint pitch = lane_units * KEY_LANES, units = dim / 8, total = VALUE_KEYS * units;                        \
        BEGIN_PART                                                                                                     \
        barrier();                                                                                                     \
        [[unroll]] for (uint step = 0; step < total; step += WORKGROUP) {                                              \
            const uint line = (step + invocation) / units, unit = (step + invocation) % units;                         \
            const uint column = min(first + line, PAIR_COLUMNS - 1);                                                   \
            vec4 a, b;                                                                                                 \
            load_8(TYPE, ALIGNED != 0, column_address(column), FIRST_COLUMN / 8 + unit, a, b);                         \
            const bool hidden = column_hidden(column);                                                                 \
            if (step + invocation < total) {                                                                           \
                staged[line * pitch + 2 * unit] = hidden ? vec4(0) : a;                                                \
                staged[line * pitch + 2 * unit + 1] = hidden ? vec4(0) : b;                                            \
            }                                                                                                          \
        }                                                                                                              \
        barrier();                                                                                                     \
        if (BY_UNIT != 0)                                                                                              \
            [[dont_unroll]] for (uint j = 0; j < VALUE_KEYS / 4; j += SUM_ROUND(lane_units))                           \
                [[unroll]] for (uint jj = 0; jj < SUM_ROUND(lane_units); jj++)                                         \
                    name##_of_4(first, j + jj, sum);                                                                   \
        else                                                                                                           \
            [[dont_unroll]] for (uint j = 0; j < VALUE_KEYS / 4; j++) {                                                \
                vec4 weight[LANE_ROWS];                                                                                \
                EACH_ROW(i)                                                                                            \
                    weight[i] = weights[(row_lane + i * ROW_LANES) * WEIGHT_PITCH + first / 4 + j];                    \
                [[unroll]] for (uint jj = 0; jj < 4; jj++)                                                             \
                    [[unroll]] for (uint c = 0; c < lane_units; c++) {                                                 \
                        const vec4 b = staged[(4 * j + jj) * pitch + column_lane + c * KEY_LANES];                     \
                        EACH_ROW(i)                                                                                    \
                            sum[i][c] = fma(vec4(weight[i][jj]), b, sum[i][c]);                                        \
                    }                                                                                                  \
            }                                                                                                          \
    }                                                                                                                  \
    void name(inout SUMS(sum, lane_units))                                                                             \
    {                                                                                                                  \
        IN_PARTS(name##_part, PAIR_COLUMNS, VALUE_KEYS, sum)                                                           \
    }

#endif
