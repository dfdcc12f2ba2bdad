// SPDX-License-Identifier: MIT
// The loop over tiles of keys, with scores and probabilities in shared memory (softmax_shared.glsl). Included by
// attention_matrix.comp.
//
//     S = q k^T       meanwhile, k of the next tile is loaded
//     P = softmax     a barrier; k of the next tile is stored
//     O = O + P v     meanwhile, v of the next tile is loaded; a barrier; it is stored
//
// With SUMS_SHARED, rows are loaded where they are stored, and v is stored by columns. With BY_LANES, there are two
// loops, of which one runs: `lanes` says whether invocations read the elements that they hold.

// Whether rows of k and v have no unit beyond their end. Compilers do not find this from indices.
const bool WHOLE_HEAD = 8 * HEAD_COLUMNS == HEAD_DIM, WHOLE_VALUE = 8 * VALUE_COLUMNS == VALUE_DIM;

// Loads rows of k and stores them at once, one or two at a time: for devices with too few registers to hold them.
const uint MOST_STEPS = 1, KEY_UNITS = TILE_KEYS * HEAD_COLUMNS;
const uint KEY_UNITS_AT_ONCE = KEY_UNITS % (2 * WORKGROUP) != 0 ? 1 : KEY_UNITS > 2 * WORKGROUP ? 2 : 1;

void stage_keys(key_tile t, inout COMING_KEYS)
{
    if (KEY_STEPS <= MOST_STEPS) {
        fetch_keys(t, coming_keys);
        store_keys(coming_keys);
    } else
        [[dont_unroll]] for (uint first = invocation; first < KEY_UNITS; first += KEY_UNITS_AT_ONCE * WORKGROUP) {
            uvec4 units[KEY_UNITS_AT_ONCE];
            [[unroll]] for (uint u = 0; u < KEY_UNITS_AT_ONCE; u++) {
                const uint i = first + u * WORKGROUP, column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
                units[u] = load_operands(row_unit(k_base, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), tile_key(t, row),
                                                  WHOLE_HEAD ? column : min(column, HEAD_DIM / 8 - 1)));
            }
            [[unroll]] for (uint u = 0; u < KEY_UNITS_AT_ONCE; u++) {
                const uint i = first + u * WORKGROUP, column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
                staged[row * KEY_PITCH + column] = WHOLE_HEAD || column < HEAD_DIM / 8 ? units[u] : uvec4(0);
            }
        }
}

// The same for v, of which columns are stored. An invocation has 8 columns of KEYS_AT_ONCE keys at a time; 8 keys would
// be whole units, but need too many registers. Columns that do not exist may hold anything, and so may those of the
// output, which are not stored.
const uint KEYS_AT_ONCE = 4;

// How hidden keys become 0: as bits of the words that are stored, or as rows. A branch that changes rows copies 16
// registers. In subgroups of 16, bits take fewer of ANV's cycles, in those of 8 (dg2), rows do. Tests have both.
const bool HIDES_BITS = SUBGROUP > 8 || ORDERED != 0;

void stage_values(key_tile t)
{
    [[dont_unroll]] for (uint i = invocation; i < TILE_KEYS / KEYS_AT_ONCE * VALUE_COLUMNS; i += WORKGROUP) {
        const uint unit = i % VALUE_COLUMNS, first = i / VALUE_COLUMNS * KEYS_AT_ONCE;
        uvec4 rows[KEYS_AT_ONCE];
        [[unroll]] for (uint r = 0; r < KEYS_AT_ONCE; r++)
            rows[r] = load_operands(row_unit(v_base, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), tile_key(t, first + r),
                                             WHOLE_VALUE ? unit : min(unit, VALUE_DIM / 8 - 1)));
        // As in hide_values(), 0 is stored of hidden keys.
        uint shown[KEYS_AT_ONCE / 2];
        [[unroll]] for (uint r = 0; r < KEYS_AT_ONCE; r += 2)
            shown[r / 2] = ~0u;
        if (t.partial)
            [[unroll]] for (uint r = 0; r < KEYS_AT_ONCE; r++)
                if (tile_hides(t, first + r)) {
                    if (HIDES_BITS)
                        shown[r / 2] &= r % 2 == 0 ? 0xffff0000u : 0xffffu;
                    else
                        rows[r] = uvec4(0);
                }
        [[unroll]] for (uint c = 0; c < 8; c++)
            [[unroll]] for (uint r = 0; r < KEYS_AT_ONCE; r += 2) {
                const uint a = rows[r][c / 2], b = rows[r + 1][c / 2];
                staged[VALUES + (8 * unit + c) * VALUE_PITCH + first / 8][first % 8 / 2 + r / 2] =
                    shown[r / 2] & (c % 2 == 0 ? (a & 0xffffu) | b << 16 : a >> 16 | (b & 0xffff0000u));
            }
    }
}

