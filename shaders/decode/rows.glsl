// SPDX-License-Identifier: MIT
// Rows of a cache in formats of fewer bits, as parts of decode.comp and cache_copy.comp load, make and store them.
//
// A unit is 8 elements of a row. In registers and in shared memory, it has these words:
//
//     F32          8 elements in two quads; units of all other formats have one quad
//     F16, BF16    8 elements
//     INT8, E4M3   x, y: 8 numbers; z: the scale of the row, only where the unit was made
//     Q8_0         x, y: 8 numbers; z: d
//     Q4_0         x: 8 numbers; z: d. Unit j of a block has elements 4 j to 4 j + 3 in the lower halves of the bytes
//                  and 16 + 4 j to 16 + 4 j + 3 in the upper ones, because they are in the same bytes of the block.
#ifndef LIB_ROWS_GLSL
#define LIB_ROWS_GLSL

#include "../attention/format.glsl"

#define UNIT_QUADS_OF(format) ((format) == FORMAT_F32 ? 2 : 1)
const uint KEY_UNIT_QUADS = UNIT_QUADS_OF(K_FORMAT), VALUE_UNIT_QUADS = UNIT_QUADS_OF(V_FORMAT);
const uint KEY_QUADS = HEAD_DIM / 8 * KEY_UNIT_QUADS, VALUE_QUADS = VALUE_DIM / 8 * VALUE_UNIT_QUADS; // of a row

bool has_blocks(uint format)
{
    return format >= FORMAT_Q8_0;
}

// The f16 in the lower or upper half of a word, as the bits of f32.
uint half_bits(uint word, bool upper)
{
    return floatBitsToUint(unpackHalf2x16(upper ? word >> 16 : word).x);
}

// ---- loading ----------------------------------------------------------------------------------------------------

// The block of a unit.
uvec2 block_of(uint format, uvec2 row, uint unit)
{
    return advance(row, unit / 4, uvec2(format == FORMAT_Q8_0 ? Q8_0_BYTES : Q4_0_BYTES, 0));
}

// A unit of a block. Its words may begin in the middle of words of memory. Only words that have a part of the block are
// read.
uvec4 load_block_unit(uint format, uvec2 row, uint unit)
{
    const uvec2 block = block_of(format, row, unit);
    const bool is_upper = (block.x & 2u) != 0; // the block begins in the upper half of a word, so its numbers do not
    Words words = Words(uvec2(block.x & ~3u, block.y));
    const uint first = (format == FORMAT_Q8_0 ? 2 : 1) * (unit % 4) + (is_upper ? 1 : 0);
    uvec4 x = uvec4(words.w[first], words.w[is_upper && format == FORMAT_Q4_0 ? first : first + 1], 0, 0);
    x.z = half_bits(words.w[0], is_upper);
    if (format == FORMAT_Q8_0) {
        const uint last = words.w[is_upper ? first + 1 : first + 2];
        x.xy = is_upper ? x.xy : uvec2(x.x >> 16 | x.y << 16, x.y >> 16 | last << 16);
    } else
        x.xy = uvec2(is_upper ? x.x : x.x >> 16 | x.y << 16, 0);
    return x;
}

// Quad number `quad` of the units of a row of the cache.
uvec4 load_row_quad(uint format, uvec2 row, uint quad)
{
    if (format < FORMAT_INT8)
        return Quads(row).q[quad];
    if (!has_blocks(format))
        return uvec4(Pairs(row).p[quad], 0, 0);
    return load_block_unit(format, row, quad);
}

// The elements of a unit; for INT8 and E4M3 without the scale of the row. `high`: the second quad of F32.
void unpack_row_unit(uint format, uvec4 low, uvec4 high, out vec4 a, out vec4 b)
{
    if (format == FORMAT_F32) {
        a = uintBitsToFloat(low);
        b = uintBitsToFloat(high);
    } else if (format < FORMAT_INT8) {
        a = vec4(unpack_halves(format - FORMAT_F32, low.x), unpack_halves(format - FORMAT_F32, low.y));
        b = vec4(unpack_halves(format - FORMAT_F32, low.z), unpack_halves(format - FORMAT_F32, low.w));
    } else if (format == FORMAT_E4M3) {
        a = e4m3_numbers(low.x);
        b = e4m3_numbers(low.y);
    } else if (format == FORMAT_Q4_0) {
        a = q4_0_numbers(low.x) * uintBitsToFloat(low.z);
        b = q4_0_numbers(low.x >> 4) * uintBitsToFloat(low.z);
    } else {
        const float d = format == FORMAT_Q8_0 ? uintBitsToFloat(low.z) : 1;
        a = int8_numbers(low.x) * d;
        b = int8_numbers(low.y) * d;
    }
}

