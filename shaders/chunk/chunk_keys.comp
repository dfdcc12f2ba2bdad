// SPDX-License-Identifier: MIT
// Makes the keys to which a chunk of new tokens attends: those of a bounded cache in the order of their positions, and
// then those of the chunk, as rows of elements of TYPE. The chunk's rows are those that the cache would hold, so with
// FORMATS they are rounded. p.results has these arrays, one after another; there are p.cached + p.keys keys:
//
//     rows of k, rows of v [keys, Hk, dimension]
//     importance           f32 [Hk, keys]
//     places               int32 [Hk, keys]: the key's position minus that of the first query, plus p.cached. So query
//                          t has the place p.cached + t, and a new key has its index as its place
//     positions            int32 [Hk, keys]
//     valid                uint8 [Hk, keys]: 0 if the cache has fewer keys
//
// An evicted key never returns. So the w most important keys of a later prefix are among the w before the chunk, which
// have slots, and the chunk's own; other keys of the cache are less important than those w.
//
// COPY_LANES invocations share a row of kv head y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define CHUNK
#include "../decode/fill.glsl"

#ifdef FORMATS
#include "../decode/rows.glsl"
#endif

const uint ROWS_HERE = WORKGROUP / COPY_LANES;
shared uint ranks[ROWS_HERE];

// Bytes of a row of the results.
#define K_ROW (element_size(TYPE) * HEAD_DIM)
#define V_ROW (element_size(TYPE) * VALUE_DIM)

uint kv_head, lane, row_here;
uint kept; // tokens of the sequence before the chunk
uvec2 state;

// An array of the results. Each key of each kv head has `bytes_before` bytes in the arrays before it.
uvec2 results_at(uint bytes_before)
{
    return advance(p.results, KV_HEADS, advance(uvec2(0), p.cached + p.keys, uvec2(bytes_before, 0)));
}

uvec2 result_row(uint bytes_before, uint place, uint bytes)
{
    return advance(advance(results_at(bytes_before), place, advance(uvec2(0), KV_HEADS, uvec2(bytes, 0))), kv_head,
                   uvec2(bytes, 0));
}

void store_number(uint bytes_before, uint place, uint number)
{
    Words(advance(results_at(bytes_before), kv_head, uvec2(4 * (p.cached + p.keys), 0))).w[place] = number;
}

void store_numbers(uint place, uint position, float importance)
{
    const bool valid = position != NONE;
    store_number(K_ROW + V_ROW, place, floatBitsToUint(valid ? importance : 0));
    store_number(K_ROW + V_ROW + 4, place, valid ? position + p.cached - kept : place);
    store_number(K_ROW + V_ROW + 8, place, valid ? position : place);
    const uvec2 of_head = advance(results_at(K_ROW + V_ROW + 12), kv_head, uvec2(p.cached + p.keys, 0));
    const uvec2 byte = advance(of_head, place, uvec2(1, 0));
    Words word = Words(uvec2(byte.x & ~3u, byte.y)); // which has bytes of other invocations
    atomicAnd(word.w[0], ~(0xffu << 8 * (byte.x & 3u)));
    atomicOr(word.w[0], (valid ? 1u : 0u) << 8 * (byte.x & 3u));
}

// The position of the key of slot i; NONE: it is empty, or the key was taken back.
uint position_of(uint i)
{
    const uint position = Words(slots_of(state, kv_head)).w[4 * i] - 1;
    return position >= kept ? NONE : position;
}

// The rank of slot i in the order of positions. Empty slots come last. All invocations call this.
uint rank_of(uint i)
{
    if (lane == 0)
        ranks[row_here] = 0;
    barrier();
    const uint own = position_of(i);
    uint before = 0;
    for (uint other = lane; other < CAPACITY; other += COPY_LANES) {
        const uint position = position_of(other);
        before += position < own || position == own && other < i ? 1 : 0;
    }
    atomicAdd(ranks[row_here], before);
    barrier();
    const uint rank = ranks[row_here];
    barrier();
    return rank;
}