// With BY_LANES: puts the blocks of q that are in shared memory in the order in which invocations hold them, in place.
const uint Q_BLOCK_UNITS = MATRIX_K / 8;
#define LANE_UNIT(d, u)                                                                                \
    ((gl_SubgroupID * MATRIX_M + ((u) * SUBGROUP + gl_SubgroupInvocationID) / Q_BLOCK_UNITS) * q_PITCH \
     + ((d) - QUERY_BLOCKS) * Q_BLOCK_UNITS + ((u) * SUBGROUP + gl_SubgroupInvocationID) % Q_BLOCK_UNITS)

void order_queries()
{
    [[dont_unroll]] for (uint d = QUERY_BLOCKS; d < HEAD_BLOCKS; d++) {
        MATRIX_A a;
        coopMatLoad(a, q_rows, gl_SubgroupID * MATRIX_M * q_PITCH + (d - QUERY_BLOCKS) * Q_BLOCK_UNITS, q_PITCH,
                    BY_ROWS);
        subgroup_sync();
        [[unroll]] for (uint u = 0; u < A_UNITS; u++)
            q_rows[LANE_UNIT(d, u)] = UNIT_OF(a, 8 * u);
    }
}

// With ORDERED, the same for k and v, after they were staged and a barrier. Each subgroup does some of the blocks.
void order_keys()
{
    [[dont_unroll]] for (uint first = 0; first < COLUMN_BLOCKS * HEAD_BLOCKS; first += SUBGROUPS) {
        const uint i = first + gl_SubgroupID, n = i / HEAD_BLOCKS, d = i % HEAD_BLOCKS;
        order_columns(n < COLUMN_BLOCKS, n * MATRIX_N * KEY_PITCH + d * MATRIX_K / 8, KEY_PITCH);
    }
}

void order_values()
{
    [[dont_unroll]] for (uint first = 0; first < SUMMED_BLOCKS * VALUE_BLOCKS; first += SUBGROUPS) {
        const uint i = first + gl_SubgroupID, k = i / VALUE_BLOCKS, d = i % VALUE_BLOCKS;
        order_columns(k < SUMMED_BLOCKS, VALUES + d * MATRIX_N * VALUE_PITCH + k * MATRIX_K / 8, VALUE_PITCH);
    }
}

// score = score + q k^T for block d of their rows.
void add_columns(uint d, MATRIX_A a, inout SCORES)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        score[0][n] = coopMatMulAdd(a, load_columns(n * MATRIX_N * KEY_PITCH + d * MATRIX_K / 8, KEY_PITCH),
                                    score[0][n]);
}

void add_ordered_queries(QUERIES, inout SCORES)
{
    [[unroll]] for (uint d = 0; d < QUERY_BLOCKS && d < HEAD_BLOCKS; d++)
        add_columns(d, q[0][d], score);
    [[dont_unroll]] for (uint d = QUERY_BLOCKS; d < HEAD_BLOCKS; d++) {
        MATRIX_A a;
        [[unroll]] for (uint u = 0; u < A_UNITS; u++) {
            const uvec4 unit = q_rows[LANE_UNIT(d, u)];
            SET_UNIT(a, 8 * u, unit)
        }
        add_columns(d, a, score);
    }
}

DEFINE_STORE_ROWS(o, OUTPUT_BLOCKS, put_output)

