// SPDX-License-Identifier: MIT
// How a step reads rows of keys and values: from the cache, and those of the new tokens. With FORMATS, the new tokens'
// rows are first made in the formats of the cache, in shared memory, because their own queries must see them so.
#ifndef LIB_DECODE_ROWS_GLSL
#define LIB_DECODE_ROWS_GLSL

#ifdef FORMATS

#include "rows.glsl"

const uint NEW_QUADS = KEY_QUADS + VALUE_QUADS; // of a token: units of its key, then of its value
shared uvec4 new_rows[TOKENS * NEW_QUADS];

// For each key of the current block, the scales of its rows of k and v, if the formats have scales.
const bool HAS_SCALES = KEY_SCALE_BYTES + VALUE_SCALE_BYTES != 0;
#ifndef SUBGROUP_LISTS // which keep them elsewhere (fragments/lists.glsl)
const uint SCALED_KEYS = HAS_SCALES ? BLOCK_KEYS : 1;
shared vec2 scales[SCALED_KEYS];

void set_scales(uint at, vec2 s)
{
    if (HAS_SCALES)
        scales[at] = s;
}
#endif

uint entry_token(uint entry); // the new token of an entry of the cache; NONE if it is none

const uint KEY_UNITS = HEAD_DIM / 8, NEW_UNITS = KEY_UNITS + VALUE_DIM / 8; // of a token: of its key, then of its value

// Unit `number` of all new tokens.
struct new_unit {
    uint format, unit, units; // its number in the row, and units of the row
    uvec2 row;
    uint at; // in new_rows
};

new_unit find_new_unit(uint number)
{
    const uint token = number / NEW_UNITS, unit = number % NEW_UNITS, first = token * NEW_QUADS;
    if (unit < KEY_UNITS)
        return new_unit(K_FORMAT, unit, KEY_UNITS, new_key(token), first + unit * KEY_UNIT_QUADS);
    const uint of_value = unit - KEY_UNITS;
    return new_unit(V_FORMAT, of_value, NEW_UNITS - KEY_UNITS, new_value(token),
                    first + KEY_QUADS + of_value * VALUE_UNIT_QUADS);
}

// Finds the scales of the new tokens' rows or blocks. A quantized unit is one quad, whose last word it does not use.
// There, the first loop stores the largest element of the unit, and the second one the scale.
void find_new_scales()
{
    [[dont_unroll]] for (uint i = invocation; i < TOKENS * NEW_UNITS; i += WORKGROUP) {
        const new_unit u = find_new_unit(i);
        if (is_quantized(u.format)) {
            vec4 a, b;
            load_8(TYPE, ALIGNED != 0, u.row, u.unit, a, b);
            new_rows[u.at].w = floatBitsToUint(largest_of_unit(a, b));
        }
    }
    barrier();
    [[dont_unroll]] for (uint i = invocation; i < TOKENS * NEW_UNITS; i += WORKGROUP) {
        const new_unit u = find_new_unit(i);
        const uint units = has_blocks(u.format) ? 4 : u.units;
        if (is_quantized(u.format) && u.unit % units == 0) {
            float largest = 0;
            for (uint n = 0; n < units; n++)
                largest = larger(largest, uintBitsToFloat(new_rows[u.at + n].w));
            const uint scale = floatBitsToUint(format_scale(u.format, largest));
            for (uint n = 0; n < units; n++)
                new_rows[u.at + n].w = scale;
        }
    }
    barrier();
}

void make_new_rows()
{
    if (is_quantized(K_FORMAT) || is_quantized(V_FORMAT))
        find_new_scales();
    [[dont_unroll]] for (uint i = invocation; i < TOKENS * NEW_UNITS; i += WORKGROUP) {
        const new_unit u = find_new_unit(i);
        const float scale = is_quantized(u.format) ? uintBitsToFloat(new_rows[u.at].w) : 1;
        uvec4 low, high;
        make_unit(u.format, u.row, ALIGNED != 0, u.unit, scale, low, high);
        new_rows[u.at] = low;
        if (u.format == FORMAT_F32)
            new_rows[u.at + 1] = high;
    }
    barrier();
}

// The scales of a new token's rows, or those of a key in the cache, which are at the addresses; 1 if a format has none.
vec2 scales_of(uint token, uvec2 key_scale, uvec2 value_scale)
{
    vec2 s = vec2(1);
    if (KEY_SCALE_BYTES != 0)
        s.x = uintBitsToFloat(Words(key_scale).w[0]);
    if (VALUE_SCALE_BYTES != 0)
        s.y = uintBitsToFloat(Words(value_scale).w[0]);
    if (token != NONE) {
        s.x = KEY_SCALE_BYTES != 0 ? uintBitsToFloat(new_rows[token * NEW_QUADS].z) : 1;
        s.y = VALUE_SCALE_BYTES != 0 ? uintBitsToFloat(new_rows[token * NEW_QUADS + KEY_QUADS].z) : 1;
    }
    return s;
}