#ifdef FORMATS
void store_elements(uint format, uvec2 to, uint unit, float scale, uvec4 low, uvec4 high)
{
    vec4 a, b;
    unpack_row_unit(format, low, high, a, b);
    const uvec2 columns = unit_columns(format, unit);
    store_4(TYPE, true, to, columns.x, scale * a);
    store_4(TYPE, true, to, columns.y, scale * b);
}

void unpack_row(uint format, uvec2 to, uvec2 from, uvec2 scale_at, uint dim)
{
    const float scale = has_scales(format) ? uintBitsToFloat(Words(scale_at).w[0]) : 1;
    const uint quads = UNIT_QUADS_OF(format);
    for (uint unit = lane; unit < dim / 8; unit += COPY_LANES)
        store_elements(format, to, unit, scale, load_row_quad(format, from, quads * unit),
                       load_row_quad(format, from, quads * unit + quads - 1));
}

// A row of a new token, as the cache would hold it.
void round_row(uint format, uvec2 to, uvec2 from, uint dim)
{
    for (uint unit = lane; unit < dim / 8; unit += COPY_LANES) {
        uvec4 low, high;
        make_unit(format, from, p.aligned != 0, unit, find_scale(format, from, p.aligned != 0, dim, unit), low, high);
        store_elements(format, to, unit, has_scales(format) ? uintBitsToFloat(low.z) : 1, low, high);
    }
}
#endif

void add_slot(uint i, uint place)
{
    const uint position = position_of(i);
    if (lane == 0)
        store_numbers(place, position, uintBitsToFloat(Words(slots_of(state, kv_head)).w[4 * i + 1]));
    if (position == NONE) // no query sees the key, so its rows may be anything
        return;
    const uvec2 k = advance(keys_of(state, kv_head), i, uvec2(KEY_BYTES, 0));
    const uvec2 v = advance(values_of(state, kv_head), i, uvec2(VALUE_BYTES, 0));
#ifdef FORMATS
    unpack_row(K_FORMAT, result_row(0, place, K_ROW), k, advance(key_scales_of(state, kv_head), i, uvec2(4, 0)),
               HEAD_DIM);
    unpack_row(V_FORMAT, result_row(K_ROW, place, V_ROW), v, advance(value_scales_of(state, kv_head), i, uvec2(4, 0)),
               VALUE_DIM);
#else
    copy_row(result_row(0, place, K_ROW), k, true, KEY_BYTES, lane, COPY_LANES);
    copy_row(result_row(K_ROW, place, V_ROW), v, true, VALUE_BYTES, lane, COPY_LANES);
#endif
}

void add_token(uint i)
{
    const uint place = p.cached + i;
    const uvec2 k = advance(advance(p.k, i, p.k_sequence), kv_head, p.k_head);
    const uvec2 v = advance(advance(p.v, i, p.v_sequence), kv_head, p.v_head);
    if (lane == 0)
        store_numbers(place, kept + i, new_importance(kv_head, i));
#ifdef FORMATS
    round_row(K_FORMAT, result_row(0, place, K_ROW), k, HEAD_DIM);
    round_row(V_FORMAT, result_row(K_ROW, place, V_ROW), v, VALUE_DIM);
#else
    copy_row(result_row(0, place, K_ROW), k, p.aligned != 0, KEY_BYTES, lane, COPY_LANES);
    copy_row(result_row(K_ROW, place, V_ROW), v, p.aligned != 0, VALUE_BYTES, lane, COPY_LANES);
#endif
}

void main()
{
    kv_head = WORKGROUP_ID.y;
    lane = gl_LocalInvocationIndex % COPY_LANES;
    row_here = gl_LocalInvocationIndex / COPY_LANES;
    state = sequence_state(p.state, p.sequence);
    kept = kept_tokens(Quads(header_of(state, kv_head)).q[0]);
    const uint slots = p.cached == 0 ? 0 : CAPACITY, rows = slots + p.keys;
    for (uint first = WORKGROUP_ID.x * ROWS_HERE; first < rows; first += gl_NumWorkGroups.x * ROWS_HERE) {
        const uint row = first + row_here;
        uint rank = NONE;
        if (first < slots)
            rank = rank_of(min(row, slots - 1));
        if (row < slots && rank < p.cached) // more keys are there only if the state is broken
            add_slot(row, rank);
        if (row >= slots && row < rows)
            add_token(row - slots);
    }
}