// The same for the output in shared memory, multiplied by `factors`: block by block, as rows in place of scores.
void store_sums(FACTORS)
{
    const uint columns = MATRIX_N / 8;
    [[dont_unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++) {
        MATRIX_C sum = load_sum(d);
        [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
            sum[e] *= factors[e];
        coopMatStore(sum, scores, SUBGROUP_SCORES, SCORE_PITCH, BY_ROWS);
        subgroup_sync();
        [[unroll]] for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * columns; i += SUBGROUP) {
            const uint r = i / columns, c = i % columns, at = SUBGROUP_SCORES + r * SCORE_PITCH + 2 * c;
            put_output(tile_row_of(0, r), d * columns + c, uintBitsToFloat(scores[at]),
                       uintBitsToFloat(scores[at + 1]));
        }
        subgroup_sync();
    }
}

// Attends to one tile of keys.
#define ATTEND(lanes)                                                                       \
    if (SUMS_SHARED == 0)                                                                   \
        if (GUARDED == 0 || next.exists)                                                    \
            fetch_keys(next, coming_keys);                                                  \
    fetch_slot(after, coming_slot);                                                         \
    begin_scores(now, score);                                                               \
    if (lanes)                                                                              \
        add_ordered_queries(q, score);                                                      \
    else                                                                                    \
        add_q(q, 0, score);                                                                 \
    update_softmax(now, now.partial, score, row_max, row_sum, factors);                     \
    barrier();                                                                              \
    if (GUARDED == 0 || next.exists) {                                                      \
        if (SUMS_SHARED != 0) {                                                             \
            stage_keys(next, coming_keys);                                                  \
            if (ORDERED != 0 && lanes) {                                                    \
                barrier();                                                                  \
                order_keys();                                                               \
            }                                                                               \
        } else                                                                              \
            store_keys(coming_keys);                                                        \
        store_slot(after, coming_slot);                                                     \
        if (SUMS_SHARED == 0)                                                               \
            fetch_values(next, coming_values);                                              \
    }                                                                                       \
    const uint free_slots = next.slots;                                                     \
    now = next;                                                                             \
    next = after;                                                                           \
    after = next_tile(free_slots);                                                          \
    fetch_slot_key(after, coming_slot);                                                     \
    add_pv(factors, lanes, o);                                                              \
    barrier();                                                                              \
    if (GUARDED == 0 || now.exists) {                                                       \
        if (SUMS_SHARED != 0) {                                                             \
            stage_values(now);                                                              \
            if (ORDERED != 0 && lanes) {                                                    \
                barrier();                                                                  \
                order_values();                                                             \
            }                                                                               \
        } else                                                                              \
            store_values(coming_values);                                                    \
    }

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    begin_units();
    begin_tile();
#ifdef PACKED
    if (splits == 0)
        return;
#endif
#ifdef ADDITIVE_ROWS
    if (!row_is_ours())
        return;
#endif
    QUERIES;
    SCORES;
    FACTORS;
    OUTPUTS;
    ROW_MAXIMA;
    ROW_SUMS;
    COMING_KEYS;
    COMING_VALUES;
    begin_walk();
    begin_output(o);
    begin_sums();

    // Three tiles are in progress: `now` is in shared memory; the slots of `next` are, so its rows can be loaded; the
    // slots of `after` are being loaded. At the start, as many loads as possible are issued together.
    key_tile now = next_tile(0), next = next_tile(TILE_KEYS), after = next_tile(0);
    slot first, second, coming_slot;
    fetch_slot_key(now, first);
    fetch_slot_key(next, second);
    fetch_slot_key(after, coming_slot);
    begin_rows(row_max, row_sum);
    if (BY_LANES != 0)
        reads_lanes = ORDERED != 0 || find_lane_columns();
    load_q(q);
    fetch_slot(now, first);
    fetch_slot(next, second);
    store_slot(now, first);
    store_slot(next, second);
    barrier(); // also: shared memory held slices before, and holds keys from here on
    if (BY_LANES != 0 && reads_lanes)
        order_queries();
    if (SUMS_SHARED != 0) {
        stage_keys(now, coming_keys);
        stage_values(now);
    } else {
        fetch_keys(now, coming_keys);
        fetch_values(now, coming_values);
        store_keys(coming_keys);
        store_values(coming_values);
    }
    barrier();
    if (ORDERED != 0) {
        order_keys();
        order_values();
        barrier();
    }

    if (BY_LANES != 0 && reads_lanes)
        while (now.exists) {
            ATTEND(true)
        }
    while (now.exists) {
        if (SUMS_SHARED == 0 && now.partial)
            hide_values(now); // the barrier before the product makes this visible
        ATTEND(false)
    }
    finish_rows(row_max, row_sum, factors, o);
    if (SUMS_SHARED != 0)
        store_sums(factors);
    else
        store_o(o);
}