// Where the elements `a` and `b` of a unit are in the row, in units of 4 elements.
uvec2 unit_columns(uint format, uint unit)
{
    if (format == FORMAT_Q4_0)
        return 8 * (unit / 4) + unit % 4 + uvec2(0, 4);
    return 2 * unit + uvec2(0, 1);
}

// ---- making -----------------------------------------------------------------------------------------------------

// Whether rows or blocks have scales. Here, those of blocks are in f32; make_unit() rounds them.
bool is_quantized(uint format)
{
    return format >= FORMAT_INT8;
}

// The element with the largest magnitude of a unit; the first such one.
float largest_of_unit(vec4 a, vec4 b)
{
    float largest = 0;
    [[unroll]] for (uint c = 0; c < 4; c++)
        largest = larger(largest, a[c]);
    [[unroll]] for (uint c = 0; c < 4; c++)
        largest = larger(largest, b[c]);
    return largest;
}

// The scale of a unit's row or block, or 1 if the format has none. The row is of TYPE and has `dim` elements. Four
// loads are in flight.
float find_scale(uint format, uvec2 row, bool aligned, uint dim, uint unit)
{
    if (!is_quantized(format))
        return 1;
    const uint count = has_blocks(format) ? 4 : dim / 8, first = has_blocks(format) ? unit / 4 * 4 : 0;
    float largest = 0;
    [[dont_unroll]] for (uint i = 0; i < count; i += 4) {
        vec4 a[4], b[4];
        [[unroll]] for (uint n = 0; n < 4; n++)
            load_8(TYPE, aligned, row, first + min(i + n, count - 1), a[n], b[n]);
        [[unroll]] for (uint n = 0; n < 4; n++)
            largest = larger(largest, largest_of_unit(a[n], b[n]));
    }
    return format_scale(format, largest);
}

// Makes a unit of a row of TYPE. `scale`: that of its row or block, if the format has any.
void make_unit(uint format, uvec2 row, bool aligned, uint unit, float scale, out uvec4 low, out uvec4 high)
{
    vec4 a, b;
    low = high = uvec4(0);
    load_8(TYPE, aligned, row, unit, a, b);
    if (format == FORMAT_F32) {
        low = floatBitsToUint(a);
        high = floatBitsToUint(b);
        return;
    }
    if (!is_quantized(format)) {
        const uint type = format - FORMAT_F32;
        low = uvec4(pack_halves(type, a.xy), pack_halves(type, a.zw), pack_halves(type, b.xy), pack_halves(type, b.zw));
        return;
    }
    const float inverse = reciprocal(scale);
    low.z = has_blocks(format) ? half_bits(round_half(scale), false) : floatBitsToUint(scale);
    if (format == FORMAT_Q4_0) {
        const uvec2 columns = unit_columns(format, unit);
        vec4 c, d;
        load_8(TYPE, aligned, row, columns.x / 2, a, b);
        load_8(TYPE, aligned, row, columns.y / 2, c, d);
        low.x = quantize_q4_0(inverse, unit % 2 == 0 ? a : b, unit % 2 == 0 ? c : d);
    } else
        low.xy = uvec2(quantize_4(format, inverse, a), quantize_4(format, inverse, b));
}

// ---- storing ----------------------------------------------------------------------------------------------------

// Blocks begin in the middle of words, whose other halves are of other units, rows or kv heads. So halves are set
// atomically.
void store_half(uvec2 address, uint bits)
{
    Words word = Words(uvec2(address.x & ~3u, address.y));
    const uint shift = (address.x & 2u) * 8;
    atomicAnd(word.w[0], ~(0xffffu << shift));
    atomicOr(word.w[0], (bits & 0xffffu) << shift);
}

// Stores a unit in a row of the cache, and with the row's first unit its scale.
void store_unit(uint format, uvec2 row, uvec2 scale, uint unit, uvec4 low, uvec4 high)
{
    if (format == FORMAT_F32) {
        Quads(row).q[2 * unit] = low;
        Quads(row).q[2 * unit + 1] = high;
    } else if (format < FORMAT_INT8)
        Quads(row).q[unit] = low;
    else if (!has_blocks(format)) {
        Pairs(row).p[unit] = low.xy;
        if (unit == 0)
            Words(scale).w[0] = low.z;
    } else {
        const uvec2 block = block_of(format, row, unit);
        const uint halves = format == FORMAT_Q8_0 ? 4 : 2;
        if (unit % 4 == 0)
            store_half(block, round_half(uintBitsToFloat(low.z)));
        for (uint i = 0; i < halves; i++)
            store_half(advance(block, 1 + unit % 4 * halves + i, uvec2(2, 0)), low[i / 2] >> 16 * (i % 2));
    }
}

#endif