// Quad number `quad` of the units of an entry's row, which is at `row` unless the entry is a new token. Then what is
// loaded is replaced when it is used, because a replacement that follows the load would wait for it.
uvec4 load_key_quad(uvec2 row, uint entry, uint quad)
{
    return load_row_quad(K_FORMAT, row, quad);
}

uvec4 load_value_quad(uvec2 row, uint entry, uint quad)
{
    return load_row_quad(V_FORMAT, row, quad);
}

void replace_new_key(uint entry, uint quad, inout uvec4 x)
{
    const uint token = entry_token(entry);
    if (token != NONE)
        x = new_rows[token * NEW_QUADS + quad];
}

void replace_new_value(uint entry, uint quad, inout uvec4 x)
{
    const uint token = entry_token(entry);
    if (token != NONE)
        x = new_rows[token * NEW_QUADS + KEY_QUADS + quad];
}

// Stores the rows of a new token in the cache. The workgroup shares the work.
void store_new_rows(uint token, uvec2 key, uvec2 value, uvec2 key_scale, uvec2 value_scale)
{
    const uint key_units = HEAD_DIM / 8, units = key_units + VALUE_DIM / 8, first = token * NEW_QUADS;
    for (uint i = invocation; i < units; i += WORKGROUP)
        if (i < key_units) {
            const uint at = first + i * KEY_UNIT_QUADS;
            store_unit(K_FORMAT, key, key_scale, i, new_rows[at], new_rows[at + KEY_UNIT_QUADS - 1]);
        } else {
            const uint unit = i - key_units, at = first + KEY_QUADS + unit * VALUE_UNIT_QUADS;
            store_unit(V_FORMAT, value, value_scale, unit, new_rows[at], new_rows[at + VALUE_UNIT_QUADS - 1]);
        }
}

void unpack_key_unit(uvec4 low, uvec4 high, out vec4 a, out vec4 b)
{
    unpack_row_unit(K_FORMAT, low, high, a, b);
}

void unpack_value_unit(uvec4 low, uvec4 high, out vec4 a, out vec4 b)
{
    unpack_row_unit(V_FORMAT, low, high, a, b);
}

#ifndef SUBGROUP_LISTS
// The scales of key `at` of the current block.
float scale_of_key(uint at)
{
    return KEY_SCALE_BYTES != 0 ? scales[min(at, SCALED_KEYS - 1)].x : 1;
}

float scale_of_value(uint at)
{
    return VALUE_SCALE_BYTES != 0 ? scales[min(at, SCALED_KEYS - 1)].y : 1;
}
#endif

// The elements of q that a unit of k is multiplied with.
void load_q_row_unit(uvec2 row, uint unit, out vec4 a, out vec4 b)
{
    const uvec2 columns = unit_columns(K_FORMAT, unit);
    load_8(Q_TYPE, ALIGNED != 0, row, columns.x / 2, a, b);
    if (K_FORMAT == FORMAT_Q4_0) {
        vec4 c, d;
        load_8(Q_TYPE, ALIGNED != 0, row, columns.y / 2, c, d);
        a = unit % 2 == 0 ? a : b;
        b = unit % 2 == 0 ? c : d;
    }
}

// Where column `i` of the units of v is in a row, both in units of 4 elements.
uint row_column(uint i)
{
    return unit_columns(V_FORMAT, i / 2)[i % 2];
}

#else // rows of TYPE, everywhere

const uint KEY_UNIT_QUADS = TYPE == TYPE_F32 ? 2 : 1, VALUE_UNIT_QUADS = KEY_UNIT_QUADS;

bool entry_is_aligned(uint entry);

uvec4 load_key_quad(uvec2 row, uint entry, uint quad)
{
    return load_quad(row, entry_is_aligned(entry), quad);
}

uvec4 load_value_quad(uvec2 row, uint entry, uint quad)
{
    return load_quad(row, entry_is_aligned(entry), quad);
}

void unpack_key_unit(uvec4 low, uvec4 high, out vec4 a, out vec4 b)
{
    if (TYPE == TYPE_F32) {
        a = uintBitsToFloat(low);
        b = uintBitsToFloat(high);
    } else {
        a = vec4(unpack_halves(TYPE, low.x), unpack_halves(TYPE, low.y));
        b = vec4(unpack_halves(TYPE, low.z), unpack_halves(TYPE, low.w));
    }
}

void unpack_value_unit(uvec4 low, uvec4 high, out vec4 a, out vec4 b)
{
    unpack_key_unit(low, high, a, b);
}

float scale_of_key(uint at)
{
    return 1;
}

float scale_of_value(uint at)
{
    return 1;
}

void load_q_row_unit(uvec2 row, uint unit, out vec4 a, out vec4 b)
{
    load_8(Q_TYPE, ALIGNED != 0, row, unit, a, b);
}

uint row_column(uint i)
{
    return i;
}

#endif

#endif
