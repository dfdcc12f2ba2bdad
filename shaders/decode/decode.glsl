// SPDX-License-Identifier: MIT
// What the includes of decode.comp share: parameters, the sequence's header, rows.
#ifndef LIB_DECODE_GLSL
#define LIB_DECODE_GLSL

#include "cache.glsl"

layout(push_constant, std430) uniform Params {
    DECODE_PARAMS
#ifdef PAGED
    PAGED_PARAMS
#define SINK_ADDRESS p.PAGED_SINK
#else
    BOUNDED_PARAMS
#define SINK_ADDRESS p.sink
#endif
#ifdef TREE
    TREE_PARAMS
#endif
    PART_PARAM
} p;

#include "../lib/scan.glsl"

// Not 0: something is added to scores; ENTRY_TERMS: something that differs between rows.
const uint ENTRY_TERMS = PAIR_BIAS + SLOPES;
const uint TERMS = BIAS + ENTRY_TERMS;
#define PAIR_TERMS TERMS

// Memory through which workgroups of one dispatch exchange data.
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer SharedWords {
    uint w[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) coherent buffer SharedPairs {
    uvec2 p[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer SharedQuads {
    uvec4 q[];
};

uint invocation;
uint split, row_block, kv_head, sequence;
uint length_, count; // the number of tokens before this step, and of new ones
uint floor_;         // the header's floor, after this step
bool broken;         // out and lse become NaN
bool layout_seen;    // the fragment layout has been checked (fragments/begin.glsl)
bool went_back;      // tokens were taken back
uvec2 state;         // of the sequence
uvec2 k_base, v_base;

// For each key of the current block. ranges: the first token that sees it, and, from bit 8 on, one past the last; with
// QUERY_BITS, a bit for each token that sees it. biases: its importance.
#if defined(TREE) || defined(SELECTED_KEYS)
#define QUERY_BITS
#endif
shared uint ranges[BLOCK_KEYS];
shared float biases[BLOCK_KEYS];

#ifdef QUERY_BITS
uint unpack_range(uint range)
{
    return range;
}
#else
ivec2 unpack_range(uint range)
{
    return ivec2(range & 0xffu, range >> 8);
}
#endif

// The number of splits of the workgroup's sequence.
#ifdef BALANCED
#define SEQUENCE_SPLITS sequence_splits
#else
#define SEQUENCE_SPLITS SPLITS

// Finds the workgroup's part of the work. Reads no memory.
void begin_workgroup()
{
    invocation = ordered_invocation();
    split = WORKGROUP_ID.x % SPLITS;
    row_block = WORKGROUP_ID.x / SPLITS;
    kv_head = WORKGROUP_ID.y;
    sequence = WORKGROUP_ID.z;
    state = sequence_state(p.state, sequence);
    k_base = advance(advance(p.k, sequence, uvec2(K_BATCH_LOW, K_BATCH_HIGH)), kv_head, uvec2(K_HEAD_LOW, K_HEAD_HIGH));
    v_base = advance(advance(p.v, sequence, uvec2(V_BATCH_LOW, V_BATCH_HIGH)), kv_head, uvec2(V_HEAD_LOW, V_HEAD_HIGH));
}
#endif

// The sequence's word of an optional tensor. If there is no tensor, another valid address is read: some drivers load
// even in a branch that is not taken, if the address is the same for all invocations.
uint word_of(uvec2 tensor, uint otherwise)
{
    const bool there = tensor != uvec2(0);
    const uint word = Words(there ? tensor : p.state).w[sequence];
    return there ? word : otherwise;
}

#ifdef BALANCED
#include "balance.glsl"
#else

uvec4 header;
int keep; // tokens of the sequence; negative: all

void fetch_header()
{
    header = Quads(header_of(state, kv_head)).q[0];
    count = word_of(p.counts, TOKENS);
    keep = int(word_of(p.keep, NONE));
}

void begin_step()
{
    count = min(count, TOKENS);
    length_ = header[HEADER_LENGTH];
    went_back = keep >= 0 && uint(keep) < length_;
    broken = (header[HEADER_FLAGS] & FLAG_BROKEN) != 0;
    layout_seen = (header[HEADER_FLAGS] & FLAG_LAYOUT) != 0;
    floor_ = header[HEADER_FLOOR];
    if (went_back) {
        broken = keep != 0 && (broken || uint(keep) < floor_);
        floor_ = keep != 0 ? floor_ : 0;
        length_ = uint(keep);
    }
    if (CACHE == CACHE_PAGED)
        count = min(count, CAPACITY - min(length_, CAPACITY));
    else
        floor_ = max(floor_, max(length_ + count, ROLLBACK) - ROLLBACK);
}

void end_step()
{
    const uint flags = (broken ? FLAG_BROKEN : 0) | (layout_seen ? FLAG_LAYOUT : 0);
    if (invocation == 0)
        Quads(header_of(state, kv_head)).q[0] = uvec4(length_ + count, floor_, 0, flags);
    else if (invocation < HEADER_WORDS / 4)
        Quads(header_of(state, kv_head)).q[invocation] = uvec4(0);
}

#endif

// ---- rows: of token row / GROUP and head row % GROUP of the group ---------------------------------------------------

bool row_exists(uint row)
{
    return row < count * GROUP;
}

// The new token to which the row's query belongs.
uint row_query(uint row)
{
    return min(row, count * GROUP - 1) / GROUP;
}

#ifdef QUERY_BITS
// Replaces visible.glsl.
bool is_visible(uint key, uint row, uint range)
{
    return (range >> row_query(row) & 1) != 0;
}
#endif

uint row_head(uint row)
{
    return kv_head * GROUP + row % GROUP;
}

uvec2 q_row(uint row)
{
    return advance(advance(advance(p.q, sequence, uvec2(Q_BATCH_LOW, Q_BATCH_HIGH)), row_query(row),
                           uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH)), row_head(row), uvec2(Q_HEAD_LOW, Q_HEAD_HIGH));
}

// Loads 8 elements of a row of q as elements of TYPE, of 16 bits.
uvec4 load_q_unit(uint row, uint unit)
{
    if (Q_TYPE != TYPE_F32)
        return load_quad(q_row(row), ALIGNED != 0, unit);
    vec4 a, b;
    load_8(TYPE_F32, ALIGNED != 0, q_row(row), unit, a, b);
    return uvec4(pack_halves(TYPE, a.xy), pack_halves(TYPE, a.zw), pack_halves(TYPE, b.xy), pack_halves(TYPE, b.zw));
}

uvec2 out_row(uint row)
{
    return advance(advance(advance(p.out_, sequence, uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH)), row_query(row),
                           uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH)),
                   row_head(row), uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
}

// ---- splits ---------------------------------------------------------------------------------------------------------

// Whether the workgroup has all keys of its sequence, and attend() stores the output itself. Other kernels of fragments
// never do so: on an H200, some steps with bounded caches of 16 bits were slower (docs/notes/experiments.md).
#if defined(FRAGMENTS) && (defined(BALANCED) || defined(FORMATS))
#define IS_ALONE (SEQUENCE_SPLITS == 1)
#else
#define IS_ALONE false
#endif

// The maximum number of keys of a split, of `all` keys. It is a multiple of a matrix's keys (form fragments) or of a
// block's keys (form shared).
uint split_size(uint all)
{
#if defined(FRAGMENTS)
    const uint unit = 16;
#elif defined(MATRIX)
    const uint unit = BLOCK_KEYS;
#else
    const uint unit = 1;
#endif
    return ((all + SEQUENCE_SPLITS - 1) / SEQUENCE_SPLITS + unit - 1) / unit * unit;
}

// Partial results of a kv head of a sequence, or, if BALANCED, of a kv head of all sequences: rows of f32, then pairs
// of maximum and sum, for an even number of rows. So the rows of the next kv head begin at a multiple of 16 bytes.
#ifdef BALANCED
const uint PARTIAL_ROWS = ALL_SPLITS * TOKENS * GROUP;
#define NUMBER_OF_SPLIT(of_split) first_split + of_split
#define HEAD_OF_PARTIALS          kv_head
#else
const uint PARTIAL_ROWS = SPLITS * TOKENS * GROUP;
#define NUMBER_OF_SPLIT(of_split) of_split
#define HEAD_OF_PARTIALS          sequence * KV_HEADS + kv_head
#endif

uvec2 partials_of_head()
{
    const uint head = HEAD_OF_PARTIALS;
    return advance(advance(p.partials, head * PARTIAL_ROWS, uvec2(4 * VALUE_DIM, 0)), head * ((PARTIAL_ROWS + 1) / 2),
                   uvec2(16, 0));
}

// The address of the partial result of a row of a split.
uvec2 partial_row(uint of_split, uint row)
{
    return advance(partials_of_head(), (NUMBER_OF_SPLIT(of_split)) * TOKENS * GROUP + row, uvec2(4 * VALUE_DIM, 0));
}

uvec2 partial_softmax(uint of_split, uint row)
{
    return advance(advance(partials_of_head(), PARTIAL_ROWS, uvec2(4 * VALUE_DIM, 0)),
                   (NUMBER_OF_SPLIT(of_split)) * TOKENS * GROUP + row, uvec2(8, 0));
}

// Stores 4 columns of a row of the output (decode_combine.glsl).
void store_output(uint row, uint column, vec4 sum, vec2 softmax);

// ---- new tokens -----------------------------------------------------------------------------------------------------

uvec2 new_key(uint token)
{
    return advance(k_base, token, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
}

uvec2 new_value(uint token)
{
    return advance(v_base, token, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH));
}

#endif
